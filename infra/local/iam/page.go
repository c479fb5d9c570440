package iam

import (
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"rolecall/infra/local/wire"
)

// PagePath is where the handler of [NewPage] must be mounted.
const PagePath = "/iam/"

//go:embed page/home.html
var pageHTML string

//go:embed page/home.js
var pageJS string

// maxPageRequest bounds what the page may post: a name and the ARNs of some policies.
const maxPageRequest = 1 << 16

// NewPage makes the handler of the create-role page, GET /iam/home, and of all it needs below /iam/. The page makes a role
// for another account with an external ID, as IAM's console does when a link has filled it in; it acts as the root of
// whatever account its user names. styles is the address of its style sheet.
func NewPage(s *Service, styles string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /iam/home", text("text/html; charset=utf-8", strings.ReplaceAll(pageHTML, "STYLES", styles)))
	mux.HandleFunc("GET /iam/home.js", text("text/javascript; charset=utf-8", pageJS))
	mux.HandleFunc("POST /iam/api/roles", func(w http.ResponseWriter, r *http.Request) { answer(w, s, r) })
	return wire.SecuredPage(mux)
}

func text(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write([]byte(body)) // a browser that went away needs no page
	}
}

type pageRequest struct {
	Account        string   `json:"account"` // that is signed in
	Name           string   `json:"name"`
	TrustedAccount string   `json:"trustedAccount"`
	ExternalID     string   `json:"externalId"`
	Policies       []string `json:"policies"`
}

var accountRE = regexp.MustCompile(`^[0-9]{12}$`)

func answer(w http.ResponseWriter, s *Service, r *http.Request) {
	arn, err := s.fromPage(w, r)
	status, body := http.StatusOK, map[string]string{"roleArn": arn}
	var refusal *wire.Error
	switch {
	case errors.As(err, &refusal):
		status, body = max(refusal.Status, http.StatusBadRequest), map[string]string{"code": refusal.Code, "message": refusal.Message}
	case err != nil:
		status, body = http.StatusBadRequest, map[string]string{"code": "ValidationError", "message": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a browser that went away needs no answer
}

func (s *Service) fromPage(w http.ResponseWriter, r *http.Request) (string, error) {
	if err := wire.FromPage(r); err != nil {
		return "", err
	}
	var in pageRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPageRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return "", err
	}
	if !accountRE.MatchString(in.Account) || !accountRE.MatchString(in.TrustedAccount) {
		return "", errors.New("an AWS account ID has 12 digits")
	}
	made, err := s.CreateRole(in.Account, RoleSpec{Name: in.Name, Trust: consoleTrust(in.TrustedAccount, in.ExternalID), Attached: in.Policies})
	return made.ARN, err
}

// consoleTrust is the trust policy that the console writes for a third party's account.
func consoleTrust(account, externalID string) string {
	type object = map[string]any
	document, _ := json.Marshal(object{ // texts always encode
		"Version": "2012-10-17",
		"Statement": []any{object{
			"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": object{"AWS": account},
			"Condition": object{"StringEquals": object{"sts:ExternalId": externalID}},
		}},
	})
	return string(document)
}
