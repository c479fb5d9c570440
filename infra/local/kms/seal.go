package kms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// A ciphertext is 1 byte of version, 2 bytes of length and the key's ARN, 12 bytes of nonce, and what AES-256-GCM sealed.
// The part before the nonce and the encryption context are authenticated with it.
const sealVersion = 1

func seal(arn string, material [32]byte, plaintext []byte, context map[string]string) ([]byte, error) {
	gcm, err := newGCM(material)
	if err != nil {
		return nil, err
	}
	header := binary.BigEndian.AppendUint16([]byte{sealVersion}, uint16(len(arn))) //nolint:gosec // an ARN is short
	header = append(header, arn...)
	nonce := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the program instead
	sealed := append(slices.Clone(header), nonce...)
	return gcm.Seal(sealed, nonce, plaintext, authenticated(header, context)), nil
}

// sealedBy reads which key a ciphertext names, and splits off the rest. What is no ciphertext is InvalidCiphertextException.
func sealedBy(ciphertext []byte) (arn string, header, rest []byte, err error) {
	if len(ciphertext) < 3 || ciphertext[0] != sealVersion {
		return "", nil, nil, badCiphertext()
	}
	end := 3 + int(binary.BigEndian.Uint16(ciphertext[1:3]))
	if len(ciphertext) < end {
		return "", nil, nil, badCiphertext()
	}
	return string(ciphertext[3:end]), ciphertext[:end], ciphertext[end:], nil
}

func open(material [32]byte, header, rest []byte, context map[string]string) ([]byte, error) {
	gcm, err := newGCM(material)
	if err != nil {
		return nil, err
	}
	if len(rest) < gcm.NonceSize() {
		return nil, badCiphertext()
	}
	plaintext, err := gcm.Open(nil, rest[:gcm.NonceSize()], rest[gcm.NonceSize():], authenticated(header, context))
	if err != nil {
		return nil, badCiphertext()
	}
	return plaintext, nil
}

// badCiphertext: KMS says no more, and does not tell a wrong context from a damaged text.
func badCiphertext() error { return fail("InvalidCiphertextException", "") }

func newGCM(material [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(material[:])
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// authenticated joins the header and the encryption context without ambiguity: lengths precede names and values.
func authenticated(header []byte, context map[string]string) []byte {
	out := slices.Clone(header)
	for _, name := range slices.Sorted(maps.Keys(context)) {
		for _, text := range []string{name, context[name]} {
			out = binary.BigEndian.AppendUint32(out, uint32(len(text))) //nolint:gosec // bounded by the request's size
			out = append(out, text...)
		}
	}
	return out
}

func mac(material [32]byte, message []byte) []byte {
	h := hmac.New(sha256.New, material[:])
	h.Write(message)
	return h.Sum(nil)
}
