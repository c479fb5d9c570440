package seal_test

import (
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"rolecall/infra/local/iam"
	"rolecall/infra/local/kms"
	"rolecall/infra/local/wire"
	"rolecall/shared/connect"
	"rolecall/shared/seal"
)

const (
	account = "111111111111"
	region  = "eu-west-1"
	one     = connect.ConnectionID("conn_01k0000000000000000000000a")
	two     = connect.ConnectionID("conn_01k0000000000000000000000b")
	canary  = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYCANARY00"
)

// newKMS is a sealing key in the pocket AWS, and one beside it.
func newKMS(t *testing.T) (k, other seal.KMS, server *httptest.Server) {
	t.Helper()
	accounts, keys := iam.New(time.Now), kms.New(time.Now)
	door := wire.NewServer(wire.Config{Authenticator: accounts, Authorizer: accounts, Clock: time.Now})
	door.Register("kms", keys)
	server = httptest.NewServer(door)
	t.Cleanup(server.Close)
	client := awskms.New(awskms.Options{
		Region: region, BaseEndpoint: &server.URL, RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider(account, "any", ""),
	})
	made := func() seal.KMS {
		arn, err := keys.CreateKey(account, region, kms.KeyInput{})
		if err != nil {
			t.Fatal(err)
		}
		return seal.KMS{Client: client, KeyARN: arn}
	}
	return made(), made(), server
}

func pair() connect.Credentials {
	return connect.Credentials{
		AccessKeyID: "ASIAEXAMPLEEXAMPLE01", SecretAccessKey: connect.NewSecret(canary), SessionToken: connect.NewSecret("token-" + canary),
		Expires: time.Date(2026, 11, 21, 13, 0, 0, 0, time.UTC),
	}
}

func TestWhatIsSealedOpensForItsConnectionAlone(t *testing.T) {
	k, other, _ := newKMS(t)
	keys := pair()
	sealed, err := k.Seal(t.Context(), "acme", one, keys)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(string(sealed))
	if err != nil || strings.Contains(string(raw), canary) {
		t.Errorf("the ciphertext shows the secret: %v", err)
	}
	kept := connect.AccessKey{ID: keys.AccessKeyID, Sealed: sealed, ExpiresAt: keys.Expires}
	got, err := k.Open(t.Context(), "acme", one, kept)
	if err != nil || got != keys {
		t.Fatalf("opened %v, %v", got, err)
	}
	damaged, otherKey := kept, kept
	damaged.Sealed = connect.Sealed(base64.StdEncoding.EncodeToString(append(raw[:len(raw)-1], raw[len(raw)-1]^1)))
	otherKey.ID = "ASIAEXAMPLEEXAMPLE02"
	for name, open := range map[string]func() (connect.Credentials, error){
		"another tenant":     func() (connect.Credentials, error) { return k.Open(t.Context(), "zeta", one, kept) },
		"another connection": func() (connect.Credentials, error) { return k.Open(t.Context(), "acme", two, kept) },
		"both":               func() (connect.Credentials, error) { return k.Open(t.Context(), "zeta", two, kept) },
		"another access key": func() (connect.Credentials, error) { return k.Open(t.Context(), "acme", one, otherKey) },
		"another KMS key":    func() (connect.Credentials, error) { return other.Open(t.Context(), "acme", one, kept) },
		"a damaged one":      func() (connect.Credentials, error) { return k.Open(t.Context(), "acme", one, damaged) },
		"none": func() (connect.Credentials, error) {
			return k.Open(t.Context(), "acme", one, connect.AccessKey{ID: keys.AccessKeyID})
		},
		"no base64": func() (connect.Credentials, error) {
			return k.Open(t.Context(), "acme", one, connect.AccessKey{ID: keys.AccessKeyID, Sealed: "%"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := open()
			if err == nil || got != (connect.Credentials{}) {
				t.Fatalf("opened: %v", err)
			}
			var e *connect.Error
			if errors.As(err, &e) || strings.Contains(err.Error(), canary) {
				t.Errorf("%v; nothing of it is the customer's to mend", err)
			}
		})
	}
}

// The same pair sealed twice is not the same ciphertext.
func TestSealingIsNotRecognisable(t *testing.T) {
	k, _, _ := newKMS(t)
	first, err := k.Seal(t.Context(), "acme", one, pair())
	if err != nil {
		t.Fatal(err)
	}
	again, err := k.Seal(t.Context(), "acme", one, pair())
	if err != nil || first == again {
		t.Errorf("%v", err)
	}
}

func TestAKeyThatDoesNotAnswerIsTransient(t *testing.T) {
	k, _, server := newKMS(t)
	sealed, err := k.Seal(t.Context(), "acme", one, pair())
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	_, sealErr := k.Seal(t.Context(), "acme", one, pair())
	_, openErr := k.Open(t.Context(), "acme", one, connect.AccessKey{ID: pair().AccessKeyID, Sealed: sealed})
	for _, err := range []error{sealErr, openErr} {
		var e *connect.Error
		if !errors.As(err, &e) || e.Kind != connect.KindUnavailable || strings.Contains(err.Error(), canary) {
			t.Errorf("%v", err)
		}
	}
}

// The longest pair that is taken fits one call of KMS.
func TestTheLongestPairFits(t *testing.T) {
	k, _, _ := newKMS(t)
	in := connect.KeyInput{
		AccessKeyID: "ASIA" + strings.Repeat("A", 124), SecretAccessKey: connect.NewSecret(strings.Repeat("/", 128)),
		SessionToken: connect.NewSecret(strings.Repeat("/", 3500)),
	}
	keys, err := connect.ParseKeys(in, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Seal(t.Context(), "acme", one, keys); err != nil {
		t.Error(err)
	}
}
