package customer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"rolecall/shared/connect"
)

// Keys asks the STS endpoint of Rolecall's own Region with customers' access keys in place of the function's own.
type Keys struct{ Client *sts.Client }

// signing is a client that signs with keys. It has a signer of its own: the SDK's keep what they derive of a secret by the
// access key's id alone, so that a wrong secret would pass for the right one that was used before it.
func (k Keys) signing(keys connect.Credentials) *sts.Client {
	o := k.Client.Options()
	o.AuthSchemes, o.HTTPSignerV4 = nil, v4.NewSigner()
	o.Credentials = credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey.Reveal(), keys.SessionToken.Reveal())
	return sts.New(o)
}

// Identity implements connect.Identifier.
func (k Keys) Identity(ctx context.Context, keys connect.Credentials) (connect.Identity, error) {
	out, err := k.signing(keys).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return connect.Identity{}, keysRefused("GetCallerIdentity", err)
	}
	account, err := connect.ParseAccountID(aws.ToString(out.Account))
	if err != nil {
		return connect.Identity{}, unavailable("GetCallerIdentity", err)
	}
	arn := aws.ToString(out.Arn)
	if strings.Count(arn, ":") < 5 {
		return connect.Identity{}, unavailable("GetCallerIdentity", errors.New("an answer without an identity"))
	}
	return connect.Identity{Account: account, Root: strings.HasSuffix(arn, ":root")}, nil
}

// GetSessionToken implements connect.KeySessionMaker.
func (k Keys) GetSessionToken(ctx context.Context, keys connect.Credentials, d time.Duration) (connect.Credentials, error) {
	out, err := k.signing(keys).GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(int32(d.Seconds()))})
	if err != nil {
		return connect.Credentials{}, keysRefused("GetSessionToken", err)
	}
	return sessionCredentials("GetSessionToken", out.Credentials)
}

// GetFederationToken implements connect.KeySessionMaker.
func (k Keys) GetFederationToken(ctx context.Context, keys connect.Credentials, r connect.FederationRequest) (connect.Session, error) {
	const operation = "GetFederationToken"
	in := &sts.GetFederationTokenInput{Name: &r.Name, DurationSeconds: aws.Int32(int32(r.Duration.Seconds()))}
	if r.Policy != "" {
		in.Policy = &r.Policy
	}
	for _, arn := range r.PolicyARNs {
		in.PolicyArns = append(in.PolicyArns, types.PolicyDescriptorType{Arn: aws.String(arn)})
	}
	out, err := k.signing(keys).GetFederationToken(ctx, in)
	if err != nil {
		return connect.Session{}, keysRefused(operation, err)
	}
	made, err := sessionCredentials(operation, out.Credentials)
	if err != nil {
		return connect.Session{}, err
	}
	if out.FederatedUser == nil {
		return connect.Session{}, unavailable(operation, errors.New("an answer without a user"))
	}
	parts := strings.Split(aws.ToString(out.FederatedUser.Arn), ":")
	if len(parts) != 6 {
		return connect.Session{}, unavailable(operation, errors.New("an answer without an account"))
	}
	account, err := connect.ParseAccountID(parts[4])
	if err != nil {
		return connect.Session{}, unavailable(operation, err)
	}
	return connect.Session{Credentials: made, Account: account}, nil
}

// sessionCredentials reads what STS gave, and takes no half of it.
func sessionCredentials(operation string, given *types.Credentials) (connect.Credentials, error) {
	if given == nil {
		return connect.Credentials{}, unavailable(operation, errors.New("an answer without credentials"))
	}
	c := connect.Credentials{
		AccessKeyID:     aws.ToString(given.AccessKeyId),
		SecretAccessKey: connect.NewSecret(aws.ToString(given.SecretAccessKey)),
		SessionToken:    connect.NewSecret(aws.ToString(given.SessionToken)),
		Expires:         aws.ToTime(given.Expiration),
	}
	if c.AccessKeyID == "" || c.SecretAccessKey.IsZero() || c.SessionToken.IsZero() || c.Expires.IsZero() {
		return connect.Credentials{}, unavailable(operation, errors.New("an answer with half the credentials"))
	}
	return c, nil
}

// keysRefused tells keys that AWS does not take, or does not let do something, from every other failure. It keeps nothing
// of AWS's words: those about a signature repeat the request.
func keysRefused(operation string, err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return unavailable(operation, err)
	}
	code := connect.CodeKeysInvalid
	switch api.ErrorCode() {
	case "SignatureDoesNotMatch":
		if isClock(api.ErrorMessage()) {
			return unavailable(operation, errors.New("AWS's clock and ours differ"))
		}
	case "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure":
	case "ExpiredToken", "ExpiredTokenException":
		code = connect.CodeKeysExpired
	case "AccessDenied", "AccessDeniedException":
		if operation == "GetFederationToken" {
			code = connect.CodeKeysFederationDenied
		}
	default:
		if e := misfit(api); e != nil {
			return e
		}
		return unavailable(operation, fmt.Errorf("%s%s", api.ErrorCode(), about(err)))
	}
	return &connect.Error{Kind: connect.KindDenied, Code: code, Message: operation + " was refused"}
}

// isClock knows the one refusal of a signature that says nothing about the key: STS finds it made in the past or future.
func isClock(message string) bool {
	return strings.HasPrefix(message, "Signature expired") || strings.HasPrefix(message, "Signature not yet current")
}
