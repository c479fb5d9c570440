package customresource

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"rolecall/shared/connect"
)

var errResponseURL = errors.New("the ResponseURL is none that CloudFormation uses for the stack's Region")

// maxURL is far more than a signed URL with a session token takes.
const maxURL = 8 << 10

// responseURL reads a ResponseURL and refuses every one that CloudFormation cannot have made for the stack. It decides
// upon the raw text before anything takes it apart, because programs differ in how they read odd URLs; nothing is
// looked up or dialled. The error never has the URL in it, since whoever has the URL can answer.
func responseURL(raw string, stack connect.StackID) (*url.URL, error) {
	return responseURLAt(raw, stack, localHost())
}

// responseURLAt also admits plain http to local, a loopback host with its port; "" is none.
func responseURLAt(raw string, stack connect.StackID, local string) (*url.URL, error) {
	if raw == "" || len(raw) > maxURL || !isPlain(raw) {
		return nil, errResponseURL
	}
	rest, ok := afterHost(raw, stack, local)
	if !ok || !strings.HasPrefix(rest, "/") {
		return nil, errResponseURL
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" || !isSigned(u.RawQuery) {
		return nil, errResponseURL
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

// afterHost is what follows the scheme and the host, if they are allowed ones, letter for letter.
func afterHost(raw string, stack connect.StackID, local string) (string, bool) {
	if local != "" {
		if rest, ok := strings.CutPrefix(raw, "http://"+local); ok {
			return rest, strings.HasPrefix(rest, "/_cfn-response/")
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

// isSigned tells a URL that gives the right to write from one that merely names a bucket.
func isSigned(query string) bool {
	values, err := url.ParseQuery(query)
	return err == nil && (values.Get("X-Amz-Signature") != "" || values.Get("Signature") != "")
}
