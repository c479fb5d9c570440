package gateway

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"rolecall/infra/local/wire"
)

// A route is a parsed Route.
type route struct {
	Route
	method   string // "ANY" for every one, "" for $default
	segments []segment
}

// A segment is one part of a route's path between slashes.
type segment struct {
	text string // the literal, or the parameter's name
	kind kind
}

type kind int

// The kinds of segment, the more specific first.
const (
	literal kind = iota
	parameter
	greedy
)

func malformed(format string, args ...any) error {
	return &wire.Error{Code: "BadRequestException", Message: fmt.Sprintf(format, args...)}
}

func parseRoute(r Route) (route, error) {
	parsed := route{Route: r}
	if r.Key == "$default" {
		return parsed, nil
	}
	method, path, ok := strings.Cut(r.Key, " ")
	methods := []string{"ANY", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
	if !ok || !slices.Contains(methods, method) || !strings.HasPrefix(path, "/") {
		return route{}, malformed("the route key %q is not \"METHOD /path\" or $default", r.Key)
	}
	parsed.method = method
	names := map[string]bool{}
	parts := strings.Split(path[1:], "/")
	for i, part := range parts {
		s, err := parseSegment(part)
		if err != nil {
			return route{}, malformed("route key %q: %v", r.Key, err)
		}
		if s.kind == greedy && i != len(parts)-1 {
			return route{}, malformed("route key %q: {%s+} must be last", r.Key, s.text)
		}
		if s.kind != literal && names[s.text] {
			return route{}, malformed("route key %q names the parameter %s twice", r.Key, s.text)
		}
		names[s.text] = names[s.text] || s.kind != literal
		parsed.segments = append(parsed.segments, s)
	}
	return parsed, nil
}

func parseSegment(part string) (segment, error) {
	if !strings.ContainsAny(part, "{}") {
		return segment{text: part}, nil
	}
	name := regexp.MustCompile(`^\{([A-Za-z0-9._:-]+)(\+?)\}$`).FindStringSubmatch(part)
	if name == nil {
		return segment{}, fmt.Errorf("the segment %q is no {parameter}", part)
	}
	if name[2] != "" {
		return segment{text: name[1], kind: greedy}, nil
	}
	return segment{text: name[1], kind: parameter}, nil
}

// shape is equal for routes that match the same requests.
func (r route) shape() string {
	if r.method == "" {
		return r.Key
	}
	shape := r.method + " "
	for _, s := range r.segments {
		switch s.kind {
		case literal:
			shape += "/" + s.text
		case parameter:
			shape += "/{}"
		case greedy:
			shape += "/{+}"
		}
	}
	return shape
}

// accept answers the path's parameters where the route matches.
func (r route) accept(method string, parts []string) (map[string]string, bool) {
	if r.method == "" {
		return nil, true
	}
	if r.method != "ANY" && r.method != method {
		return nil, false
	}
	parameters := map[string]string{}
	for i, s := range r.segments {
		if i >= len(parts) {
			return nil, false
		}
		switch s.kind {
		case literal:
			if parts[i] != s.text {
				return nil, false
			}
		case parameter:
			if parts[i] == "" {
				return nil, false
			}
			parameters[s.text] = parts[i]
		case greedy:
			rest := strings.Join(parts[i:], "/")
			parameters[s.text] = rest
			return parameters, rest != ""
		}
	}
	return parameters, len(parts) == len(r.segments)
}

// compare orders routes, the more specific first: by path, segment for segment, then by method; $default is last.
func compare(a, b route) int {
	if (a.method == "") != (b.method == "") {
		if a.method == "" {
			return 1
		}
		return -1
	}
	for i := range min(len(a.segments), len(b.segments)) {
		if d := int(a.segments[i].kind) - int(b.segments[i].kind); d != 0 {
			return d
		}
	}
	if d := len(b.segments) - len(a.segments); d != 0 {
		return d
	}
	if (a.method == "ANY") != (b.method == "ANY") {
		if a.method == "ANY" {
			return 1
		}
		return -1
	}
	return strings.Compare(a.Key, b.Key)
}

// A matched route is all that is needed to serve one request; changes of the API do not reach it.
type matched struct {
	Route
	parameters     map[string]string
	integration    Integration
	hasIntegration bool
	authorizer     *authorizer
}

// match finds the most specific route of a request.
func (a *API) match(r *http.Request) (matched, bool) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	a.mu.RLock()
	defer a.mu.RUnlock()
	var best route
	var parameters map[string]string
	found := false
	for _, candidate := range a.routes {
		values, ok := candidate.accept(r.Method, parts)
		if ok && (!found || compare(candidate, best) < 0) {
			best, parameters, found = candidate, values, true
		}
	}
	if !found {
		return matched{}, false
	}
	m := matched{Route: best.Route, parameters: parameters, authorizer: a.authorizers[best.Authorizer]}
	m.integration, m.hasIntegration = a.integrations[best.Integration]
	return m, true
}
