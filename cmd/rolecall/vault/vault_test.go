package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// A ringInMemory is a keyring in memory.
type ringInMemory map[string]string

func (m ringInMemory) Get(name string) (string, error) {
	if s, ok := m[name]; ok {
		return s, nil
	}
	return "", errors.New("not found")
}

func (m ringInMemory) Set(name, secret string) error {
	m[name] = secret
	return nil
}

// none is a system without a keyring.
type none struct{}

func (none) Get(string) (string, error) { return "", errors.New("no keyring") }

func (none) Set(string, string) error { return errors.New("no keyring") }

func put(t *testing.T, v *Vault, text string) {
	t.Helper()
	if err := v.Update(func([]byte) ([]byte, error) { return []byte(text), nil }); err != nil {
		t.Fatal(err)
	}
}

func knows(passphrase string) func(bool) (string, error) {
	return func(bool) (string, error) { return passphrase, nil }
}

func neverAsked(t *testing.T) func(bool) (string, error) {
	return func(bool) (string, error) {
		t.Error("asked for a passphrase")
		return "", errors.New("asked")
	}
}

func TestKept(t *testing.T) {
	ring := ringInMemory{}
	for name, tt := range map[string]struct {
		kind, want string
		ring       Ring
	}{
		"in a keyring":          {Auto, Keyring, ring},
		"only in a keyring":     {Keyring, Keyring, ring},
		"there is no keyring":   {Auto, Passphrase, none{}},
		"nobody wants the ring": {Passphrase, Passphrase, ring},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "new", "vault.json")
			open := func() *Vault {
				v := &Vault{Path: path, Ring: tt.ring, Kind: tt.kind, Ask: knows("correct horse")}
				if tt.want == Keyring {
					v.Ask = neverAsked(t)
				}
				return v
			}
			if kept, err := open().Read(); err != nil || kept != nil || open().Kept() || open().NeedsPassphrase() {
				t.Fatalf("%q %v before anything was kept", kept, err)
			}
			put(t, open(), "the secret")
			text, err := os.ReadFile(path)
			if err != nil || bytes.Contains(text, []byte("secret")) || bytes.Contains(text, []byte("horse")) {
				t.Fatalf("%v %s", err, text)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", info.Mode(), err)
			}
			if got := open().NeedsPassphrase(); got != (tt.want == Passphrase) {
				t.Errorf("needs a passphrase: %t", got)
			}
			v := open()
			if kept, err := v.Read(); err != nil || string(kept) != "the secret" {
				t.Fatalf("%q %v", kept, err)
			}
			put(t, v, "another")
			if kept, err := open().Read(); err != nil || string(kept) != "another" {
				t.Fatalf("%q %v", kept, err)
			}
			again, err := os.ReadFile(path)
			if err != nil || bytes.Equal(again, text) {
				t.Error("not written")
			}
			if err := open().Update(func([]byte) ([]byte, error) { return nil, nil }); err != nil || open().Kept() {
				t.Error("not removed", err)
			}
		})
	}
}

func TestOneAsksOnce(t *testing.T) {
	asked := 0
	v := &Vault{Path: filepath.Join(t.TempDir(), "vault.json"), Ring: none{}, Kind: Auto, Ask: func(bool) (string, error) { asked++; return "correct horse", nil }}
	put(t, v, "one")
	put(t, v, "two")
	if _, err := v.Read(); err != nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

func TestNotOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.json")
	put(t, &Vault{Path: path, Ring: none{}, Kind: Auto, Ask: knows("correct horse")}, "the secret")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Vault{Path: path, Ring: none{}, Ask: knows("correct house")}).Read(); !errors.Is(err, ErrWrongKey) {
		t.Error(err)
	}
	v := &Vault{Path: path, Ring: none{}, Ask: knows("correct house")}
	err = v.Update(func([]byte) ([]byte, error) { t.Error("changed what nobody could read"); return nil, nil })
	if !errors.Is(err, ErrWrongKey) {
		t.Error(err)
	}
	v.Ask = knows("correct horse") // a slip of the fingers does not stick
	if _, err := v.Read(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*sealed){
		"another box":     func(s *sealed) { s.Box[20] ^= 1 },
		"a shorter box":   func(s *sealed) { s.Box = s.Box[:10] },
		"another salt":    func(s *sealed) { s.Salt[0] ^= 1 },
		"another name":    func(s *sealed) { s.Name = "x" },
		"a newer version": func(s *sealed) { s.Version = 2 },
		"another kind":    func(s *sealed) { s.Kind = Keyring },
	} {
		var file sealed
		if err := json.Unmarshal(good, &file); err != nil {
			t.Fatal(err)
		}
		change(&file)
		text, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if kept, err := (&Vault{Path: path, Ring: none{}, Ask: knows("correct horse")}).Read(); err == nil {
			t.Errorf("%s: %q", name, kept)
		}
	}
}

func TestNoKeyringIsAnErrorForWhoWantsOne(t *testing.T) {
	v := &Vault{Path: filepath.Join(t.TempDir(), "vault.json"), Ring: none{}, Kind: Keyring, Ask: neverAsked(t)}
	if err := v.Update(func([]byte) ([]byte, error) { return []byte("x"), nil }); err == nil || v.Kept() {
		t.Error(err)
	}
}

func TestAFailedChangeChangesNothing(t *testing.T) {
	v := &Vault{Path: filepath.Join(t.TempDir(), "vault.json"), Ring: ringInMemory{}, Kind: Auto, Ask: neverAsked(t)}
	put(t, v, "one")
	no := errors.New("no")
	if err := v.Update(func([]byte) ([]byte, error) { return []byte("two"), no }); !errors.Is(err, no) {
		t.Error(err)
	}
	if kept, err := v.Read(); err != nil || string(kept) != "one" {
		t.Errorf("%q %v", kept, err)
	}
}

// Programs that run at a time change one after the other; none of them sees half a file.
func TestAtATime(t *testing.T) {
	path, ring := filepath.Join(t.TempDir(), "vault.json"), ringInMemory{}
	put(t, &Vault{Path: path, Ring: ring, Kind: Auto, Ask: neverAsked(t)}, "0")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			v := &Vault{Path: path, Ring: ring, Kind: Auto, Ask: neverAsked(t)}
			for range 20 {
				err := v.Update(func(kept []byte) ([]byte, error) {
					n, err := strconv.Atoi(string(kept))
					return strconv.AppendInt(nil, int64(n+1), 10), err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if kept, err := (&Vault{Path: path, Ring: ring}).Read(); err != nil || string(kept) != "160" {
		t.Errorf("%q %v, want 160", kept, err)
	}
}
