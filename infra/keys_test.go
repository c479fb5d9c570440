package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/iam"
	"rolecall/infra/local/kms"
	"rolecall/infra/local/wire"
)

// cryptographic are the actions that use a key, and the two that could give them away.
var cryptographic = []string{
	"Decrypt", "DeriveSharedSecret", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
	"GenerateDataKeyWithoutPlaintext", "GenerateMac", "GenerateRandom", "ReEncryptFrom", "ReEncryptTo", "Sign", "Verify", "VerifyMac",
	"CreateGrant", "ReplicateKey",
}

// all are the assemblies by what is particular about them.
func all() map[string]template {
	return map[string]template{"as it is": home(), "with a webhook": assembly.hooked["Rolecall"], "rotated": assembly.rotated["Rolecall"]}
}

// A use is one action of one role on one key, if what holds.
type use struct{ role, action, key, condition string }

// What a key's policy gives is administration to the account, and to a role of ours by its ARN exactly what its own policy
// gives it, too.
func TestKeyPoliciesAndRolesSayTheSame(t *testing.T) {
	for name, stack := range all() {
		var fromKeys, fromRoles []use
		for id, key := range stack.ofType("AWS::KMS::Key") {
			for _, s := range list(key.Properties["KeyPolicy"].(map[string]any)["Statement"]) {
				fromKeys = append(fromKeys, usesInKey(t, id, s.(map[string]any))...)
			}
		}
		for _, role := range stack.ofType("AWS::IAM::Role") {
			for _, p := range list(role.Properties["Policies"]) {
				for _, s := range list(p.(map[string]any)["PolicyDocument"].(map[string]any)["Statement"]) {
					fromRoles = append(fromRoles, usesInRole(arnOf(role), s.(map[string]any))...)
				}
			}
		}
		byText := func(a, b use) int {
			return strings.Compare(a.role+a.action+a.key+a.condition, b.role+b.action+b.key+b.condition)
		}
		slices.SortFunc(fromKeys, byText)
		slices.SortFunc(fromRoles, byText)
		if d := cmp.Diff(fromRoles, fromKeys, cmp.AllowUnexported(use{})); d != "" || len(fromKeys) == 0 {
			t.Errorf("%s: roles say (-), keys say (+):\n%s", name, d)
		}
	}
}

func usesInKey(t *testing.T, key string, s map[string]any) (out []use) {
	t.Helper()
	if s["Effect"] != "Allow" || flat(s["Principal"]) != "AWS=arn:aws:iam::111111111111:root" || s["NotAction"] != nil {
		t.Errorf("%s: statement %v", key, s)
	}
	condition, _ := s["Condition"].(map[string]any)
	for _, a := range list(s["Action"]) {
		action := strings.TrimPrefix(a.(string), "kms:")
		if strings.Contains(action, "*") {
			t.Errorf("%s gives %s", key, action)
		}
		if !slices.Contains(cryptographic, action) {
			continue
		}
		who, _ := condition["StringEquals"].(map[string]any)
		role, _ := who["aws:PrincipalArn"].(string)
		if len(who) != 1 || !strings.HasPrefix(role, "arn:aws:iam::111111111111:role/") {
			t.Errorf("%s gives %s to whoever is %v", key, action, condition)
		}
		out = append(out, use{role, action, key, without(condition, "StringEquals")})
	}
	return out
}

func usesInRole(role string, s map[string]any) (out []use) {
	condition, _ := s["Condition"].(map[string]any)
	for _, a := range list(s["Action"]) {
		action, ok := strings.CutPrefix(a.(string), "kms:")
		for _, on := range list(s["Resource"]) {
			if ok {
				out = append(out, use{role, action, strings.TrimSuffix(strings.TrimPrefix(flat(on), "${"), ".Arn}"), without(condition, "")})
			}
		}
	}
	return out
}

func without(condition map[string]any, operator string) string {
	rest := map[string]any{}
	for k, v := range condition {
		if k != operator {
			rest[k] = v
		}
	}
	text, _ := json.Marshal(rest)
	return string(text)
}

func arnOf(role resource) string {
	return "arn:aws:iam::111111111111:role" + flat(role.Properties["Path"]) + flat(role.Properties["RoleName"])
}

// A vault is the keys and roles of a template in the pocket AWS, which decides as AWS does.
type vault struct {
	iam   *iam.Service
	kms   *kms.Service
	keys  map[string]string // ARNs by readable name
	roles []string          // ARNs
}

func newVault(t *testing.T, stack template) vault {
	t.Helper()
	v := vault{iam: iam.New(time.Now), kms: kms.New(time.Now), keys: map[string]string{}}
	known := map[string]string{}
	for id, r := range stack.Resources {
		if r.Type != "AWS::KMS::Key" {
			continue
		}
		spec, _ := r.Properties["KeySpec"].(string)
		usage, _ := r.Properties["KeyUsage"].(string)
		arn, err := v.kms.CreateKey(laptopAccount, "eu-west-1", kms.KeyInput{Spec: spec, Usage: usage, Policy: jsonOf(t, r.Properties["KeyPolicy"])})
		if err != nil {
			t.Fatal(err)
		}
		v.keys[readable(id)], known["${"+readable(id)+".Arn}"] = arn, arn
	}
	for _, r := range stack.ofType("AWS::IAM::Role") {
		if r.Properties["RoleName"] != nil { // else a key's policy could not name it
			v.roles = append(v.roles, addRoleOf(t, v.iam, r, known))
		}
	}
	return v
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// literal puts known references in place, written as flat writes them; what refers to anything else is something else.
func literal(in any, known map[string]string) any {
	switch in := in.(type) {
	case []any:
		out := make([]any, len(in))
		for i := range in {
			out[i] = literal(in[i], known)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, item := range in {
			if k == "Ref" || strings.HasPrefix(k, "Fn::") {
				return literalText(flat(in), known)
			}
			out[k] = literal(item, known)
		}
		return out
	default:
		return in
	}
}

func literalText(text string, known map[string]string) string {
	for reference, value := range known {
		text = strings.ReplaceAll(text, reference, value)
	}
	if strings.Contains(text, "${") {
		return "arn:aws:other:::thing"
	}
	return text
}

// addRole makes a role with these inline policies. It trusts whom it likes: only what the role may do is in question here.
func addRole(t *testing.T, accounts *iam.Service, arn string, inline map[string]string) {
	t.Helper()
	path := arn[strings.Index(arn, "/"):]
	last := strings.LastIndex(path, "/") + 1
	_, err := accounts.CreateRole(laptopAccount, iam.RoleSpec{
		Name: path[last:], Path: path[:last], Inline: inline,
		Trust: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// addRoleOf makes a template's role with its own policies.
func addRoleOf(t *testing.T, accounts *iam.Service, role resource, known map[string]string) string {
	t.Helper()
	inline := map[string]string{}
	for _, p := range list(role.Properties["Policies"]) {
		named := p.(map[string]any)
		inline[flat(named["PolicyName"])] = jsonOf(t, literal(named["PolicyDocument"], known))
	}
	addRole(t, accounts, arnOf(role), inline)
	return arnOf(role)
}

// sessionOf is a session of a role, as a function has one.
func sessionOf(t *testing.T, accounts *iam.Service, arn string) wire.Principal {
	t.Helper()
	session, err := accounts.RoleSession(arn, "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	who, err := accounts.Authenticate(session.AccessKeyID, session.Token)
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// may are the uses of keys that somebody has, as "action key".
func (v *vault) may(t *testing.T, who wire.Principal) (out []string) {
	t.Helper()
	for name, arn := range v.keys {
		for _, action := range []string{"Encrypt", "Decrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "VerifyMac"} {
			body := jsonOf(t, map[string]any{"KeyId": arn, "MacAlgorithm": "HMAC_SHA_256", "EncryptionContext": map[string]string{"tenant": "acme", "connection": "c"}})
			needs, err := v.kms.Needs(&wire.Call{Service: "kms", Operation: action, Region: "eu-west-1", Principal: who, Body: []byte(body)})
			if err != nil || len(needs) != 1 {
				t.Fatal(needs, err)
			}
			if v.iam.Authorize(who, needs[0]) == nil {
				out = append(out, action+" "+name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// table is what each role may, by its name.
func (v *vault) table(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, arn := range v.roles {
		if may := v.may(t, sessionOf(t, v.iam, arn)); len(may) > 0 {
			out[arn[strings.LastIndex(arn, "/")+1:]] = may
		}
	}
	return out
}

// The keys do what they are for, for whom they are for; an administrator of the account, and its root, can do nothing with them.
func TestNobodyElseUsesTheKeys(t *testing.T) {
	uses := map[string][]string{
		"rolecall-api-eu-west-1":      {"Encrypt SealingKey", "GenerateMac MacKey"},
		"rolecall-broker-eu-west-1":   {"Decrypt SealingKey", "GenerateMac MacKey"},
		"rolecall-callback-eu-west-1": {"VerifyMac MacKey"},
		"rolecall-verify-eu-west-1":   {"Decrypt SealingKey"},
	}
	hooked := map[string][]string{
		"rolecall-webhook-eu-west-1": {"GenerateMac WebhookKey"}, "rolecall-webhook-secret-eu-west-1": {"GenerateMac WebhookKey"},
	}
	for role, may := range uses {
		hooked[role] = may
	}
	rotated := map[string][]string{
		"rolecall-api-eu-west-1":      {"Encrypt SealingKey", "GenerateMac Mac2Key"},
		"rolecall-broker-eu-west-1":   {"Decrypt SealingKey", "GenerateMac Mac2Key"},
		"rolecall-callback-eu-west-1": {"VerifyMac Mac2Key", "VerifyMac MacKey"},
		"rolecall-verify-eu-west-1":   {"Decrypt SealingKey"},
	}
	const admin = "arn:aws:iam::111111111111:role/Admin"
	for name, want := range map[string]map[string][]string{"as it is": uses, "with a webhook": hooked, "rotated": rotated} {
		v := newVault(t, all()[name])
		addRole(t, v.iam, admin, map[string]string{"all": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`})
		v.roles = append(v.roles, admin)
		if d := cmp.Diff(want, v.table(t)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		root, err := v.iam.Authenticate(laptopAccount, "")
		if err != nil {
			t.Fatal(err)
		}
		if may := v.may(t, root); len(may) > 0 {
			t.Errorf("%s: the account's root may %v", name, may)
		}
	}
}

// Each half of a right is needed: without the key's statement, or without the role's, the function is refused.
func TestEachStatementOfAKeyIsNeeded(t *testing.T) {
	for id, key := range home().ofType("AWS::KMS::Key") {
		statements := list(key.Properties["KeyPolicy"].(map[string]any)["Statement"])
		for i := 1; i < len(statements); i++ { // after the account's own
			v := newVault(t, home())
			before := v.table(t)
			policy := map[string]any{"Version": "2012-10-17", "Statement": slices.Delete(slices.Clone(statements), i, i+1)}
			if err := v.kms.SetPolicy(v.keys[id], jsonOf(t, policy)); err != nil {
				t.Fatal(err)
			}
			s := statements[i].(map[string]any)
			role := flat(s["Condition"].(map[string]any)["StringEquals"].(map[string]any)["aws:PrincipalArn"])
			role = role[strings.LastIndex(role, "/")+1:]
			gone := strings.TrimPrefix(flat(s["Action"]), "kms:") + " " + id
			before[role] = slices.DeleteFunc(before[role], func(may string) bool { return may == gone })
			if len(before[role]) == 0 {
				delete(before, role)
			}
			if d := cmp.Diff(before, v.table(t)); d != "" {
				t.Errorf("%s without %v: %s", id, s["Sid"], d)
			}
		}
	}
	v := newVault(t, home())
	if err := v.iam.DeleteRolePolicy(laptopAccount, "rolecall-callback-eu-west-1", "rights"); err != nil {
		t.Fatal(err)
	}
	if may := v.table(t)["rolecall-callback-eu-west-1"]; len(may) > 0 {
		t.Errorf("callback has %v of the keys' policies alone", may)
	}
}

// A rotation adds a key and leaves the older one where it was.
func TestMACKeysAreRotated(t *testing.T) {
	stack := assembly.rotated["Rolecall"]
	for id, r := range home().Resources {
		if r.Type == "AWS::KMS::Key" && stack.Resources[id].DeletionPolicy != "Retain" {
			t.Errorf("%s is gone, and what it made with it", id)
		}
	}
	key := stack.one(t, "AWS::KMS::Key", "Mac2Key")
	if key.Properties["KeySpec"] != "HMAC_256" || key.Properties["KeyUsage"] != "GENERATE_VERIFY_MAC" || key.DeletionPolicy != "Retain" {
		t.Errorf("the second key: %v", key)
	}
	told := func(function, variable string) string {
		environment := stack.one(t, "AWS::Lambda::Function", function+"Function").Properties["Environment"].(map[string]any)["Variables"].(map[string]any)
		return flat(environment[variable])
	}
	for _, function := range []string{"Api", "Broker"} {
		if got := told(function, envMACKey); got != "2=${Mac2Key.Arn}" {
			t.Errorf("%s is told %s", function, got)
		}
		if after := flat(list(stack.one(t, "AWS::Lambda::Function", function+"Function").DependsOn)); !strings.Contains(after, "CallbackFunction") {
			t.Errorf("%s may make tokens that callback does not admit yet: it waits for %s", function, after)
		}
	}
	if got := told("Callback", envMACKeys); got != "2=${Mac2Key.Arn},1=${MacKey.Arn}" {
		t.Errorf("callback is told %s", got)
	}
	for _, numbers := range []any{[]any{}, []any{0.0}, "1,one", []any{1.0, 1.0}} {
		if _, err := load(t, map[string]any{keyMACKeys: numbers}, ""); err == nil || !strings.Contains(err.Error(), keyMACKeys) {
			t.Errorf("keys %v: %v", numbers, err)
		}
	}
}
