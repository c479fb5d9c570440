package connect

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[secret]"

// A Secret is text that must never be seen: session tokens, keys, signed URLs, callback tokens. However it is printed,
// logged or marshalled, it shows as "[secret]"; Reveal alone gives it out.
type Secret struct{ value string }

// NewSecret keeps s.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal gives the text, for the one place that must send it on.
func (s Secret) Reveal() string { return s.value }

// IsZero says that there is nothing to hide.
func (s Secret) IsZero() bool { return s.value == "" }

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.value), []byte(o.value)) == 1
}

func (s Secret) String() string { return redacted }

// GoString hides the text from %#v.
func (s Secret) GoString() string { return redacted }

// Format hides the text from every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the text from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the text from every encoder that honours it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON hides the text from encoding/json.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
