package connect_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// A mutant turns one check off, or makes it say less than it must.
type mutant struct {
	name, file string
	old, new   string // old occurs once in file
}

var mutants = []mutant{
	{"a denied role passes", "verifier.go", "Failed, true\n\t\tc.Reason = Reason{\n\t\t\tCode: CodeRoleNotAssumable", "Passed, true\n\t\tc.Reason = Reason{\n\t\t\tCode: CodeRoleNotAssumable"},
	{"STS's failure passes", "verifier.go", "Unknown, unanswered(err)\n\tcase session.Account", "Passed, unanswered(err)\n\tcase session.Account"},
	{"STS's failure is a denial", "verifier.go", "Unknown, unanswered(err)\n\tcase session.Account", "Failed, unanswered(err)\n\tcase session.Account"},
	{"another account's session passes", "verifier.go", "case session.Account != s.RoleARN.Account():", "case false:"},
	{"nobody tries without an external ID", "verifier.go", `v.refused(ctx, s, CheckExternalIDRequired, ""),`, "passed(CheckExternalIDRequired, o.At),"},
	{"nobody tries with a wrong external ID", "verifier.go", "v.refused(ctx, s, CheckExternalIDMatched, s.ExternalID.Wrong()))", "passed(CheckExternalIDMatched, o.At))"},
	{"the wrong external ID is none", "verifier.go", "CheckExternalIDMatched, s.ExternalID.Wrong()", `CheckExternalIDMatched, ""`},
	{"a failure proves a refusal", "verifier.go", "case err != nil:\n\t\tc.Verdict, c.Reason = Unknown, unanswered(err)\n\t\treturn c", "case err != nil:\n\t\treturn c"},
	{"a probe that should be denied passes", "verifier.go", "c.Verdict, c.settling = Failed, true\n\tc.Reason", "c.Verdict, c.settling = Passed, true\n\tc.Reason"},
	{"Regions that may not be listed pass", "verifier.go", "Failed, true\n\t\tc.Reason = Reason{\n\t\t\tCode: CodeRegionsDenied", "Passed, true\n\t\tc.Reason = Reason{\n\t\t\tCode: CodeRegionsDenied"},
	{"EC2's failure passes", "verifier.go", `Unknown, unavailable("EC2")`, `Passed, unavailable("EC2")`},
	{"a trust policy is not judged", "verifier.go", "c = v.Platform.trustCheck(f, s, c.At)", "_ = v.Platform.trustCheck(f, s, c.At)"},
	{"IAM's failure passes", "verifier.go", `Unknown, unavailable("IAM")`, `Passed, unavailable("IAM")`},
	{"permissions are not asked for", "verifier.go", "check, v.permissions(ctx, s, session))", "check, passed(CheckPermissions, o.At))"},
	{"the organization is not asked for", "verifier.go", "o.Checks = append(o.Checks, v.organization(ctx, s, session))", "_ = v.organization"},
	{"a re-check skips the probe", "verifier.go", "o.Checks = append(o.Checks, v.refused(ctx, s, CheckExternalIDRequired, \"\"))", "o.Checks = append(o.Checks, passed(CheckExternalIDRequired, o.At))"},
	{"another organization passes", "organization.go", "case got != s.Organization:", "case got != got:"},
	{"an organization that is denied passes", "organization.go", "Failed, true\n\t\tc.Reason = Reason{\n\t\t\tCode: CodeOrganizationDenied", "Passed, true\n\t\tc.Reason = Reason{\n\t\t\tCode: CodeOrganizationDenied"},
	{"Organizations' failure passes", "organization.go", `Unknown, unavailable("AWS Organizations")`, `Passed, unavailable("AWS Organizations")`},
	{"keys that AWS refuses pass", "keyverifier.go", "c.Verdict, c.Reason = Failed, keyRefusal(err)", "c.Reason = keyRefusal(err)"},
	{"STS's failure passes keys", "keyverifier.go", "Unknown, unanswered(err)", "Passed, unanswered(err)"},
	{"root's keys pass", "keyverifier.go", "case who.Root:", "case false:"},
	{"another account's keys pass", "keyverifier.go", "case who.Account != s.Account:", "case false:"},
	{"keys that may not list Regions pass", "keyverifier.go", "Failed, Reason{\n\t\t\tCode: CodeRegionsDenied", "Passed, Reason{\n\t\t\tCode: CodeRegionsDenied"},
	{"EC2's failure passes keys", "keyverifier.go", `Unknown, unavailable("EC2")`, `Passed, unavailable("EC2")`},
	{"keys that have ended are asked about", "keyverifier.go", "if temporary(s.Keys.AccessKeyID) && !o.At.Before(s.Keys.Expires) {", "if false {"},
	{"keys of every kind are taken", "accesskey.go", "`^(AKIA|ASIA)[A-Z0-9]+$`", "`^[A-Z0-9]+$`"},
	{"a temporary key needs no token", "accesskey.go", `case temporary(keys.AccessKeyID) && token == "":`, "case false:"},
	{"a long-lived key may have a token", "accesskey.go", `case !temporary(keys.AccessKeyID) && (token != "" || in.ExpiresAt != ""):`, "case false:"},
	{"a temporary key is handed out after its end", "keysessions.go", "if !k.Clock().Before(c.s.AccessKey.ExpiresAt) {", "if false {"},
	{"a temporary key is narrowed", "keysessions.go", "if r.narrowed() {\n\t\treturn Session{}, &Error{", "if false {\n\t\treturn Session{}, &Error{"},
	{"the long-lived key is handed out", "keysessions.go", "if temporary(c.s.AccessKey.ID) {", "if true {"},
	{"a federated session of another account passes", "keysessions.go", "if s.Account != c.s.AccountID {", "if false {"},
	{"a withdrawn upgrade ends the connection", "effect.go", "if c.byKeys() {", "if false {"},
	{"a role may go back to keys", "accesskey.go", "if c.s.Method != MethodAccessKey {", "if false {"},
	{"an upgrade keeps the key", "accesskey.go", "{ s.Method, s.AccessKey = MethodRole, nil }", "{ s.Method = MethodRole }"},
	{"a failed check does not matter", "checks.go", "if c.Verdict == Failed {\n\t\t\treturn false", "if c.Verdict == Failed {\n\t\t\tcontinue"},
	{"an unknown check is as good as passed", "checks.go", "ok[c.Name] = c.Verdict == Passed", "ok[c.Name] = true"},
	{"an unknown organization does not matter", "checks.go", "if c.Name == CheckOrganization && c.Verdict != Passed {", "if false {"},
	{"Regions are not required", "checks.go", "CheckExternalIDRequired, CheckExternalIDMatched, CheckRegions}", "CheckExternalIDRequired, CheckExternalIDMatched}"},
	{"a wrong external ID is not required to be denied", "checks.go", "CheckExternalIDRequired, CheckExternalIDMatched, CheckRegions}", "CheckExternalIDRequired, CheckRegions}"},
	{"no external ID is not required to be denied", "checks.go", "CheckExternalIDRequired, CheckExternalIDMatched, CheckRegions}", "CheckExternalIDMatched, CheckRegions}"},
	{"a role is held to a policy that it was not made for", "permissions.go", "s.PolicyDigest != \"\" && want.PolicyDigest != \"\" && s.PolicyDigest != want.PolicyDigest", "false"},
	{"a role is held to no policy", "permissions.go", "s.PolicyDigest != \"\" && want.PolicyDigest != \"\" && s.PolicyDigest != want.PolicyDigest", "true"},
	{"a stack's word of its policy does not count", "verification.go", "if c.s.Stack.ID.IsZero() && o.PolicyDigest", "if o.PolicyDigest"},
	{"a changed policy is no update", "upgrade.go", "if d.policyChanged(c, newer) {", "if false {"},
	{"a policy is changed though it is the same", "upgrade.go", "|| c.s.PolicyDigest == current {", "{"},
	{"a stack set's stack is updated by itself", "upgrade.go", `const stackSetInstance = "StackSet-"`, `const stackSetInstance = "Other-"`},
	{"an organization's stack takes an account's template", "upgrade.go", "if c.s.EnrolmentID != \"\" {", "if false {"},
	{"an updated policy is not looked at", "effect.go", " || c.s.PolicyDigest != s.PolicyDigest {", " {"},
	{"a key's end is told from its beginning", "accesskey.go", "!now.Before(ending) && now.Before(k.ExpiresAt)", "now.Before(k.ExpiresAt)"},
	{"a key's end is told again and again", "accesskey.go", " || !k.EndingAt.IsZero() {", " {"},
	{"an older request takes effect", "ruling.go", "case seen.after(r):", "case false:"},
	{"a stack speaks through any of its resources", "callback.go", "return own == r.LogicalID", "return true"},
	{"any token adds a resource", "callback.go", "return r.TokenValid && (r.ofMember() ||", "return true || (r.ofMember() ||"},
	{"a stack needs no token", "ruling.go", "case !r.TokenValid:\n\t\treturn errTokenInvalid", "case false:\n\t\treturn errTokenInvalid"},
	{"an account's stack needs no token", "ruling.go", "case !r.TokenValid:\n\t\treturn errEnrolmentToken", "case false:\n\t\treturn errEnrolmentToken"},
	{"a request takes effect before its answer is taken", "callbacks.go", "return u.unsure(ctx, r, cb, ruled.reply, err)", "_ = u.unsure"},
	{"a Delete takes effect before its answer is taken", "callbacks.go", "return u.unsure(ctx, r, cb, succeed(), err)", "_ = u.unsure"},
	{"a report takes effect though its answer is refused", "reports.go", "if errors.Is(err, ErrAnswerRefused) {\n\t\treturn err", "if errors.Is(err, ErrAnswerRefused) {\n\t\treturn u.settle(ctx, job)"},
	{"a report without a token is tried again and again", "reports.go", " || !job.Report.TokenValid\n", "\n"},
	{"further attempts are not limited", "reports.go", "if ok || err != nil {", "if true {"},
	{"a Delete of a stack whose role does not serve disconnects", "effect.go", "if !c.roleOfStack() {", "if false {"},
	{"a stack is enabled on its stack's word", "effect.go", "(v.Reply.OK && !v.Open && !v.Outcome.Proven())", "false"},
	{"another stack takes an enabled connection", "ruling.go", "case c.s.Status == StatusEnabled && !c.serves(r.RoleARN):", "case false:"},
	{"a stack of another account than expected is bound", "ruling.go", "return g.connection.mayBeAccount(r.StackID.Account())", "return nil"},
	{"a role of another account than the stack's is reported", "ruling.go", "if r.StackID.Account() != r.RoleARN.Account() {", "if false {"},
	{"a rollback is verified before it is answered", "ruling.go", "case r.Type == RequestUpdate && bound && c.s.Stack.PreviousRoleARN == r.RoleARN:", "case false:"},
	{"a used launch binds another stack", "callback.go", "if r.Launch <= c.s.UsedLaunch {", "if false {"},
	{"trouble of ours fails an update", "reports.go", "if r.Type == RequestUpdate {", "if false {"},
	{"a report competes with whoever verifies", "verifications.go", "if !made && !job.Redelivered && waiting == nil {", "if !made && !job.Redelivered {"},
	{"nobody looks before a key ends", "connection.go", "if k.EndingAt.IsZero() {\n\t\tend", "if false {\n\t\tend"},
}

// Temporary keys that have ended are refused by the clock, whatever AWS says of them.
func TestKeysThatHaveEndedAreNotAskedAbout(t *testing.T) {
	aws := &keyAccount{who: connect.Identity{Account: customerAccount}}
	v := connect.KeyVerifier{Identifier: aws, Regions: aws, Clock: func() time.Time { return noon }}
	keys := connect.Credentials{AccessKeyID: "ASIAEXAMPLE000000000", Expires: noon}
	o := v.Verify(context.Background(), connect.KeySubject{Keys: keys, Account: customerAccount, Region: "eu-west-1"})
	if o.Proven() || o.Checks[0].Verdict != connect.Failed || o.Checks[0].Reason.Code != connect.CodeKeysExpired || aws.asked != 0 {
		t.Errorf("%+v after %d questions", o.Checks, aws.asked)
	}
}

// Whichever check is turned off, a test of this package notices. The short run sees to it that the mutants still fit the
// code; with ROLECALL_LONG each is built and tested.
func TestMutantsDie(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			source, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), m.old); n != 1 {
				t.Fatalf("%s holds %d times %q", m.file, n, m.old)
			}
			if os.Getenv("ROLECALL_LONG") == "" {
				return
			}
			m.dies(t, strings.Replace(string(source), m.old, m.new, 1))
		})
	}
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)

// dies builds the package with the mutated source in the file's place, and runs its other tests.
func (m mutant) dies(t *testing.T, source string) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	mutated, overlay := filepath.Join(t.TempDir(), m.file), filepath.Join(t.TempDir(), "overlay.json")
	files, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, m.file): mutated}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{mutated: []byte(source), overlay: files} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-count=1", "-failfast", "-skip", "^TestMutantsDie$", ".", "-rapid.checks=50")
	run.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ROLECALL_LONG=") })
	out, err := run.CombinedOutput()
	killers := failed.FindStringSubmatch(string(out)) // a mutant that does not build proves nothing
	if err == nil || killers == nil {
		t.Fatalf("nothing noticed: %v\n%s", err, out)
	}
	t.Logf("noticed by %s", killers[1])
}
