package customer_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rolecall/shared/customer"
)

// sent notes when requests go out.
type sent struct {
	mu sync.Mutex
	at []time.Duration
	t0 time.Time
}

func (s *sent) Do(*http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Since(s.t0))
	return &http.Response{}, nil
}

func request(ctx context.Context) *http.Request { return (&http.Request{}).WithContext(ctx) }

// However many ask at once, and whenever: in no second go more requests than the rate and what a pause has left over.
func TestAPaceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sent{t0: time.Now()}
		const rate, many = 30, 300
		p := customer.NewPace(s, rate, time.Now)
		burst := func() {
			var wg sync.WaitGroup
			for range many {
				wg.Go(func() {
					if _, err := p.Do(request(t.Context())); err != nil { //nolint:bodyclose // there is none
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		burst()
		if took := time.Since(s.t0); took < (many-rate)*time.Second/rate || took > many*time.Second/rate {
			t.Errorf("%d requests took %s", many, took)
		}
		time.Sleep(time.Hour) // a pause saves up next to nothing
		burst()
		for i := range s.at {
			n := 0
			for _, at := range s.at[i:] {
				if at-s.at[i] < time.Second {
					n++
				}
			}
			if n > rate+rate/5+1 {
				t.Fatalf("%d requests in the second from %s", n, s.at[i])
			}
		}
		if len(s.at) != 2*many {
			t.Errorf("%d requests sent", len(s.at))
		}
	})
}

func TestWhoLeavesSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sent{t0: time.Now()}
		p := customer.NewPace(s, 1, time.Now)
		ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		for range 3 {
			if _, err := p.Do(request(ctx)); !errors.Is(err, context.DeadlineExceeded) { //nolint:bodyclose // nothing was answered
				t.Errorf("error %v", err)
			}
		}
		if len(s.at) > 0 || time.Since(s.t0) != 100*time.Millisecond {
			t.Errorf("%d sent, after %s", len(s.at), time.Since(s.t0))
		}
	})
}
