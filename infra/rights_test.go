package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A right is one line of the matrix: who may (or must not) do what on what, if what holds.
type right struct {
	stack, holder, effect, action, target, condition string
}

func (r right) String() string {
	line := fmt.Sprintf("%s | %s | %s | %s | %s", r.stack, r.holder, r.effect, r.action, r.target)
	if r.condition != "" {
		line += " | if " + r.condition
	}
	return line
}

// rightsOf walks everything in the templates that grants: roles' policies and trust, policies of resources, permissions.
func rightsOf(t *testing.T) []right {
	t.Helper()
	return rightsIn(t, assembly.stacks)
}

func rightsIn(t *testing.T, stacks map[string]template) []right {
	t.Helper()
	var all []right
	for stack, tpl := range stacks {
		for id, r := range tpl.Resources {
			add := func(holder string, document any) {
				all = append(all, statements(stack, holder, document)...)
			}
			name := readable(id)
			switch r.Type {
			case "AWS::IAM::Role":
				add(name+" (trust)", r.Properties["AssumeRolePolicyDocument"])
				for _, p := range list(r.Properties["Policies"]) {
					add(name, p.(map[string]any)["PolicyDocument"])
				}
				for _, p := range list(r.Properties["ManagedPolicyArns"]) {
					t.Errorf("%s has the managed policy %s", name, flat(p))
				}
			case "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::User", "AWS::IAM::Group":
				t.Errorf("%s is a %s; rights stand in the roles", name, r.Type)
			case "AWS::KMS::Key":
				add(name, r.Properties["KeyPolicy"])
			case "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy":
				add(name, r.Properties["PolicyDocument"])
			case "AWS::Lambda::Permission":
				all = append(all, right{
					stack, "Service=" + flat(r.Properties["Principal"]), "Allow", flat(r.Properties["Action"]),
					flat(r.Properties["FunctionName"]), flat(r.Properties["SourceArn"]),
				})
			}
		}
	}
	return all
}

func statements(stack, holder string, document any) []right {
	var all []right
	for _, s := range list(document.(map[string]any)["Statement"]) {
		st := s.(map[string]any)
		who := holder
		if p, ok := st["Principal"]; ok {
			who += " to " + flat(p)
		}
		condition := ""
		if c, ok := st["Condition"]; ok {
			text, _ := json.Marshal(c)
			condition = string(text)
		}
		targets := list(st["Resource"])
		if len(targets) == 0 {
			targets = []any{"(itself)"}
		}
		for _, action := range list(st["Action"]) {
			for _, target := range targets {
				all = append(all, right{stack, who, flat(st["Effect"]), flat(action), flat(target), condition})
			}
		}
		for _, odd := range []string{"NotAction", "NotResource", "NotPrincipal"} {
			if st[odd] != nil {
				all = append(all, right{stack, who, flat(st["Effect"]), odd, flat(st[odd]), condition})
			}
		}
	}
	return all
}

var hexRE = regexp.MustCompile(`[0-9a-f]{64}|[0-9a-f]{12}(\.yaml|\.zip)`)

func TestRightsAreGolden(t *testing.T) {
	var lines []string
	for _, r := range rightsOf(t) {
		lines = append(lines, hexRE.ReplaceAllString(r.String(), "<hash>$1")) // a hash of contents is no right
	}
	slices.Sort(lines)
	golden(t, "rights.golden", strings.Join(lines, "\n")+"\n")
}

func TestOnlyBrokerAndVerifyAssumeRoles(t *testing.T) {
	got := map[string][]string{}
	for _, r := range rightsOf(t) {
		if strings.HasSuffix(r.holder, "Role") && strings.HasPrefix(r.action, "sts:") {
			got[r.holder] = append(got[r.holder], r.effect+" "+r.action+" "+r.target)
		}
	}
	for _, rights := range got {
		slices.Sort(rights)
	}
	want := []string{
		"Allow sts:AssumeRole arn:aws:iam::*:role/*",
		"Allow sts:SetSourceIdentity arn:aws:iam::*:role/*",
		"Allow sts:TagSession arn:aws:iam::*:role/*",
		"Deny sts:AssumeRole arn:aws:iam::111111111111:role/*",
		"Deny sts:SetSourceIdentity arn:aws:iam::111111111111:role/*",
		"Deny sts:TagSession arn:aws:iam::111111111111:role/*",
	}
	if d := cmp.Diff(map[string][]string{"BrokerRole": want, "VerifyRole": want}, got); d != "" {
		t.Error(d)
	}
}

// Customers' trust policies admit roles under /rolecall/: those two must be there, and no other.
func TestOnlyAssumingRolesHaveThePath(t *testing.T) {
	for name, role := range home().ofType("AWS::IAM::Role") {
		assumes := name == "BrokerRole" || name == "VerifyRole"
		if has := role.Properties["Path"] == assumingPath; has != assumes {
			t.Errorf("%s: path %v", name, role.Properties["Path"])
		}
	}
}

func TestNoRoleHasMoreThanItNames(t *testing.T) {
	for _, r := range rightsOf(t) {
		if !strings.HasSuffix(r.holder, "Role") || r.effect != "Allow" {
			continue
		}
		if strings.Contains(r.action, "*") || strings.HasPrefix(r.action, "Not") {
			t.Errorf("%v: wildcard in the action", r)
		}
		if r.target == "*" && r.action != "dynamodb:ListStreams" { // which knows no other resource
			t.Errorf("%v: on everything", r)
		}
		for _, never := range []string{"dynamodb:Scan", "dynamodb:DeleteTable", "iam:", "s3:DeleteObject", "kms:ScheduleKeyDeletion"} {
			if strings.HasPrefix(r.action, never) {
				t.Errorf("%v: never granted", r)
			}
		}
	}
}

func TestKeysAreForWhomTheyAreFor(t *testing.T) {
	got := map[string][]string{}
	for _, r := range rightsOf(t) {
		if strings.HasSuffix(r.holder, "Role") && strings.HasPrefix(r.action, "kms:") {
			got[r.holder] = append(got[r.holder], r.action+" "+r.target)
		}
	}
	for _, rights := range got {
		slices.Sort(rights)
	}
	want := map[string][]string{
		"ApiRole":      {"kms:Encrypt ${SealingKey.Arn}", "kms:GenerateMac ${MacKey.Arn}"},
		"BrokerRole":   {"kms:Decrypt ${SealingKey.Arn}", "kms:GenerateMac ${MacKey.Arn}"},
		"CallbackRole": {"kms:VerifyMac ${MacKey.Arn}"},
		"VerifyRole":   {"kms:Decrypt ${SealingKey.Arn}"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What strangers can reach: the template, and the topics for whoever is an AWS account. Everything else names its principal.
func TestWhatIsOpenToEverybody(t *testing.T) {
	var got []string
	for _, r := range rightsOf(t) {
		everybody := strings.HasSuffix(r.holder, " to *") || strings.HasSuffix(r.holder, " to AWS=*")
		if everybody && r.effect == "Allow" {
			got = append(got, strings.TrimPrefix(r.String(), r.stack+" | "))
		}
	}
	slices.Sort(got)
	topic := `CallbacksPolicy to AWS=* | Allow | sns:Publish | ${Callbacks} | if {"StringLike":{"aws:PrincipalAccount":"????????????"}}`
	want := []string{
		topic, topic, "TemplatesPolicy to AWS=* | Allow | s3:GetObject | ${Templates.Arn}/connection/*",
		"TemplatesPolicy to AWS=* | Allow | s3:GetObject | ${Templates.Arn}/organization/*",
		"TemplatesPolicy to AWS=* | Allow | s3:GetObject | ${Templates.Arn}/permissions/*",
		"TemplatesPolicy to AWS=* | Allow | s3:GetObject | ${Templates.Arn}/terraform/*",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for name, bucket := range home().ofType("AWS::S3::Bucket") {
		block := bucket.Properties["PublicAccessBlockConfiguration"].(map[string]any)
		if block["BlockPublicAcls"] != true || block["IgnorePublicAcls"] != true {
			t.Errorf("%s takes public ACLs", name)
		}
		closed := block["BlockPublicPolicy"] == true && block["RestrictPublicBuckets"] == true
		if closed == (name == "Templates") {
			t.Errorf("%s: closed to the public: %v", name, closed)
		}
	}
}

func TestPlainTextIsDenied(t *testing.T) {
	denied := map[string]bool{}
	for _, r := range rightsOf(t) {
		if r.effect == "Deny" && r.condition == `{"Bool":{"aws:SecureTransport":"false"}}` {
			denied[r.stack+" "+r.target] = true
		}
	}
	for stack, tpl := range assembly.stacks {
		for id, r := range tpl.Resources {
			name := readable(id)
			want := map[string]string{
				"AWS::SQS::Queue": "${" + name + ".Arn}", "AWS::S3::Bucket": "${" + name + ".Arn}/*", "AWS::SNS::Topic": "${" + name + "}",
			}[r.Type]
			if want != "" && !denied[stack+" "+want] {
				t.Errorf("%s %s takes requests without TLS", stack, name)
			}
		}
	}
}

func TestCalledViaIsOneSwitch(t *testing.T) {
	for _, on := range []bool{false, true} {
		text, err := json.Marshal(topicPolicy(nil, on))
		if err != nil {
			t.Fatal(err)
		}
		const condition = `"ForAnyValue:StringEquals":{"aws:CalledVia":"cloudformation.amazonaws.com"}`
		if strings.Contains(string(text), condition) != on {
			t.Errorf("switch %v: %s", on, text)
		}
		if !strings.Contains(string(text), `"aws:PrincipalAccount":"????????????"`) {
			t.Errorf("switch %v admits who is no account: %s", on, text)
		}
	}
}
