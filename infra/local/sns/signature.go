package sns

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // SNS's signature version 1, its default, is SHA1withRSA
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// signer signs notifications with a key of this process, so that a verifier can be tried against the certificate.
type signer struct {
	key         *rsa.PrivateKey
	certificate []byte // PEM
	name        string // in the certificate's URL
}

func newSigner(now time.Time) (*signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make SNS's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.Unix()),
		Subject:      pkix.Name{CommonName: "sns.amazonaws.com", Organization: []string{"pocket AWS"}},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make SNS's certificate: %w", err)
	}
	sum := sha256.Sum256(der)
	return &signer{
		key: key, name: hex.EncodeToString(sum[:16]),
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}, nil
}

// Certificate answers the PEM certificate whose key signs every notification of this service.
func (s *Service) Certificate() ([]byte, error) {
	signer, err := s.signer()
	if err != nil {
		return nil, err
	}
	return signer.certificate, nil
}

func (s *signer) sign(n notification) (string, error) {
	hash, digest := crypto.SHA1, []byte(nil)
	text := []byte(canonical(n))
	if n.signature == "2" {
		sum := sha256.Sum256(text)
		hash, digest = crypto.SHA256, sum[:]
	} else {
		sum := sha1.Sum(text) //nolint:gosec // signature version 1
		digest = sum[:]
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, hash, digest)
	if err != nil {
		return "", fmt.Errorf("sign a notification: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

// canonical is the text that SNS signs.
func canonical(n notification) string {
	lines := []string{"Message", n.Body, "MessageId", n.id}
	if n.Subject != "" {
		lines = append(lines, "Subject", n.Subject)
	}
	lines = append(lines, "Timestamp", n.at, "TopicArn", n.topic, "Type", "Notification")
	return strings.Join(lines, "\n") + "\n"
}
