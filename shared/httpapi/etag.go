package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// etag is a connection's: its version.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// hashTag is the ETag of what is known by its content alone. It is never one that If-Match takes.
func hashTag(content []byte) string {
	sum := sha256.Sum256(content)
	return `"h-` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

func encode(body any) []byte {
	text, _ := json.Marshal(body) // strings, numbers and times always marshal
	return text
}

// unless answers 304 and nothing else to who has it already, as If-None-Match says: a list of ETags, each possibly weak, as
// CloudFront makes them of those of bodies that it compresses.
func (re reply) unless(ifNoneMatch string) reply {
	for _, tag := range strings.Split(ifNoneMatch, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == re.etag {
			re.status, re.body = http.StatusNotModified, nil
			return re
		}
	}
	return re
}
