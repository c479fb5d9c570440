package settings

import (
	"path/filepath"
	"strings"
	"testing"
)

func nowhere(string) string { return "" }

func TestWhatGoesBeforeWhat(t *testing.T) {
	file, err := Read(filepath.Join(t.TempDir(), "new", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Set("default", map[string]string{API: "https://file.example", ClientID: "file"}); err != nil {
		t.Fatal(err)
	}
	if file, err = Read(file.Path); err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{"ROLECALL_API": "https://environment.example/", "ROLECALL_CLIENT_ID": "environment"}
	got, err := file.Resolve("default", map[string]string{API: "https://flag.example//"}, func(name string) string { return environment[name] })
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Value{
		API: {"https://flag.example", "flag"}, ClientID: {"environment", "environment"}, Issuer: {"", "default"},
		Scopes: {"connections:read credentials:issue", "default"},
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	if got, err := file.Resolve("default", nil, nowhere); err != nil || got[ClientID] != (Value{"file", "file"}) || got[API].Text != "https://file.example" {
		t.Errorf("%v %v", got, err)
	}
	if got, err := file.Resolve("other", nil, nowhere); err != nil || got[API].Text != "http://localhost:8080" || got[Issuer].Text != "" {
		t.Errorf("%v %v", got, err)
	}
	if err := file.Set("default", map[string]string{ClientID: ""}); err != nil {
		t.Fatal(err)
	}
	if got, err := file.Resolve("default", nil, nowhere); err != nil || got[ClientID] != (Value{"rolecall-cli", "default"}) {
		t.Errorf("%v %v", got, err)
	}
}

// Tokens go over TLS, or stay on this machine.
func TestURLs(t *testing.T) {
	for address, good := range map[string]bool{
		"https://rolecall.example.com": true, "https://rolecall.example.com/prod/": true, "http://localhost:1": true, "http://127.0.0.1:1": true,
		"http://[::1]:1": true, "http://127.9.9.9": true,
		"http://rolecall.example.com": false, "http://localhost.attacker.example": false, "http://127.0.0.1.attacker.example": false,
		"http://0x7f000001": false, "http://10.0.0.1": false, "ftp://localhost": false, "https://user@rolecall.example.com": false,
		"https://rolecall.example.com?x": false, "https://rolecall.example.com#x": false, "rolecall.example.com": false, "https://": false, "": false, "http://%zz": false,
	} {
		_, err := (&File{}).Resolve("default", map[string]string{API: address, Issuer: "https://login.example.com/"}, nowhere)
		if (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
		if err != nil && !strings.Contains(err.Error(), "--api") {
			t.Errorf("%q: the error does not say where to mend it: %v", address, err)
		}
	}
	if MaySend("http://login.example.com/token") || MaySend("javascript:alert(1)") || !MaySend("https://login.example.com/token") {
		t.Error("MaySend")
	}
}
