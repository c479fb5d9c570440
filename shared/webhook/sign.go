package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Headers of a post, beside Content-Type.
const (
	HeaderTimestamp = "Rolecall-Timestamp" // seconds since 1970
	HeaderSignature = "Rolecall-Signature" // "v1=<hex>", one for each secret in use, with commas between
	HeaderEventID   = "Rolecall-Event-Id"  // to deduplicate by
)

// sign makes the two headers that prove who posted a body, and when. The HMAC's key is a secret as text, just as the
// receiver keeps it.
func sign(secrets []string, body []byte, at time.Time) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, 0, len(secrets))
	for _, s := range secrets {
		mac := hmac.New(sha256.New, []byte(s))
		_, _ = mac.Write([]byte(timestamp + "."))
		_, _ = mac.Write(body)
		signatures = append(signatures, "v1="+hex.EncodeToString(mac.Sum(nil)))
	}
	return timestamp, strings.Join(signatures, ",")
}
