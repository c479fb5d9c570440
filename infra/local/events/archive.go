package events

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An Archive keeps the events of a bus that fit its pattern.
type Archive struct {
	Name        string
	Source      string // the bus's ARN
	Pattern     string // JSON; "" keeps every event
	Description string
	Days        int // how long an event is kept; 0 means for ever
}

// archive is guarded by the service's mutex.
type archive struct {
	Archive

	arn     string
	parsed  Pattern
	created time.Time
	events  []archived // oldest first
}

type archived struct {
	at   time.Time
	body []byte
}

// replay is a finished one: the pocket AWS replays at once.
type replay struct {
	name, arn, archive, destination string
	from, to, started, ended        time.Time
}

var archiveName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,48}$`)

// CreateArchive begins to keep events and answers the archive's ARN.
func (s *Service) CreateArchive(account, region string, a Archive) (string, error) {
	if !archiveName.MatchString(a.Name) || a.Days < 0 {
		return "", fail("ValidationException", "The archive's name %q or its retention of %d days is not valid.", a.Name, a.Days)
	}
	kept := &archive{Archive: a, arn: "arn:aws:events:" + region + ":" + account + ":archive/" + a.Name}
	if a.Pattern != "" {
		parsed, err := ParsePattern([]byte(a.Pattern))
		if err != nil {
			return "", fail("InvalidEventPatternException", "Event pattern is not valid. Reason: %v", err)
		}
		kept.parsed = parsed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.find(a.Source); err != nil {
		return "", err
	}
	if _, exists := s.archives[kept.arn]; exists {
		return "", fail("ResourceAlreadyExistsException", "Archive %s already exists.", a.Name)
	}
	kept.created = s.clock()
	s.archives[kept.arn] = kept
	return kept.arn, nil
}

// DeleteArchive removes an archive with its events.
func (s *Service) DeleteArchive(arn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.archive(arn); err != nil {
		return err
	}
	delete(s.archives, arn)
	return nil
}

func (s *Service) archive(arn string) (*archive, error) {
	a, ok := s.archives[arn]
	if !ok {
		return nil, fail("ResourceNotFoundException", "Archive %s does not exist.", arn[strings.LastIndexByte(arn, '/')+1:])
	}
	return a, nil
}

// keep stores an event in the archives of its bus.
func (s *Service) keep(bus string, event []byte, now time.Time) {
	for _, a := range s.archives {
		if a.Source == bus && (a.Pattern == "" || a.parsed.Matches(event)) {
			a.events = append(a.events, archived{now, event})
		}
	}
}

// expire drops the events that are older than the archive's retention.
func (a *archive) expire(now time.Time) {
	if a.Days == 0 {
		return
	}
	oldest := now.AddDate(0, 0, -a.Days)
	a.events = slices.DeleteFunc(a.events, func(e archived) bool { return e.at.Before(oldest) })
}

func (a *archive) size() int {
	size := 0
	for _, e := range a.events {
		size += len(e.body)
	}
	return size
}

// A Replay sends an archive's events to the rules of its bus once more.
type Replay struct {
	Name     string
	Archive  string    // ARN
	From, To time.Time // From is part of the span, To is not
	Bus      string    // ARN; must be the archive's source
	Rules    []string  // ARNs; none means all
}

// StartReplay replays at once and answers the replay's ARN. Replayed events carry a member "replay-name" and are not
// archived again.
func (s *Service) StartReplay(account, region string, r Replay) (string, error) {
	if !targetID.MatchString(r.Name) || !r.From.Before(r.To) {
		return "", fail("ValidationException", "The replay's name %q or its span is not valid.", r.Name)
	}
	done := &replay{
		name: r.Name, arn: "arn:aws:events:" + region + ":" + account + ":replay/" + r.Name,
		archive: r.Archive, destination: r.Bus, from: r.From, to: r.To,
	}
	bodies, err := s.beginReplay(r, done)
	if err != nil {
		return "", err
	}
	for _, body := range bodies {
		s.deliver(s.replayRules(r, body), body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	done.ended = s.clock()
	return done.arn, nil
}

func (s *Service) beginReplay(r Replay, done *replay) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.archive(r.Archive)
	if err != nil {
		return nil, err
	}
	if _, exists := s.replays[done.arn]; exists {
		return nil, fail("ResourceAlreadyExistsException", "Replay %s already exists.", r.Name)
	}
	if r.Bus != a.Source {
		return nil, fail("ValidationException", "Parameter Destination.Arn is not valid. Reason: "+
			"Cross event bus replay is not permitted.")
	}
	done.started = s.clock()
	s.replays[done.arn] = done
	a.expire(done.started)
	var bodies [][]byte
	for _, e := range a.events {
		if e.at.Before(r.From) || !e.at.Before(r.To) {
			continue
		}
		var again envelope
		if err := json.Unmarshal(e.body, &again); err != nil {
			return nil, err
		}
		again.Replay = r.Name
		bodies = append(bodies, again.encode())
	}
	return bodies, nil
}

func (s *Service) replayRules(r Replay, body []byte) []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(r.Bus)
	if err != nil {
		return nil // the bus went away during the replay
	}
	rules := b.matching(body)
	if len(r.Rules) == 0 {
		return rules
	}
	return slices.DeleteFunc(rules, func(rule Rule) bool { return !slices.Contains(r.Rules, rule.ARN) })
}
