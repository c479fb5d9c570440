//go:build laptop

package webhook

import "testing"

func TestLaptopTakesLoopbackBesides(t *testing.T) {
	for raw, want := range map[string]bool{
		"http://127.0.0.1:8080/hook": true, "http://[::1]:8080/": true, "https://127.0.0.1/": true, "http://localhost/": false,
		"http://10.0.0.1/": false, "http://hooks.example.com/": false, "ftp://127.0.0.1/": false, "http://a@127.0.0.1/": false,
	} {
		if _, err := ParseEndpoint(raw); (err == nil) != want {
			t.Errorf("%s: %v", raw, err)
		}
	}
	e, err := ParseEndpoint("http://127.0.0.1:8080/")
	if err != nil || e.control("tcp", "127.0.0.1:8080", nil) != nil || e.control("tcp", "8.8.8.8:443", nil) == nil {
		t.Errorf("error %v, or loopback is not all that is dialled", err)
	}
}
