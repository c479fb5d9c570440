// Package scheduler is the pocket AWS's EventBridge Scheduler: it holds schedules and invokes their targets at their rate.
// It has no API of its own; CloudFormation stacks make the schedules. An invocation that fails is logged and not retried:
// the next one is due soon enough.
package scheduler

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An Invoke calls a target with the rights of a role.
type Invoke func(ctx context.Context, roleARN, targetARN string, input []byte) error

// A Schedule says what to invoke, and how often.
type Schedule struct {
	Account, Region string
	Group           string // "" means "default"
	Name            string
	Expression      string // "rate(1 minute)", "rate(5 minutes)", "rate(2 hours)", "rate(1 day)"
	TargetARN       string
	RoleARN         string
	Input           string // may hold <aws.scheduler.scheduled-time> and its kin; "" sends EventBridge Scheduler's own event
	Disabled        bool
}

// ARN is the schedule's own.
func (s Schedule) ARN() string {
	group := s.Group
	if group == "" {
		group = "default"
	}
	return "arn:aws:scheduler:" + s.Region + ":" + s.Account + ":schedule/" + group + "/" + s.Name
}

// Service holds the schedules of all accounts and Regions. Make one with [New].
type Service struct {
	clock  func() time.Time
	invoke Invoke
	log    *slog.Logger

	mu        sync.Mutex
	schedules map[string]*entry // by ARN
	changed   chan struct{}     // closed and replaced when Run should look again
}

// entry is a schedule and when it is due next.
type entry struct {
	Schedule

	every time.Duration
	due   time.Time
}

// New makes a service that calls targets by invoke and logs their failures.
func New(clock func() time.Time, invoke Invoke, log *slog.Logger) *Service {
	return &Service{clock: clock, invoke: invoke, log: log, schedules: map[string]*entry{}, changed: make(chan struct{})}
}

var scheduleName = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)

// Put makes or replaces a schedule. Like EventBridge Scheduler's rates without a start date, it is due at once, and then
// every so often.
func (s *Service) Put(schedule Schedule) error {
	if !scheduleName.MatchString(schedule.Name) {
		return fmt.Errorf("%q cannot be the name of a schedule", schedule.Name)
	}
	every, err := parseRate(schedule.Expression)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schedules[schedule.ARN()] = &entry{Schedule: schedule, every: every, due: s.clock()}
	s.signal()
	return nil
}

var rate = regexp.MustCompile(`^rate\((\d{1,6}) (minute|hour|day)s?\)$`)

func parseRate(expression string) (time.Duration, error) {
	parts := rate.FindStringSubmatch(expression)
	if parts == nil {
		return 0, fmt.Errorf("the pocket AWS knows schedules of the form rate(5 minutes) only, not %q", expression)
	}
	count, err := strconv.Atoi(parts[1])
	if err != nil || count == 0 {
		return 0, fmt.Errorf("%q is no rate", expression)
	}
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[parts[2]]
	return time.Duration(count) * unit, nil
}

// Find answers the schedule with the given ARN.
func (s *Service) Find(arn string) (Schedule, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.schedules[arn]
	if !ok {
		return Schedule{}, false
	}
	return e.Schedule, true
}

// Delete removes a schedule; one that is not there is no error.
func (s *Service) Delete(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.schedules, arn)
}

// Wake makes Run ask the clock again. Tests call it after they moved their clock.
func (s *Service) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signal()
}

func (s *Service) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Run invokes targets as they come due until ctx ends; then it waits for the invocations that it began, whose context has
// ended too. Times that went by while nobody ran it, or while the machine slept, are made up for by one invocation.
func (s *Service) Run(ctx context.Context) {
	var begun sync.WaitGroup
	defer begun.Wait()
	for {
		firings, pause, changed := s.next()
		for _, f := range firings {
			begun.Go(func() {
				if err := s.fire(ctx, f); err != nil {
					s.log.ErrorContext(ctx, "a scheduled invocation failed", "schedule", f.ARN(), "error", err)
				}
			})
		}
		if !await(ctx, changed, pause) {
			return
		}
	}
}

// firing is a schedule at the time that it is for.
type firing struct {
	Schedule

	at time.Time
}

// next answers what is due now, how long nothing else will be (negative: for ever), and a channel that closes if that
// changes.
func (s *Service) next() (due []firing, pause time.Duration, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	pause = -1
	for _, arn := range slices.Sorted(maps.Keys(s.schedules)) {
		e := s.schedules[arn]
		if e.Disabled {
			continue
		}
		if !e.due.After(now) {
			missed := now.Sub(e.due) / e.every * e.every
			due = append(due, firing{e.Schedule, e.due.Add(missed)})
			e.due = e.due.Add(missed + e.every)
		}
		if wait := e.due.Sub(now); pause < 0 || wait < pause {
			pause = wait
		}
	}
	return due, pause, s.changed
}

// await blocks until changed is closed or the pause is over; false means that ctx ended first.
func await(ctx context.Context, changed <-chan struct{}, pause time.Duration) bool {
	var over <-chan time.Time
	if pause >= 0 {
		timer := time.NewTimer(max(pause, time.Millisecond))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-changed:
		return true
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}

// FireAll invokes the targets of all enabled schedules now, one after the other, and answers what went wrong. It leaves
// when they are due next as it is.
func (s *Service) FireAll(ctx context.Context) error {
	var all []error
	for _, f := range s.enabled() {
		if err := s.fire(ctx, f); err != nil {
			all = append(all, fmt.Errorf("schedule %s: %w", f.ARN(), err))
		}
	}
	return errors.Join(all...)
}

func (s *Service) enabled() []firing {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []firing
	for _, arn := range slices.Sorted(maps.Keys(s.schedules)) {
		if e := s.schedules[arn]; !e.Disabled {
			out = append(out, firing{e.Schedule, s.clock()})
		}
	}
	return out
}

func (s *Service) fire(ctx context.Context, f firing) error {
	input, err := f.input()
	if err != nil {
		return err
	}
	return s.invoke(ctx, f.RoleARN, f.TargetARN, input)
}

// input fills the keywords of the schedule's input, or makes the event that EventBridge Scheduler sends without one.
func (f firing) input() ([]byte, error) {
	at := f.at.UTC().Format("2006-01-02T15:04:05Z")
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	if f.Input != "" {
		return []byte(strings.NewReplacer(
			"<aws.scheduler.schedule-arn>", f.ARN(), "<aws.scheduler.scheduled-time>", at,
			"<aws.scheduler.execution-id>", hex.EncodeToString(b[:8]), "<aws.scheduler.attempt-number>", "1",
		).Replace(f.Input)), nil
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return json.Marshal(event{
		Version: "0", ID: fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]),
		DetailType: "Scheduled Event", Source: "aws.scheduler", Account: f.Account, Time: at, Region: f.Region,
		Resources: []string{f.ARN()}, Detail: "{}",
	})
}

// event is what a target without an input of its own gets. Its detail is a string, unlike that of EventBridge's events.
type event struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     string   `json:"detail"`
}
