package connect

import (
	"context"
	"errors"
	"time"
)

// An Identity is whose access key it is.
type Identity struct {
	Account AccountID
	Root    bool // of the account's root user
}

// An Identifier asks STS whose keys they are, by GetCallerIdentity. Keys that AWS refuses are an [Error] of KindDenied,
// with CodeKeysExpired where they have ended; every other failure proves nothing.
type Identifier interface {
	Identity(ctx context.Context, keys Credentials) (Identity, error)
}

// A RegionReader lists the Regions that are enabled in an account: the least of an [Inspector].
type RegionReader interface {
	Regions(ctx context.Context, c Credentials, region Region) ([]Region, error)
}

// A KeyVerifier proves that an access key is what it is said to be.
type KeyVerifier struct {
	Identifier Identifier
	Regions    RegionReader
	Clock      func() time.Time
}

// A KeySubject is the key that is verified, and what it should be.
type KeySubject struct {
	Keys    Credentials
	Account AccountID
	Region  Region
}

// keyTime bounds one verification's questions to AWS, so that whoever waits is answered in time.
const keyTime = 7 * time.Second

// Verify runs all checks of an access key.
func (v KeyVerifier) Verify(ctx context.Context, s KeySubject) Outcome {
	o := v.Recheck(ctx, s)
	if o.Checks[0].Verdict != Passed {
		o.Checks = append(o.Checks, Check{Name: CheckRegions, Verdict: Unknown, At: o.At, Reason: Reason{
			Code: CodeNotAsked, Message: "not asked, because the access key did not pass", Fix: "Mend what the check keys says first.",
		}})
		return o
	}
	regions, check := v.regions(ctx, s)
	o.Regions, o.Checks = regions, append(o.Checks, check)
	return o
}

// Recheck runs the check keys alone, for a key that has passed them all before.
func (v KeyVerifier) Recheck(ctx context.Context, s KeySubject) Outcome {
	o := Outcome{Method: MethodAccessKey, At: v.Clock()}
	if temporary(s.Keys.AccessKeyID) && !o.At.Before(s.Keys.Expires) { // nothing that AWS says could make it serve again
		o.Checks = []Check{{Name: CheckKeys, Verdict: Failed, Reason: keysExpired().Reason(), At: o.At}}
		return o
	}
	who, err := v.Identifier.Identity(ctx, s.Keys)
	o.Account = who.Account
	o.Checks = []Check{keyCheck(who, err, s, v.Clock())}
	return o
}

func keyCheck(who Identity, err error, s KeySubject, at time.Time) Check {
	c := passed(CheckKeys, at)
	switch {
	case isDenied(err):
		c.Verdict, c.Reason = Failed, keyRefusal(err)
	case err != nil:
		c.Verdict, c.Reason = Unknown, unanswered(err)
	case who.Root:
		c.Verdict, c.Reason = Failed, Reason{
			Code: CodeRootKeysRefused, Message: "this is an access key of the account's root user, which nobody should hand out",
			Fix: "Delete it in the root user's security credentials. Make an IAM user with just the rights that are needed, " +
				"and give an access key of that user; better still, connect by a role.",
		}
	case who.Account != s.Account:
		c.Verdict, c.Reason = Failed, Reason{
			Code:    CodeKeysAccountMismatch,
			Message: "the access key belongs to another account than " + string(s.Account),
			Fix:     "Give an access key of account " + string(s.Account) + ", or mend the account id.",
		}
	}
	return c
}

// keyRefusal tells keys that have ended from those that AWS does not take.
func keyRefusal(err error) Reason {
	var e *Error
	if errors.As(err, &e) && e.Code == CodeKeysExpired {
		return keysExpired().Reason()
	}
	return Reason{
		Code: CodeKeysInvalid, Message: "AWS refuses the access key: it does not exist, is not active, or its secret or session token is another's",
		Fix: "Check in IAM that the key is active, and copy id and secret again. A key made just now takes some seconds to spread: then try again.",
	}
}

func keysExpired() *Error {
	return &Error{
		Kind: KindConflict, Code: CodeKeysExpired, Message: "the temporary access key has ended",
		Fix: "Give a new one by PUT /v1/connections/{id}/access-key; or move to a role, which does not end, by " +
			"POST /v1/connections/{id}/launch.",
	}
}

func (v KeyVerifier) regions(ctx context.Context, s KeySubject) ([]Region, Check) {
	regions, err := v.Regions.Regions(ctx, s.Keys, s.Region)
	c := passed(CheckRegions, v.Clock())
	switch {
	case isDenied(err):
		c.Verdict, c.Reason = Failed, Reason{
			Code: CodeRegionsDenied, Message: "the access key may not list the account's Regions",
			Fix: "In IAM, add to the user's permissions an inline policy with this statement: " +
				allowStatement("*", []string{"ec2:DescribeRegions"}) + ".",
		}
	case err != nil:
		c.Verdict, c.Reason = Unknown, unavailable("EC2")
	}
	return regions, c
}

// refusal is why keys with this outcome are not taken; nil where they are proven.
func (o Outcome) refusal() *Error {
	if o.Proven() {
		return nil
	}
	reason := o.blocker()
	if _, _, denied := o.denial(); denied {
		return &Error{Kind: KindInvalid, Code: reason.Code, Message: reason.Message, Fix: reason.Fix}
	}
	if reason.Code == CodeSTSRegionDisabled {
		return &Error{Kind: KindConflict, Code: reason.Code, Message: reason.Message, Fix: reason.Fix}
	}
	return &Error{Kind: KindUnavailable, Code: reason.Code, Message: reason.Message, Fix: "Try again in a moment; nothing was stored."}
}
