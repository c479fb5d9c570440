// Package faults decides which calls of the pocket AWS go wrong. Rules are added and removed while it runs, over HTTP or
// by a test; package wire asks for every call and does what is answered.
package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"rolecall/infra/local/wire"
)

// CustomResponse is the name of the bucket that takes the responses of custom resources; its one operation is "PUT".
const CustomResponse = "cfn-response"

// A Rule strikes calls of one service.
type Rule struct {
	ID        string // given by Add
	Service   string // as signatures name it, or CustomResponse
	Operation string // "" for all
	Kind      wire.FaultKind
	After     bool          // perform the call, then spoil its answer
	Rate      float64       // share of the calls to strike, from 0 to 1
	Count     int           // how many calls to strike at most; 0 for any number
	Delay     time.Duration // of slow and hang; a hang of 0 lasts until the client gives up
	Caller    string        // end of the caller's ARN: a session's or user's name, or the end of one; "" for all
	Seed      uint64        // what decides by Rate; rules of one seed strike the same calls of a sequence; 0 for chance
	Hits      int           // calls struck so far
}

// services that faults may strike.
func services() []string {
	return []string{"sts", "dynamodb", "kms", "sqs", "sns", "events", "iam", "ec2", "s3", CustomResponse}
}

func kinds() []wire.FaultKind {
	return []wire.FaultKind{
		wire.FaultError500, wire.FaultThrottle429, wire.FaultReset, wire.FaultHang, wire.FaultSlow, wire.FaultTruncated,
	}
}

// maxDelay bounds what a slow answer may wait; no client waits as long.
const maxDelay = 15 * time.Minute

// An Injector holds rules. The zero value has none and is ready; it is safe for concurrent use.
type Injector struct {
	mu    sync.Mutex
	made  int
	rules []*armed
}

var _ wire.Injector = (*Injector)(nil)

// An armed rule has its own source of chance, so that rules do not disturb each other's sequences.
type armed struct {
	Rule
	chance *rand.Rand
}

// Add checks a rule and puts it into force; the answer is the rule with its ID. An error says what is wrong with it.
func (i *Injector) Add(r Rule) (Rule, error) {
	if err := r.check(); err != nil {
		return Rule{}, err
	}
	r.After = r.After || r.Kind == wire.FaultTruncated
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	r.ID, r.Hits = fmt.Sprintf("fault-%d", i.made), 0
	seed := r.Seed
	if seed == 0 {
		seed = rand.Uint64() //nolint:gosec // chance for tests, not for secrets
	}
	i.rules = append(i.rules, &armed{r, rand.New(rand.NewPCG(seed, 0))}) //nolint:gosec // must repeat
	return r, nil
}

func (r Rule) check() error {
	switch {
	case !slices.Contains(services(), r.Service):
		return fmt.Errorf("service must be one of %s, not %q", strings.Join(services(), ", "), r.Service)
	case !slices.Contains(kinds(), r.Kind):
		return fmt.Errorf("kind must be one of %s, not %q", joined(kinds()), r.Kind)
	case !(r.Rate >= 0 && r.Rate <= 1): // false for NaN
		return fmt.Errorf("rate must lie between 0 and 1, not %v", r.Rate)
	case r.Count < 0:
		return fmt.Errorf("count must not be negative: %d", r.Count)
	case r.Delay < 0 || r.Delay > maxDelay:
		return fmt.Errorf("delay must lie between 0s and %s, not %s", maxDelay, r.Delay)
	case r.Kind == wire.FaultSlow && r.Delay == 0:
		return fmt.Errorf("a slow fault needs a delay, such as \"2s\"")
	case r.Delay > 0 && r.Kind != wire.FaultSlow && r.Kind != wire.FaultHang:
		return fmt.Errorf("only slow and hang take a delay, not %s", r.Kind)
	case r.Service == CustomResponse && r.Operation != "" && r.Operation != "PUT":
		return fmt.Errorf("%s has one operation, PUT, not %q", CustomResponse, r.Operation)
	case r.Service == CustomResponse && r.Caller != "":
		return fmt.Errorf("%s does not know its callers: a response's URL is signed, its sender is not", CustomResponse)
	}
	return nil
}

func joined(all []wire.FaultKind) string {
	var out []string
	for _, k := range all {
		out = append(out, string(k))
	}
	return strings.Join(out, ", ")
}

// Rules are the rules in force with their hits, oldest first.
func (i *Injector) Rules() []Rule {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := make([]Rule, 0, len(i.rules))
	for _, r := range i.rules {
		out = append(out, r.Rule)
	}
	return out
}

// Remove ends a rule; false means that there is none of this ID. Calls that it has struck stay struck.
func (i *Injector) Remove(id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	before := len(i.rules)
	i.rules = slices.DeleteFunc(i.rules, func(r *armed) bool { return r.ID == id })
	return len(i.rules) < before
}

// Clear ends all rules.
func (i *Injector) Clear() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rules = nil
}

// Strike implements wire.Injector: the oldest rule that fits the call and chooses to strike it does.
func (i *Injector) Strike(call *wire.Call) (wire.Fault, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, r := range i.rules {
		if !r.fits(call) || !r.chooses() {
			continue
		}
		r.Hits++
		return wire.Fault{Kind: r.Kind, After: r.After, Delay: r.Delay}, true
	}
	return wire.Fault{}, false
}

func (r *armed) fits(call *wire.Call) bool {
	return r.Service == call.Service && (r.Operation == "" || r.Operation == call.Operation) &&
		strings.HasSuffix(call.Principal.ARN, r.Caller)
}

func (r *armed) chooses() bool {
	if r.Count > 0 && r.Hits >= r.Count {
		return false
	}
	return r.chance.Float64() < r.Rate
}
