package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"rolecall/shared/connect"
)

// Keys are a customer's access key as it goes in. It never comes out.
type Keys struct {
	AccessKeyID     string `json:"accessKeyId" doc:"AKIA… of an IAM user, or ASIA… of a session." minLength:"16" maxLength:"128"`
	SecretAccessKey string `json:"secretAccessKey" writeOnly:"true" minLength:"1" maxLength:"128"`
	SessionToken    string `json:"sessionToken,omitempty" writeOnly:"true" doc:"Of a session's key (ASIA…), and of no other." maxLength:"3500"`
	ExpiresAt       string `json:"expiresAt,omitempty" format:"date-time" doc:"When a session's key ends, which AWS tells nobody but its maker; an hour from now by default. Nothing is issued from it afterwards."`
}

// An AccessKey is what is shown of a connection's access key.
type AccessKey struct {
	AccessKeyID string     `json:"accessKeyId"`
	SetAt       time.Time  `json:"setAt" doc:"When this key was first given to Rolecall; it may be older."`
	AgeDays     int        `json:"ageDays" doc:"Whole days since then. Change keys before they get old."`
	ExpiresAt   *time.Time `json:"expiresAt,omitempty" doc:"When a session's key ends."`
	Warning     *Reason    `json:"warning,omitempty" doc:"KEYS_ENDING from when a quarter of a session's key's time is left, two hours at most; KEYS_OLD of a long-lived key that was reported as old. Each is an event as well, once."`
}

type keysInput struct {
	ID      string `path:"id" doc:"The connection's id."`
	IfMatch string `header:"If-Match" doc:"The ETag of the connection as you know it; 412 if it has changed since."`
	// IdempotencyKey is read so that it can be refused in words.
	IdempotencyKey string `header:"Idempotency-Key" doc:"Refused: nothing of a request with a secret is kept. The same key can be given again without harm."`
	Body           Keys
}

func keysOperation() operation {
	return operation{
		route: "PUT /v1/connections/{id}/access-key", id: "setAccessKey", summary: "Change a connection's access key",
		about: "The new key must be of the same account. It is verified before the old one is dropped; one that does not pass " +
			"changes nothing.",
		answers: []answer{{status: http.StatusOK, about: "The new key serves", body: reflect.TypeFor[Connection](), headers: []string{"ETag"}}},
	}
}

func (a api) accessKey(ctx context.Context, c call, in keysInput) (reply, error) {
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return reply{}, err
	}
	if in.IdempotencyKey != "" {
		return reply{}, connect.ErrIdempotencyRefused
	}
	set, err := a.Connections.SetKeys(ctx, target(c, in.ID, version), *in.Body.input())
	if err != nil {
		return reply{}, err
	}
	return a.one(ctx, c, set)
}

func (k *Keys) input() *connect.KeyInput {
	if k == nil {
		return nil
	}
	return &connect.KeyInput{
		AccessKeyID: k.AccessKeyID, SecretAccessKey: connect.NewSecret(k.SecretAccessKey),
		SessionToken: connect.NewSecret(k.SessionToken), ExpiresAt: k.ExpiresAt,
	}
}

func accessKey(k *connect.AccessKey, now time.Time) *AccessKey {
	if k == nil {
		return nil
	}
	return &AccessKey{AccessKeyID: k.ID, SetAt: k.SetAt.UTC(), AgeDays: k.Age(now), ExpiresAt: moment(k.ExpiresAt), Warning: reason(k.Warning(now))}
}

// keyFieldOf is fieldOf for codes about access keys.
func keyFieldOf(c connect.Code) string {
	return map[connect.Code]string{
		connect.CodeAccountInvalid:      "accountId",
		connect.CodeKeysAccountMismatch: "accountId",
		connect.CodeKeysInvalid:         "accessKey",
		connect.CodeKeysExpired:         "accessKey",
		connect.CodeRootKeysRefused:     "accessKey",
		connect.CodeIdempotencyRefused:  "Idempotency-Key",
	}[c]
}
