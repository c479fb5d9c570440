package templates

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strings"
)

//go:embed terraform/*.tf terraform/README.md
var moduleSource embed.FS

// moduleManifest is permission_sets.json of the Terraform module: of the manifest, what a role is made of.
type moduleManifest struct {
	Comment string               `json:"_"`
	Version string               `json:"version"`
	Always  []policyStatement    `json:"always"` // Resource "role" is the role itself
	Sets    map[string]moduleSet `json:"sets"`
}

type moduleSet struct {
	Warning         string            `json:"warning"`
	ManagedPolicies []string          `json:"managed_policies"`
	Deny            []policyStatement `json:"deny"`
	Policy          json.RawMessage   `json:"policy,omitempty"` // of a platform's own set
}

// forModule is the manifest, written out for Terraform.
func (m Manifest) forModule(comment string) []byte {
	out := moduleManifest{Comment: comment, Version: m.Version, Sets: map[string]moduleSet{}}
	for _, g := range m.Always {
		out.Always = append(out.Always, policyStatement{g.SID, "Allow", g.Actions, g.Resource})
	}
	for _, s := range m.Sets {
		set := moduleSet{Warning: s.Warning, ManagedPolicies: s.ManagedPolicies, Deny: []policyStatement{}}
		if s.Policy != "" {
			set.Policy = json.RawMessage(s.Policy)
		} else {
			for _, d := range s.Deny {
				set.Deny = append(set.Deny, policyStatement{d.SID, "Deny", d.Actions, "*"})
			}
		}
		out.Sets[s.Name] = set
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	_ = e.Encode(out) // texts always encode, and a policy is JSON that was encoded here
	return text.Bytes()
}

// Module is the Terraform module as it is published: a zip file, which Terraform takes as a module's source. It holds the
// platform's own permission set, if there is one. The same files always make the same bytes.
func Module(p Publication) (Rendered, error) {
	manifest, err := p.manifest()
	if err != nil {
		return Rendered{}, err
	}
	entries, err := moduleSource.ReadDir("terraform")
	if err != nil {
		return Rendered{}, fmt.Errorf("templates: %w", err)
	}
	var body bytes.Buffer
	archive := zip.NewWriter(&body)
	add := func(name string, text []byte) {
		if err == nil {
			var w interface{ Write([]byte) (int, error) }
			if w, err = archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store}); err == nil { // without a time
				_, err = w.Write(text)
			}
		}
	}
	for _, e := range entries {
		text, readErr := moduleSource.ReadFile(path.Join("terraform", e.Name()))
		if readErr != nil {
			return Rendered{}, fmt.Errorf("templates: %w", readErr)
		}
		add(e.Name(), text)
	}
	add("permission_sets.json", manifest.forModule("What the platform's role may do, version "+Version+"."))
	if closeErr := archive.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return Rendered{}, fmt.Errorf("templates: the Terraform module: %w", err)
	}
	sum := sha256.Sum256(body.Bytes())
	digest := hex.EncodeToString(sum[:])
	return Rendered{Body: body.Bytes(), Version: Version, SHA256: digest, Key: ModuleKey(digest)}, nil
}

// ModuleKey is where the current module is published in the template bucket, by its SHA-256.
func ModuleKey(sha256 string) string {
	return "terraform/" + Version + "-" + sha256[:min(12, len(sha256))] + ".zip"
}

// A ModuleCall is a connection's call of the published module.
type ModuleCall struct {
	URL, SHA256     string // of the module
	PlatformName    string
	PlatformAccount string
	ConnectionID    string
	ExternalID      string
	PermissionSet   string
	RoleName        string // names the call, as it would name a role made by hand
}

var labelRE = regexp.MustCompile(`[^a-z0-9_]`)

// Terraform is the call, with an output that is the role's ARN. Terraform itself holds the module's bytes against the hash.
func (c ModuleCall) Terraform() string {
	label := labelRE.ReplaceAllString(strings.ToLower(c.RoleName), "_")
	var b strings.Builder
	fmt.Fprintf(&b, "module %q {\n", label)
	fmt.Fprintf(&b, "  source = %s\n\n", hclQuote(c.URL+"?checksum=sha256:"+c.SHA256))
	for _, v := range []struct{ name, value string }{
		{"platform_account_id", c.PlatformAccount},
		{"platform_name      ", c.PlatformName},
		{"connection_id      ", c.ConnectionID},
		{"external_id        ", c.ExternalID},
		{"permission_set     ", c.PermissionSet},
	} {
		fmt.Fprintf(&b, "  %s = %s\n", v.name, hclQuote(v.value))
	}
	fmt.Fprintf(&b, "}\n\noutput %q {\n", label+"_arn")
	fmt.Fprintf(&b, "  description = %s\n", hclQuote("Give this role ARN to "+c.PlatformName+"."))
	fmt.Fprintf(&b, "  value       = module.%s.role_arn\n}\n", label)
	return b.String()
}
