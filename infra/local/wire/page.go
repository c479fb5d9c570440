package wire

import (
	"mime"
	"net/http"
)

// SecuredPage sets what keeps one of the pocket AWS's own pages to itself: nothing from other hosts, nothing inline, no
// frames.
func SecuredPage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// FromPage refuses what another web page makes a browser send: that cannot send JSON here without being asked first, and
// nothing here allows it.
func FromPage(r *http.Request) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	site := r.Header.Get("Sec-Fetch-Site")
	if err != nil || media != "application/json" || (site != "" && site != "same-origin") {
		return &Error{Code: "AccessDenied", Message: "Only the page itself may do this.", Status: http.StatusForbidden}
	}
	return nil
}
