package cfn

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cloudformationtypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/wire"
)

// door is a front door that lets everyone in as root of the account that is their key, and notes what they need.
type door struct {
	mu    sync.Mutex
	needs []wire.Need
}

func (d *door) Authenticate(accessKeyID, _ string) (wire.Principal, error) {
	return wire.Principal{Account: accessKeyID, ARN: "arn:aws:iam::" + accessKeyID + ":root", UserID: accessKeyID}, nil
}

func (d *door) Authorize(_ wire.Principal, need wire.Need) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.needs = append(d.needs, need)
	return nil
}

func (d *door) last() wire.Need {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.needs[len(d.needs)-1]
}

func newClient(t *testing.T, e *Engine) (*cloudformation.Client, *door) {
	t.Helper()
	d := &door{}
	front := wire.NewServer(wire.Config{Authenticator: d, Authorizer: d, Clock: time.Now})
	front.Register("cloudformation", New(e))
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	client := cloudformation.New(cloudformation.Options{
		Region: region, BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider(account, "any", ""),
		HTTPClient: server.Client(), Retryer: aws.NopRetryer{},
	})
	return client, d
}

// apiError is the code and message that a client sees.
func apiError(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode() + ": " + api.ErrorMessage()
}

func soon(o *cloudformation.StackCreateCompleteWaiterOptions) {
	o.MinDelay, o.MaxDelay = time.Millisecond, 10*time.Millisecond
}

const served = `
Description: a role
Metadata:
  AWS::CloudFormation::Interface:
    ParameterGroups: [{Label: {default: First}, Parameters: [Name, Nope]}]
    ParameterLabels: {Name: {default: Its name}}
Parameters:
  Name: {Type: String, Description: how it is called, AllowedValues: [a, b]}
  Secret: {Type: String, NoEcho: true, Default: hush}
Resources:
  Role: {Type: 'AWS::IAM::Role', Metadata: {M: 1}, Properties: {RoleName: !Ref Name}}
  Thing: {Type: 'Test::Thing', Properties: {Of: !GetAtt Role.Arn}}
Outputs:
  Arn: {Value: !GetAtt Role.Arn, Description: its ARN, Export: {Name: !Sub '${AWS::StackName}-arn'}}
`

func createServed(t *testing.T, client *cloudformation.Client) string {
	t.Helper()
	out, err := client.CreateStack(t.Context(), &cloudformation.CreateStackInput{
		StackName: aws.String("st"), TemplateBody: aws.String(served), Capabilities: []cloudformationtypes.Capability{"CAPABILITY_NAMED_IAM"},
		Parameters: []cloudformationtypes.Parameter{{ParameterKey: aws.String("Name"), ParameterValue: aws.String("a")}},
		Tags:       []cloudformationtypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	waiter := cloudformation.NewStackCreateCompleteWaiter(client, soon)
	if err := waiter.Wait(t.Context(), &cloudformation.DescribeStacksInput{StackName: out.StackId}, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.StackId)
}

func TestClientSeesAStack(t *testing.T) {
	t.Parallel()
	e, _ := newTestEngine(t, testConfig())
	client, d := newClient(t, e)
	id := createServed(t, client)
	ctx := t.Context()

	stacks, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("st")})
	if err != nil {
		t.Fatal(err)
	}
	s := stacks.Stacks[0]
	if need := d.last(); need.Action != "cloudformation:DescribeStacks" || need.Resource != id {
		t.Errorf("need %+v", need)
	}
	if aws.ToString(s.StackId) != id || s.StackStatus != "CREATE_COMPLETE" || aws.ToString(s.Description) != "a role" || s.CreationTime.Year() != 2026 || len(s.Capabilities) != 1 {
		t.Errorf("stack %+v", s)
	}
	parameters := map[string]string{}
	for _, p := range s.Parameters {
		parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	if diff := cmp.Diff(map[string]string{"Name": "a", "Secret": "****"}, parameters); diff != "" {
		t.Error(diff)
	}
	o := s.Outputs[0]
	if aws.ToString(o.OutputKey) != "Arn" || aws.ToString(o.OutputValue) != "arn:role-1" || aws.ToString(o.ExportName) != "st-arn" || aws.ToString(s.Tags[0].Value) != "v" {
		t.Errorf("output %+v, tags %+v", o, s.Tags)
	}

	events, err := client.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: aws.String(id)})
	if err != nil || len(events.StackEvents) != 8 || events.StackEvents[0].ResourceStatus != "CREATE_COMPLETE" || aws.ToString(events.StackEvents[0].LogicalResourceId) != "st" {
		t.Errorf("events %+v, %v", events, err)
	}
	resources, err := client.ListStackResources(ctx, &cloudformation.ListStackResourcesInput{StackName: aws.String("st")})
	if err != nil || len(resources.StackResourceSummaries) != 2 || aws.ToString(resources.StackResourceSummaries[0].PhysicalResourceId) != "role-1" {
		t.Errorf("resources %+v, %v", resources, err)
	}
	described, err := client.DescribeStackResources(ctx, &cloudformation.DescribeStackResourcesInput{PhysicalResourceId: aws.String("thing-2")})
	if err != nil || len(described.StackResources) != 2 || aws.ToString(described.StackResources[1].StackId) != id {
		t.Errorf("by physical id %+v, %v", described, err)
	}
	one, err := client.DescribeStackResource(ctx, &cloudformation.DescribeStackResourceInput{StackName: aws.String("st"), LogicalResourceId: aws.String("Role")})
	if err != nil || aws.ToString(one.StackResourceDetail.Metadata) != `{"M":1}` {
		t.Errorf("resource %+v, %v", one, err)
	}
	template, err := client.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: aws.String("st")})
	if err != nil || aws.ToString(template.TemplateBody) != served {
		t.Errorf("template %v, %v", template, err)
	}
	list, err := client.ListStacks(ctx, &cloudformation.ListStacksInput{StackStatusFilter: []cloudformationtypes.StackStatus{"CREATE_COMPLETE"}})
	if err != nil || len(list.StackSummaries) != 1 {
		t.Errorf("stacks %+v, %v", list, err)
	}
	if need := d.last(); need.Action != "cloudformation:ListStacks" || need.Resource != "*" {
		t.Errorf("need %+v", need)
	}
	list, err = client.ListStacks(ctx, &cloudformation.ListStacksInput{StackStatusFilter: []cloudformationtypes.StackStatus{"DELETE_COMPLETE"}})
	if err != nil || len(list.StackSummaries) != 0 {
		t.Errorf("deleted stacks %+v, %v", list, err)
	}
}

func TestClientReadsATemplate(t *testing.T) {
	t.Parallel()
	e, _ := newTestEngine(t, testConfig())
	client, _ := newClient(t, e)
	summary, err := client.GetTemplateSummary(t.Context(), &cloudformation.GetTemplateSummaryInput{TemplateBody: aws.String(served)})
	if err != nil {
		t.Fatal(err)
	}
	p := summary.Parameters[0]
	if aws.ToString(p.ParameterKey) != "Name" || p.DefaultValue != nil || !slices.Equal(p.ParameterConstraints.AllowedValues, []string{"a", "b"}) || aws.ToString(p.Description) != "how it is called" {
		t.Errorf("parameter %+v", p)
	}
	if !aws.ToBool(summary.Parameters[1].NoEcho) || aws.ToString(summary.Parameters[1].DefaultValue) != "hush" {
		t.Errorf("parameter %+v", summary.Parameters[1])
	}
	if !slices.Equal(summary.ResourceTypes, []string{"AWS::IAM::Role", "Test::Thing"}) || summary.Capabilities[0] != "CAPABILITY_NAMED_IAM" || !strings.Contains(aws.ToString(summary.Metadata), `"ParameterLabels":{"Name":{"default":"Its name"}}`) {
		t.Errorf("summary %+v", summary)
	}
	valid, err := client.ValidateTemplate(t.Context(), &cloudformation.ValidateTemplateInput{TemplateBody: aws.String(served)})
	if err != nil || len(valid.Parameters) != 2 || aws.ToString(valid.CapabilitiesReason) != "The following resource(s) require capabilities: [AWS::IAM::Role]" {
		t.Errorf("%+v, %v", valid, err)
	}
}

func TestClientUpdatesAndDeletes(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	client, _ := newClient(t, e)
	id := createServed(t, client)
	ctx := t.Context()
	in := &cloudformation.UpdateStackInput{
		StackName: aws.String("st"), UsePreviousTemplate: aws.Bool(true), Capabilities: []cloudformationtypes.Capability{"CAPABILITY_NAMED_IAM"},
		Parameters: []cloudformationtypes.Parameter{
			{ParameterKey: aws.String("Name"), UsePreviousValue: aws.Bool(true)}, {ParameterKey: aws.String("Secret"), UsePreviousValue: aws.Bool(true)},
		},
	}
	if _, err := client.UpdateStack(ctx, in); apiError(err) != "ValidationError: No updates are to be performed." {
		t.Errorf("nothing new: %v", err)
	}
	in.Parameters[0] = cloudformationtypes.Parameter{ParameterKey: aws.String("Name"), ParameterValue: aws.String("b")}
	if _, err := client.UpdateStack(ctx, in); err != nil {
		t.Fatal(err)
	}
	updated := cloudformation.NewStackUpdateCompleteWaiter(client, func(o *cloudformation.StackUpdateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, 10*time.Millisecond
	})
	if err := updated.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("st")}, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String("st")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"st", id} { // by name it ends with an error, by id with a status
		deleted := cloudformation.NewStackDeleteCompleteWaiter(client, func(o *cloudformation.StackDeleteCompleteWaiterOptions) {
			o.MinDelay, o.MaxDelay = time.Millisecond, 10*time.Millisecond
		})
		if err := deleted.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(name)}, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if got := things.existing(); len(got) > 0 {
		t.Errorf("there is %v", got)
	}
}

func TestClientIsRefused(t *testing.T) {
	t.Parallel()
	e, _ := newTestEngine(t, testConfig())
	client, d := newClient(t, e)
	id := createServed(t, client)
	create := func(change func(*cloudformation.CreateStackInput)) func(context.Context) error {
		return func(ctx context.Context) error {
			in := &cloudformation.CreateStackInput{StackName: aws.String("other"), TemplateBody: aws.String(someResource)}
			change(in)
			_, err := client.CreateStack(ctx, in)
			return err
		}
	}
	tests := map[string]struct {
		call func(context.Context) error
		want string
	}{
		"no such stack": {func(ctx context.Context) error {
			_, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("nope")})
			return err
		}, "ValidationError: Stack with id nope does not exist"},
		"no such stack's events": {func(ctx context.Context) error {
			_, err := client.DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: aws.String("nope")})
			return err
		}, "ValidationError: Stack [nope] does not exist"},
		"no such resource": {func(ctx context.Context) error {
			_, err := client.DescribeStackResource(ctx, &cloudformation.DescribeStackResourceInput{StackName: aws.String("st"), LogicalResourceId: aws.String("Nope")})
			return err
		}, "ValidationError: Resource Nope does not exist for stack st"},
		"name is taken": {create(func(in *cloudformation.CreateStackInput) { in.StackName = aws.String("st") }), "AlreadyExistsException: Stack [st] already exists"},
		"capability": {create(func(in *cloudformation.CreateStackInput) {
			in.TemplateBody = aws.String("Resources: {A: {Type: 'AWS::IAM::Role', Properties: {RoleName: x}}}")
			in.Capabilities = []cloudformationtypes.Capability{"CAPABILITY_IAM"}
		}), "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_NAMED_IAM]"},
		"large body": {create(func(in *cloudformation.CreateStackInput) {
			in.TemplateBody = aws.String(someResource + "#" + strings.Repeat("x", 51200))
		}), "ValidationError: 1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to 51200"},
		"no template":   {create(func(in *cloudformation.CreateStackInput) { in.TemplateBody = nil }), "ValidationError: Either Template URL or Template Body must be specified."},
		"two templates": {create(func(in *cloudformation.CreateStackInput) { in.TemplateURL = aws.String("https://b.s3.amazonaws.com/t") }), "ValidationError: You must specify one of TemplateBody, TemplateURL or UsePreviousTemplate, and not several."},
		"service role":  {create(func(in *cloudformation.CreateStackInput) { in.RoleARN = aws.String("arn:aws:iam::222222222222:role/r") }), "ValidationError: RoleARN is not supported here"},
		"both failures": {create(func(in *cloudformation.CreateStackInput) { in.OnFailure, in.DisableRollback = "DELETE", aws.Bool(true) }), "ValidationError: You can specify either DisableRollback or OnFailure, but not both."},
		"other call": {func(ctx context.Context) error {
			_, err := client.ListStackSets(ctx, &cloudformation.ListStackSetsInput{})
			return err
		}, "InvalidAction: The action ListStackSets is not valid for this endpoint: the pocket AWS's CloudFormation does not have it."},
		"no such change set": {func(ctx context.Context) error {
			_, err := client.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{StackName: aws.String("st"), ChangeSetName: aws.String("nope")})
			return err
		}, "ChangeSetNotFound: ChangeSet [nope] does not exist"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := apiError(test.call(t.Context())); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if _, err := client.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: aws.String("new"), TemplateBody: aws.String(someResource)}); err != nil {
		t.Fatal(err)
	}
	if need := d.last(); need.Resource != "arn:aws:cloudformation:eu-west-1:222222222222:stack/new/*" {
		t.Errorf("need %+v", need)
	}
	if _, err := client.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: aws.String("never-was")}); err != nil {
		t.Errorf("delete of nothing: %v", err)
	}
	if _, err := client.DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: aws.String(id)}); err != nil || d.last().Resource != id {
		t.Errorf("by id: %v, need %+v", err, d.last())
	}
}

func TestChangeSets(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	client, _ := newClient(t, e)
	ctx := t.Context()
	propose := func(name, template string, kind cloudformationtypes.ChangeSetType) *cloudformation.DescribeChangeSetOutput {
		t.Helper()
		made, err := client.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{
			StackName: aws.String("st"), ChangeSetName: aws.String(name), TemplateBody: aws.String(template), ChangeSetType: kind,
		})
		if err != nil {
			t.Fatal(err)
		}
		out, err := client.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: made.Id})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	changes := func(out *cloudformation.DescribeChangeSetOutput) []string {
		var list []string
		for _, c := range out.Changes {
			list = append(list, string(c.ResourceChange.Action)+" "+aws.ToString(c.ResourceChange.LogicalResourceId))
		}
		return list
	}
	execute := func(name string) Stack {
		t.Helper()
		if _, err := client.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: aws.String("st"), ChangeSetName: aws.String(name)}); err != nil {
			t.Fatal(err)
		}
		return wait(t, e, "st")
	}

	first := propose("one", oldStack, "CREATE")
	if first.Status != "CREATE_COMPLETE" || first.ExecutionStatus != "AVAILABLE" || !slices.Equal(changes(first), []string{"Add A", "Add B", "Add Gone"}) {
		t.Errorf("%+v", first)
	}
	if s, err := e.Stack(account, region, "st"); err != nil || s.Status != ReviewInProgress || len(things.steps()) > 0 {
		t.Errorf("before it is executed: %+v, %v", s, err)
	}
	s := execute("one")
	if s.Status != CreateComplete || s.ChangeSetID != aws.ToString(first.ChangeSetId) || s.ID != aws.ToString(first.StackId) {
		t.Errorf("stack %+v", s)
	}
	_, err := client.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{StackName: aws.String("st"), ChangeSetName: aws.String("x"), TemplateBody: aws.String(oldStack), ChangeSetType: "CREATE"})
	if apiError(err) != "ValidationError: Stack [st] already exists and cannot be created again with the changeSet [x]." {
		t.Errorf("a second creation: %v", err)
	}

	nothing := propose("two", oldStack, "UPDATE")
	if nothing.Status != "FAILED" || aws.ToString(nothing.StatusReason) != nothingChanges {
		t.Errorf("%+v", nothing)
	}
	_, err = client.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{StackName: aws.String("st"), ChangeSetName: aws.String("two")})
	if !strings.HasPrefix(apiError(err), "InvalidChangeSetStatus: ") {
		t.Errorf("executing nothing: %v", err)
	}
	second := propose("three", newStack, "UPDATE")
	if got, want := changes(second), []string{"Modify A", "Add New", "Add Last", "Remove Gone"}; !slices.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	if s := execute("three"); s.Status != UpdateComplete {
		t.Errorf("stack %+v", s)
	}
	if _, err := client.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{StackName: aws.String("st"), ChangeSetName: aws.String("two")}); apiError(err) != "ChangeSetNotFound: ChangeSet [two] does not exist" {
		t.Errorf("a change set that no longer fits: %v", err)
	}
	if _, err := client.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{StackName: aws.String("st"), ChangeSetName: aws.String("three")}); err != nil {
		t.Error(err)
	}
}

// A stack that only a change set made can be deleted without its ever being created.
func TestReviewedStackIsDeleted(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	client, _ := newClient(t, e)
	made, err := client.CreateChangeSet(t.Context(), &cloudformation.CreateChangeSetInput{
		StackName: aws.String("st"), ChangeSetName: aws.String("one"), TemplateBody: aws.String(someResource), ChangeSetType: "CREATE",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: aws.String("st")}); err != nil {
		t.Fatal(err)
	}
	expect(t, e, aws.ToString(made.StackId), DeleteComplete)
	if len(things.steps()) > 0 {
		t.Errorf("steps %v", things.steps())
	}
}

// Whoever executes a change set, and not who made it, is the one for whom CloudFormation acts.
func TestChangeSetActsForWhoExecutesIt(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	if _, _, err := e.createChangeSet(t.Context(), testInput("st", someResource), "CREATE", "one", ""); err != nil {
		t.Fatal(err)
	}
	alice := wire.Principal{Account: account, ARN: "arn:aws:iam::222222222222:user/alice"}
	if err := e.executeChangeSet(alice, account, region, "st", "one", "", "token"); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "st", CreateComplete)
	if got := things.seen[0].Principal.ARN; got != alice.ARN {
		t.Errorf("acted for %s", got)
	}
}
