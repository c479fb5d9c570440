package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rolecall/cmd/rolecall/api"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// A maker makes sessions that last for as long as they are asked for, or that Rolecall has held already for a while.
type maker struct {
	source
	clock func() time.Time
	age   time.Duration
	wait  chan struct{}
	made  atomic.Int32
}

func (m *maker) Credentials(ctx context.Context, _ string, ask api.IssueCredentials) (api.Credentials, error) {
	n := m.made.Add(1)
	if m.wait != nil {
		select {
		case <-m.wait:
		case <-ctx.Done():
			return api.Credentials{}, ctx.Err()
		}
	}
	if m.err != nil {
		return api.Credentials{}, m.err
	}
	life := max(1800, ask.DurationSeconds)
	if ask.ReadOnly {
		life = ask.DurationSeconds
	}
	ends := m.clock().Add(time.Duration(life)*time.Second - m.age)
	return api.Credentials{AccessKeyID: fmt.Sprint(n), SecretAccessKey: "hush", Token: "t", Expiration: ends.Format(time.RFC3339)}, nil
}

// A session is held for as long as it is asked to be, and never until it has less left than Rolecall would hand out.
func TestHolds(t *testing.T) {
	const fifteen = 900
	for name, tt := range map[string]struct {
		ask       api.IssueCredentials
		hold, age time.Duration
		want      time.Duration
	}{
		"as long as it may":            {hold: 5 * time.Minute, want: 5 * time.Minute},
		"the longest":                  {hold: LongestHold, want: LongestHold},
		"not at all":                   {hold: 0, want: 0},
		"one that is nine minutes old": {hold: 5 * time.Minute, age: 9 * time.Minute, want: time.Minute},
		"one at its oldest":            {hold: 5 * time.Minute, age: 10 * time.Minute, want: 0},
		"an hour's":                    {ask: api.IssueCredentials{DurationSeconds: 3600}, hold: LongestHold, age: 30 * time.Minute, want: LongestHold},
		"a short one":                  {ask: api.IssueCredentials{DurationSeconds: fifteen, ReadOnly: true}, hold: LongestHold, want: 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			m := &maker{clock: func() time.Time { return now }, age: tt.age}
			s := &shelf{source: m, ask: tt.ask, hold: tt.hold, clock: m.clock, slots: map[string]*slot{}}
			for _, at := range []struct {
				after time.Duration
				held  bool
			}{{0, false}, {tt.want - time.Second, tt.want > 0}, {tt.want, false}} {
				now = noon.Add(max(0, at.after))
				if _, held, err := s.credentials(t.Context(), "conn_1"); err != nil || held != at.held {
					t.Errorf("after %s: held %t, %v", at.after, held, err)
				}
			}
		})
	}
}

// However many programs ask at once, Rolecall is asked once for each connection; who gives up fails nobody else.
func TestOneRequestForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{clock: time.Now, wait: make(chan struct{})}
		s := &shelf{source: m, hold: 5 * time.Minute, clock: m.clock, slots: map[string]*slot{}}
		impatient, giveUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, _, err := s.credentials(impatient, "conn_1"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 50 {
			for _, id := range []string{"conn_1", "conn_2"} {
				all.Go(func() {
					if _, _, err := s.credentials(t.Context(), id); err != nil {
						t.Error(err)
					}
				})
			}
		}
		synctest.Wait()
		all.Go(func() {
			if _, _, err := s.credentials(impatient, "conn_2"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		giveUp()
		synctest.Wait()
		close(m.wait)
		all.Wait()
		if n := m.made.Load(); n != 3 { // the impatient one's own among them
			t.Errorf("Rolecall was asked %d times", n)
		}
	})
}

// What Rolecall refuses is not held, and nothing older is handed out instead.
func TestRefusalsAreNotHeld(t *testing.T) {
	now := noon
	m := &maker{clock: func() time.Time { return now }}
	s := &shelf{source: m, hold: 5 * time.Minute, clock: m.clock, slots: map[string]*slot{}}
	ask := func() error {
		_, _, err := s.credentials(t.Context(), "conn_1")
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(5 * time.Minute)
	m.err = &api.Problem{Status: http.StatusConflict, Code: "CONNECTION_NOT_ENABLED"}
	for range 2 {
		if err := ask(); err == nil {
			t.Error("handed out although Rolecall refuses")
		}
	}
	m.err = nil
	if err := ask(); err != nil || m.made.Load() != 4 {
		t.Error(err, m.made.Load())
	}
}

func TestHoldsAreBounded(t *testing.T) {
	for hold, ok := range map[time.Duration]bool{0: true, LongestHold: true, LongestHold + 1: false, -1: false} {
		if _, err := New("127.0.0.1:1", &source{}, Options{Hold: hold, Clock: time.Now, Log: slog.New(slog.DiscardHandler)}); (err == nil) != ok {
			t.Errorf("%s: %v", hold, err)
		}
	}
}
