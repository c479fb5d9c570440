package templates

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// OrganizationVersion is the version of the template that connects organizations, which each account's stack reports. Up to
// 1.1.0 its versions were its own.
const OrganizationVersion = Version

//go:embed cloudformation/organization.yaml
var organizationSource string

//go:embed cloudformation/parts/member.yaml
var memberSource string

//go:embed cloudformation/parts/account.yaml
var accountSource string

// ErrNoOrganizations says that the partition's StackSets cannot deploy to an organization by themselves.
var ErrNoOrganizations = errors.New("templates: organizations cannot be connected in partition aws-cn")

// organizationGrant is what verification needs in an account of an organization beyond what it needs everywhere.
func organizationGrant() Grant {
	return Grant{
		SID: "NameOwnOrganization", Actions: []string{"organizations:DescribeOrganization"}, Resource: "*",
		Reason: "Verification asks AWS which organization this account belongs to, since the token of the enrolment proves nothing of it.",
	}
}

// maxMember is the most that a stack set takes as its template's body, in bytes.
const maxMember = 51200

// Organization renders the template that connects an organization's accounts, with the one that its stack set makes in
// each of them inside. An error names the value of p that cannot be published; [ErrNoOrganizations] where p's partition
// has no such stack sets.
func Organization(p Publication) (Rendered, error) {
	manifest, err := p.manifest()
	if err != nil {
		return Rendered{}, err
	}
	if p.Partition == "aws-cn" {
		return Rendered{}, ErrNoOrganizations
	}
	manifest.Always = append(manifest.Always, organizationGrant())
	words := p.organizationWords(manifest)
	member, err := manifest.member()
	if err != nil {
		return Rendered{}, err
	}
	if member = words.Replace(member); len(member) > maxMember {
		return Rendered{}, fmt.Errorf("templates: member.yaml has %d bytes, a stack set takes %d", len(member), maxMember)
	}
	text, err := manifest.organization(p, member)
	if err != nil {
		return Rendered{}, err
	}
	text = words.Replace(text)
	sum := sha256.Sum256([]byte(text))
	digest := hex.EncodeToString(sum[:])
	return Rendered{
		Body: []byte(text), Version: OrganizationVersion, SHA256: digest,
		Key: "organization/" + OrganizationVersion + "-" + digest[:12] + ".yaml",
	}, nil
}

func (p Publication) organizationWords(m Manifest) *strings.Replacer {
	return strings.NewReplacer(
		"000000000000", p.PlatformAccount,
		"PLATFORM_NAME", p.PlatformName,
		"PLATFORM_TOPIC", p.TopicName,
		"PLATFORM_REGION_LIST", strings.Join(p.Regions, ", "),
		"PLATFORM_PERMISSION_SETS", m.summary(),
		"TEMPLATE_VERSION", OrganizationVersion,
		"REVOCATION_POLICY", RevocationPolicy,
	)
}

// member is the template that the stack set makes in each account.
func (m Manifest) member() (string, error) {
	account, err := m.account(false)
	if err != nil {
		return "", err
	}
	text, err := replaceMarks(withoutPreface(memberSource), map[string][]string{"conditions": m.conditions(), "account": account})
	return text, err
}

// organization is the template of the stack that makes the stack set.
func (m Manifest) organization(p Publication, member string) (string, error) {
	account, err := m.account(true)
	if err != nil {
		return "", err
	}
	blocks := m.blocks(p.Regions)
	for _, name := range accountMarks() { // they are the account's
		delete(blocks, name)
	}
	blocks["account"] = account
	blocks["member"] = []string{"TemplateBody: |"}
	for line := range strings.Lines(member) {
		blocks["member"] = append(blocks["member"], strings.TrimRight("  "+line, " \n"))
	}
	return replaceMarks(withoutPreface(organizationSource), blocks)
}

// accountMarks are the marks of parts/account.yaml.
func accountMarks() []string {
	return []string{"managed-policies", "policies", "always", "policy-digest", "revocation"}
}

// account is the resources that connect one account, at no indentation of their own.
func (m Manifest) account(management bool) ([]string, error) {
	const mark = " # @management"
	var kept strings.Builder
	for line := range strings.Lines(withoutPreface(accountSource)) {
		plain, marked := strings.CutSuffix(strings.TrimSuffix(line, "\n"), mark)
		if !marked || management {
			kept.WriteString(plain + "\n")
		}
	}
	all, own := m.blocks(nil), map[string][]string{}
	for _, name := range accountMarks() {
		own[name] = all[name]
	}
	text, err := replaceMarks(kept.String(), own)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "  "))
	}
	return lines, nil
}
