package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CORS is the CORS configuration of an API. Origins are exact ("https://app.example.com"), "*", or "https://*".
type CORS struct {
	AllowOrigins     []string
	AllowMethods     []string
	AllowHeaders     []string
	ExposeHeaders    []string
	MaxAge           time.Duration
	AllowCredentials bool
}

// preflight answers a preflight request, whatever routes there are; false means that it is none. An origin that is not
// allowed gets no CORS headers, which is what makes the browser refuse.
func (c *CORS) preflight(w http.ResponseWriter, r *http.Request) bool {
	isPreflight := r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
	if c == nil || !isPreflight {
		return false
	}
	if c.decorate(w.Header(), r) {
		set(w.Header(), "Access-Control-Allow-Methods", c.AllowMethods)
		set(w.Header(), "Access-Control-Allow-Headers", c.AllowHeaders)
		if c.MaxAge > 0 {
			w.Header().Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge.Seconds())))
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// decorate adds what every answer to an allowed origin carries.
func (c *CORS) decorate(h http.Header, r *http.Request) bool {
	if c == nil {
		return false
	}
	origin := r.Header.Get("Origin")
	allowed, ok := c.allowed(origin)
	if !ok {
		return false
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	set(h, "Access-Control-Expose-Headers", c.ExposeHeaders)
	if c.AllowCredentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}

func (c *CORS) allowed(origin string) (string, bool) {
	if origin == "" {
		return "", false
	}
	if slices.Contains(c.AllowOrigins, "*") {
		return "*", true
	}
	return origin, slices.ContainsFunc(c.AllowOrigins, func(o string) bool {
		scheme, anyHost := strings.CutSuffix(o, "*")
		return o == origin || (anyHost && strings.HasSuffix(scheme, "://") && strings.HasPrefix(origin, scheme))
	})
}

func set(h http.Header, name string, values []string) {
	if len(values) > 0 {
		h.Set(name, strings.Join(values, ","))
	}
}
