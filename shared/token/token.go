// Package token makes and proves callback tokens with KMS keys that never leave KMS.
package token

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"rolecall/shared/connect"
)

// MAC implements connect.Tokens. A token is "<launch>.<key>.<MAC in base64url>", where key is the number of the KMS key that
// made it; the first key's tokens do without the number, for they are older than there were others.
type MAC struct {
	Client  *kms.Client
	Current int            // number of the key that makes tokens
	Keys    map[int]string // ARNs, by number, of the keys whose tokens are admitted
}

// message binds the MAC to its purpose, so that the key can never be made to speak for another one.
func message(id connect.ConnectionID, launch int) []byte {
	return fmt.Appendf(nil, "rolecall/callback/v1\n%s\n%d", id, launch)
}

// Token is the launch's callback token; the same launch always has the same one, as long as the key is the same.
func (m MAC) Token(ctx context.Context, id connect.ConnectionID, launch int) (connect.Secret, error) {
	return m.make(ctx, strconv.Itoa(launch), message(id, launch))
}

var errInvalid = &connect.Error{
	Kind: connect.KindInvalid, Code: connect.CodeTokenInvalid, Message: "the callback token is not one of this connection's",
	Fix: "Launch the stack from the platform's link, with its parameters unchanged.",
}

// Launch is the number of the launch that the token belongs to.
func (m MAC) Launch(ctx context.Context, id connect.ConnectionID, token connect.Secret) (int, error) {
	t, ok := parse(token.Reveal())
	if !ok {
		return 0, errInvalid
	}
	launch, ok := number(t.subject)
	if !ok {
		return 0, errInvalid
	}
	if err := m.prove(ctx, t, message(id, launch), errInvalid); err != nil {
		return 0, err
	}
	return launch, nil
}

// make is the token of a subject: its MAC by the current key, and which key that is.
func (m MAC) make(ctx context.Context, subject string, message []byte) (connect.Secret, error) {
	key := m.Keys[m.Current]
	out, err := m.Client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: &key, MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: message,
	})
	if err != nil {
		return connect.Secret{}, connect.Unavailable(connect.CodeInternal, "the key did not answer", err)
	}
	if len(out.Mac) != macLength {
		return connect.Secret{}, connect.Unavailable(connect.CodeInternal, "the key did not answer as it should", nil)
	}
	return connect.NewSecret(parsed{subject, m.Current, out.Mac}.String()), nil
}

// prove refuses, as invalid, a token that none of the keys has made for the message. It asks the one key that the token names.
func (m MAC) prove(ctx context.Context, t parsed, message []byte, invalid error) error {
	key, ok := m.Keys[t.key]
	if !ok {
		return invalid
	}
	out, err := m.Client.VerifyMac(ctx, &kms.VerifyMacInput{
		KeyId: &key, MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: message, Mac: t.mac,
	})
	var wrong *types.KMSInvalidMacException
	if errors.As(err, &wrong) {
		return invalid
	}
	if err != nil {
		return connect.Unavailable(connect.CodeInternal, "the key did not answer", err)
	}
	if !out.MacValid { // what is not proved is not valid
		return connect.Unavailable(connect.CodeInternal, "the key did not answer as it should", nil)
	}
	return nil
}

const (
	// macLength is that of HMAC-SHA-256, in bytes.
	macLength = 32
	// firstKey is the one whose tokens bear no number.
	firstKey = 1
	// maxToken is more than two numbers and a MAC take.
	maxToken = 96
)

// parsed is a token taken apart.
type parsed struct {
	subject string // a launch's number, or what marks an enrolment
	key     int
	mac     []byte
}

// String is the token as it is handed out.
func (p parsed) String() string {
	mac := base64.RawURLEncoding.EncodeToString(p.mac)
	if p.key == firstKey {
		return p.subject + "." + mac
	}
	return fmt.Sprintf("%s.%d.%s", p.subject, p.key, mac)
}

// parse admits one spelling of each token only. The decoder alone would not: it skips line ends.
func parse(s string) (parsed, bool) {
	parts := strings.Split(s, ".")
	if len(s) > maxToken || len(parts) < 2 || len(parts) > 3 {
		return parsed{}, false
	}
	p, ok := parsed{subject: parts[0], key: firstKey}, true
	if len(parts) == 3 {
		p.key, ok = number(parts[1])
	}
	var err error
	p.mac, err = base64.RawURLEncoding.DecodeString(parts[len(parts)-1])
	return p, ok && err == nil && len(p.mac) == macLength && p.String() == s
}

// number reads a whole number from 1 as strconv writes it.
func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 1 && strconv.Itoa(n) == s
}
