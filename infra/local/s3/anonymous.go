package s3

import (
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

// anonymousLimit is the most that a request without a signature may carry, in bytes.
const anonymousLimit = 1 << 20

// Anonymous serves requests without a signature, such as a browser's: what the bucket's policy allows everybody.
func (s *Service) Anonymous() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := s.anonymous(w, r)
		if err == nil {
			maps.Copy(w.Header(), resp.Header)
			err = write(w, resp)
		}
		if err != nil {
			refuse(w, r, err)
		}
	})
}

func (s *Service) anonymous(w http.ResponseWriter, r *http.Request) (wire.Response, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, anonymousLimit))
	if err != nil {
		return wire.Response{}, fail(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	}
	call := &wire.Call{Service: "s3", Body: body, HTTP: r}
	needs, err := s.Needs(call)
	if err != nil {
		return wire.Response{}, err
	}
	for _, need := range needs {
		if !open(need) {
			return wire.Response{}, fail(http.StatusForbidden, "AccessDenied", "Access Denied")
		}
	}
	return s.Serve(r.Context(), call)
}

// open tells whether a bucket's policy gives everybody what is needed. The pocket AWS plays an https endpoint, so policies
// that insist on it are content.
func open(need wire.Need) bool {
	if need.ResourcePolicy == nil {
		return false
	}
	conditions := map[string][]string{"aws:SecureTransport": {"true"}}
	maps.Copy(conditions, need.Context)
	return need.ResourcePolicy.Evaluate(policy.Request{
		Action: need.Action, Resource: need.Resource, Context: conditions,
	}) == policy.Allow
}

func write(w http.ResponseWriter, resp wire.Response) error {
	body, contentType := resp.Raw, resp.ContentType
	if resp.Value != nil {
		encoded, err := xml.Marshal(resp.Value)
		if err != nil {
			return err
		}
		body, contentType = append([]byte(xml.Header), encoded...), "application/xml"
	}
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	status := resp.Status
	if status == 0 {
		status = http.StatusOK
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away needs no answer
	return nil
}

func refuse(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*wire.Error](err)
	if !ok {
		e = fail(http.StatusInternalServerError, "InternalError", "%v", err)
	}
	_ = write(w, wire.Response{Status: e.Status, Value: struct { // strings always encode
		XMLName  xml.Name `xml:"Error"`
		Code     string
		Message  string
		Resource string
	}{Code: e.Code, Message: e.Message, Resource: r.URL.Path}})
}
