package customer

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A Pace is an HTTP client that sends no more than so many requests a second. Under a client of STS it also holds back
// the SDK's own retries, which count towards AWS's limit like any other request. It is safe for concurrent use.
type Pace struct {
	next  aws.HTTPClient
	clock func() time.Time
	gap   time.Duration // between two requests
	slack time.Duration // that may be made up for after a pause

	mu   sync.Mutex
	free time.Time // when the next request may go
}

// slack makes up for the pause between two invocations, which would else be lost; it is no more than that, since each
// copy of a function begins with as much.
const slack = 200 * time.Millisecond

// NewPace makes a pace of so many requests a second, more than 0, of the client next.
func NewPace(next aws.HTTPClient, perSecond float64, clock func() time.Time) *Pace {
	return &Pace{next: next, clock: clock, gap: time.Duration(float64(time.Second) / perSecond), slack: slack}
}

// Do sends the request when its turn has come. A request whose caller leaves meanwhile is not sent.
func (p *Pace) Do(r *http.Request) (*http.Response, error) {
	if err := wait(r.Context(), p.reserve()); err != nil {
		return nil, err
	}
	return p.next.Do(r)
}

// reserve takes the next turn and answers how far off it is.
func (p *Pace) reserve() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock()
	if oldest := now.Add(-p.slack); p.free.Before(oldest) {
		p.free = oldest
	}
	p.free = p.free.Add(p.gap)
	return p.free.Sub(now)
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
