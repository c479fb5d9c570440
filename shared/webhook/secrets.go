package webhook

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Secrets makes the signing secrets. A secret is the MAC that a KMS key, used for nothing else, makes over the secret's
// number: nothing is stored, who may call GenerateMac with the key can read the secret again (`make webhook-secret`), and
// the next number is another secret. It is safe for concurrent use.
type Secrets struct {
	client  *kms.Client
	keyARN  string
	numbers []int

	mu   sync.Mutex
	made []string
}

// NewSecrets makes those of the given numbers, the current one first. Nothing is asked before the first use.
func NewSecrets(client *kms.Client, keyARN string, numbers []int) *Secrets {
	return &Secrets{client: client, keyARN: keyARN, numbers: numbers}
}

// Get asks KMS once and keeps the answer for the life of the process.
func (s *Secrets) Get(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made != nil {
		return s.made, nil
	}
	made := make([]string, 0, len(s.numbers))
	for _, n := range s.numbers {
		secret, err := s.secret(ctx, n)
		if err != nil {
			return nil, err
		}
		made = append(made, secret)
	}
	if len(made) == 0 {
		return nil, errors.New("webhook secret: no number")
	}
	s.made = made
	return made, nil
}

func (s *Secrets) secret(ctx context.Context, number int) (string, error) {
	out, err := s.client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: &s.keyARN, MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: SecretMessage(number),
	})
	if err != nil {
		return "", fmt.Errorf("webhook secret %d: %w", number, err)
	}
	if len(out.Mac) == 0 {
		return "", fmt.Errorf("webhook secret %d: KMS answered none", number)
	}
	return hex.EncodeToString(out.Mac), nil
}

// SecretMessage is what the key makes a MAC over for the secret of that number; the MAC in hex is the secret.
func SecretMessage(number int) []byte { return fmt.Appendf(nil, "rolecall/webhook/v1\n%d", number) }
