package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// The address where the console and the API are is all that a newcomer needs.
func TestOneAddress(t *testing.T) {
	target, err := url.Parse(pocket.APIURL)
	if err != nil {
		t.Fatal(err)
	}
	site := http.NewServeMux()
	site.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": pocket.APIURL + "/oidc", "clientId": "rolecall-console"})
	})
	site.Handle("/v1/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	front := httptest.NewServer(site)
	t.Cleanup(front.Close)
	var ours movable
	p, log := program(t, &ours)
	p.Environ = append(p.Environ, "ROLECALL_API="+front.URL)
	// On this machine the issuer would be the API's own; an empty one is as for an API elsewhere.
	for _, command := range [][]string{{"login", "--issuer="}, {"connections"}} {
		if status := p.Run(t.Context(), command); status != 0 {
			t.Fatalf("%v: %d\n%s", command, status, log)
		}
	}
	p.Environ = append(p.Environ, "ROLECALL_CLIENT_ID=globex", "ROLECALL_CLIENT_SECRET=local")
	if status := p.Run(t.Context(), []string{"connections", "--issuer="}); status != 0 {
		t.Errorf("%d\n%s", status, log)
	}
}
