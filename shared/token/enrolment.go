package token

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"rolecall/shared/connect"
)

// enrolmentMessage is for a purpose of its own: no callback token can pass for an enrolment token, nor the other way round.
func enrolmentMessage(id connect.EnrolmentID) []byte {
	return fmt.Appendf(nil, "rolecall/enrolment/v1\n%s", id)
}

// EnrolmentToken is the enrolment's token, "e.<MAC in base64url>"; the same enrolment always has the same one.
func (m MAC) EnrolmentToken(ctx context.Context, id connect.EnrolmentID) (connect.Secret, error) {
	out, err := m.Client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: &m.KeyARN, MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: enrolmentMessage(id),
	})
	if err != nil {
		return connect.Secret{}, connect.Unavailable(connect.CodeInternal, "the key did not answer", err)
	}
	if len(out.Mac) != macLength {
		return connect.Secret{}, connect.Unavailable(connect.CodeInternal, "the key did not answer as it should", nil)
	}
	return connect.NewSecret(enrolmentPrefix + base64.RawURLEncoding.EncodeToString(out.Mac)), nil
}

const enrolmentPrefix = "e."

var errInvalidEnrolment = &connect.Error{
	Kind: connect.KindInvalid, Code: connect.CodeTokenInvalid, Message: "the enrolment token is not this enrolment's",
	Fix: "Create the organization's stack from the platform's link, with its parameters unchanged.",
}

// ProveEnrolment refuses a token that is not the enrolment's.
func (m MAC) ProveEnrolment(ctx context.Context, id connect.EnrolmentID, token connect.Secret) error {
	mac, ok := parseEnrolment(token.Reveal())
	if !ok {
		return errInvalidEnrolment
	}
	out, err := m.Client.VerifyMac(ctx, &kms.VerifyMacInput{
		KeyId: &m.KeyARN, MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: enrolmentMessage(id), Mac: mac,
	})
	var wrong *types.KMSInvalidMacException
	if errors.As(err, &wrong) {
		return errInvalidEnrolment
	}
	if err != nil {
		return connect.Unavailable(connect.CodeInternal, "the key did not answer", err)
	}
	if !out.MacValid { // what is not proved is not valid
		return connect.Unavailable(connect.CodeInternal, "the key did not answer as it should", nil)
	}
	return nil
}

// parseEnrolment admits one spelling of each token only, as parse does.
func parseEnrolment(s string) ([]byte, bool) {
	if len(s) != len(enrolmentPrefix)+base64.RawURLEncoding.EncodedLen(macLength) || s[:len(enrolmentPrefix)] != enrolmentPrefix {
		return nil, false
	}
	encoded := s[len(enrolmentPrefix):]
	mac, err := base64.RawURLEncoding.DecodeString(encoded)
	return mac, err == nil && len(mac) == macLength && base64.RawURLEncoding.EncodeToString(mac) == encoded
}
