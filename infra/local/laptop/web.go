package laptop

import (
	"maps"
	"net/http"
	"os"

	"rolecall/web"
)

// newSite is what people see at /: the console, or without one a text that says what there is.
func (l *Laptop) newSite() (http.Handler, error) {
	if l.options.Web == "" {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /{$}", l.index)
		return mux, nil
	}
	return web.NewServer(os.DirFS(l.options.Web), web.NewSettings(l.issuerURL(), web.ClientID), l.options.Origins)
}

// metadata is where the HTTP API says who issues its tokens.
const metadata = "/.well-known/oauth-protected-resource"

// split parts the API from the site as the deployed distribution does; but the API's metadata are found at its own address
// alone, which here is the same.
func (l *Laptop) split() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if web.IsAPI(r.URL.Path) || r.URL.Path == metadata {
			l.apis.ServeHTTP(w, r)
			return
		}
		l.site.ServeHTTP(w, r)
	})
}

// context is the CDK context of this laptop. The console is served by newSite: there is no CloudFront here.
func (l *Laptop) context() map[string]any {
	all := map[string]any{"consoleDir": ""}
	if len(l.options.Origins) > 0 {
		all["corsOrigins"] = l.options.Origins
	}
	maps.Copy(all, l.options.Context)
	return all
}
