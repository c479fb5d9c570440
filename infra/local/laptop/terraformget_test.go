package laptop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Terraform itself fetches the published module by the printed call, and refuses one whose hash is another. That takes no
// provider. The call names https; the pocket AWS has no certificate, so the scheme and the host are its own.
func TestTerraformFetchesTheModule(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed: TestThePublishedModule fetches as its getter does, but Terraform itself has fetched nothing here")
	}
	t.Parallel()
	c := as(t, "acme-terraform-get").create("fetched")
	_, rest, _ := strings.Cut(c.Launch.TerraformModule, `source = "https://`)
	host, _, _ := strings.Cut(rest, "/")
	bucket, _, _ := strings.Cut(host, ".s3.")
	call := strings.Replace(c.Launch.TerraformModule, "https://"+host, pocket.AWSURL+"/"+bucket, 1)
	fetch := func(text string) (dir, said string, err error) {
		t.Helper()
		dir = t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), terraform, "get", "-no-color")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
		out, err := cmd.CombinedOutput()
		return dir, string(out), err
	}
	dir, said, err := fetch(call)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	fetched, err := filepath.Glob(filepath.Join(dir, ".terraform", "modules", "*", "main.tf"))
	if err != nil || len(fetched) != 1 {
		t.Fatal(fetched, err, said)
	}
	got, err := os.ReadFile(fetched[0])
	want, err2 := os.ReadFile(filepath.Join("..", "..", "..", "templates", "terraform", "main.tf"))
	if err != nil || err2 != nil || string(got) != string(want) {
		t.Errorf("fetched %s: %v %v", got, err, err2)
	}
	at := strings.Index(call, "sha256:") + len("sha256:")
	if _, said, err := fetch(call[:at] + strings.Repeat("0", 64) + call[at+64:]); err == nil || !strings.Contains(strings.ToLower(said), "checksum") {
		t.Errorf("another hash: %v\n%s", err, said)
	}
}
