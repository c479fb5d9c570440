package laptop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"rolecall/infra/local/terraform"
	"rolecall/templates"
)

// capability is a CloudFormation capability by its name.
func capability(name string) types.Capability { return types.Capability(name) }

// A method is a way in which a customer makes the role of a connection; it answers the role's ARN, which the customer then
// hands in.
type method struct {
	name string
	make func(t *testing.T, c connection, account string) string
}

// handed are the methods after which the customer hands in an ARN.
func handed() []method {
	return []method{
		{"printed CLI commands", func(t *testing.T, c connection, account string) string {
			return printed(t, shimmedPath(t), c.Launch.CLI, account)
		}},
		{"console's create-role page", fromConsole},
		{"Terraform snippet, evaluated", func(t *testing.T, c connection, account string) string {
			return bySnippet(t, c.Launch.Terraform, account)
		}},
		{"Terraform module, published", func(t *testing.T, c connection, account string) string {
			return bySnippet(t, c.Launch.TerraformModule, account)
		}},
	}
}

func iamOf(account string) *iam.Client {
	return iam.NewFromConfig(awsConfig(account, "any", "", "us-east-1"))
}

// applied evaluates a configuration in an account.
func applied(t *testing.T, files fstest.MapFS, account string, variables map[string]cty.Value) (map[string]cty.Value, error) {
	t.Helper()
	c, err := terraform.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return c.Apply(t.Context(), terraform.Account{Partition: "aws", IAM: iamOf(account), Get: fromBucket}, variables)
}

// fromBucket fetches what is published, as anybody can, from where the pocket AWS has the bucket of that URL.
func fromBucket(ctx context.Context, address string) ([]byte, error) {
	host, key, _ := strings.Cut(strings.TrimPrefix(address, "https://"), "/")
	bucket, _, _ := strings.Cut(host, ".s3.")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, pocket.AWSURL+"/"+bucket+"/"+key, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", address, resp.Status)
	}
	return body, err
}

// bySnippet applies a configuration that was printed, and answers the ARN that is its one output.
func bySnippet(t *testing.T, text, account string) string {
	t.Helper()
	outputs, err := applied(t, fstest.MapFS{"main.tf": {Data: []byte(text)}}, account, nil)
	if err != nil || len(outputs) != 1 {
		t.Fatal(outputs, err)
	}
	for _, arn := range outputs {
		return arn.AsString()
	}
	return ""
}

// module is the Terraform module as customers get it.
func module(t *testing.T) fstest.MapFS {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "templates", "terraform")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = &fstest.MapFile{Data: text}
	}
	return files
}

// printed runs commands exactly as they were printed, and answers the ARN that they print at their end. path is where aws is.
func printed(t *testing.T, path, commands, account string) string {
	t.Helper()
	out := shell(t, path, commands, account)
	last := out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
	_, arn, found := strings.Cut(strings.TrimSpace(last), ": ")
	if !found || !strings.HasPrefix(last, "Give this role ARN to ") {
		t.Fatalf("the commands end in %q", last)
	}
	return arn
}

func shell(t *testing.T, path, commands, account string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", commands)
	cmd.Env = []string{
		"PATH=" + path, "HOME=" + t.TempDir(), "AWS_ENDPOINT_URL=" + pocket.AWSURL, "AWS_ACCESS_KEY_ID=" + account,
		"AWS_SECRET_ACCESS_KEY=any", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s\nof\n%s", err, out, stderr.String(), commands)
	}
	return string(out)
}

// shimmedPath is a PATH whose aws is this test binary.
func shimmedPath(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, shimName)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fromConsole does what the create-role page makes of the prepared link, when the customer presses Create.
func fromConsole(t *testing.T, c connection, account string) string {
	t.Helper()
	if !strings.HasPrefix(c.Launch.CreateRoleURL, strings.Replace(pocket.AWSURL, "127.0.0.1", "localhost", 1)+"/iam/home#/roles/create?") {
		t.Fatalf("the link is %s", c.Launch.CreateRoleURL)
	}
	_, query, _ := strings.Cut(c.Launch.CreateRoleURL, "#/roles/create?")
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"step": "type", "trustedEntityType": "AWS_ACCOUNT", "isThirdParty": "true"} {
		if q.Get(name) != want {
			t.Errorf("%s=%q, want %q", name, q.Get(name), want)
		}
	}
	body, err := json.Marshal(map[string]any{
		"account": account, "name": "MadeInTheConsole", "trustedAccount": q.Get("awsAccount"), "externalId": q.Get("externalId"), "policies": q["policies"],
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, pocket.AWSURL+"/iam/api/roles", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var made struct{ RoleARN, Message string }
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %v", resp.Status, made.Message, err)
	}
	return made.RoleARN
}

// An outcome is what goes wrong between the making of a role and its report, and what Rolecall must make of it. ID stands
// for the external ID.
type outcome struct {
	name   string
	code   string    // "" is enabled
	fix    string    // what the fix must say
	trust  [2]string // the statement's principal and condition from then on; "" leaves the role as it was made
	deny   string    // an action that a policy takes away from then on
	change [2]string // the same done to the template of a stack
}

const stackTrust = "StringEquals:\n                sts:ExternalId: !Ref ExternalId"

func outcomes() []outcome {
	const denied = "- ebs:GetSnapshotBlock\n"
	return []outcome{
		{name: "as it should be"},
		{
			name: "another external ID", code: "ROLE_NOT_ASSUMABLE", fix: `"sts:ExternalId":"ID"`,
			trust: [2]string{platformRoot, `"StringEquals":{"sts:ExternalId":"another-vendors-id"}`}, change: [2]string{"!Ref ExternalId", "another-vendors-id"},
		},
		{
			name: "no external ID asked for", code: "EXTERNAL_ID_NOT_REQUIRED", fix: `"sts:ExternalId":"ID"`,
			trust:  [2]string{platformRoot, `"StringLike":{"aws:PrincipalArn":"*"}`},
			change: [2]string{stackTrust, "StringLike:\n                aws:PrincipalArn: '*'"},
		},
		{
			name: "any external ID will do", code: "EXTERNAL_ID_IGNORED", fix: `"sts:ExternalId":"ID"`,
			trust:  [2]string{platformRoot, `"StringLike":{"sts:ExternalId":"*"}`},
			change: [2]string{stackTrust, "StringLike:\n                sts:ExternalId: '*'"},
		},
		{
			name: "everybody who knows the ID", code: "TRUST_TOO_BROAD", fix: platformRoot,
			trust:  [2]string{`"*"`, `"StringEquals":{"sts:ExternalId":"ID"}`},
			change: [2]string{"!Sub arn:${AWS::Partition}:iam::111111111111:root", "'*'"},
		},
		{
			name: "Regions may not be listed", code: "REGIONS_DENIED", fix: "ec2:DescribeRegions", deny: "ec2:DescribeRegions",
			change: [2]string{denied, "- ec2:DescribeRegions\n"},
		},
		{
			name: "less than the permission set", code: "PERMISSIONS_MISSING", fix: "ec2:DescribeVpcs", deny: "ec2:DescribeVpcs",
			change: [2]string{denied, "- ec2:DescribeVpcs\n"},
		},
	}
}

// spoil changes the role after it was made.
func (o outcome) spoil(t *testing.T, arn, account, external string) {
	t.Helper()
	client, name := iamOf(account), arn[strings.LastIndex(arn, "/")+1:]
	if o.trust[0] != "" {
		_, err := client.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{
			RoleName: &name, PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + o.trust[0] +
				`,"Action":"sts:AssumeRole","Condition":{` + strings.ReplaceAll(o.trust[1], `"ID"`, `"`+external+`"`) + `}}]}`),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if o.deny != "" {
		_, err := client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
			RoleName: &name, PolicyName: aws.String("less"),
			PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"` + o.deny + `","Resource":"*"}]}`),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A verdict is one line of the table.
type verdict struct{ method, outcome, status, code, fix string }

// Every way to connect, with everything that can go wrong on it: what the customer made, and what Rolecall told of it. IAM's
// patience is real time, so all rows wait together.
func TestEveryMethodAndOutcome(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var rows []func(t *testing.T) verdict
	for _, o := range outcomes() {
		rows = append(rows, func(t *testing.T) verdict { return o.byStack(t) })
		for _, m := range handed() {
			rows = append(rows, func(t *testing.T) verdict { return o.byHand(t, m) })
		}
	}
	rows = append(rows, otherRows()...)
	keys := as(t, "acme-method-keys")
	for _, r := range keyRows(t, newAccount(), newAccount()) {
		rows = append(rows, func(t *testing.T) verdict { return r.verdict(t, keys) })
	}
	for _, r := range accountRows() {
		rows = append(rows, func(t *testing.T) verdict { return r.run(t) })
	}
	verdicts := make([]verdict, len(rows))
	var all sync.WaitGroup
	for i, row := range rows {
		all.Go(func() { // not t.Parallel, which would run as many rows at a time as there are processors
			t.Run(fmt.Sprint(i), func(t *testing.T) { verdicts[i] = row(t) })
		})
	}
	all.Wait()
	t.Logf("%d rows in %s\n%s", len(rows), time.Since(began).Round(time.Second), table(verdicts))
}

// table prints verdicts, by method.
func table(verdicts []verdict) string {
	slices.SortStableFunc(verdicts, func(a, b verdict) int { return strings.Compare(a.method, b.method) })
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "METHOD\tOUTCOME\tSTATUS\tCODE\tFIX")
	for _, v := range verdicts {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.70s\n", v.method, v.outcome, v.status, v.code, v.fix)
	}
	_ = w.Flush()
	return text.String()
}

// accounts gives every row an account of its own.
var accounts struct {
	sync.Mutex
	last int
}

func newAccount() string {
	accounts.Lock()
	defer accounts.Unlock()
	accounts.last++
	return fmt.Sprintf("5%011d", accounts.last)
}

// byHand makes the role by a method, spoils it, hands it in and awaits the verdict.
func (o outcome) byHand(t *testing.T, m method) verdict {
	t.Helper()
	account := newAccount()
	acme := as(t, "acme-method-"+account)
	c := acme.create(m.name + ", " + o.name)
	arn := m.make(t, c, account)
	o.spoil(t, arn, account, c.ExternalID)
	a := acme.call("PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+arn+`"}`)
	var at connection
	a.into(t, &at)
	if (a.status != http.StatusOK && a.status != http.StatusAccepted) || len(at.Checks) != 6 {
		t.Fatalf("%s, %s: answered at once with %d %s", m.name, o.name, a.status, a.body)
	}
	got := acme.settled(c.ID, 125*time.Second)
	v := verdict{method: m.name, outcome: o.name, status: got.Status}
	if got.StatusReason != nil {
		v.code, v.fix = got.StatusReason.Code, got.StatusReason.Fix
	}
	o.check(t, v, c.ExternalID)
	if o.code == "" && (a.status != http.StatusOK || at.Status != "enabled") {
		t.Errorf("%s: answered with %d %s", m.name, a.status, at.Status)
	}
	if got.Status == "enabled" {
		acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/credentials", "")
	}
	return v
}

func (o outcome) check(t *testing.T, v verdict, external string) {
	t.Helper()
	want := map[bool]string{true: "enabled", false: "failed"}[o.code == ""]
	if v.status != want || v.code != o.code {
		t.Errorf("%s, %s: %s %s, want %s %s", v.method, v.outcome, v.status, v.code, want, o.code)
	}
	if fix := strings.ReplaceAll(o.fix, `"ID"`, `"`+external+`"`); !strings.Contains(v.fix, fix) {
		t.Errorf("%s, %s: the fix %q does not say %s", v.method, v.outcome, v.fix, fix)
	}
}

// byStack runs the prepared stack, of a template that somebody has changed. The stack's own events tell the verdict.
func (o outcome) byStack(t *testing.T) verdict {
	t.Helper()
	acme := as(t, "acme-method-stack")
	c := acme.create("stack, " + o.name)
	theirs := customer{t, newAccount(), c.Launch.Region}
	v := verdict{method: "prepared stack", outcome: o.name}
	if o.code == "" {
		theirs.launch(c, nil)
		theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 60*time.Second)
		v.status = acme.get(c.ID).Status
		o.check(t, v, c.ExternalID)
		return v
	}
	text := template(t, c)
	changed := strings.Replace(text, o.change[0], o.change[1], 1)
	if changed == text {
		t.Fatalf("%s: the template has changed; this test no longer spoils it", o.name)
	}
	theirs.launchBody(c, changed)
	theirs.await(c.Launch.StackName, types.StackStatusRollbackComplete, 160*time.Second)
	for _, e := range acme.timeline(c.ID) {
		if e.Type == "connection.failed" {
			v.status = "failed"
		}
	}
	v.code, v.fix = told(theirs.reasons(c.Launch.StackName))
	o.check(t, v, c.ExternalID)
	return v
}

// told is the code and all else of the reason that Rolecall gave a stack: "<code>: <message>. <fix>".
func told(reasons []string) (code, rest string) {
	for _, r := range reasons {
		_, said, found := strings.Cut(r, " CREATE_FAILED: ") // of whichever resource was first
		if !found {
			continue
		}
		for word := range strings.FieldsSeq(said) {
			if code = strings.TrimSuffix(word, ":"); code != word && strings.ToUpper(code) == code && strings.Contains(code, "_") {
				_, rest, _ = strings.Cut(said, word)
				return code, strings.TrimSpace(rest)
			}
		}
	}
	return "", strings.Join(reasons, "\n")
}

// otherRows are the methods that have but one outcome to show, and what is refused before anything is tried.
func otherRows() []func(t *testing.T) verdict {
	rows := []func(t *testing.T) verdict{
		func(t *testing.T) verdict { return stackByCommand(t, shimmedPath(t)) },
		func(t *testing.T) verdict {
			return outcomes()[0].byHand(t, method{"Terraform module, evaluated", func(t *testing.T, c connection, account string) string {
				return byModule(t, c, account, nil)
			}})
		},
		linkUsedTwice,
	}
	for _, r := range []struct{ name, arn, code string }{
		{"of another partition", "arn:aws-us-gov:iam::ACCOUNT:role/R", "PARTITION_MISMATCH"},
		{"of the platform itself", "arn:aws:iam::111111111111:role/R", "PLATFORM_ACCOUNT"},
		{"of a user", "arn:aws:iam::ACCOUNT:user/U", "ROLE_ARN_INVALID"},
	} {
		rows = append(rows, func(t *testing.T) verdict { return refusedAtOnce(t, r.name, r.arn, r.code) })
	}
	return append(rows, roleInUse, roleOfAnotherAccount)
}

// byModule applies the module with a connection's values.
func byModule(t *testing.T, c connection, account string, more map[string]cty.Value) string {
	t.Helper()
	variables := map[string]cty.Value{
		"platform_account_id": cty.StringVal("111111111111"), "platform_name": cty.StringVal("Rolecall"),
		"external_id": cty.StringVal(c.ExternalID), "connection_id": cty.StringVal(c.ID),
	}
	for name, v := range more {
		variables[name] = v
	}
	outputs, err := applied(t, module(t), account, variables)
	if err != nil {
		t.Fatal(err)
	}
	return outputs["role_arn"].AsString()
}

// stackByCommand creates the stack by the printed command, and waits as that does.
func stackByCommand(t *testing.T, path string) verdict {
	t.Helper()
	account := newAccount()
	acme := as(t, "acme-method-stack")
	c := acme.create("by command " + account)
	shell(t, path, c.Launch.CLIStack, account)
	v := verdict{method: "printed stack command", outcome: "as it should be", status: acme.get(c.ID).Status}
	outcomes()[0].check(t, v, c.ExternalID)
	return v
}

func linkUsedTwice(t *testing.T) verdict {
	acme := as(t, "acme-method-stack")
	c := acme.create("used twice")
	theirs := customer{t, newAccount(), c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 60*time.Second)
	theirs.launch(c, func(in *cloudformation.CreateStackInput) { in.StackName = aws.String("again") })
	theirs.await("again", types.StackStatusRollbackComplete, 60*time.Second)
	v := verdict{method: "prepared stack", outcome: "a link used twice", status: acme.get(c.ID).Status}
	v.code, v.fix = told(theirs.reasons("again"))
	if v.code != "LAUNCH_USED" || v.fix == "" || v.status != "enabled" {
		t.Errorf("%+v", v)
	}
	return v
}

type problem struct{ Code, Fix string }

func refusedAtOnce(t *testing.T, name, arn, code string) verdict {
	account := newAccount()
	acme := as(t, "acme-method-"+account)
	c := acme.create("refused")
	a := acme.call("PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+strings.ReplaceAll(arn, "ACCOUNT", account)+`"}`)
	var p problem
	a.into(t, &p)
	if a.status != http.StatusBadRequest || p.Code != code || p.Fix == "" {
		t.Errorf("%s: %d %s", name, a.status, a.body)
	}
	return verdict{"pasted ARN", name, acme.get(c.ID).Status, p.Code, p.Fix}
}

func roleInUse(t *testing.T) verdict {
	account := newAccount()
	acme := as(t, "acme-method-"+account)
	first, second := acme.create("first"), acme.create("second")
	body := `{"roleArn":"` + pastedRole(t, account, "Shared", first.ExternalID, `"*"`) + `"}`
	acme.want(http.StatusOK, "PUT", "/v1/connections/"+first.ID+"/role", body)
	a := acme.want(http.StatusConflict, "PUT", "/v1/connections/"+second.ID+"/role", body)
	var p problem
	a.into(t, &p)
	if p.Code != "ROLE_IN_USE" || p.Fix == "" {
		t.Errorf("%s", a.body)
	}
	return verdict{"pasted ARN", "of another connection", acme.get(second.ID).Status, p.Code, p.Fix}
}

func roleOfAnotherAccount(t *testing.T) verdict {
	account := newAccount()
	acme := as(t, "acme-method-"+account)
	c := acme.create("moved")
	acme.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+pastedRole(t, account, "First", c.ExternalID, `"*"`)+`"}`)
	a := acme.want(http.StatusBadRequest, "PUT", "/v1/connections/"+c.ID+"/role",
		`{"roleArn":"`+pastedRole(t, newAccount(), "Second", c.ExternalID, `"*"`)+`"}`)
	v := verdict{method: "pasted ARN", outcome: "of another account", status: acme.get(c.ID).Status}
	var p problem
	a.into(t, &p)
	v.code, v.fix = p.Code, p.Fix
	if p.Code != "ACCOUNT_MISMATCH" || p.Fix == "" || v.status != "enabled" {
		t.Errorf("%s", a.body)
	}
	return v
}

// The AWS CLI itself, where it is installed, runs what is printed; elsewhere the table's rows have run it by the shim.
func TestPrintedCommandsByTheAWSCLI(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "aws", "--version").Run(); err != nil {
		t.Skipf("the AWS CLI is not installed (%v): the commands are run by a stand-in only, in TestEveryMethodAndOutcome", err)
	}
	t.Parallel()
	path := os.Getenv("PATH")
	o := outcomes()[0]
	o.byHand(t, method{"the AWS CLI itself", func(t *testing.T, c connection, account string) string {
		return printed(t, path, c.Launch.CLI, account)
	}})
	stackByCommand(t, path)
}

// A made role is all that IAM knows of it, without what must differ.
type madeRole struct {
	Description, Path string
	MaxSession        int32
	Boundary          string
	Trust             any
	Inline            map[string]any
	Managed           []string
}

// look reads a role by IAM, as its owner.
func look(t *testing.T, arn, account string, c connection) madeRole {
	t.Helper()
	client, name := iamOf(account), arn[strings.LastIndex(arn, "/")+1:]
	got, err := client.GetRole(t.Context(), &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		t.Fatal(err)
	}
	plain := func(document string) any {
		text, err := url.PathUnescape(document)
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(strings.NewReplacer(arn, "ARN", c.ExternalID, "EXTERNAL").Replace(text)), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	r := got.Role
	out := madeRole{
		Description: strings.ReplaceAll(aws.ToString(r.Description), c.ID, "CONNECTION"), Path: aws.ToString(r.Path),
		MaxSession: aws.ToInt32(r.MaxSessionDuration), Trust: plain(*r.AssumeRolePolicyDocument), Inline: map[string]any{},
	}
	if r.PermissionsBoundary != nil {
		out.Boundary = aws.ToString(r.PermissionsBoundary.PermissionsBoundaryArn)
	}
	for _, s := range out.Trust.(map[string]any)["Statement"].([]any) {
		delete(s.(map[string]any), "Sid")
	}
	inline, err := client.ListRolePolicies(t.Context(), &iam.ListRolePoliciesInput{RoleName: &name})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range inline.PolicyNames {
		policy, err := client.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: &name, PolicyName: &p})
		if err != nil {
			t.Fatal(err)
		}
		out.Inline[p] = plain(*policy.PolicyDocument)
	}
	attached, err := client.ListAttachedRolePolicies(t.Context(), &iam.ListAttachedRolePoliciesInput{RoleName: &name})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range attached.AttachedPolicies {
		out.Managed = append(out.Managed, aws.ToString(p.PolicyArn))
	}
	slices.Sort(out.Managed)
	return out
}

// One source, one role: what the stack makes, the commands, the snippet and the module make too, for every permission set.
func TestEveryToolMakesTheRoleOfTheTemplate(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-alike")
	_, address := acme.publishedSet()
	own, err := fromBucket(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"read-only", "power-user", "administrator", "custom"} {
		var c connection
		acme.want(http.StatusCreated, "POST", "/v1/connections", fmt.Sprintf(`{"name":"alike %[1]s","permissions":%[1]q}`, set)).into(t, &c)
		theirs := customer{t, newAccount(), c.Launch.Region}
		theirs.launch(c, nil)
		theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 60*time.Second)
		want := look(t, acme.get(c.ID).RoleARN, theirs.account, c)
		delete(want.Inline, templates.RevocationPolicy) // denies nothing; by hand it comes with a revocation
		methods := append(handed(), method{"module", func(t *testing.T, c connection, account string) string {
			chosen := map[string]cty.Value{"permission_set": cty.StringVal(set)}
			if set == "custom" {
				chosen["custom_policy"] = cty.StringVal(string(own))
			}
			return byModule(t, c, account, chosen)
		}})
		for _, m := range methods {
			if m.name == "console's create-role page" {
				continue // its guard is the console's own, and a set's exceptions are not in it
			}
			account := newAccount()
			arn := m.make(t, c, account)
			if d := cmp.Diff(want, look(t, arn, account, c)); d != "" {
				t.Errorf("%s, %s (-stack +%s):\n%s", set, m.name, m.name, d)
			}
		}
	}
}

// The module's choices reach the role, and what is no choice is refused in words.
func TestModulesVariables(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-module")
	c := acme.create("module")
	account := newAccount()
	boundary, err := iamOf(account).CreatePolicy(t.Context(), &iam.CreatePolicyInput{
		PolicyName: aws.String("Limit"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := byModule(t, c, account, map[string]cty.Value{
		"role_name": cty.StringVal("Chosen"), "role_path": cty.StringVal("/vendors/acme/"), "max_session_duration": cty.NumberIntVal(7200),
		"permissions_boundary_arn": cty.StringVal(*boundary.Policy.Arn), "tags": cty.MapVal(map[string]cty.Value{"team": cty.StringVal("cloud")}),
	})
	if want := "arn:aws:iam::" + account + ":role/vendors/acme/Chosen"; arn != want {
		t.Errorf("the role is %s, want %s", arn, want)
	}
	got := look(t, arn, account, c)
	if got.MaxSession != 7200 || got.Boundary != *boundary.Policy.Arn || got.Path != "/vendors/acme/" {
		t.Errorf("%+v", got)
	}
	tags, err := iamOf(account).ListRoleTags(t.Context(), &iam.ListRoleTagsInput{RoleName: aws.String("Chosen")})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Key != "team" {
		t.Errorf("tags %v, %v", tags, err)
	}
	acme.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+arn+`"}`)

	for name, wrong := range map[string]map[string]cty.Value{
		"The platform's account is 12 digits": {"platform_account_id": cty.StringVal("1111")},
		"The external ID is 20 to 128":        {"external_id": cty.StringVal("short")},
		"The permission sets are":             {"permission_set": cty.StringVal("everything")},
		"The path is a slash":                 {"role_path": cty.StringVal("vendors")},
		"IAM takes 3600 to 43200":             {"max_session_duration": cty.NumberIntVal(60)},
		"custom needs the platform's policy":  {"permission_set": cty.StringVal("custom")},
		"a list of Statements":                {"permission_set": cty.StringVal("custom"), "custom_policy": cty.StringVal(`{"Statement":[]}`)},
		"IAM takes 10240":                     {"custom_policy": cty.StringVal(`{"Statement":[{"Effect":"Allow","Sid":"` + strings.Repeat("a", 8192) + `"}]}`)},
	} {
		variables := map[string]cty.Value{"platform_account_id": cty.StringVal("111111111111"), "external_id": cty.StringVal(c.ExternalID)}
		for k, v := range wrong {
			variables[k] = v
		}
		if _, err := applied(t, module(t), newAccount(), variables); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: %v, want %s", wrong, err, name)
		}
	}
}
