package agent

import (
	"context"
	"sync"
	"time"

	"rolecall/cmd/rolecall/api"
)

const (
	// LongestHold is how long a session may be held: with it, one that Rolecall hands out at its oldest still has ten minutes.
	LongestHold = 10 * time.Minute
	// leastLeft is what SDKs need: under a quarter of an hour they ask again all the time.
	leastLeft = 20 * time.Minute
)

// A shelf holds sessions in memory, for programs that begin and end: each of them would ask for one of its own.
type shelf struct {
	source Source
	ask    api.IssueCredentials
	hold   time.Duration
	clock  func() time.Time

	mu    sync.Mutex
	slots map[string]*slot // by connection id
}

// A slot has one connection's session. Who has the turn may look at it and renew it.
type slot struct {
	turn  chan struct{}
	creds api.Credentials
	until time.Time
}

func (s *shelf) slot(id string) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[id] == nil {
		s.slots[id] = &slot{turn: make(chan struct{}, 1)}
	}
	return s.slots[id]
}

// credentials answers a session that is held, or else asks Rolecall; one request at a time for a connection, however many wait.
func (s *shelf) credentials(ctx context.Context, id string) (out api.Credentials, held bool, err error) {
	at := s.slot(id)
	select {
	case at.turn <- struct{}{}:
		defer func() { <-at.turn }()
	case <-ctx.Done():
		return api.Credentials{}, false, ctx.Err()
	}
	asked := s.clock()
	if asked.Before(at.until) {
		return at.creds, true, nil
	}
	at.creds, at.until = api.Credentials{}, time.Time{}
	out, err = s.source.Credentials(ctx, id, s.ask)
	if err == nil {
		at.creds, at.until = out, s.until(asked, out)
	}
	return out, false, err
}

// until is when a session has been held long enough: before it has less left than Rolecall itself would hand out.
func (s *shelf) until(asked time.Time, c api.Credentials) time.Time {
	ends, err := time.Parse(time.RFC3339, c.Expiration)
	if err != nil {
		return time.Time{}
	}
	least := leastLeft
	if d := time.Duration(s.ask.DurationSeconds) * time.Second; d > 0 {
		least = min(least, d*2/3)
	}
	if last, held := ends.Add(-least), asked.Add(s.hold); last.Before(held) {
		return last
	}
	return asked.Add(s.hold)
}
