package cfn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/wire"
)

const chain = `
Description: three in a row
Resources:
  A: {Type: 'Test::Thing', Properties: {Name: a}}
  B: {Type: 'Test::Thing', Properties: {Of: !GetAtt A.Arn}}
  C: {Type: 'Test::Thing', DependsOn: [B], Properties: {Stack: !Ref AWS::StackName}}
Outputs:
  Last: {Value: !Sub '${C}', Description: the last}
  Arn: {Value: !GetAtt B.Arn, Export: {Name: !Sub '${AWS::StackName}-b'}}
`

func TestCreateUpdateDelete(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	in := testInput("net", chain)
	in.Tags, in.Token = []Tag{{Key: "team", Value: "x"}}, "token-1"
	s := create(t, e, in, CreateComplete)

	if !strings.HasPrefix(s.ID, "arn:aws:cloudformation:eu-west-1:222222222222:stack/net/") || s.Description != "three in a row" {
		t.Errorf("stack %+v", s)
	}
	want := []string{
		"stack CREATE_IN_PROGRESS: User Initiated",
		"A CREATE_IN_PROGRESS", "A CREATE_IN_PROGRESS: Resource creation Initiated", "A CREATE_COMPLETE",
		"B CREATE_IN_PROGRESS", "B CREATE_IN_PROGRESS: Resource creation Initiated", "B CREATE_COMPLETE",
		"C CREATE_IN_PROGRESS", "C CREATE_IN_PROGRESS: Resource creation Initiated", "C CREATE_COMPLETE",
		"stack CREATE_COMPLETE",
	}
	if diff := cmp.Diff(want, storyOf(t, e, s.ID, true)); diff != "" {
		t.Error(diff)
	}
	outputs := []StackOutput{{Key: "Last", Value: "c-3", Description: "the last"}, {Key: "Arn", Value: "arn:b-2", ExportName: "net-b"}}
	if diff := cmp.Diff(outputs, s.Outputs); diff != "" {
		t.Error(diff)
	}
	first := things.seen[0]
	if first.StackTags["team"] != "x" || first.StackID != s.ID || first.Partition != "aws" || !slices.Equal(first.Principal.CalledVia, []string{"cloudformation.amazonaws.com"}) {
		t.Errorf("request %+v", first)
	}

	// Only what changes is touched: A is replaced, so that B, which names its ARN, is updated; C stays.
	update(t, e, testInput("net", strings.Replace(chain, "Name: a", "Name: b", 1)), UpdateComplete)
	want = []string{
		"stack UPDATE_IN_PROGRESS: User Initiated",
		"A UPDATE_IN_PROGRESS",
		"A UPDATE_IN_PROGRESS: Requested update requires the creation of a new physical resource; hence creating one.",
		"A UPDATE_COMPLETE",
		"B UPDATE_IN_PROGRESS", "B UPDATE_COMPLETE",
		"stack UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
		"A DELETE_IN_PROGRESS", "A DELETE_COMPLETE",
		"stack UPDATE_COMPLETE",
	}
	if diff := cmp.Diff(want, storyOf(t, e, s.ID, true)[11:]); diff != "" {
		t.Error(diff)
	}
	if got, want := things.existing(), []string{"a-4", "b-2", "c-3"}; !slices.Equal(got, want) {
		t.Errorf("there is %v, want %v", got, want)
	}
	if got := things.alive["b-2"]["Of"]; got != "arn:a-4" {
		t.Errorf("B names %v", got)
	}

	before := len(storyOf(t, e, s.ID, true))
	remove(t, e, s, DeleteComplete)
	want = []string{
		"stack DELETE_IN_PROGRESS: User Initiated", "C DELETE_IN_PROGRESS", "C DELETE_COMPLETE", "B DELETE_IN_PROGRESS", "B DELETE_COMPLETE",
		"A DELETE_IN_PROGRESS", "A DELETE_COMPLETE", "stack DELETE_COMPLETE",
	}
	if diff := cmp.Diff(want, storyOf(t, e, s.ID, true)[before:]); diff != "" {
		t.Error(diff)
	}
	if got := things.existing(); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
	if _, err := e.Stack(account, region, "net"); errorText(t, err) != "ValidationError: Stack with id net does not exist" {
		t.Errorf("a deleted stack by name: %v", err)
	}
	if gone, err := e.Stack(account, region, s.ID); err != nil || gone.Deleted.IsZero() {
		t.Errorf("a deleted stack by id: %+v, %v", gone, err)
	}
	create(t, e, testInput("net", chain), CreateComplete) // the name is free again
}

func TestEventsAreNewestFirst(t *testing.T) {
	t.Parallel()
	e, _ := newTestEngine(t, testConfig())
	in := testInput("s", someResource)
	in.Token = "tok"
	s := create(t, e, in, CreateComplete)
	events, err := e.Events(account, region, "s")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for i, event := range events {
		if i > 0 && !event.At.Before(events[i-1].At) {
			t.Errorf("event %d is not older than the one before it", i)
		}
		if ids[event.ID] || event.StackID != s.ID || event.StackName != "s" || event.Token != "tok" {
			t.Errorf("event %+v", event)
		}
		ids[event.ID] = true
	}
	if events[0].Status != CreateComplete || events[0].Type != "AWS::CloudFormation::Stack" || events[0].PhysicalID != s.ID {
		t.Errorf("newest event %+v", events[0])
	}
}

func TestIndependentResourcesAreMadeAtTheSameTime(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	things.gates["create A"], things.gates["create B"] = make(chan struct{}), make(chan struct{})
	id, err := e.Create(t.Context(), testInput("s", `
Resources:
  A: {Type: 'Test::Thing'}
  B: {Type: 'Test::Thing'}
  C: {Type: 'Test::Thing', Properties: {X: !Ref A}}
  D: {Type: 'Test::Thing', DependsOn: B}
`))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // both under way, neither done
		<-things.begun
	}
	close(things.gates["create A"])
	things.await(t, "create C") // does not wait for B
	if slices.Contains(things.steps(), "create D") {
		t.Error("D did not wait for B")
	}
	close(things.gates["create B"])
	expect(t, e, id, CreateComplete)
}

const fan = `
Resources:
  A: {Type: 'Test::Thing'}
  B: {Type: 'Test::Thing', DependsOn: A}
  Slow: {Type: 'Test::Thing', DependsOn: A}
  Bad: {Type: 'Test::Thing', DependsOn: B}
  After: {Type: 'Test::Thing', DependsOn: Bad}
  Kept: {Type: 'Test::Thing', DeletionPolicy: Retain}
  KeptLater: {Type: 'Test::Thing', DeletionPolicy: RetainExceptOnCreate}
`

// failCreate makes Bad fail while Slow is under way and everything else that can be made is made.
func failCreate(t *testing.T, onFailure string) (*Engine, *things, string) {
	t.Helper()
	e, things := newTestEngine(t, testConfig())
	gate := make(chan struct{})
	things.gates["create Bad"], things.gates["create Slow"] = gate, make(chan struct{})
	things.fail["create Bad"] = &wire.Error{Code: "AccessDenied", Message: "not authorized to perform: test:CreateThing"}
	in := testInput("s", fan)
	in.OnFailure = onFailure
	id, err := e.Create(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	begun := map[string]bool{}
	for range 6 {
		begun[<-things.begun] = true
	}
	if !begun["create Bad"] || !begun["create Slow"] || !begun["create KeptLater"] || !begun["create Kept"] {
		t.Fatalf("begun: %v", begun)
	}
	close(gate)
	return e, things, id
}

func TestRollbackOfCreate(t *testing.T) {
	t.Parallel()
	e, things, id := failCreate(t, "")
	s := expect(t, e, id, RollbackComplete)
	told := story(t, e, id)
	for _, want := range []string{
		"Slow CREATE_FAILED: Resource creation cancelled\n",
		`Bad CREATE_FAILED: Resource handler returned message: "not authorized to perform: test:CreateThing" (RequestToken: `,
		", HandlerErrorCode: AccessDenied)\n",
		"stack ROLLBACK_IN_PROGRESS: The following resource(s) failed to create: [Bad, Slow]. Rollback requested by user.\n",
		"Kept DELETE_SKIPPED\n", "KeptLater DELETE_COMPLETE\n", "Bad DELETE_COMPLETE\n", "stack ROLLBACK_COMPLETE",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("no %q in\n%s", want, told)
		}
	}
	steps := things.steps()
	if slices.Contains(steps, "create After") || slices.Contains(steps, "delete Bad") || slices.Contains(steps, "delete Kept") {
		t.Errorf("steps %v", steps)
	}
	if slices.Index(steps, "delete B") > slices.Index(steps, "delete A") {
		t.Errorf("A was deleted before B, which depends on it: %v", steps)
	}
	if got := things.existing(); len(got) != 1 || !strings.HasPrefix(got[0], "kept-") {
		t.Errorf("there is %v", got)
	}

	// What CloudFormation allows with such a stack: to delete it.
	_, err := e.Update(t.Context(), testInput("s", someResource))
	if got, want := errorText(t, err), "ValidationError: Stack:"+id+" is in ROLLBACK_COMPLETE state and can not be updated."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = e.Create(t.Context(), testInput("s", someResource))
	if got := errorText(t, err); got != "AlreadyExistsException: Stack [s] already exists" {
		t.Errorf("got %q", got)
	}
	remove(t, e, s, DeleteComplete)
}

func TestOnFailureDelete(t *testing.T) {
	t.Parallel()
	e, things, id := failCreate(t, "DELETE")
	expect(t, e, id, DeleteComplete)
	if told := story(t, e, id); !strings.Contains(told, "stack DELETE_IN_PROGRESS: The following resource(s) failed to create: [Bad, Slow]. Delete requested by user.") {
		t.Error(told)
	}
	if got := things.existing(); len(got) != 1 {
		t.Errorf("there is %v", got)
	}
}

func TestOnFailureDoNothing(t *testing.T) {
	t.Parallel()
	e, things, id := failCreate(t, "DO_NOTHING")
	s := expect(t, e, id, CreateFailed)
	if s.Reason != "The following resource(s) failed to create: [Bad, Slow]. " {
		t.Errorf("reason %q", s.Reason)
	}
	if got := things.existing(); len(got) != 4 {
		t.Errorf("there is %v", got)
	}
	remove(t, e, s, DeleteComplete)
}

func TestRollbackThatFails(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	things.fail["create B"], things.fail["delete A"] = errors.New("no"), errors.New("stuck")
	s := create(t, e, testInput("s", "Resources: {A: {Type: 'Test::Thing'}, B: {Type: 'Test::Thing', DependsOn: A}}"), RollbackFailed)
	if s.Reason != "The following resource(s) failed to delete: [A]. " {
		t.Errorf("reason %q", s.Reason)
	}
	things.set(func() { delete(things.fail, "delete A") })
	remove(t, e, s, DeleteComplete)
	if got := things.existing(); len(got) > 0 {
		t.Errorf("there is %v", got)
	}
}

// updateInto runs an update from one template to another on a new engine.
func updateInto(t *testing.T, prepare func(*things), from, to string, want Status, onFailure string) (*Engine, *things, Stack, []string) {
	t.Helper()
	e, things := newTestEngine(t, testConfig())
	s := create(t, e, testInput("s", from), CreateComplete)
	before := len(storyOf(t, e, s.ID, false))
	if prepare != nil {
		things.set(func() { prepare(things) })
	}
	in := testInput("s", to)
	in.OnFailure = onFailure
	s = update(t, e, in, want)
	return e, things, s, storyOf(t, e, s.ID, false)[before:]
}

const (
	oldStack = `
Resources:
  A: {Type: 'Test::Thing', Properties: {Name: a, Size: 1}}
  B: {Type: 'Test::Thing', Properties: {Of: !Ref A}}
  Gone: {Type: 'Test::Thing', DependsOn: B}
Outputs: {A: {Value: !Ref A}}
`
	newStack = `
Resources:
  A: {Type: 'Test::Thing', Properties: {Name: b, Size: 1}}
  B: {Type: 'Test::Thing', Properties: {Of: !Ref A}}
  New: {Type: 'Test::Thing', Properties: {Of: !Ref A}}
  Last: {Type: 'Test::Thing', DependsOn: [B, New]}
Outputs: {A: {Value: !Ref A}}
`
)

func TestUpdateAddsReplacesAndRemoves(t *testing.T) {
	t.Parallel()
	_, things, s, told := updateInto(t, nil, oldStack, newStack, UpdateComplete, "")
	if got, want := things.existing(), []string{"a-4", "b-2"}; !slices.Equal(got[:2], want) || len(got) != 4 {
		t.Errorf("there is %v", got)
	}
	if s.Output("A") != "a-4" || s.Updated.IsZero() {
		t.Errorf("stack %+v", s)
	}
	end := told[slices.Index(told, "stack UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"):]
	want := []string{
		"stack UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "Gone DELETE_IN_PROGRESS", "Gone DELETE_COMPLETE",
		"A DELETE_IN_PROGRESS", "A DELETE_COMPLETE", "stack UPDATE_COMPLETE",
	}
	if diff := cmp.Diff(want, end); diff != "" {
		t.Error(diff)
	}
}

func TestUpdateRollsBack(t *testing.T) {
	t.Parallel()
	e, things, s, told := updateInto(t, func(p *things) { p.fail["create Last"] = errors.New("no") }, oldStack, newStack, UpdateRollbackComplete, "")
	if got, want := things.existing(), []string{"a-1", "b-2", "gone-3"}; !slices.Equal(got, want) {
		t.Errorf("there is %v, want what was there before, %v", got, want)
	}
	if got := things.alive["b-2"]["Of"]; got != "a-1" {
		t.Errorf("B names %v again?", got)
	}
	if s.Output("A") != "a-1" || s.Template != oldStack {
		t.Errorf("stack %+v", s)
	}
	told = told[slices.Index(told, "stack UPDATE_ROLLBACK_IN_PROGRESS"):]
	want := []string{
		"stack UPDATE_ROLLBACK_IN_PROGRESS", "A UPDATE_COMPLETE", "B UPDATE_IN_PROGRESS", "B UPDATE_COMPLETE",
		"stack UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "Last DELETE_COMPLETE", "New DELETE_IN_PROGRESS", "New DELETE_COMPLETE",
		"A DELETE_IN_PROGRESS", "A DELETE_COMPLETE", "stack UPDATE_ROLLBACK_COMPLETE",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(story(t, e, s.ID), "stack UPDATE_ROLLBACK_IN_PROGRESS: The following resource(s) failed to update: [Last]. ") {
		t.Error(story(t, e, s.ID))
	}
	things.set(func() { clear(things.fail) })
	update(t, e, testInput("s", newStack), UpdateComplete) // and the next one may work
}

// The one whose update failed gets its old properties again, because nobody knows how far it came.
func TestUpdateThatFailsInPlaceIsUndone(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	template := "Parameters: {P: {Type: String}}\nResources: {A: {Type: 'Test::Thing', Properties: {Size: !Ref P}}}"
	s := create(t, e, testInput("s", template, "P", "1"), CreateComplete)
	gate := make(chan struct{})
	things.set(func() { things.gates["update A"], things.fail["update A"] = gate, errors.New("no") })
	if _, err := e.Update(t.Context(), testInput("s", template, "P", "2")); err != nil {
		t.Fatal(err)
	}
	things.await(t, "update A")
	_, err := e.Update(t.Context(), testInput("s", template, "P", "3"))
	if got := errorText(t, err); !strings.HasSuffix(got, "is in UPDATE_IN_PROGRESS state and can not be updated.") {
		t.Errorf("a second update at the same time: %q", got)
	}
	err = e.Delete(DeleteInput{Account: account, Region: region, Name: "s"})
	if got := errorText(t, err); got != "ValidationError: Stack [s] cannot be deleted while in status UPDATE_IN_PROGRESS" {
		t.Errorf("a delete at the same time: %q", got)
	}
	close(gate)
	things.await(t, "update A") // the rollback, which fails too
	expect(t, e, s.ID, UpdateRollbackFailed)
	last := things.seen[len(things.seen)-1]
	if last.Properties["Size"] != "1" || last.OldProperties["Size"] != "2" {
		t.Errorf("rolled back from %v to %v", last.OldProperties, last.Properties)
	}
	things.set(func() { clear(things.fail) })
	remove(t, e, s, DeleteComplete)
}

func TestUpdateWithoutRollback(t *testing.T) {
	t.Parallel()
	e, things, s, told := updateInto(t, func(p *things) { p.fail["create Last"] = errors.New("no") }, oldStack, newStack, UpdateFailed, "DO_NOTHING")
	if told[len(told)-1] != "stack UPDATE_FAILED" || s.Reason != "The following resource(s) failed to update: [Last]. " {
		t.Errorf("%v, %q", told, s.Reason)
	}
	things.set(func() { clear(things.fail) })
	s = update(t, e, testInput("s", newStack), UpdateComplete)
	if got := things.existing(); len(got) != 4 || s.Output("A") != "a-4" {
		t.Errorf("there is %v", got)
	}
}

// What failed halfway is not what its properties say, so the same update is no repetition.
func TestUpdateIsRepeatedAfterItFailed(t *testing.T) {
	t.Parallel()
	template := "Resources: {A: {Type: 'Test::Thing', Properties: {Size: 1}}}"
	changed := strings.Replace(template, "1", "2", 1)
	e, things, _, _ := updateInto(t, func(p *things) { p.fail["update A"] = errors.New("no") }, template, changed, UpdateFailed, "DO_NOTHING")
	things.set(func() { clear(things.fail) })
	update(t, e, testInput("s", changed), UpdateComplete)
	if want := []string{"create A", "update A", "update A"}; !slices.Equal(things.steps(), want) {
		t.Errorf("steps %v, want %v", things.steps(), want)
	}
}

// A resource that only a failed update made is kept by Retain, but not by RetainExceptOnCreate.
func TestPoliciesOfWhatARolledBackUpdateMade(t *testing.T) {
	t.Parallel()
	to := someResource[:strings.LastIndex(someResource, "}")] + `,
  Kept: {Type: 'Test::Thing', DeletionPolicy: Retain}, NotYet: {Type: 'Test::Thing', DeletionPolicy: RetainExceptOnCreate},
  Bad: {Type: 'Test::Thing', DependsOn: [Kept, NotYet]}}`
	_, things, _, _ := updateInto(t, func(p *things) { p.fail["create Bad"] = errors.New("no") }, someResource, to, UpdateRollbackComplete, "")
	if got := things.existing(); len(got) != 2 || got[0] != "a-1" || !strings.HasPrefix(got[1], "kept-") {
		t.Errorf("there is %v", got)
	}
}

func TestUpdateIsRefused(t *testing.T) {
	t.Parallel()
	e, _ := newTestEngine(t, testConfig())
	template := "Parameters: {P: {Type: String, Default: a}}\nResources: {A: {Type: 'Test::Thing', DeletionPolicy: Delete, Properties: {P: !Ref P, Self: !Ref AWS::StackId}}}\nOutputs: {A: {Value: !Ref A}}"
	in := testInput("s", template)
	in.Tags = []Tag{{Key: "k", Value: "v"}}
	create(t, e, in, CreateComplete)
	other := testInput("s", strings.Replace(template, "Test::Thing", "AWS::IAM::Role", 1))
	other.Capabilities = []string{"CAPABILITY_IAM"}
	tests := map[string]struct {
		in   Input
		want string
	}{
		"nothing new":        {testInput("s", template), "ValidationError: No updates are to be performed."},
		"default is given":   {testInput("s", template, "P", "a"), "ValidationError: No updates are to be performed."},
		"only a policy":      {testInput("s", strings.Replace(template, "DeletionPolicy: Delete", "DeletionPolicy: Retain", 1)), "ValidationError: No updates are to be performed."},
		"no such stack":      {testInput("x", template), "ValidationError: Stack [x] does not exist"},
		"another type":       {other, "ValidationError: Update of resource type is not permitted. The new template modifies resource type of the following resources: [A]"},
		"broken template":    {testInput("s", "Resources: {}"), "ValidationError: Template format error: At least one Resources member must be defined."},
		"no template":        {testInput("s", ""), "ValidationError: Either Template URL or Template Body must be specified."},
		"unknown parameters": {testInput("s", template, "Q", "1"), "ValidationError: Parameters: [Q] do not exist in the template"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := e.Update(t.Context(), test.in)
			if got := errorText(t, err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	update(t, e, testInput("s", strings.Replace(template, "Value: !Ref A", "Value: !GetAtt A.Arn", 1)), UpdateComplete) // outputs count
	in.Tags = []Tag{{Key: "k", Value: "w"}}
	update(t, e, in, UpdateComplete)
	if s := update(t, e, testInput("s", template, "P", "b"), UpdateComplete); len(s.Tags) != 1 || s.Tags[0].Value != "w" {
		t.Errorf("tags that were not given are %v", s.Tags)
	}
}

func TestPoliciesKeepResources(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	template := `
Parameters: {P: {Type: String}}
Resources:
  Plain: {Type: 'Test::Thing', Properties: {Name: !Ref P}}
  Kept: {Type: 'Test::Thing', Properties: {Name: !Ref P}, DeletionPolicy: Retain, UpdateReplacePolicy: Retain}
  KeptLater: {Type: 'Test::Thing', DeletionPolicy: RetainExceptOnCreate}
  Removed: {Type: 'Test::Thing', DeletionPolicy: Retain}
  RemovedLater: {Type: 'Test::Thing', DeletionPolicy: RetainExceptOnCreate}
`
	s := create(t, e, testInput("s", template, "P", "1"), CreateComplete)
	first := things.existing()
	without := template[:strings.Index(template, "  Removed")]
	update(t, e, testInput("s", without, "P", "2"), UpdateComplete)
	told := story(t, e, s.ID)
	for _, want := range []string{"Kept DELETE_SKIPPED", "Removed DELETE_SKIPPED", "RemovedLater DELETE_SKIPPED", "Plain DELETE_COMPLETE"} {
		if !strings.Contains(told, want) {
			t.Errorf("no %q in\n%s", want, told)
		}
	}
	remove(t, e, s, DeleteComplete)
	var kept []string
	for _, id := range things.existing() {
		kept = append(kept, id[:strings.Index(id, "-")])
	}
	if want := []string{"kept", "kept", "keptlater", "removed", "removedlater"}; !slices.Equal(kept, want) {
		t.Errorf("of %v there is %v, want %v", first, kept, want)
	}
}

func TestConditionsChooseResourcesAndOutputs(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	template := `
Parameters: {Big: {Type: String, Default: "no"}}
Conditions: {IsBig: !Equals [!Ref Big, "yes"]}
Resources:
  Always: {Type: 'Test::Thing', DependsOn: Extra, Properties: {X: !If [IsBig, !Ref Extra, none]}}
  Extra: {Type: 'Test::Thing', Condition: IsBig}
Outputs:
  Extra: {Condition: IsBig, Value: !Ref Extra}
  X: {Value: !If [IsBig, !GetAtt Extra.Arn, none]}
`
	s := create(t, e, testInput("s", template), CreateComplete)
	if got := things.steps(); !slices.Equal(got, []string{"create Always"}) || len(s.Outputs) != 1 || s.Output("X") != "none" {
		t.Errorf("steps %v, outputs %v", got, s.Outputs)
	}
	s = update(t, e, testInput("s", template, "Big", "yes"), UpdateComplete)
	if s.Output("Extra") != "extra-2" || s.Output("X") != "arn:extra-2" || things.alive["always-1"]["X"] != "extra-2" {
		t.Errorf("outputs %v, properties %v", s.Outputs, things.alive)
	}
	s = update(t, e, testInput("s", template), UpdateComplete)
	if got := things.existing(); !slices.Equal(got, []string{"always-1"}) || len(s.Outputs) != 1 {
		t.Errorf("there is %v, outputs %v", got, s.Outputs)
	}
	_, err := e.Create(t.Context(), testInput("t", strings.Replace(template, "!If [IsBig, !Ref Extra, none]", "!Ref Extra", 1)))
	if got := errorText(t, err); got != "ValidationError: Template format error: Unresolved resource dependencies [Extra] in the Resources block of the template" {
		t.Errorf("a reference to what a condition left out: %q", got)
	}
}

func TestNothingIsCreatedFromABadTemplate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		template, want string
	}{
		"unknown type":           {"Resources: {A: {Type: 'Test::Thing'}, B: {Type: 'AWS::Foo::Bar'}, C: {Type: 'AWS::Foo::Baz'}}", "Unrecognized resource types: [AWS::Foo::Bar, AWS::Foo::Baz]"},
		"nested mistake":         {"Resources: {A: {Type: 'Test::Thing'}, B: {Type: 'Test::Thing', Properties: {X: !Join ['-', [!Ref A, !Select [3, [a]]]]}}}", "Fn::Select cannot select nonexistent value at index 3"},
		"mistake in a branch":    {"Conditions: {C: !Equals [a, a]}\nResources: {A: {Type: 'Test::Thing'}, B: {Type: 'Test::Thing', Properties: {X: !If [C, !Join ['-', [!Ref A, !Select [3, [a]]]], b]}}}", "Fn::Select cannot select nonexistent value at index 3"},
		"mistake in an output":   {someResource + "Outputs: {O: {Value: !Sub ['${A}${B}', {B: !FindInMap [M, a, b]}]}}", "Mapping named 'M' is not present"},
		"import of nothing":      {"Resources: {A: {Type: 'Test::Thing', Properties: {X: !ImportValue nope}}}", "No export named nope found."},
		"rule":                   {someResource + "Rules: {R: {Assertions: [{Assert: !Contains [[us-east-1], !Ref AWS::Region], AssertDescription: Choose us-east-1}]}}", "Choose us-east-1"},
		"named role":             {"Resources: {A: {Type: 'AWS::IAM::Role', Properties: {RoleName: x}}}", "Requires capabilities : [CAPABILITY_NAMED_IAM]"},
		"role":                   {"Resources: {A: {Type: 'AWS::IAM::Role'}}", "Requires capabilities : [CAPABILITY_IAM]"},
		"role that may be named": {"Parameters: {N: {Type: String, Default: ''}}\nConditions: {Named: !Not [!Equals [!Ref N, '']]}\nResources: {A: {Type: 'AWS::IAM::Role', Properties: {RoleName: !If [Named, !Ref N, !Ref AWS::NoValue]}}}", "Requires capabilities : [CAPABILITY_NAMED_IAM]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, things := newTestEngine(t, testConfig())
			_, err := e.Create(t.Context(), testInput("s", test.template))
			if got := errorText(t, err); !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if steps := things.steps(); len(steps) > 0 || len(e.Stacks(account, region)) > 0 {
				t.Errorf("steps %v", steps)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	role, named := "Resources: {A: {Type: 'AWS::IAM::Role'}}", "Resources: {A: {Type: 'AWS::IAM::Role', Properties: {RoleName: x}}}"
	tests := []struct {
		template, given string
		ok              bool
	}{
		{role, "CAPABILITY_IAM", true},
		{role, "CAPABILITY_NAMED_IAM", true},
		{role, "CAPABILITY_AUTO_EXPAND", false},
		{named, "CAPABILITY_NAMED_IAM", true},
		{named, "CAPABILITY_IAM", false},
		{"Resources: {A: {Type: 'AWS::IAM::Policy', Properties: {PolicyName: x}}}", "CAPABILITY_IAM", true},
	}
	for _, test := range tests {
		e, _ := newTestEngine(t, testConfig())
		in := testInput("s", test.template)
		in.Capabilities = []string{test.given}
		_, err := e.Create(t.Context(), in)
		if (err == nil) != test.ok {
			t.Errorf("%s with %s: %v", test.template, test.given, err)
		}
	}
}

// Mistakes in a branch that is not taken are none.
func TestBranchesThatAreNotTakenAreNotResolved(t *testing.T) {
	t.Parallel()
	e, _ := newTestEngine(t, testConfig())
	create(t, e, testInput("s", "Conditions: {C: !Equals [a, b]}\nResources: {A: {Type: 'Test::Thing'}, B: {Type: 'Test::Thing', Properties: {X: !If [C, !Join ['-', [!Ref A, !Select [3, [a]]]], !Ref A]}}}"), CreateComplete)
}

// What a provider says about an attribute shows only when it is there.
func TestAttributeThatDoesNotExistRollsBack(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	s := create(t, e, testInput("s", "Resources: {A: {Type: 'Test::Thing'}, B: {Type: 'Test::Thing', Properties: {X: !GetAtt A.Nope}}}"), RollbackComplete)
	if told := story(t, e, s.ID); !strings.Contains(told, "B CREATE_FAILED: Template error: resource A does not support attribute type Nope in Fn::GetAtt") {
		t.Error(told)
	}
	s = create(t, e, testInput("t", someResource+"Outputs: {O: {Value: !GetAtt A.Parts}}"), RollbackComplete)
	if told := story(t, e, s.ID); !strings.Contains(told, "Output O is malformed") {
		t.Error(told)
	}
	if got := things.existing(); len(got) > 0 {
		t.Errorf("there is %v", got)
	}
}

func TestExports(t *testing.T) {
	t.Parallel()
	e, _ := newTestEngine(t, testConfig())
	exporting := "Parameters: {V: {Type: String, Default: v1}}\n" + someResource + "Outputs: {O: {Value: !Ref V, Export: {Name: shared}}}"
	importing := "Resources: {A: {Type: 'Test::Thing', Properties: {X: !ImportValue shared}}}\nOutputs: {Got: {Value: !ImportValue shared}}"
	from := create(t, e, testInput("from", exporting), CreateComplete)
	user := create(t, e, testInput("user", importing), CreateComplete)
	if user.Output("Got") != "v1" {
		t.Errorf("imported %q", user.Output("Got"))
	}
	again := create(t, e, testInput("again", exporting), RollbackComplete)
	if told := story(t, e, again.ID); !strings.Contains(told, "Export with name shared is already exported by stack from.") {
		t.Error(told)
	}
	update(t, e, testInput("from", exporting, "V", "v2"), UpdateRollbackComplete)
	if told := story(t, e, from.ID); !strings.Contains(told, "Export shared cannot be updated as it is in use by user") {
		t.Error(told)
	}
	if s := remove(t, e, from, DeleteFailed); s.Reason != "Export shared cannot be deleted as it is in use by user" {
		t.Errorf("reason %q", s.Reason)
	}
	elsewhere := testInput("user", importing)
	elsewhere.Region = "us-east-1"
	if _, err := e.Create(t.Context(), elsewhere); errorText(t, err) != "ValidationError: No export named shared found." {
		t.Errorf("an export of another Region: %v", err)
	}
	remove(t, e, user, DeleteComplete)
	remove(t, e, from, DeleteComplete)
}

func TestDeleteThatFailsCanBeRepeated(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	s := create(t, e, testInput("s", chain), CreateComplete)
	things.set(func() { things.fail["delete B"] = errors.New("stuck") })
	s = remove(t, e, s, DeleteFailed)
	if s.Reason != "The following resource(s) failed to delete: [B]. " || slices.Contains(things.steps(), "delete A") {
		t.Errorf("%q after %v", s.Reason, things.steps())
	}
	err := e.Delete(DeleteInput{Principal: rootPrincipal, Account: account, Region: region, Name: "s", Retain: []string{"B"}})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, e, s.ID, DeleteComplete)
	if got := things.existing(); !slices.Equal(got, []string{"b-2"}) {
		t.Errorf("there is %v", got)
	}
	if err := e.Delete(DeleteInput{Account: account, Region: region, Name: "never-was"}); err != nil {
		t.Errorf("what does not exist: %v", err)
	}
}

func TestDeleteStopsACreateUnderWay(t *testing.T) {
	t.Parallel()
	e, things := newTestEngine(t, testConfig())
	things.gates["create B"] = make(chan struct{})
	id, err := e.Create(t.Context(), testInput("s", chain))
	if err != nil {
		t.Fatal(err)
	}
	things.await(t, "create B")
	if err := e.Delete(DeleteInput{Principal: rootPrincipal, Account: account, Region: region, Name: "s"}); err != nil {
		t.Fatal(err)
	}
	expect(t, e, id, DeleteComplete)
	if told := story(t, e, id); !strings.Contains(told, "B CREATE_FAILED: Resource creation cancelled") || strings.Contains(told, "ROLLBACK") {
		t.Error(told)
	}
	if got := things.existing(); len(got) > 0 {
		t.Errorf("there is %v", got)
	}
}

func TestCreateIsRepeatedByItsToken(t *testing.T) {
	t.Parallel()
	e, _ := newTestEngine(t, testConfig())
	in := testInput("s", someResource)
	in.Token = "one"
	first := create(t, e, in, CreateComplete)
	if id, err := e.Create(t.Context(), in); err != nil || id != first.ID {
		t.Errorf("the same request again: %s, %v", id, err)
	}
	in.Token = "two"
	if _, err := e.Create(t.Context(), in); errorText(t, err) != "AlreadyExistsException: Stack [s] already exists" {
		t.Errorf("another request: %v", err)
	}
}

func TestStacksOfAccountsAndRegionsAreApart(t *testing.T) {
	t.Parallel()
	e, _ := newTestEngine(t, testConfig())
	s := create(t, e, testInput("s", someResource), CreateComplete)
	for _, other := range [][2]string{{"333333333333", region}, {account, "us-east-1"}} {
		if _, err := e.Stack(other[0], other[1], s.ID); err == nil {
			t.Errorf("%v sees it", other)
		}
		in := testInput("s", someResource)
		in.Account, in.Region = other[0], other[1]
		if _, err := e.Create(t.Context(), in); err != nil {
			t.Errorf("%v cannot use the name: %v", other, err)
		}
	}
}

func TestStackNames(t *testing.T) {
	t.Parallel()
	e, _ := newTestEngine(t, testConfig())
	for name, ok := range map[string]bool{"a": true, "A-1": true, "": false, "1a": false, "a_b": false, "a b": false, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false, "ä": false, "a\n": false} {
		if _, err := e.Create(t.Context(), testInput(name, someResource)); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Close must end operations that would wait for ever, and whoever waits for them.
func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	e := NewEngine(testConfig())
	things := newThings()
	things.gates["create A"] = make(chan struct{})
	e.Register("Test::Thing", things)
	id, err := e.Create(t.Context(), testInput("s", someResource))
	if err != nil {
		t.Fatal(err)
	}
	things.await(t, "create A")
	waited := make(chan error)
	go func() {
		_, err := e.Wait(context.Background(), account, region, id)
		waited <- err
	}()
	e.Close()
	if err := <-waited; err == nil {
		t.Error("Wait knows nothing of the end")
	}
	if _, err := e.Create(t.Context(), testInput("t", someResource)); err == nil {
		t.Error("a closed engine takes stacks")
	}
}

func TestTemplateURL(t *testing.T) {
	t.Parallel()
	config := testConfig()
	fetched := make(chan string, 100)
	config.Fetch = func(_ context.Context, url string) ([]byte, error) {
		fetched <- url
		if strings.Contains(url, "missing") {
			return nil, &wire.Error{Code: "AccessDenied", Message: "Access Denied", Status: 403}
		}
		return []byte(someResource), nil
	}
	e, _ := newTestEngine(t, config)
	tests := map[string]string{
		"https://bucket.s3.eu-west-1.amazonaws.com/k/t.yaml":     "",
		"https://s3.eu-west-1.amazonaws.com/bucket/t.yaml":       "",
		"https://bucket.s3.amazonaws.com/t.yaml":                 "",
		"https://bucket.s3-us-west-2.amazonaws.com/t.yaml":       "",
		"https://b.s3.cn-north-1.amazonaws.com.cn/t.yaml":        "",
		"http://127.0.0.1:4566/bucket/t.yaml":                    "",
		"http://localhost:4566/bucket/t.yaml":                    "",
		"https://bucket.s3.amazonaws.com/missing.yaml":           "ValidationError: S3 error: Access Denied",
		"http://bucket.s3.amazonaws.com/t.yaml":                  "ValidationError: TemplateURL must be a supported URL.",
		"https://example.com/t.yaml":                             "ValidationError: TemplateURL must be a supported URL.",
		"https://s3.amazonaws.com.example.com/t.yaml":            "ValidationError: TemplateURL must be a supported URL.",
		"https://xs3.amazonaws.com/t.yaml":                       "ValidationError: TemplateURL must be a supported URL.",
		"https://u@bucket.s3.amazonaws.com/t.yaml":               "ValidationError: TemplateURL must be a supported URL.",
		"http://127.0.0.1:4567/bucket/t.yaml":                    "ValidationError: TemplateURL must be a supported URL.",
		"http://169.254.169.254:4566/latest/meta-data":           "ValidationError: TemplateURL must be a supported URL.",
		"file:///etc/passwd":                                     "ValidationError: TemplateURL must be a supported URL.",
		"https://b.s3.amazonaws.com/" + strings.Repeat("x", 1e3): "ValidationError: TemplateURL must be a supported URL.",
	}
	n := 0
	for url, want := range tests {
		n++
		in := testInput("s"+strings.Repeat("x", n), "")
		in.TemplateURL = url
		_, err := e.Create(t.Context(), in)
		if got := errorText(t, err); got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
	if len(fetched) != 8 {
		t.Errorf("%d URLs were fetched", len(fetched))
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	r := &ResourceRequest{StackName: "connect", LogicalID: "Role", RequestID: "0a1b2c3d-4e5f-4000-8000-0123456789ab"}
	if got := r.Name(64); got != "connect-Role-0A1B2C3D4E5F" {
		t.Error(got)
	}
	r.StackName = strings.Repeat("x", 100)
	if got := r.Name(64); len(got) != 64 || !strings.HasSuffix(got, "-0A1B2C3D4E5F") {
		t.Error(got)
	}
}

// What waits for nothing begins together: one that fails at once does not keep another from beginning.
func TestAFailureAtOnceKeepsNoRootFromBeginning(t *testing.T) {
	t.Parallel()
	g := graph{"waits": {"bad"}}
	for i := range 50 {
		g[fmt.Sprint("root", i)] = nil
	}
	g["bad"] = nil
	var begun atomic.Int64
	failed := g.run(t.Context(), true, func(_ context.Context, name string) error {
		begun.Add(1)
		if name == "waits" {
			t.Error("what waits for a failure has begun")
		}
		return errors.New("at once")
	})
	if begun.Load() != 51 || len(failed) != 51 {
		t.Errorf("%d have begun, %d have failed", begun.Load(), len(failed))
	}
}
