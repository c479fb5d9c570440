package token

import (
	"context"
	"fmt"

	"rolecall/shared/connect"
)

// enrolmentMessage is for a purpose of its own: no callback token can pass for an enrolment token, nor the other way round.
func enrolmentMessage(id connect.EnrolmentID) []byte {
	return fmt.Appendf(nil, "rolecall/enrolment/v1\n%s", id)
}

// enrolmentSubject stands where a callback token has its launch.
const enrolmentSubject = "e"

// EnrolmentToken is the enrolment's token, "e.<key>.<MAC in base64url>", of the first key "e.<MAC>"; the same enrolment always
// has the same one, as long as the key is the same.
func (m MAC) EnrolmentToken(ctx context.Context, id connect.EnrolmentID) (connect.Secret, error) {
	return m.make(ctx, enrolmentSubject, enrolmentMessage(id))
}

var errInvalidEnrolment = &connect.Error{
	Kind: connect.KindInvalid, Code: connect.CodeTokenInvalid, Message: "the enrolment token is not this enrolment's",
	Fix: "Create the organization's stack from the platform's link, with its parameters unchanged.",
}

// ProveEnrolment refuses a token that is not the enrolment's.
func (m MAC) ProveEnrolment(ctx context.Context, id connect.EnrolmentID, token connect.Secret) error {
	t, ok := parse(token.Reveal())
	if !ok || t.subject != enrolmentSubject {
		return errInvalidEnrolment
	}
	return m.prove(ctx, t, enrolmentMessage(id), errInvalidEnrolment)
}
