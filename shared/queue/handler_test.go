package queue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"rolecall/shared/connect"
	"rolecall/shared/queue"
)

// verifications notes what it is asked; hooks say how that ends.
type verifications struct {
	mu        sync.Mutex
	tries     []connect.VerifyJob
	sweeps    []connect.ConnectionID
	try       func(connect.VerifyJob) error
	sweep     func(connect.ConnectionID) error
	busy, top int
	handed    handed
	pauses    map[string]time.Duration // by receipt handle
	pauseFail error
	givenUp   []connect.VerifyJob
	giveUp    func() error
}

func (v *verifications) GiveUp(_ context.Context, job connect.VerifyJob) error {
	v.mu.Lock()
	v.givenUp = append(v.givenUp, job)
	v.mu.Unlock()
	if v.giveUp == nil {
		return nil
	}
	return v.giveUp()
}

func (v *verifications) Pause(_ context.Context, receiptHandle string, d time.Duration) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.pauses == nil {
		v.pauses = map[string]time.Duration{}
	}
	v.pauses[receiptHandle] = d
	return v.pauseFail
}

// handed is what comes back to the queue.
type handed struct {
	batches [][]connect.ConnectionID
	fail    error
}

func (b *handed) Sweep(_ context.Context, ids []connect.ConnectionID, _ time.Duration) error {
	b.batches = append(b.batches, ids)
	return b.fail
}

func (v *verifications) Try(_ context.Context, job connect.VerifyJob) error {
	v.mu.Lock()
	v.tries = append(v.tries, job)
	v.mu.Unlock()
	if v.try == nil {
		return nil
	}
	return v.try(job)
}

func (v *verifications) Sweep(_ context.Context, id connect.ConnectionID) error {
	v.mu.Lock()
	v.sweeps = append(v.sweeps, id)
	v.busy++
	v.top = max(v.top, v.busy)
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.busy--
	}()
	if v.sweep == nil {
		return nil
	}
	return v.sweep(id)
}

func handler(v *verifications, log *bytes.Buffer) queue.Handler {
	return queue.Handler{Tries: v, Sweeps: v, Jobs: &v.handed, Parallel: 3, Pauses: v, Clock: time.Now, Log: slog.New(slog.NewJSONHandler(log, nil))}
}

// batch makes a message of each body, as SQS brings it the first time.
func batch(bodies ...string) events.SQSEvent {
	var e events.SQSEvent
	for i, b := range bodies {
		e.Records = append(e.Records, events.SQSMessage{
			MessageId: fmt.Sprint("m", i), ReceiptHandle: fmt.Sprint("handle-", i), Body: b, Attributes: map[string]string{"ApproximateReceiveCount": "1"},
		})
	}
	return e
}

func try(n int) string {
	return fmt.Sprintf(`{"connectionId":%q,"run":1,"reply":{"url":%q,"stackId":"s","requestId":"r","logicalId":"l","physicalId":"p"}}`, id(n), canary)
}

func sweep(ns ...int) string {
	ids := make([]string, len(ns))
	for i, n := range ns {
		ids[i] = string(id(n))
	}
	text, _ := json.Marshal(map[string]any{"connectionIds": ids})
	return string(text)
}

// failures handles a batch and answers which messages have failed.
func failures(t *testing.T, h queue.Handler, e events.SQSEvent) []string {
	t.Helper()
	out, err := h.Handle(t.Context(), e)
	if err != nil {
		t.Errorf("the whole batch failed: %v", err)
	}
	var ids []string
	for _, f := range out.BatchItemFailures {
		ids = append(ids, f.ItemIdentifier)
	}
	return ids
}

func TestOnePoisonMessageOfTenFailsAlone(t *testing.T) {
	unavailable := func(connect.VerifyJob) error { return errors.New("the store did not answer") }
	panics := func(connect.VerifyJob) error { panic("a bug") }
	poisons := map[string]struct {
		body string
		try  func(connect.VerifyJob) error
	}{
		"malformed":           {body: `{"connectionId":`},
		"fails":               {body: try(99), try: unavailable},
		"panics":              {body: try(99), try: panics},
		"panics in its sweep": {body: sweep(99)},
	}
	for name, poison := range poisons {
		for at := range 10 {
			t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) {
				v := &verifications{
					try: func(j connect.VerifyJob) error {
						if j.ConnectionID == id(99) {
							return poison.try(j)
						}
						return nil
					},
					sweep: func(connect.ConnectionID) error { panic("a bug") },
				}
				var bodies []string
				for i := range 10 {
					bodies = append(bodies, try(i))
				}
				bodies[at] = poison.body
				var log bytes.Buffer
				got := failures(t, handler(v, &log), batch(bodies...))
				if diff := cmp.Diff([]string{fmt.Sprint("m", at)}, got); diff != "" {
					t.Errorf("failures (-want +got):\n%s", diff)
				}
				made := map[connect.ConnectionID]int{}
				for _, j := range v.tries {
					made[j.ConnectionID]++
				}
				for i := range 10 {
					if i != at && made[id(i)] != 1 {
						t.Errorf("message %d was worked off %d times", i, made[id(i)])
					}
				}
				if text := log.String(); strings.Contains(text, "CANARY") || !strings.Contains(text, fmt.Sprintf(`"messageId":"m%d"`, at)) {
					t.Errorf("log: %s", text)
				}
			})
		}
	}
}

func TestNothingFailsWhereNothingIsWrong(t *testing.T) {
	v := &verifications{}
	var log bytes.Buffer
	if got := failures(t, handler(v, &log), batch(try(1), sweep(2, 3), try(4))); len(got) > 0 {
		t.Errorf("failed: %v", got)
	}
	if got := failures(t, handler(v, &log), events.SQSEvent{}); len(got) > 0 {
		t.Errorf("of an empty batch failed: %v", got)
	}
	want := []connect.ConnectionID{id(2), id(3)}
	slices.Sort(v.sweeps)
	if diff := cmp.Diff(want, v.sweeps); diff != "" {
		t.Errorf("swept (-want +got):\n%s", diff)
	}
}

// Somebody waits for a try: it comes again soon, whether it failed or panicked. Sweeps come again in their queue's time.
func TestTriesThatFailComeAgainSoon(t *testing.T) {
	v := &verifications{
		try: func(job connect.VerifyJob) error {
			if job.ConnectionID == id(3) {
				panic("out of cheese")
			}
			if job.ConnectionID == id(4) {
				return nil
			}
			return errors.New("table on fire")
		},
		sweep: func(connect.ConnectionID) error { return errors.New("table on fire") },
	}
	e := batch(try(1), try(2), try(3), try(4), sweep(5), "poison")
	e.Records[1].Attributes["ApproximateReceiveCount"] = "4"
	want := map[string]time.Duration{"handle-0": 5 * time.Second, "handle-1": 40 * time.Second, "handle-2": 5 * time.Second}
	for _, v.pauseFail = range []error{nil, errors.New("not now")} {
		v.pauses = nil
		if got := failures(t, handler(v, &bytes.Buffer{}), e); !slices.Equal(got, []string{"m0", "m1", "m2", "m4", "m5"}) {
			t.Errorf("failed: %v", got)
		}
		if diff := cmp.Diff(want, v.pauses); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
	}
}

// Whether a message comes again decides if its next try is queued. In doubt it does: a job more is harmless, one
// less leaves a stack without its answer.
func TestRedeliveredIsWhatHasBeenReceivedBefore(t *testing.T) {
	for count, want := range map[string]bool{"1": false, "2": true, "100": true, "": true, "junk": true} {
		t.Run(count, func(t *testing.T) {
			v := &verifications{}
			e := batch(try(1))
			e.Records[0].Attributes = map[string]string{"ApproximateReceiveCount": count}
			if count == "" {
				e.Records[0].Attributes = nil
			}
			if got := failures(t, handler(v, &bytes.Buffer{}), e); len(got) > 0 {
				t.Fatalf("failed: %v", got)
			}
			if len(v.tries) != 1 || v.tries[0].Redelivered != want {
				t.Errorf("tries %+v, want redelivered %t", v.tries, want)
			}
		})
	}
}

func TestASweepGoesOnPastWhatFails(t *testing.T) {
	var all []int
	for i := range 25 {
		all = append(all, i)
	}
	v := &verifications{sweep: func(c connect.ConnectionID) error {
		switch c {
		case id(0), id(13):
			return errors.New("not now")
		case id(7), id(24):
			panic("a bug")
		}
		return nil
	}}
	var log bytes.Buffer
	if got := failures(t, handler(v, &log), batch(sweep(all...), sweep(30))); len(got) > 0 {
		t.Errorf("what has been done would be done again: %v failed", got)
	}
	slices.Sort(v.sweeps)
	var want []connect.ConnectionID
	for _, n := range append(all, 30) {
		want = append(want, id(n))
	}
	if diff := cmp.Diff(want, v.sweeps); diff != "" {
		t.Errorf("looked at (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]connect.ConnectionID{{id(0), id(7), id(13), id(24)}}, v.handed.batches); diff != "" {
		t.Errorf("handed back (-want +got):\n%s", diff)
	}
	for _, n := range []int{0, 13} {
		if !strings.Contains(log.String(), string(id(n))+": not now") {
			t.Errorf("the log does not say that %s failed: %s", id(n), log.String())
		}
	}
}

// A message that only shrinks ends: what can never be looked at is left alone in the end, and comes to the dead letters.
func TestASweepOfWhichNothingSucceedsFails(t *testing.T) {
	v := &verifications{sweep: func(connect.ConnectionID) error { return errors.New("never") }}
	got := failures(t, handler(v, &bytes.Buffer{}), batch(sweep(1, 2, 3), sweep(4)))
	if diff := cmp.Diff([]string{"m0", "m1"}, got); diff != "" || len(v.handed.batches) > 0 {
		t.Errorf("failures (-want +got):\n%s\nhanded back %v", diff, v.handed.batches)
	}
}

func TestASweepThatCannotHandBackComesAgainWhole(t *testing.T) {
	v := &verifications{sweep: func(c connect.ConnectionID) error {
		if c == id(2) {
			return errors.New("not now")
		}
		return nil
	}}
	v.handed.fail = errors.New("no queue")
	if diff := cmp.Diff([]string{"m0"}, failures(t, handler(v, &bytes.Buffer{}), batch(sweep(1, 2, 3)))); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

// An invocation has 20 seconds, of which the last ten are for what has begun; each look here takes two.
func TestASweepHandsBackWhatItHasNoTimeFor(t *testing.T) {
	for name, tt := range map[string]struct {
		timeout time.Duration
		looked  int
		left    []int
		failed  int
	}{
		"time for all":     {time.Minute, 6, nil, 0},
		"time for some":    {15 * time.Second, 3, []int{4, 5, 6}, 0}, // at 0, 2 and 4 s, and none at 6
		"time for nothing": {10 * time.Second, 0, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &verifications{sweep: func(connect.ConnectionID) error {
					time.Sleep(2 * time.Second)
					return nil
				}}
				h := handler(v, &bytes.Buffer{})
				h.Parallel = 1
				ctx, done := context.WithTimeout(t.Context(), tt.timeout)
				defer done()
				out, err := h.Handle(ctx, batch(sweep(1, 2, 3, 4, 5, 6)))
				if err != nil || len(out.BatchItemFailures) != tt.failed || len(v.sweeps) != tt.looked {
					t.Errorf("%v, %d failed, looked at %d", err, len(out.BatchItemFailures), len(v.sweeps))
				}
				var want [][]connect.ConnectionID
				if tt.left != nil {
					want = [][]connect.ConnectionID{nil}
					for _, n := range tt.left {
						want[0] = append(want[0], id(n))
					}
				}
				if diff := cmp.Diff(want, v.handed.batches); diff != "" {
					t.Errorf("handed back (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A sweep must leave room for those who wait, and yet use the room it has.
func TestASweepChecksOnlySoManyAtATime(t *testing.T) {
	for _, parallel := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(parallel), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				v := &verifications{sweep: func(connect.ConnectionID) error {
					<-release
					return nil
				}}
				h := handler(v, &bytes.Buffer{})
				h.Parallel = parallel
				var failed []string
				go func() { failed = failures(t, h, batch(sweep(1, 2, 3, 4, 5, 6, 7))) }()
				for left := 7; left > 0; left-- {
					synctest.Wait() // until nobody can go on
					if want := min(left, max(1, parallel)); v.busy != want {
						t.Errorf("%d at a time with %d left, want %d", v.busy, left, want)
					}
					release <- struct{}{}
				}
				synctest.Wait()
				if len(failed) > 0 || len(v.sweeps) != 7 || v.top != max(1, parallel) {
					t.Errorf("failed %v, looked at %d, at most %d at a time", failed, len(v.sweeps), v.top)
				}
			})
		})
	}
}

// Somebody waits for each try, so that none waits for another.
func TestTriesOfABatchRunSideBySide(t *testing.T) {
	const n = 10
	var arrived sync.WaitGroup
	arrived.Add(n)
	v := &verifications{try: func(connect.VerifyJob) error {
		arrived.Done()
		arrived.Wait()
		return nil
	}}
	var bodies []string
	for i := range n {
		bodies = append(bodies, try(i))
	}
	done := make(chan []string, 1)
	go func() { done <- failures(t, handler(v, &bytes.Buffer{}), batch(bodies...)) }()
	select {
	case got := <-done:
		if len(got) > 0 {
			t.Errorf("failed: %v", got)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("one try waits for another")
	}
}

// Who waits for a try that failed or panicked may be told so, and one more panic on the way there changes nothing.
func TestAFailedTryIsGivenUp(t *testing.T) {
	for name, tt := range map[string]struct {
		try    func(connect.VerifyJob) error
		giveUp func() error
		told   int
	}{
		"passes":   {nil, nil, 0},
		"fails":    {func(connect.VerifyJob) error { return errors.New("no store") }, nil, 1},
		"panics":   {func(connect.VerifyJob) error { panic("bug") }, nil, 1},
		"in vain":  {func(connect.VerifyJob) error { panic("bug") }, func() error { return errors.New("no network") }, 1},
		"the more": {func(connect.VerifyJob) error { panic("bug") }, func() error { panic("another") }, 1},
	} {
		v := &verifications{try: tt.try, giveUp: tt.giveUp}
		var log bytes.Buffer
		out, err := handler(v, &log).Handle(t.Context(), batch(try(1)))
		if err != nil || len(v.givenUp) != tt.told || len(out.BatchItemFailures) != tt.told || len(v.pauses) != tt.told {
			t.Errorf("%s: %v, given up %d, failed %d, paused %d", name, err, len(v.givenUp), len(out.BatchItemFailures), len(v.pauses))
		}
		if strings.Contains(log.String(), canary) {
			t.Errorf("%s: the log has the URL", name)
		}
	}
}
