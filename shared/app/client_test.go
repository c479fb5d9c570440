package app

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"rolecall/shared/config"
)

// A signature holds for one host: what is signed here must not be carried to another.
func TestSignedRequestsFollowNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request went elsewhere") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	t.Setenv("HTTP_PROXY", elsewhere.URL) // and no proxy of the environment's choosing sees it
	client := plainClient()
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if resp.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("status %d", resp.StatusCode)
	}
	transport, ok := client.Transport.(*http.Transport)
	if !ok || transport.Proxy != nil || client.Timeout == 0 {
		t.Errorf("client %+v", client)
	}
}

func TestJitterFillsItsRange(t *testing.T) {
	var sum, least, most float64
	const n = 10_000
	for range n {
		j := jitter()
		sum, least, most = sum+j, min(least, j), max(most, j)
	}
	if least < -1 || most > 1 || least > -0.99 || most < 0.99 || sum/n > 0.05 || sum/n < -0.05 {
		t.Errorf("from %f to %f, %f on average", least, most, sum/n)
	}
}

func TestEventIDsAreNew(t *testing.T) {
	form := regexp.MustCompile(`^evt_[0-9a-z]{26,}$`) // as the contract's schema has it
	seen := map[string]bool{}
	for range 100_000 {
		id := eventID()
		if seen[id] || !form.MatchString(id) {
			t.Fatalf("%q is old or malformed", id)
		}
		seen[id] = true
	}
}

// The credentials are those of the function's role, as Lambda puts them into the environment; nothing else is looked at.
func TestCredentialsAreTheFunctionsOwn(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "ASIA1")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_SESSION_TOKEN", "token")
	t.Setenv("AWS_PROFILE", "somebody-elses")
	cfg := awsConfig(config.Config{Region: "eu-west-1"})
	c, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.AccessKeyID != "ASIA1" || c.SecretAccessKey != "secret" || c.SessionToken != "token" || cfg.Region != "eu-west-1" || cfg.BaseEndpoint != nil {
		t.Errorf("key %s, Region %s, endpoint %v", c.AccessKeyID, cfg.Region, cfg.BaseEndpoint)
	}
	if cfg = awsConfig(config.Config{Endpoint: "http://127.0.0.1:4566"}); cfg.BaseEndpoint == nil || *cfg.BaseEndpoint != "http://127.0.0.1:4566" {
		t.Errorf("endpoint %v", cfg.BaseEndpoint)
	}
}
