package cfn

import (
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rolecall/infra/local/wire"
)

// ResponsePath is where the handler of [Engine.Responses] must be mounted. It stands for the host name of CloudFormation's
// bucket for responses; what follows is the object's key, as on AWS.
const ResponsePath = "/_cfn-response/"

// A ResponseAddress says to what request a ResponseURL belongs, and who signs it when.
type ResponseAddress struct {
	Bucket                        string // the bucket's address, without a slash at its end
	StackID, LogicalID, RequestID string
	By                            wire.Credentials
	At                            time.Time
	Life                          time.Duration
}

// URL is the ResponseURL, in the form that CloudFormation's have had since 2019.
func (a ResponseAddress) URL() string {
	return a.By.Presign(http.MethodPut, a.Bucket, a.key(), regionOf(a.StackID), a.At, a.Life)
}

func (a ResponseAddress) key() string { return a.StackID + "|" + a.LogicalID + "|" + a.RequestID }

func regionOf(stackID string) string {
	if parts := strings.SplitN(stackID, ":", 5); len(parts) == 5 {
		return parts[3]
	}
	return ""
}

// signers are the keys that CloudFormation signs with: one that stays, and a temporary one.
func signers() []wire.Credentials {
	return []wire.Credentials{
		{AccessKeyID: "AKIA" + rand.Text()[:16], SecretAccessKey: rand.Text()},
		{AccessKeyID: "ASIA" + rand.Text()[:16], SecretAccessKey: rand.Text(), SessionToken: "IQoJb3JpZ2lu/" + rand.Text() + "+" + rand.Text() + "=="},
	}
}

// statusOfLate is what a PUT after CloudFormation's patience has ended is answered with. It has not been measured on AWS.
const statusOfLate = http.StatusOK

// Responses is the handler that takes the responses of custom resources; see [ResponsePath].
func (e *Engine) Responses() http.Handler { return e.custom }

// ServeHTTP takes a response. It answers as S3 does, which judges the address before it looks at the body and knows
// nothing of what it is given: whatever comes with an address that CloudFormation signed is a 200, also when it is
// nonsense, comes again, or is too late.
func (c *customResources) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e := c.refuse(r); e != nil {
		e.write(w)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse+1))
	if err != nil {
		(&s3Error{status: http.StatusBadRequest, Code: "IncompleteBody", Message: "The request body terminated unexpectedly"}).write(w)
		return
	}
	x, late := c.exchange(strings.TrimPrefix(r.URL.Path, ResponsePath))
	if late {
		w.WriteHeader(statusOfLate)
		return
	}
	c.accept(x, body)
	w.WriteHeader(http.StatusOK)
}

// exchange is the one that an object belongs to. It is late once CloudFormation has stopped waiting without an answer.
func (c *customResources) exchange(key string) (x *exchange, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x = c.exchanges[key]
	return x, x == nil || x.late
}

// refuse judges what comes with a presigned address in S3's order: the form, the time, the key, the signature, and
// headers that had to be signed.
func (c *customResources) refuse(r *http.Request) *s3Error {
	q := r.URL.Query()
	if !q.Has("X-Amz-Algorithm") {
		return denied("Access Denied")
	}
	signed, life, e := period(q)
	if e != nil {
		return e
	}
	now, ends := c.config.Clock().UTC(), signed.Add(life)
	if now.After(ends) {
		e := denied("Request has expired")
		e.Life, e.Ends, e.Now = q.Get("X-Amz-Expires"), ends.Format(time.RFC3339), now.Format(time.RFC3339)
		return e
	}
	id, _, _ := strings.Cut(q.Get("X-Amz-Credential"), "/")
	i := slices.IndexFunc(c.signers, func(k wire.Credentials) bool { return k.AccessKeyID == id })
	if i < 0 {
		return &s3Error{
			status: http.StatusForbidden, Code: "InvalidAccessKeyId", AccessKeyID: id,
			Message: "The AWS Access Key Id you provided does not exist in our records.",
		}
	}
	if q.Get("X-Amz-Security-Token") != c.signers[i].SessionToken {
		return &s3Error{status: http.StatusBadRequest, Code: "InvalidToken", Message: "The provided token is malformed or otherwise invalid."}
	}
	if text, ok := wire.Presigned(r, c.signers[i].SecretAccessKey); !ok {
		return &s3Error{
			status: http.StatusForbidden, Code: "SignatureDoesNotMatch", AccessKeyID: id, StringToSign: text, Signature: q.Get("X-Amz-Signature"),
			Message: "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
		}
	}
	return unsigned(r.Header)
}

// period reads when an address was signed and for how long.
func period(q url.Values) (signed time.Time, life time.Duration, e *s3Error) {
	malformed := func(why string) *s3Error {
		return &s3Error{status: http.StatusBadRequest, Code: "AuthorizationQueryParametersError", Message: why}
	}
	for _, name := range []string{"X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if len(q[name]) != 1 {
			return signed, 0, malformed("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
	}
	signed, err := time.Parse(wire.PresignDate, q.Get("X-Amz-Date"))
	if err != nil {
		return signed, 0, malformed(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	seconds, err := strconv.Atoi(q.Get("X-Amz-Expires"))
	if err != nil || seconds < 0 || seconds > 604800 {
		return signed, 0, malformed("X-Amz-Expires must be a number of seconds between 0 and 604800")
	}
	return signed, time.Duration(seconds) * time.Second, nil
}

// unsigned refuses headers that S3 acts upon: CloudFormation signs none but the host.
func unsigned(h http.Header) *s3Error {
	var found []string
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-") || name == "Content-Md5" {
			found = append(found, strings.ToLower(name))
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	e := denied("There were headers present in the request which were not signed")
	e.Headers = strings.Join(found, ", ")
	return e
}

// s3Error is an error in S3's words.
type s3Error struct {
	XMLName      xml.Name `xml:"Error"`
	Code         string
	Message      string
	AccessKeyID  string `xml:"AWSAccessKeyId,omitempty"`
	StringToSign string `xml:",omitempty"`
	Signature    string `xml:"SignatureProvided,omitempty"`
	Headers      string `xml:"HeadersNotSigned,omitempty"`
	Life         string `xml:"X-Amz-Expires,omitempty"`
	Ends         string `xml:"Expires,omitempty"`
	Now          string `xml:"ServerTime,omitempty"`
	RequestID    string `xml:"RequestId"`

	status int
}

func denied(message string) *s3Error {
	return &s3Error{status: http.StatusForbidden, Code: "AccessDenied", Message: message}
}

func (e *s3Error) write(w http.ResponseWriter) {
	e.RequestID = rand.Text()[:16]
	text, err := xml.Marshal(e)
	if err != nil { // a struct of strings always encodes
		text = fmt.Appendf(nil, "<Error><Code>%s</Code></Error>", e.Code)
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Amz-Request-Id", e.RequestID)
	w.WriteHeader(e.status)
	_, _ = w.Write(append([]byte(xml.Header), text...)) // a sender that hung up has nothing to be told
}
