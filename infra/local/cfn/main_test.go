package cfn

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rolecall/infra/local/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "222222222222"
	region  = "eu-west-1"
	topic   = "arn:aws:sns:eu-west-1:111111111111:rolecall-callbacks"
)

var rootPrincipal = wire.Principal{Account: account, ARN: "arn:aws:iam::222222222222:root", UserID: account}

// things is the provider of Test::Thing: real resources in a map. A change of the property Name makes a replacement.
type things struct {
	mu    sync.Mutex
	next  int
	alive map[string]map[string]any
	log   []string
	fail  map[string]error         // "create A" → what happens
	gates map[string]chan struct{} // "create A" → waits until it is closed, or its context ends
	begun chan string
	seen  []*ResourceRequest
}

func newThings() *things {
	return &things{alive: map[string]map[string]any{}, fail: map[string]error{}, gates: map[string]chan struct{}{}, begun: make(chan string, 1000)}
}

func (p *things) step(ctx context.Context, verb string, r *ResourceRequest) error {
	p.mu.Lock()
	step := verb + " " + r.LogicalID
	p.log = append(p.log, step)
	p.seen = append(p.seen, r)
	gate, err := p.gates[step], p.fail[step]
	p.mu.Unlock()
	p.begun <- step
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (p *things) made(r *ResourceRequest) Result {
	p.next++
	id := fmt.Sprintf("%s-%d", strings.ToLower(r.LogicalID), p.next)
	p.alive[id] = r.Properties
	return attributesOf(id)
}

func attributesOf(id string) Result {
	return Result{PhysicalID: id, Attributes: map[string]any{"Arn": "arn:" + id, "Parts": []any{"x", "y"}, "Nested.Id": "n-" + id}}
}

func (p *things) Create(ctx context.Context, r *ResourceRequest) (Result, error) {
	if err := p.step(ctx, "create", r); err != nil {
		return Result{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made(r), nil
}

func (p *things) Update(ctx context.Context, r *ResourceRequest) (Result, error) {
	if err := p.step(ctx, "update", r); err != nil {
		return Result{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive[r.PhysicalID] == nil {
		return Result{}, fmt.Errorf("%s does not exist", r.PhysicalID)
	}
	if r.Properties["Name"] != r.OldProperties["Name"] {
		return p.made(r), nil
	}
	p.alive[r.PhysicalID] = r.Properties
	return attributesOf(r.PhysicalID), nil
}

func (p *things) Delete(ctx context.Context, r *ResourceRequest) error {
	if err := p.step(ctx, "delete", r); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.alive, r.PhysicalID)
	return nil
}

func (p *things) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *things) steps() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

func (p *things) existing() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.alive))
}

// await waits for a step to begin.
func (p *things) await(t *testing.T, step string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case got := <-p.begun:
			if got == step {
				return
			}
		case <-deadline:
			t.Fatalf("%q never began; begun: %v", step, p.steps())
		}
	}
}

// testConfig counts ids, and its clock moves by a millisecond each time it is read.
func testConfig() Config {
	var ids, ticks atomic.Int64
	return Config{
		Clock: func() time.Time {
			return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(ticks.Add(1)) * time.Millisecond)
		},
		NewID:    func() string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", ids.Add(1), ids.Load()) },
		Endpoint: "http://127.0.0.1:4566",
		Parameter: func(_ context.Context, _, _, name string) (string, error) {
			if name == "/cdk-bootstrap/hnb659fds/version" {
				return "21", nil
			}
			return "", errors.New("ParameterNotFound")
		},
	}
}

func newTestEngine(t *testing.T, config Config) (*Engine, *things) {
	t.Helper()
	e := NewEngine(config)
	t.Cleanup(e.Close)
	p := newThings()
	e.Register("Test::Thing", p)
	for _, name := range []string{"AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::RolePolicy"} {
		e.Register(name, p)
	}
	return e, p
}

func testInput(name, template string, parameters ...string) Input {
	in := Input{Principal: rootPrincipal, Account: account, Region: region, Name: name, Template: template, Parameters: map[string]string{}}
	for i := 0; i < len(parameters); i += 2 {
		in.Parameters[parameters[i]] = parameters[i+1]
	}
	return in
}

func wait(t *testing.T, e *Engine, id string) Stack {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := e.Wait(ctx, account, region, id)
	if err != nil {
		t.Fatalf("wait for %s in %s: %v\n%s", id, s.Status, err, story(t, e, id))
	}
	return s
}

func create(t *testing.T, e *Engine, in Input, want Status) Stack {
	t.Helper()
	id, err := e.Create(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return expect(t, e, id, want)
}

func update(t *testing.T, e *Engine, in Input, want Status) Stack {
	t.Helper()
	id, err := e.Update(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return expect(t, e, id, want)
}

func remove(t *testing.T, e *Engine, s Stack, want Status) Stack {
	t.Helper()
	if err := e.Delete(DeleteInput{Principal: rootPrincipal, Account: account, Region: region, Name: s.ID}); err != nil {
		t.Fatal(err)
	}
	return expect(t, e, s.ID, want)
}

func expect(t *testing.T, e *Engine, id string, want Status) Stack {
	t.Helper()
	s := wait(t, e, id)
	if s.Status != want {
		t.Fatalf("stack is %s (%s), want %s\n%s", s.Status, s.Reason, want, story(t, e, id))
	}
	return s
}

// story is a stack's events in the order in which they happened: "A CREATE_COMPLETE", with the stack itself as "stack".
func story(t *testing.T, e *Engine, id string) string {
	t.Helper()
	return strings.Join(storyOf(t, e, id, true), "\n")
}

func storyOf(t *testing.T, e *Engine, id string, reasons bool) []string {
	t.Helper()
	events, err := e.Events(account, region, id)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(events)
	var out []string
	for _, event := range events {
		name := event.LogicalID
		if event.Type == stackType {
			name = "stack"
		}
		line := name + " " + string(event.Status)
		if reasons && event.Reason != "" {
			line += ": " + event.Reason
		}
		out = append(out, line)
	}
	return out
}

// errorText is the code and message of an API error.
func errorText(t *testing.T, err error) string {
	t.Helper()
	var api *wire.Error
	if err == nil {
		return ""
	}
	if !errors.As(err, &api) {
		t.Fatalf("%T is no API error: %v", err, err)
	}
	return api.Code + ": " + api.Message
}
