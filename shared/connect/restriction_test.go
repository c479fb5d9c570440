package connect_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// asker keeps what it was asked for, and hands out sessions that are never refused.
type asker struct{ asks []connect.AssumeRequest }

func (a *asker) AssumeRole(_ context.Context, r connect.AssumeRequest) (connect.Session, error) {
	a.asks = append(a.asks, r)
	return connect.Session{Account: customerAccount, Credentials: connect.Credentials{
		AccessKeyID: fmt.Sprintf("ASIA%d", len(a.asks)), Expires: noon.Add(r.Duration),
	}}, nil
}

func narrowing(t *testing.T) (connect.Issuing, *asker, *storetest.Memory, connect.Connection) {
	t.Helper()
	c := in(t, connect.StatusEnabled)
	store, sts := storetest.New(c), &asker{}
	clock := func() time.Time { return noon }
	maker := connect.SessionMaker{Store: store, Assumer: sts, Clock: clock, EventID: func() string { return fmt.Sprint("evt_", len(sts.asks)) }}
	return connect.Issuing{Clock: clock, Store: store, Sessions: connect.NewSessionCache(maker, 100, clock)}, sts, store, c
}

const listOnly = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:List*","Resource":"*"}]}`

func TestRestrictionsAreCheckedBeforeSTSIsAsked(t *testing.T) {
	many := make([]string, 11)
	for i := range many {
		many[i] = fmt.Sprintf("arn:aws:iam::aws:policy/P%d", i)
	}
	for name, tt := range map[string]struct {
		request connect.IssueRequest
		code    connect.Code
	}{
		"no JSON":             {connect.IssueRequest{Restriction: connect.Restriction{Policy: `{"Statement":`}}, connect.CodePolicyInvalid},
		"a list":              {connect.IssueRequest{Restriction: connect.Restriction{Policy: `[]`}}, connect.CodePolicyInvalid},
		"null":                {connect.IssueRequest{Restriction: connect.Restriction{Policy: `null`}}, connect.CodePolicyInvalid},
		"two documents":       {connect.IssueRequest{Restriction: connect.Restriction{Policy: listOnly + listOnly}}, connect.CodePolicyInvalid},
		"no statement":        {connect.IssueRequest{Restriction: connect.Restriction{Policy: `{"Version":"2012-10-17"}`}}, connect.CodePolicyInvalid},
		"a strange member":    {connect.IssueRequest{Restriction: connect.Restriction{Policy: `{"Statement":[],"statement":[]}`}}, connect.CodePolicyInvalid},
		"a member twice":      {connect.IssueRequest{Restriction: connect.Restriction{Policy: `{"Statement":[],"Statement":{"Effect":"Deny"}}`}}, connect.CodePolicyInvalid},
		"twice within":        {connect.IssueRequest{Restriction: connect.Restriction{Policy: `{"Statement":[{"Effect":"Deny","Action":"*","Effect":"Allow"}]}`}}, connect.CodePolicyInvalid},
		"twice, escaped":      {connect.IssueRequest{Restriction: connect.Restriction{Policy: `{"Statement":[{"Effect":"Deny","\u0045ffect":"Allow"}]}`}}, connect.CodePolicyInvalid},
		"in two cases":        {connect.IssueRequest{Restriction: connect.Restriction{Policy: `{"Statement":{"Condition":{"Bool":{"aws:SecureTransport":"true","AWS:securetransport":"false"}}}}`}}, connect.CodePolicyInvalid},
		"beyond Latin-1":      {connect.IssueRequest{Restriction: connect.Restriction{Policy: `{"Statement":[],"Id":"雪"}`}}, connect.CodePolicyInvalid},
		"too long":            {connect.IssueRequest{Restriction: connect.Restriction{Policy: `{"Statement":["` + strings.Repeat("a", 2048) + `"]}`}}, connect.CodePolicyTooLarge},
		"too long with ARNs":  {connect.IssueRequest{Restriction: connect.Restriction{Policy: `{"Statement":["` + strings.Repeat("a", 2020) + `"]}`, PolicyARNs: many[:1]}}, connect.CodePolicyTooLarge},
		"eleven policies":     {connect.IssueRequest{Restriction: connect.Restriction{PolicyARNs: many}}, connect.CodePolicyInvalid},
		"no ARN":              {connect.IssueRequest{Restriction: connect.Restriction{PolicyARNs: []string{"ReadOnlyAccess"}}}, connect.CodePolicyARNInvalid},
		"another account":     {connect.IssueRequest{Restriction: connect.Restriction{PolicyARNs: []string{"arn:aws:iam::333333333333:policy/x"}}}, connect.CodePolicyARNInvalid},
		"another partition":   {connect.IssueRequest{Restriction: connect.Restriction{PolicyARNs: []string{"arn:aws-cn:iam::aws:policy/x"}}}, connect.CodePolicyARNInvalid},
		"readOnly and policy": {connect.IssueRequest{Restriction: connect.Restriction{Policy: listOnly, ReadOnly: true}}, connect.CodePolicyInvalid},
		"a Region of China":   {connect.IssueRequest{Region: "cn-north-1"}, connect.CodePartitionMismatch},
		"a Region not there":  {connect.IssueRequest{Region: "ap-east-1"}, connect.CodeRegionDisabled},
		"no Region":           {connect.IssueRequest{Region: "here"}, connect.CodeRegionInvalid},
		"a long reason":       {connect.IssueRequest{Reason: strings.Repeat("a", 257)}, connect.CodeReasonInvalid},
		"a reason of two":     {connect.IssueRequest{Reason: "a\nb"}, connect.CodeReasonInvalid},
		"under 15 minutes":    {connect.IssueRequest{Duration: 899 * time.Second}, connect.CodeDurationInvalid},
		"under its own least": {connect.IssueRequest{Duration: 1799 * time.Second, Shortest: 30 * time.Minute}, connect.CodeDurationInvalid},
		"over an hour":        {connect.IssueRequest{Duration: 3601 * time.Second}, connect.CodeDurationInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			u, sts, store, c := narrowing(t)
			tt.request.Filter, tt.request.Tenant, tt.request.ID, tt.request.Caller = connect.Unrestricted(), "acme", string(c.ID()), "svc"
			_, err := u.Issue(context.Background(), tt.request)
			var e *connect.Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Kind != connect.KindInvalid || len(sts.asks) != 0 || len(store.Log()) != 0 {
				t.Errorf("%v after %d calls of STS", err, len(sts.asks))
			}
		})
	}
}

// Two spellings of one policy are one session; what the policy says reaches STS, and its hash the audit record.
func TestPoliciesAreNormalised(t *testing.T) {
	u, sts, store, c := narrowing(t)
	spaced := `{ "Statement": [{"Resource":"*", "Action":"s3:List*", "Effect":"Allow"}], "Version":"2012-10-17" }`
	for _, r := range []connect.Restriction{
		{Policy: listOnly},
		{Policy: spaced},
		{},
		{PolicyARNs: []string{"arn:aws:iam::aws:policy/B", "arn:aws:iam::aws:policy/A"}},
		{PolicyARNs: []string{"arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B", "arn:aws:iam::aws:policy/A"}},
		{ReadOnly: true},
		{PolicyARNs: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}},
	} {
		if _, err := u.Issue(context.Background(), connect.IssueRequest{
			Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Caller: "svc", Restriction: r, Reason: "ticket 7",
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(sts.asks) != 4 || len(store.Log()) != 4 {
		t.Fatalf("%d sessions and %d records, want 4", len(sts.asks), len(store.Log()))
	}
	if sts.asks[0].Policy != `{"Statement":[{"Action":"s3:List*","Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"}` {
		t.Errorf("policy %s", sts.asks[0].Policy)
	}
	if got := sts.asks[2].PolicyARNs; len(got) != 2 || got[0] != "arn:aws:iam::aws:policy/A" {
		t.Errorf("policies %v", got)
	}
	hashes := map[any]bool{}
	for i, e := range store.Log() {
		hash, narrowed := e.Data["policyHash"]
		if narrowed != (i != 1) || hashes[hash] || e.Data["reason"] != "ticket 7" || e.Data["sourceIdentity"] != "rolecall-svc" {
			t.Errorf("record %d: %v", i, e.Data)
		}
		hashes[hash] = true
	}
}

func FuzzSessionPolicy(f *testing.F) {
	f.Add(listOnly)
	f.Add(`{"Statement":{"Effect":"Deny"},"Id":"\u00e9\u0000"}`)
	f.Add(`{"Statement":[1e400]}`)
	f.Add(`{"Statement":[{"Sid":"a","sid":"b"}]}`)
	f.Fuzz(func(t *testing.T, policy string) {
		u, sts, _, c := narrowing(&testing.T{})
		_, err := u.Issue(context.Background(), connect.IssueRequest{
			Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Caller: "svc", Restriction: connect.Restriction{Policy: policy},
		})
		if policy == "" || err != nil {
			return
		}
		sent := sts.asks[0].Policy
		if len([]rune(sent)) > connect.MaxSessionPolicy || sent == "" {
			t.Fatalf("%q is sent as %q", policy, sent)
		}
		again, sts2, _, c2 := narrowing(&testing.T{})
		if _, err := again.Issue(context.Background(), connect.IssueRequest{
			Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c2.ID()), Caller: "svc", Restriction: connect.Restriction{Policy: sent},
		}); err != nil || sts2.asks[0].Policy != sent {
			t.Fatalf("the normal form %q is not stable: %v", sent, err)
		}
	})
}
