package wire

import (
	"crypto/hmac"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Credentials sign requests.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // of temporary ones
}

// PresignDate is the form of X-Amz-Date, in UTC.
const PresignDate = "20060102T150405Z"

// Presign is an address of an object in S3 by which whoever has it can do one thing for a while. bucket is the bucket's
// own address, such as "https://bucket.s3.eu-west-1.amazonaws.com"; the parameters stand in the order in which AWS's SDK
// for Java writes them.
func (c Credentials) Presign(method, bucket, key, region string, at time.Time, life time.Duration) string {
	address := bucket + "/" + escape(key, true)
	_, rest, _ := strings.Cut(address, "://")
	host, path, _ := strings.Cut(rest, "/")
	date := at.UTC().Format(PresignDate)
	scope := date[:8] + "/" + region + "/s3/aws4_request"
	parameters := []string{
		"X-Amz-Algorithm=" + algorithm, "X-Amz-Date=" + date, "X-Amz-SignedHeaders=host",
		"X-Amz-Expires=" + strconv.Itoa(int(life.Seconds())), "X-Amz-Credential=" + escape(c.AccessKeyID+"/"+scope, false),
	}
	if c.SessionToken != "" {
		parameters = slices.Insert(parameters, 0, "X-Amz-Security-Token="+escape(c.SessionToken, false))
	}
	query := strings.Join(slices.Sorted(slices.Values(parameters)), "&")
	text := stringToSign(date, scope, canonicalForm(method, "/"+path, query, []string{"host:" + host}, "host", unsignedPayload))
	return address + "?" + strings.Join(parameters, "&") + "&X-Amz-Signature=" + signature(c.SecretAccessKey, scope, text)
}

// unsignedPayload stands in a presigned request for the hash of a body that is not known yet.
const unsignedPayload = "UNSIGNED-PAYLOAD"

// Presigned says whether a request to S3 bears, in its address, the signature that the secret makes of it; text is what
// was to be signed.
func Presigned(r *http.Request, secret string) (text string, ok bool) {
	query := r.URL.Query()
	given := query.Get("X-Amz-Signature")
	query.Del("X-Amz-Signature")
	headers := query.Get("X-Amz-SignedHeaders")
	_, scope, _ := strings.Cut(query.Get("X-Amz-Credential"), "/")
	form := canonicalForm(r.Method, escape(r.URL.Path, true), canonicalQuery(query), headerLines(r, strings.Split(headers, ";")), headers, unsignedPayload)
	text = stringToSign(query.Get("X-Amz-Date"), scope, form)
	return text, hmac.Equal([]byte(given), []byte(signature(secret, scope, text)))
}
