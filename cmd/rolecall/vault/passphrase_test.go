package vault

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var weakPassphrases = []string{
	"", " ", "horse", "Tr0ub4dor&3", "11 letters.", "aaaaaaaaaaaa", "            ", "abababababab", "abcabcabcabcabc", "aabbccddeeaabbcc", "äääääääääääää",
	"123456789012", "1234567890123456", "098765432109", "01234567890123", "abcdefghijkl", "zyxwvutsrqpo", "abcdefghijklmnopqrstuvwxyz",
	"qwertyuiop12", "qwertyuiopasdfghjkl", "asdfghjkl123", "zxcvbnm,./zxcvbnm", "poiuytrewq09", "1qaz2wsx3edc", "1q2w3e4r5t6y", "qwertzuiop12", "!@#$%^&*()!@",
	"password1234", "passwordpassword", "Password123!", "P@ssw0rd1234", "pa55word!!!!", "letmein12345", "iloveyou2024", "administrator", "administrator1", "welcome12345",
	"changeme1234", "rolecall1234", "rolecallrolecall", "AWSadmin2025", "Summer2025!!", "Winter2025!!!", "hello hello hello", "trustno1trustno1", "monday monday 12",
	"test-test-test-test", "xyzabcxyzabcxyz",
}

// What people take where they must take something is refused, and they are told what is better.
func TestPassphrasesThatAreGuessedAtOnce(t *testing.T) {
	for _, text := range weakPassphrases {
		err := CheckPassphrase(text)
		if !errors.Is(err, ErrWeak) || !strings.Contains(err.Error(), "Take 12 characters or more") || text != " " && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
		v := &Vault{Path: filepath.Join(t.TempDir(), "vault.json"), Ring: none{}, Kind: Auto, Ask: knows(text)}
		if err := v.Update(func([]byte) ([]byte, error) { return []byte("x"), nil }); !errors.Is(err, ErrWeak) || v.Kept() {
			t.Errorf("%q makes a vault: %v", text, err)
		}
	}
	for _, text := range []string{
		"correct horse", "battery staple", "correct horse battery staple", "Überall liegt Schnee", "雪が降る夜に猫が三匹いる", "k8#vQ!2pLx9@", "maple orbit tunnel fern",
		"the test of a summer in the cloud, 1947", "wPf3kZ1mQd7c", "3.1415926 and a half",
	} {
		if err := CheckPassphrase(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A vault of before, sealed with whatever was taken then, opens and goes on; who opens it is warned, once.
func TestAWeakVaultOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.json")
	sealedBefore(t, path, "12345678", "the secret")
	var warned []error
	v := &Vault{Path: path, Ring: none{}, Kind: Auto, Ask: knows("12345678"), Warn: func(why error) { warned = append(warned, why) }}
	for range 2 {
		if kept, err := v.Read(); err != nil || string(kept) != "the secret" {
			t.Fatalf("%q %v", kept, err)
		}
	}
	put(t, v, "another")
	if len(warned) != 1 || !errors.Is(warned[0], ErrWeak) {
		t.Errorf("warned %v", warned)
	}
	if kept, err := (&Vault{Path: path, Ring: none{}, Ask: knows("12345678")}).Read(); err != nil || string(kept) != "another" {
		t.Errorf("%q %v", kept, err)
	}
	v = &Vault{Path: path, Ring: none{}, Ask: knows("1234"), Warn: func(why error) { t.Errorf("warned of a passphrase that opens nothing: %v", why) }}
	if _, err := v.Read(); !errors.Is(err, ErrWrongKey) {
		t.Error(err)
	}
	good := filepath.Join(t.TempDir(), "vault.json")
	v = &Vault{Path: good, Ring: none{}, Kind: Auto, Ask: knows("correct horse"), Warn: func(why error) { t.Errorf("warned: %v", why) }}
	put(t, v, "x")
	v = &Vault{Path: good, Ring: none{}, Ask: knows("correct horse"), Warn: v.Warn}
	if _, err := v.Read(); err != nil {
		t.Error(err)
	}
}

// sealedBefore writes a vault as earlier versions did, which asked nothing of a passphrase.
func sealedBefore(t *testing.T, path, passphrase, text string) {
	t.Helper()
	salt, err := base64.StdEncoding.DecodeString("AAECAwQFBgcICQoLDA0ODw==")
	if err != nil {
		t.Fatal(err)
	}
	file := &sealed{Version: 1, Kind: Passphrase, Salt: salt}
	v := &Vault{opened: file, key: stretch(passphrase, salt)}
	box, err := v.box(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Box = box.Seal(nil, nil, []byte(text), file.bound())
	out, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
}
