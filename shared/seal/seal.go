// Package seal encrypts customers' access keys with a KMS key that never leaves KMS. What it seals opens for one tenant
// and one connection alone: both are the encryption context, which KMS authenticates.
package seal

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"rolecall/shared/connect"
)

// KMS implements connect.Sealer, which takes kms:Encrypt, and connect.Opener, which takes kms:Decrypt.
type KMS struct {
	Client *kms.Client
	KeyARN string
}

// content is what is encrypted. The access key's id is in it so that a ciphertext cannot be given to another key.
type content struct {
	AccessKeyID string `json:"id"`
	Key         string `json:"key"`
	Session     string `json:"session,omitempty"`
}

func encryptionContext(tenant connect.TenantID, id connect.ConnectionID) map[string]string {
	return map[string]string{"tenant": string(tenant), "connection": string(id)}
}

// Seal encrypts the secret and the session token of keys.
func (k KMS) Seal(ctx context.Context, tenant connect.TenantID, id connect.ConnectionID, keys connect.Credentials) (connect.Sealed, error) {
	plain, err := json.Marshal(content{keys.AccessKeyID, keys.SecretAccessKey.Reveal(), keys.SessionToken.Reveal()})
	if err != nil {
		return "", errors.New("seal: the key cannot be written down") // the encoder's own words could repeat it
	}
	out, err := k.Client.Encrypt(ctx, &kms.EncryptInput{
		KeyId: &k.KeyARN, Plaintext: plain, EncryptionContext: encryptionContext(tenant, id),
	})
	if err != nil {
		return "", unavailable("KMS did not answer", err)
	}
	if len(out.CiphertextBlob) == 0 {
		return "", unavailable("KMS did not answer as it should", nil)
	}
	return connect.Sealed(base64.StdEncoding.EncodeToString(out.CiphertextBlob)), nil
}

// unavailable is KMS's own failure: it says nothing about the key, and changes nothing.
func unavailable(message string, cause error) error {
	e := connect.Unavailable(connect.CodeSealingUnavailable, message+", so the access key could be neither sealed nor opened", cause)
	e.Fix = "Try again in a moment."
	return e
}

// errForeign is of our own making: somebody has moved a ciphertext, or the key behind it is gone.
var errForeign = errors.New("what is sealed was not sealed for this connection's key")

// Open decrypts what was sealed for this tenant, connection and access key, and nothing else.
func (k KMS) Open(ctx context.Context, tenant connect.TenantID, id connect.ConnectionID, key connect.AccessKey) (connect.Credentials, error) {
	blob, err := base64.StdEncoding.DecodeString(string(key.Sealed))
	if err != nil || len(blob) == 0 {
		return connect.Credentials{}, errForeign
	}
	out, err := k.Client.Decrypt(ctx, &kms.DecryptInput{
		KeyId: &k.KeyARN, CiphertextBlob: blob, EncryptionContext: encryptionContext(tenant, id),
	})
	var invalid *types.InvalidCiphertextException
	var other *types.IncorrectKeyException
	if errors.As(err, &invalid) || errors.As(err, &other) {
		return connect.Credentials{}, fmt.Errorf("%w: %w", errForeign, err)
	}
	if err != nil {
		return connect.Credentials{}, unavailable("KMS did not answer", err)
	}
	var c content
	if err := json.Unmarshal(out.Plaintext, &c); err != nil || c.AccessKeyID != key.ID || c.Key == "" {
		return connect.Credentials{}, errForeign
	}
	return connect.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: connect.NewSecret(c.Key), SessionToken: connect.NewSecret(c.Session), Expires: key.ExpiresAt,
	}, nil
}
