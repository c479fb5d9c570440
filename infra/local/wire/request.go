package wire

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// bodyLimit is the most a request may carry, in bytes: more than any AWS API that is offered here takes in one call.
const bodyLimit = 20 << 20

// algorithm opens the Authorization header of a request signed with AWS's Signature Version 4.
const algorithm = "AWS4-HMAC-SHA256"

// A scope is what a signature says of its request.
type scope struct {
	accessKeyID string
	token       string
	region      string
	service     string
}

// signedByHeader reports whether the request carries an AWS signature in its Authorization header.
func signedByHeader(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), algorithm)
}

// presigned reports whether the request carries an AWS signature in its URL.
func presigned(r *http.Request) bool {
	return r.URL.Query().Has("X-Amz-Credential")
}

// readScope reads who signed the request, and for which Region and service.
func readScope(r *http.Request) (scope, error) {
	if !signedByHeader(r) {
		query := r.URL.Query()
		return parseCredential(query.Get("X-Amz-Credential"), query.Get("X-Amz-Security-Token"))
	}
	fields := strings.TrimPrefix(r.Header.Get("Authorization"), algorithm)
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		if name == "Credential" {
			return parseCredential(value, r.Header.Get("X-Amz-Security-Token"))
		}
	}
	return scope{}, &Error{
		Code:    "IncompleteSignature",
		Message: "Authorization header requires 'Credential' parameter.",
		Status:  http.StatusForbidden,
	}
}

// parseCredential reads AKID/20260131/eu-west-1/sqs/aws4_request.
func parseCredential(credential, token string) (scope, error) {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[0] == "" || parts[2] == "" || parts[3] == "" || parts[4] != "aws4_request" {
		return scope{}, &Error{
			Code:    "IncompleteSignature",
			Message: fmt.Sprintf("Credential %q is not <access key id>/<date>/<region>/<service>/aws4_request.", credential),
			Status:  http.StatusForbidden,
		}
	}
	return scope{accessKeyID: parts[0], token: token, region: parts[2], service: parts[3]}, nil
}

// readBody reads a body that [http.MaxBytesReader] limits.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &Error{
			Code:    "RequestEntityTooLarge",
			Message: fmt.Sprintf("The request is larger than %d bytes.", tooLarge.Limit),
			Status:  http.StatusRequestEntityTooLarge,
		}
	}
	if err != nil {
		return nil, &Error{Code: "RequestTimeout", Message: "The request's body could not be read: " + err.Error()}
	}
	return body, nil
}

// A protocol is one of the ways in which AWS services speak.
type protocol int

const (
	protocolJSON  protocol = iota // AWS JSON 1.0 and 1.1: X-Amz-Target names the operation
	protocolQuery                 // form in, XML out: STS, IAM, CloudFormation, SNS
	protocolEC2                   // EC2's own dialect of Query
	protocolREST                  // method and path name the operation, JSON in and out: Lambda, Scheduler
	protocolS3                    // method and path name the operation, raw or XML
)

// protocolOf tells how the request speaks; S3 and EC2 are known by their names, the others by their looks.
func protocolOf(service string, r *http.Request) protocol {
	switch {
	case service == "s3":
		return protocolS3
	case service == "ec2":
		return protocolEC2
	case r.Header.Get("X-Amz-Target") != "", strings.HasPrefix(mediaType(r), "application/x-amz-json-"):
		return protocolJSON
	case mediaType(r) == "application/x-www-form-urlencoded", r.URL.Query().Has("Action"):
		return protocolQuery
	default:
		return protocolREST
	}
}

func mediaType(r *http.Request) string {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

// readOperation fills the call's operation and form from its body and HTTP request. The operation of REST calls stays
// empty: only the service knows its paths.
func readOperation(call *Call, p protocol) error {
	if spoken := call.HTTP.Header.Get("Smithy-Protocol"); spoken != "" {
		return &Error{
			Code:    "UnsupportedProtocol",
			Message: fmt.Sprintf("The pocket AWS does not speak %q; it speaks AWS JSON, Query and REST.", spoken),
		}
	}
	switch p {
	case protocolJSON:
		target := call.HTTP.Header.Get("X-Amz-Target")
		call.Operation = target[strings.LastIndexByte(target, '.')+1:]
	case protocolQuery, protocolEC2:
		form, err := readForm(call.HTTP, call.Body)
		if err != nil {
			return err
		}
		call.Form, call.Operation = form, form.Get("Action")
	case protocolREST, protocolS3:
		return nil
	}
	return checkOperation(call)
}

// checkOperation admits what may be the name of an operation. It becomes part of XML element names, so this matters.
func checkOperation(call *Call) error {
	if call.Operation == "" {
		return &Error{Code: "MissingAction", Message: "The request names no operation of " + call.Service + "."}
	}
	letter := func(c rune) bool { return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' }
	for i, c := range call.Operation {
		if letter(c) || i > 0 && '0' <= c && c <= '9' {
			continue
		}
		name := call.Operation
		call.Operation = ""
		return &Error{Code: "InvalidAction", Message: fmt.Sprintf("%q cannot be an operation of %s.", name, call.Service)}
	}
	return nil
}

// readForm joins the parameters of the body with those of the URL.
func readForm(r *http.Request, body []byte) (url.Values, error) {
	form := r.URL.Query()
	if mediaType(r) != "application/x-www-form-urlencoded" {
		return form, nil
	}
	posted, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &Error{Code: "MalformedQueryString", Message: err.Error()}
	}
	for name, values := range posted {
		form[name] = append(values, form[name]...)
	}
	return form, nil
}
