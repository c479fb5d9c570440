package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// checkSignature compares the Authorization header's signature with the one that the key's secret makes, as AWS does
// with Signature Version 4. Keys without a known secret pass, as do signatures in a URL; the signature's age is not
// looked at, for the pocket AWS's clock may be moved.
func (s *Server) checkSignature(call *Call, from scope) error {
	if s.config.Secrets == nil || !signedByHeader(call.HTTP) {
		return nil
	}
	secret, known := s.config.Secrets(from.accessKeyID)
	if !known {
		return nil
	}
	a := readAuthorization(call.HTTP)
	if hmac.Equal([]byte(a.signature), []byte(a.sign(call, secret))) {
		return nil
	}
	return &Error{
		Code: "SignatureDoesNotMatch", Status: http.StatusForbidden,
		Message: "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key " +
			"and signing method. Consult the service documentation for details.",
	}
}

// An authorization is what an Authorization header has beside the key's id.
type authorization struct {
	credentialScope string   // "20260131/eu-west-1/sqs/aws4_request"
	headers         []string // that are signed, in the order of the signature
	signature       string
}

func readAuthorization(r *http.Request) authorization {
	var a authorization
	for field := range strings.SplitSeq(strings.TrimPrefix(r.Header.Get("Authorization"), algorithm), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			_, a.credentialScope, _ = strings.Cut(value, "/")
		case "SignedHeaders":
			a.headers = strings.Split(value, ";")
		case "Signature":
			a.signature = value
		}
	}
	return a
}

func (a authorization) sign(call *Call, secret string) string {
	return signature(secret, a.credentialScope, stringToSign(call.HTTP.Header.Get("X-Amz-Date"), a.credentialScope, a.canonical(call)))
}

// stringToSign is what the key signs: a request's canonical form, and when, where and for which service it is signed.
func stringToSign(date, scope, canonical string) string {
	request := sha256.Sum256([]byte(canonical))
	return strings.Join([]string{algorithm, date, scope, hex.EncodeToString(request[:])}, "\n")
}

// signature signs a text by the key that a secret has for one day, Region and service, the parts of the scope.
func signature(secret, scope, text string) string {
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = keyed(key, part)
	}
	return hex.EncodeToString(keyed(key, text))
}

func keyed(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonical is the request in the one form that both sides hash.
func (a authorization) canonical(call *Call) string {
	r := call.HTTP
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	if call.Service != "s3" { // S3 alone does not escape a second time
		path = escape(path, true)
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	if payload == "" {
		hash := sha256.Sum256(call.Body)
		payload = hex.EncodeToString(hash[:])
	}
	return canonicalForm(r.Method, path, canonicalQuery(r.URL.Query()), headerLines(r, a.headers), strings.Join(a.headers, ";"), payload)
}

func canonicalForm(method, path, query string, headers []string, names, payload string) string {
	return strings.Join(slices.Concat([]string{method, path, query}, headers, []string{"", names, payload}), "\n")
}

func headerLines(r *http.Request, names []string) []string {
	lines := make([]string, len(names))
	for i, name := range names {
		lines[i] = name + ":" + canonicalHeader(r, name)
	}
	return lines
}

func canonicalHeader(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	var values []string
	for _, v := range r.Header.Values(name) {
		values = append(values, strings.Join(strings.Fields(v), " "))
	}
	return strings.Join(values, ",")
}

func canonicalQuery(query url.Values) string {
	var pairs []string
	for name, values := range query {
		for _, v := range values {
			pairs = append(pairs, escape(name, false)+"="+escape(v, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape leaves RFC 3986's unreserved characters alone.
func escape(s string, keepSlash bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		plain := 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~", c) >= 0
		if plain || keepSlash && c == '/' {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}
