package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rolecall/shared/config"
)

// Half an answer is tried again; a denial is an answer, and is not.
func TestWhatIsTriedAgain(t *testing.T) {
	const whole = `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>111111111111</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
	const denial = `<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>`
	tests := []struct {
		name   string
		first  http.HandlerFunc
		asked  int64
		passed bool
	}{
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "200")
			_, _ = io.WriteString(w, whole[:40])
		}, 2, true},
		{"denied", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, denial)
		}, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 {
					tt.first(w, r)
					return
				}
				_, _ = io.WriteString(w, whole)
			}))
			defer server.Close()
			t.Setenv("AWS_ACCESS_KEY_ID", "ASIA1")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
			client := sts.NewFromConfig(AWS(config.Config{Region: "eu-west-1", Endpoint: server.URL}))
			_, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
			if (err == nil) != tt.passed || asked.Load() != tt.asked {
				t.Errorf("asked %d times: %v", asked.Load(), err)
			}
		})
	}
}
