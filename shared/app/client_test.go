package app

import (
	"testing"

	"rolecall/shared/config"
)

func TestJitterFillsItsRange(t *testing.T) {
	var sum, least, most float64
	const n = 10_000
	for range n {
		j := Jitter()
		sum, least, most = sum+j, min(least, j), max(most, j)
	}
	if least < -1 || most > 1 || least > -0.99 || most < 0.99 || sum/n > 0.05 || sum/n < -0.05 {
		t.Errorf("from %f to %f, %f on average", least, most, sum/n)
	}
}

// The credentials are those of the function's role, as Lambda puts them into the environment; nothing else is looked at.
func TestCredentialsAreTheFunctionsOwn(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "ASIA1")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_SESSION_TOKEN", "token")
	t.Setenv("AWS_PROFILE", "somebody-elses")
	cfg := AWS(config.Config{Region: "eu-west-1"})
	c, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.AccessKeyID != "ASIA1" || c.SecretAccessKey != "secret" || c.SessionToken != "token" || cfg.Region != "eu-west-1" || cfg.BaseEndpoint != nil {
		t.Errorf("key %s, Region %s, endpoint %v", c.AccessKeyID, cfg.Region, cfg.BaseEndpoint)
	}
	if cfg = AWS(config.Config{Endpoint: "http://127.0.0.1:4566"}); cfg.BaseEndpoint == nil || *cfg.BaseEndpoint != "http://127.0.0.1:4566" {
		t.Errorf("endpoint %v", cfg.BaseEndpoint)
	}
}
