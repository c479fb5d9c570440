package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolecall/shared/config"
)

// AWS's word on a wrong signature repeats the session token; no error of ours may.
func TestASignatureErrorDoesNotShowTheToken(t *testing.T) {
	const canary = "canary-session-token"
	t.Setenv("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_SESSION_TOKEN", canary)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"__type":"InvalidSignatureException","message":"The canonical string was x-amz-security-token:` + r.Header.Get("X-Amz-Security-Token") + `"}`))
	}))
	defer server.Close()
	cfg := AWS(config.Config{Region: "eu-west-1", Endpoint: server.URL})
	body := "x"
	_, sqsErr := sqs.NewFromConfig(cfg).SendMessage(context.Background(), &sqs.SendMessageInput{QueueUrl: &server.URL, MessageBody: &body})
	_, kmsErr := kms.NewFromConfig(cfg).GenerateMac(context.Background(), &kms.GenerateMacInput{KeyId: &body, MacAlgorithm: "HMAC_SHA_256", Message: []byte(body)})
	for name, err := range map[string]error{"sqs": sqsErr, "kms": kmsErr} {
		if err == nil || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "InvalidSignatureException") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
