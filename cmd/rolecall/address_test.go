package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// One address is all that a newcomer needs: the HTTP API's, which names its issuer itself, or the console's, where the
// distribution lets the API's routes through, but nothing that the API says of its own address.
func TestOneAddress(t *testing.T) {
	target, err := url.Parse(pocket.APIURL)
	if err != nil {
		t.Fatal(err)
	}
	through := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	console := http.NewServeMux()
	console.Handle("/v1/", through)
	console.Handle("/config.json", through)
	api := http.NewServeMux()
	api.Handle("/v1/", through)
	api.Handle("/.well-known/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // a name of the API's own, which the gateway knows
	}})
	for name, handler := range map[string]http.Handler{"console": console, "API": api} {
		t.Run(name, func(t *testing.T) {
			front := httptest.NewServer(handler)
			t.Cleanup(front.Close)
			var ours movable
			p, log := program(t, &ours)
			p.Environ = append(p.Environ, "ROLECALL_API="+front.URL)
			for _, command := range []string{"login", "connections"} {
				if status := p.Run(t.Context(), []string{command}); status != 0 {
					t.Fatalf("%s: %d\n%s", command, status, log)
				}
			}
			p.Environ = append(p.Environ, "ROLECALL_CLIENT_ID=globex", "ROLECALL_CLIENT_SECRET=local")
			if status := p.Run(t.Context(), []string{"connections"}); status != 0 {
				t.Errorf("%d\n%s", status, log)
			}
		})
	}
}
