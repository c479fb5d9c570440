package web

import (
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// A Server serves the built site as CloudFront does.
type Server struct {
	site     fs.FS
	settings Settings
	headers  []Header
	origins  []string
}

// NewServer serves site with the given settings; origins are the exact ones whose pages may load the widget.
func NewServer(site fs.FS, settings Settings, origins []string) (*Server, error) {
	headers, err := Headers(settings.Issuer)
	if err != nil {
		return nil, err
	}
	if _, err := Files(site); err != nil {
		return nil, err
	}
	return &Server{site: site, settings: settings, headers: headers, origins: origins}, nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, h := range s.headers {
		w.Header().Set(h.Name, h.Value)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	file := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	body, file, err := s.read(file)
	if err != nil {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if file == Widget {
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		for _, h := range WidgetCORS(s.origins, r.Header.Get("Origin")) {
			w.Header().Set(h.Name, h.Value)
		}
	}
	w.Header().Set("Content-Type", ContentType(file))
	w.Header().Set("Cache-Control", CacheControl(file))
	_, _ = w.Write(body) //nolint:gosec // a file of the built site; nothing of the request is in it
}

// read answers the index for every path that has no dot, and nothing for a file that is not there: a page that asks for one
// is old. The function that CloudFront runs (infra/web.go) decides alike.
func (s *Server) read(file string) (body []byte, name string, err error) {
	if file == "config.json" {
		return s.settings.JSON(), file, nil
	}
	if path.Ext(file) == "" {
		file = Index
	}
	body, err = fs.ReadFile(s.site, file)
	return body, file, err
}
