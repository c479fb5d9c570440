// Package token makes and proves callback tokens with a KMS key that never leaves KMS.
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

// MAC implements connect.Tokens. A token is "<launch>.<MAC in base64url>".
type MAC struct {
	Client *kms.Client
	KeyARN string
}

// message binds the MAC to its purpose, so that the key can never be made to speak for another one.
func message(id connect.ConnectionID, launch int) []byte {
	return fmt.Appendf(nil, "rolecall/callback/v1\n%s\n%d", id, launch)
}

// Token is the launch's callback token; the same launch always has the same one.
func (m MAC) Token(ctx context.Context, id connect.ConnectionID, launch int) (connect.Secret, error) {
	out, err := m.Client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: &m.KeyARN, MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: message(id, launch),
	})
	if err != nil {
		return connect.Secret{}, connect.Unavailable(connect.CodeInternal, "the key did not answer", err)
	}
	if len(out.Mac) != macLength {
		return connect.Secret{}, connect.Unavailable(connect.CodeInternal, "the key did not answer as it should", nil)
	}
	return connect.NewSecret(fmt.Sprintf("%d.%s", launch, base64.RawURLEncoding.EncodeToString(out.Mac))), nil
}

var errInvalid = &connect.Error{
	Kind: connect.KindInvalid, Code: connect.CodeTokenInvalid, Message: "the callback token is not one of this connection's",
	Fix: "Launch the stack from the platform's link, with its parameters unchanged.",
}

// Launch is the number of the launch that the token belongs to.
func (m MAC) Launch(ctx context.Context, id connect.ConnectionID, token connect.Secret) (int, error) {
	launch, mac, ok := parse(token.Reveal())
	if !ok {
		return 0, errInvalid
	}
	out, err := m.Client.VerifyMac(ctx, &kms.VerifyMacInput{
		KeyId: &m.KeyARN, MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: message(id, launch), Mac: mac,
	})
	var wrong *types.KMSInvalidMacException
	if errors.As(err, &wrong) {
		return 0, errInvalid
	}
	if err != nil {
		return 0, connect.Unavailable(connect.CodeInternal, "the key did not answer", err)
	}
	if !out.MacValid { // what is not proved is not valid
		return 0, connect.Unavailable(connect.CodeInternal, "the key did not answer as it should", nil)
	}
	return launch, nil
}

// macLength is that of HMAC-SHA-256, in bytes.
const macLength = 32

// parse admits one spelling of each token only. The decoder alone would not: it skips line ends.
func parse(s string) (launch int, mac []byte, ok bool) {
	number, encoded, found := strings.Cut(s, ".")
	if !found || len(s) > 64 {
		return 0, nil, false
	}
	launch, err := strconv.Atoi(number)
	if err != nil || launch < 1 || strconv.Itoa(launch) != number {
		return 0, nil, false
	}
	mac, err = base64.RawURLEncoding.DecodeString(encoded)
	return launch, mac, err == nil && len(mac) == macLength && base64.RawURLEncoding.EncodeToString(mac) == encoded
}
