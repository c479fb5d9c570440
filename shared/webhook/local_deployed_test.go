//go:build !laptop

package webhook

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestADeployedFunctionPostsToNoLoopback(t *testing.T) {
	for _, raw := range []string{"http://127.0.0.1:8080/", "https://127.0.0.1/", "http://[::1]/", "https://[::1]/", "http://localhost/"} {
		if _, err := ParseEndpoint(raw); err == nil {
			t.Errorf("%s was taken", raw)
		}
	}
}

// A public name that DNS answers with loopback is looked up and not connected to.
func TestDNSCannotLeadInside(t *testing.T) {
	touched := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { touched = true }))
	defer server.Close()
	e := Endpoint{public: true}
	e.url.Scheme, e.url.Host, e.url.Path = "https", "localhost:"+server.URL[strings.LastIndex(server.URL, ":")+1:], "/"
	s := NewSender(e, noSecret, clock)
	err := s.Send(t.Context(), []byte(event))
	if err == nil || !strings.Contains(err.Error(), errAddress.Error()) || touched {
		t.Errorf("error %v, touched %t", err, touched)
	}
}
