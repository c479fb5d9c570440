package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/wire"
)

func TestAsynchronousEvents(t *testing.T) {
	const destination = "arn:aws:sqs:eu-west-1:111111111111:lost"
	const deadLetters = "arn:aws:sqs:eu-west-1:111111111111:dead"
	none := 0
	always := func(r Result, err error) func(int, []string) (Result, error) {
		return func(int, []string) (Result, error) { return r, err }
	}
	tests := map[string]struct {
		config AsyncConfig
		script func(int, []string) (Result, error)
		tries  int
		after  time.Duration // how long the last try is after the first, 0 for not looked at
		sent   map[string]string
	}{
		"success": {tries: 1},
		"success with a destination": {
			config: AsyncConfig{OnSuccess: destination}, script: always(answered(`1`), nil), tries: 1,
			sent: map[string]string{destination: "Success"},
		},
		"error, twice retried": {
			config: AsyncConfig{OnFailure: destination}, script: always(failed(), nil), tries: 3, after: 3 * time.Minute,
			sent: map[string]string{destination: "RetriesExhausted", deadLetters: "E: no"},
		},
		"error, no retry": {
			config: AsyncConfig{OnFailure: destination, MaximumRetryAttempts: &none}, script: always(failed(), nil), tries: 1,
			sent: map[string]string{destination: "RetriesExhausted", deadLetters: "E: no"},
		},
		"error, too old to retry": {
			config: AsyncConfig{OnFailure: destination, MaximumEventAge: 90 * time.Second}, script: always(failed(), nil),
			tries: 2, sent: map[string]string{destination: "EventAgeExceeded", deadLetters: "E: no"},
		},
		"error, then success": {
			script: func(n int, _ []string) (Result, error) {
				if n == 1 {
					return failed(), nil
				}
				return answered(`1`), nil
			},
			tries: 2, after: time.Minute,
		},
		"throttled more often than errors are retried": {
			script: func(n int, _ []string) (Result, error) {
				if n < 6 {
					return Result{}, throttled()
				}
				return answered(`1`), nil
			},
			tries: 6, after: 31 * time.Second,
		},
		"throttled until the event is too old": {
			config: AsyncConfig{OnFailure: destination, MaximumEventAge: time.Minute}, script: always(Result{}, throttled()),
			tries: 6, sent: map[string]string{destination: "EventAgeExceeded", deadLetters: throttled().Error()},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent map[string]string
				deliver := func(_ context.Context, d Delivery) error {
					if sent == nil {
						sent = map[string]string{}
					}
					sent[d.Destination] = asyncDelivery(t, d)
					return nil
				}
				began := time.Now()
				var last time.Duration
				c := &calls{}
				c.script = func(n int, ids []string) (Result, error) {
					last = time.Since(began)
					if tt.script == nil {
						return answered(`1`), nil
					}
					return tt.script(n, ids)
				}
				f := function(t)
				f.DeadLetterARN = deadLetters
				s := host(t, Config{Deliver: deliver}, f)
				s.call = c.invoke
				if err := s.ConfigureAsync(testARN, tt.config); err != nil {
					t.Fatal(err)
				}
				if err := s.InvokeAsync(t.Context(), testARN, []byte(`{"x":1}`)); err != nil {
					t.Fatal(err)
				}
				wait(t.Context(), 7*time.Hour)
				synctest.Wait()
				if len(c.seen()) != tt.tries {
					t.Errorf("%d tries, want %d", len(c.seen()), tt.tries)
				}
				if tt.after != 0 && last != tt.after {
					t.Errorf("the last try came after %v, want %v", last, tt.after)
				}
				if diff := cmp.Diff(tt.sent, sent); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
				s.Close()
			})
		})
	}
}

// asyncDelivery is the condition of a record for a destination, or the error message of a dead letter.
func asyncDelivery(t *testing.T, d Delivery) string {
	t.Helper()
	if d.Attributes != nil {
		if string(d.Body) != `{"x":1}` {
			t.Errorf("the dead letter is %s", d.Body)
		}
		return d.Attributes["ErrorMessage"]
	}
	var r struct {
		RequestContext struct{ Condition string }
		RequestPayload json.RawMessage
	}
	if err := json.Unmarshal(d.Body, &r); err != nil {
		t.Error(err)
	}
	if string(r.RequestPayload) != `{"x":1}` {
		t.Errorf("the record holds %s", r.RequestPayload)
	}
	return r.RequestContext.Condition
}

func TestCloseEndsWaitingEvents(t *testing.T) {
	s := host(t, Config{}, function(t))
	if err := s.InvokeAsync(t.Context(), testARN, []byte(`{"do":"error"}`)); err != nil {
		t.Fatal(err)
	}
	s.Close() // returns although a retry is due in a minute
	if err := s.InvokeAsync(t.Context(), testARN, nil); err == nil {
		t.Error("a closed service accepts events")
	}
}

func TestConfigureAsyncIsRefused(t *testing.T) {
	three := 3
	s := host(t, Config{Permit: func(string, string, string) error { return errors.New("denied") }}, function(t))
	tests := map[string]AsyncConfig{
		"too many attempts": {MaximumRetryAttempts: &three},
		"too old":           {MaximumEventAge: 7 * time.Hour},
		"not permitted":     {OnFailure: queueARN},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			var e *wire.Error
			if err := s.ConfigureAsync(testARN, c); !errors.As(err, &e) || e.Code != "InvalidParameterValueException" {
				t.Errorf("got %v", err)
			}
		})
	}
}
