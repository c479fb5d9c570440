package customer_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// What STS will never grant as it stands is told from its failures: with a code, a fix, and nothing of what was sent.
func TestSTSRefusesWhatCannotBe(t *testing.T) {
	w := newWorld(t)
	role := w.role("Narrow", trust(externalID, allActions), lookAtSelf)
	for name, tt := range map[string]struct {
		change func(*connect.AssumeRequest)
		code   connect.Code
	}{
		"no policy of IAM": {func(r *connect.AssumeRequest) { r.Policy = `{"Statement":[{"Effect":"` + canary + `"}]}` }, connect.CodePolicyInvalid},
		"no such policy": {func(r *connect.AssumeRequest) {
			r.PolicyARNs = []string{"arn:aws:iam::" + customerAccount + ":policy/Missing"}
		}, connect.CodePolicyInvalid},
		"too large": {func(r *connect.AssumeRequest) {
			r.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::` +
				strings.Repeat("a", 1900) + `"}]}`
			r.Tags = map[string]string{}
			for i := range 2 {
				r.Tags[fmt.Sprintf("tag-%d", i)] = strings.Repeat("b", 200)
			}
		}, connect.CodePolicyTooLarge},
		"longer than an hour": {func(r *connect.AssumeRequest) { r.Duration = 2 * time.Hour }, connect.CodeDurationInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			ask := probe(role, externalID)
			tt.change(&ask)
			_, err := w.assume.AssumeRole(t.Context(), ask)
			var e *connect.Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Kind != connect.KindInvalid || e.Fix == "" {
				t.Errorf("%v", err)
			}
			mustNotLeak(t, err)
		})
	}
}

// A Region in which the customer has switched STS off is no denial: it proves nothing about the role.
func TestSTSSwitchedOff(t *testing.T) {
	server := httptest.NewServer(queryError(403, "RegionDisabledException", canary))
	defer server.Close()
	err := asks(t, server.URL, server.Client())["AssumeRole"](t.Context())
	var e *connect.Error
	if !errors.As(err, &e) || e.Code != connect.CodeSTSRegionDisabled || e.Kind != connect.KindConflict {
		t.Errorf("%v", err)
	}
	mustNotLeak(t, err)
}
