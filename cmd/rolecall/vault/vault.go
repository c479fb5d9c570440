// Package vault keeps a few secrets in one file, and never in the clear. The file is sealed with AES-256-GCM. Its key is
// random and lies in the operating system's keyring where there is one; else it is made from a passphrase by Argon2id.
// The keyring holds the key and not the secrets, because some keyrings take no more than 2,560 bytes.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/lockedfile"
	"golang.org/x/crypto/argon2"
)

// Where a vault's key comes from.
const (
	Keyring    = "keyring"
	Passphrase = "passphrase"
	// Auto is the keyring if it works, else the passphrase.
	Auto = "auto"
)

const (
	keySize  = 32
	saltSize = 16
	// RFC 9106, section 4, the second recommended choice: 3 passes over 64 MiB in 4 lanes.
	passes, memory, lanes = 3, 64 * 1024, 4
)

// ErrWrongKey is the error of a file that the passphrase or the keyring's key does not open.
var ErrWrongKey = errors.New("the passphrase or the keyring's key does not open it" + startOver)

// startOver is what can be done where nothing else helps.
const startOver = "\nTo start over: rolecall logout --forget, then rolecall login"

// A Ring is the operating system's keyring, bound to this program.
type Ring interface {
	// Get answers an error for a secret that is not there.
	Get(name string) (string, error)
	Set(name, secret string) error
}

// A Vault is the file. Path, Ring and Ask must be set.
type Vault struct {
	Path string
	Ring Ring
	// Ask gets the passphrase from whoever has it; with confirm, one that is chosen now.
	Ask func(confirm bool) (string, error)
	// Kind is where a new file's key comes from: Keyring, Passphrase or Auto. An existing file keeps its own.
	Kind string
	// Warn is told once of a passphrase that opens the file though a new file would not take it; nil for nobody.
	Warn func(why error)

	opened *sealed // whose key is known
	key    []byte
	weak   error // why the passphrase that was given is no good, until it is told
}

// A sealed file, as it is on disk.
type sealed struct {
	Version int    `json:"version"`
	Kind    string `json:"key"`            // Keyring or Passphrase
	Name    string `json:"name,omitempty"` // of the key in the keyring
	Salt    []byte `json:"salt,omitempty"`
	Box     []byte `json:"box"` // nonce and ciphertext
}

// bound is what the ciphertext is bound to, so that no part of a file can be put into another.
func (s *sealed) bound() []byte {
	return fmt.Appendf(nil, "rolecall vault %d %s %s %s", s.Version, s.Kind, s.Name, base64.StdEncoding.EncodeToString(s.Salt))
}

func (s *sealed) sameKey(other *sealed) bool {
	return other != nil && s.Kind == other.Kind && s.Name == other.Name && slices.Equal(s.Salt, other.Salt)
}

// Read answers what was kept; nil if nothing was. Nobody is asked for a passphrase then.
func (v *Vault) Read() ([]byte, error) {
	file, err := v.load()
	if err != nil || file == nil {
		return nil, err
	}
	return v.open(file)
}

// Kept says whether there is something, without opening it.
func (v *Vault) Kept() bool {
	file, err := v.load()
	return err == nil && file != nil
}

// NeedsPassphrase says whether opening the vault takes one.
func (v *Vault) NeedsPassphrase() bool {
	file, err := v.load()
	return err == nil && file != nil && file.Kind == Passphrase
}

// Update replaces what is kept by what change makes of it; nothing else on this machine does so in between. nil for
// nothing, both ways. The passphrase is asked for before anybody is kept waiting.
func (v *Vault) Update(change func(kept []byte) ([]byte, error)) error {
	if err := os.MkdirAll(filepath.Dir(v.Path), 0o700); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if _, err := v.Read(); err != nil {
		return err
	}
	unlock, err := lockedfile.MutexAt(v.Path + ".lock").Lock()
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	defer unlock()
	file, err := v.load()
	if err != nil {
		return err
	}
	var kept []byte
	if file != nil {
		if kept, err = v.open(file); err != nil {
			return err
		}
	}
	now, err := change(kept)
	if err != nil || slices.Equal(now, kept) {
		return err
	}
	if now == nil {
		return v.Remove()
	}
	return v.seal(file, now)
}

// Remove throws everything away, even what cannot be opened. The keyring keeps a key that opens nothing.
func (v *Vault) Remove() error {
	v.opened, v.key = nil, nil
	if err := os.Remove(v.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("vault: %w", err)
	}
	return nil
}

func (v *Vault) load() (*sealed, error) {
	text, err := os.ReadFile(v.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no file is no error, and nothing to open
	}
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	file := new(sealed)
	if err := json.Unmarshal(text, file); err != nil || file.Version != 1 {
		return nil, fmt.Errorf("vault: %s is damaged, or of a newer version%s", v.Path, startOver)
	}
	return file, nil
}

func (v *Vault) open(file *sealed) ([]byte, error) {
	box, err := v.box(file)
	if err != nil {
		return nil, err
	}
	kept, err := box.Open(nil, nil, file.Box, file.bound())
	if err != nil {
		v.opened, v.key = nil, nil
		return nil, fmt.Errorf("vault: %s: %w", v.Path, ErrWrongKey)
	}
	if v.weak != nil && v.Warn != nil {
		v.Warn(v.weak)
		v.weak = nil
	}
	return kept, nil
}

// box is the cipher with the key of a file, which is looked up or asked for once.
func (v *Vault) box(file *sealed) (cipher.AEAD, error) {
	if !file.sameKey(v.opened) {
		key, err := v.find(file)
		if err != nil {
			return nil, err
		}
		v.opened, v.key = &sealed{Kind: file.Kind, Name: file.Name, Salt: file.Salt}, key
	}
	block, err := aes.NewCipher(v.key)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (v *Vault) find(file *sealed) ([]byte, error) {
	if file.Kind == Passphrase {
		passphrase, err := v.Ask(false)
		if err != nil {
			return nil, err
		}
		v.weak = CheckPassphrase(passphrase)
		return stretch(passphrase, file.Salt), nil
	}
	text, err := v.Ring.Get(file.Name)
	if err != nil {
		return nil, fmt.Errorf("vault: the keyring: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("vault: the keyring: %w", ErrWrongKey)
	}
	return key, nil
}

func stretch(passphrase string, salt []byte) []byte {
	return argon2.IDKey([]byte(passphrase), salt, passes, memory, lanes, keySize)
}

// seal writes a file with the key of the one before, or with a new one.
func (v *Vault) seal(before *sealed, now []byte) error {
	if before == nil {
		var err error
		if before, err = v.begin(); err != nil {
			return err
		}
	}
	file := &sealed{Version: 1, Kind: before.Kind, Name: before.Name, Salt: before.Salt}
	box, err := v.box(file)
	if err != nil {
		return err
	}
	file.Box = box.Seal(nil, nil, now, file.bound()) //nolint:gosec // this cipher makes its nonces itself, and takes none
	text, err := json.Marshal(file)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return replace(v.Path, append(text, '\n'))
}

// begin makes the key of a new file.
func (v *Vault) begin() (*sealed, error) {
	if v.Kind != Passphrase {
		file, err := v.beginRing()
		if err == nil || v.Kind == Keyring {
			return file, err
		}
	}
	passphrase, err := v.Ask(true)
	if err == nil {
		err = CheckPassphrase(passphrase)
	}
	if err != nil {
		return nil, err
	}
	file := &sealed{Kind: Passphrase, Salt: random(saltSize)}
	v.opened, v.key = file, stretch(passphrase, file.Salt)
	return file, nil
}

func (v *Vault) beginRing() (*sealed, error) {
	key := random(keySize)
	file := &sealed{Kind: Keyring, Name: v.Path}
	if err := v.Ring.Set(file.Name, base64.StdEncoding.EncodeToString(key)); err != nil {
		return nil, fmt.Errorf("vault: the keyring: %w", err)
	}
	v.opened, v.key = file, key
	return file, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// replace writes a file anew that only its owner can read; who reads meanwhile sees the old one or the new one whole.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // with mode 0600
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("vault: %w", err)
	}
	return nil
}
