// Package templates holds what customers run in their own accounts, and the one list of what it lets the platform do.
//
// The CloudFormation template and the permission manifest are embedded. [Connection] renders the template for a platform:
// account, name, topic and Regions become constants of what is published, so that no parameter can point a customer's
// stack elsewhere. The package imports nothing of ours.
package templates

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Version of the templates, which a customer's stack reports. It changes with the templates' meaning.
const Version = "1.4.0"

// Unreleased is the version that no customer has been given yet, so that it may still change; "" where all have been
// released. Once it is released it gets its line in manifests/SHA256SUMS and stays as it is.
const Unreleased = "1.4.0"

//go:embed cloudformation/connection.yaml
var connectionSource string

//go:embed permissions.json
var permissionsSource []byte

// A Publication is the platform that a template is rendered for.
type Publication struct {
	Partition       string   // aws, aws-us-gov or aws-cn; all Regions are of it
	PlatformAccount string   // 12 digits
	PlatformName    string   // what customers know the platform as: 1–64 ASCII letters, digits, spaces and ._&()+-
	TopicName       string   // the SNS topic of the platform that takes callbacks, the same in each Region
	Regions         []string // where customers may create the stack
	Custom          *Set     // of [Custom], the platform's own permission set; nil for none
}

// Rendered is a template as it is published.
type Rendered struct {
	Body    []byte // YAML
	Version string
	SHA256  string // of Body, lower-case hex
	Key     string // in the template bucket; another body has another key, so what lies under a key never changes
}

// As in the manifest, no form counts repetitions.
var (
	accountRE  = regexp.MustCompile(`^[0-9]+$`)
	platformRE = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9 ._&()+-]*[A-Za-z0-9.)+])?$`)
	topicRE    = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	regionRE   = regexp.MustCompile(`^[a-z][a-z]-[a-z]+(-[a-z]+)?-[0-9][0-9]?$`)
)

// Connection renders the template that connects one account. An error names the value of p that cannot be published.
func Connection(p Publication) (Rendered, error) {
	manifest, err := p.manifest()
	if err != nil {
		return Rendered{}, err
	}
	text, err := replaceMarks(connectionSource, manifest.blocks(p.Regions))
	if err != nil {
		return Rendered{}, err
	}
	// The placeholders are words that occur nowhere else, and no value holds one: a single pass settles the order.
	var pairs []string
	for i, value := range []string{
		p.PlatformAccount, p.PlatformName, p.TopicName, strings.Join(p.Regions, ", "), manifest.summary(), Version, RevocationPolicy,
	} {
		pairs = append(pairs, placeholders()[i], value)
	}
	text = strings.NewReplacer(pairs...).Replace(withoutPreface(text))
	sum := sha256.Sum256([]byte(text))
	digest := hex.EncodeToString(sum[:])
	return Rendered{
		Body: []byte(text), Version: Version, SHA256: digest,
		Key: "connection/" + Version + "-" + digest[:12] + ".yaml",
	}, nil
}

// placeholders are the words of the source that become the platform's own.
func placeholders() []string {
	return []string{
		"000000000000", "PLATFORM_NAME", "PLATFORM_TOPIC", "PLATFORM_REGION_LIST", "PLATFORM_PERMISSION_SETS", "TEMPLATE_VERSION", "REVOCATION_POLICY",
	}
}

// manifest is what is published: the permission sets, the platform's own among them, if there is one. An error names the
// value of p that cannot be published.
func (p Publication) manifest() (Manifest, error) {
	if err := p.validate(); err != nil {
		return Manifest{}, err
	}
	m, err := Permissions()
	if err == nil && p.Custom != nil {
		m = m.With(*p.Custom)
	}
	return m, err
}

// validate admits only values that mean the same in YAML, in an ARN and in an ASCII description, whatever stands around
// them: that, and not quoting, is why nothing can break out of the template.
func (p Publication) validate() error {
	switch {
	case !slices.Contains([]string{"aws", "aws-us-gov", "aws-cn"}, p.Partition):
		return fmt.Errorf("templates: partition %q is none of aws, aws-us-gov, aws-cn", p.Partition)
	case len(p.PlatformAccount) != 12 || !accountRE.MatchString(p.PlatformAccount) || p.PlatformAccount == "000000000000":
		return fmt.Errorf("templates: platform account %q is not a 12-digit account", p.PlatformAccount)
	case len(p.PlatformName) > 64 || !platformRE.MatchString(p.PlatformName):
		return fmt.Errorf("templates: platform name %q is not 1 to 64 letters, digits, spaces and ._&()+-", p.PlatformName)
	case len(p.TopicName) > 256 || !topicRE.MatchString(p.TopicName):
		return fmt.Errorf("templates: topic name %q is not a name of SNS", p.TopicName)
	case len(p.Regions) == 0:
		return errors.New("templates: no Regions are supported")
	}
	for i, r := range p.Regions {
		if !regionRE.MatchString(r) || partitionOf(r) != p.Partition {
			return fmt.Errorf("templates: %q is not a Region of partition %s", r, p.Partition)
		}
		if slices.Contains(p.Regions[:i], r) {
			return fmt.Errorf("templates: Region %s is named twice", r)
		}
	}
	return nil
}

func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	default:
		return "aws"
	}
}

// withoutPreface drops the comment at the top, which speaks to those who maintain the source.
func withoutPreface(text string) string {
	for strings.HasPrefix(text, "#") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

var markRE = regexp.MustCompile(`^( *).*# @([a-z-]+)$`)

// replaceMarks puts blocks in place of the lines that end in their mark, at the line's indentation. Each block is used
// exactly once, so that a mark which was misspelt or lost is an error and not a template without its policies.
func replaceMarks(source string, blocks map[string][]string) (string, error) {
	var out strings.Builder
	used := map[string]bool{}
	for line := range strings.Lines(source) {
		m := markRE.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			out.WriteString(line)
			continue
		}
		block, ok := blocks[m[2]]
		if !ok || used[m[2]] {
			return "", fmt.Errorf("templates: mark @%s is unknown or used twice", m[2])
		}
		used[m[2]] = true
		for _, l := range block {
			out.WriteString(strings.TrimRight(m[1]+l, " ") + "\n")
		}
	}
	for name := range blocks {
		if !used[name] {
			return "", fmt.Errorf("templates: mark @%s is missing in the template", name)
		}
	}
	return out.String(), nil
}
