package customresource

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rolecall/shared/connect"
)

// maxURL is far more than a signed URL with a session token takes.
const maxURL = 8 << 10

// responseURL reads a ResponseURL and refuses every one that CloudFormation cannot have made for the request: of its
// stack's Region, letter for letter, and with the request's own key, since a 200 is to prove that CloudFormation made it.
// It decides upon the raw text before anything takes it apart, because programs differ in how they read odd URLs; nothing
// is looked up or dialled.
func responseURL(raw string, n names) (*url.URL, error) { return responseURLAt(raw, n, localBucket()) }

// responseURLAt also admits local, a bucket's address on the loopback; "" is none.
func responseURLAt(raw string, n names, local string) (*url.URL, error) {
	if raw == "" || len(raw) > maxURL || !isPlain(raw) {
		return nil, drop(DropHost, "the ResponseURL is not as CloudFormation writes it")
	}
	rest, ok := afterBucket(raw, n.stack, local)
	if !ok {
		return nil, drop(DropHost, "the ResponseURL is of no bucket that CloudFormation uses for the stack's Region")
	}
	path, query, _ := strings.Cut(rest, "?")
	if !isKey(path, n) {
		return nil, drop(DropKey, "the ResponseURL's key is not the request's")
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" || !isSigned(query) {
		return nil, drop(DropSignature, "the ResponseURL is not signed")
	}
	return u, nil
}

// isPlain admits printable ASCII without what could end or change a host: no space, control character, backslash,
// fragment, nor an encoded dot or line end anywhere.
func isPlain(raw string) bool {
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c > '~' || c == '\\' || c == '#' {
			return false
		}
	}
	lower := strings.ToLower(raw)
	for _, encoded := range []string{"%2e", "%0d", "%0a", "%00"} {
		if strings.Contains(lower, encoded) {
			return false
		}
	}
	return true
}

// afterBucket is what follows the bucket's address, if it is an allowed one, letter for letter.
func afterBucket(raw string, stack connect.StackID, local string) (string, bool) {
	if local != "" {
		if rest, ok := strings.CutPrefix(raw, local); ok {
			return rest, true
		}
	}
	rest, ok := strings.CutPrefix(raw, "https://")
	end := strings.IndexAny(rest, "/?")
	if !ok || end < 0 || !slices.Contains(hosts(stack), rest[:end]) {
		return "", false
	}
	return rest[end:], true
}

// hosts are those that CloudFormation's buckets for answers have in the stack's Region.
func hosts(stack connect.StackID) []string {
	region := string(stack.Region())
	if region == "" {
		return nil
	}
	suffix := stack.Partition().DNSSuffix()
	bucket := "cloudformation-custom-resource-response-" + strings.ReplaceAll(region, "-", "")
	out := []string{bucket + ".s3." + region + "." + suffix, bucket + ".s3-" + region + "." + suffix}
	if region == "us-east-1" {
		out = append(out, bucket+".s3."+suffix)
	}
	return out
}

// isKey says whether a path is that of the request's own object. It is decoded once.
func isKey(path string, n names) bool {
	form, known := keyForms[n.stack.Partition()]
	if !known {
		return false
	}
	decoded, err := url.PathUnescape(path)
	return err == nil && decoded == "/"+form(n)
}

// isSigned tells a URL that gives the right to write from one that merely names an object.
func isSigned(query string) bool {
	values, err := url.ParseQuery(query)
	return err == nil && (values.Get("X-Amz-Signature") != "" || values.Get("Signature") != "")
}

var (
	accessKeyIDRE = regexp.MustCompile(`^[0-9A-Za-z]{1,128}$`)
	signatureRE   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// A signing is what a ResponseURL says of its signature.
type signing struct{ at, ends time.Time }

// readSigning reads a query that is signed as CloudFormation signs since 2019: with Signature Version 4, once, for the host
// alone, on its own day and in the stack's Region. Whether the signature is right is only for S3 to say.
func readSigning(query string, region connect.Region) (signing, error) {
	q, ok := onceEach(query)
	switch {
	case !ok:
		return signing{}, drop(DropSignature, "the ResponseURL has parameters that CloudFormation does not write, or one of them twice")
	case q["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256" || q["X-Amz-SignedHeaders"] != "host" || !signatureRE.MatchString(q["X-Amz-Signature"]):
		return signing{}, drop(DropSignature, "the ResponseURL is not signed with Signature Version 4 for its host alone")
	}
	at, err := time.Parse(signedForm, q["X-Amz-Date"])
	if err != nil || at.Format(signedForm) != q["X-Amz-Date"] { // time.Parse also takes fractions
		return signing{}, drop(DropSignature, "the ResponseURL's date cannot be read")
	}
	id, scope, _ := strings.Cut(q["X-Amz-Credential"], "/")
	if !accessKeyIDRE.MatchString(id) || scope != at.Format("20060102")+"/"+string(region)+"/s3/aws4_request" {
		return signing{}, drop(DropSignature, "the ResponseURL is not signed on its day for S3 in the stack's Region")
	}
	life, err := strconv.Atoi(q["X-Amz-Expires"])
	if err != nil || strconv.Itoa(life) != q["X-Amz-Expires"] || life <= 0 || life > int(longestLife.Seconds()) {
		return signing{}, drop(DropSignature, "the ResponseURL does not live as long as CloudFormation's")
	}
	return signing{at: at, ends: at.Add(time.Duration(life) * time.Second)}, nil
}

const signedForm = "20060102T150405Z"

// parameters are all that CloudFormation writes; the token is there where it signs with a temporary key.
var parameters = []string{
	"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Security-Token",
}

// onceEach reads a query of these parameters alone, each once, in which nothing can be read in two ways: no plus sign and
// nothing encoded twice.
func onceEach(query string) (map[string]string, bool) {
	if strings.Contains(query, "+") || strings.Contains(query, "%25") {
		return nil, false
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, false
	}
	out := make(map[string]string, len(values))
	for name, given := range values {
		if len(given) != 1 || !slices.Contains(parameters, name) {
			return nil, false
		}
		out[name] = given[0]
	}
	return out, true
}

// inTime holds a signing against when SNS took the request, and against now.
func (s signing) inTime(sentAt, now time.Time) error {
	switch {
	case s.at.After(sentAt.Add(skew)):
		return drop(DropDate, "the ResponseURL was signed after it was sent")
	case !now.Before(s.ends.Add(-margin)):
		return drop(DropExpired, "the ResponseURL has expired")
	}
	return nil
}
