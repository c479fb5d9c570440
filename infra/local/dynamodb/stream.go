package dynamodb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"
)

// View types of streams.
const (
	viewKeys = "KEYS_ONLY"
	viewNew  = "NEW_IMAGE"
	viewOld  = "OLD_IMAGE"
	viewBoth = "NEW_AND_OLD_IMAGES"
)

// retention is how long a stream keeps a record.
const retention = 24 * time.Hour

// ErrStreamClosed says that a stream has ended (its table is gone or it was turned off) and that all of it has been read.
var ErrStreamClosed = errors.New("dynamodb: the stream is closed")

// A Record is one change of an item; its JSON form is an element of Records in the event that Lambda receives.
type Record struct {
	EventID        string        `json:"eventID"`
	EventName      string        `json:"eventName"` // INSERT, MODIFY or REMOVE
	EventVersion   string        `json:"eventVersion"`
	EventSource    string        `json:"eventSource"`
	AWSRegion      string        `json:"awsRegion"`
	Change         RecordChange  `json:"dynamodb"`
	EventSourceARN string        `json:"eventSourceARN"`
	UserIdentity   *UserIdentity `json:"userIdentity,omitempty"`

	// Position orders the records of a stream; the first one has 1. It is what Sequence numbers are made from.
	Position int64 `json:"-"`
	at       time.Time
}

// A RecordChange is what happened to the item; images are there as the stream's view type says.
type RecordChange struct {
	ApproximateCreationDateTime int64 // Unix seconds
	Keys                        Item
	NewImage                    Item `json:",omitempty"`
	OldImage                    Item `json:",omitempty"`
	SequenceNumber              string
	SizeBytes                   int
	StreamViewType              string
}

// A UserIdentity is who changed the item, where that was DynamoDB itself: the removal of expired items.
type UserIdentity struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId"`
}

type identity bool

// Who makes a change.
const (
	byCaller  identity = false
	byService identity = true
)

// A Stream is the ordered record of a table's changes. A reader keeps the position of the last record that it is done with:
// nothing is lost or repeated between Records and Wait, however many readers there are.
type Stream struct {
	arn, region, label, view string

	mu      sync.Mutex
	records []Record
	last    int64         // position of the newest record ever
	wake    chan struct{} // closed by the next record, or by the end
	closed  bool
}

// ARN is the stream's ARN.
func (s *Stream) ARN() string { return s.arn }

// Last is the position of the newest record, 0 before there is any: where a reader starts for LATEST. TRIM_HORIZON is 0.
func (s *Stream) Last() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Records answers up to limit records that follow the position after, oldest first.
func (s *Stream) Records(after int64, limit int) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	start := sort.Search(len(s.records), func(i int) bool { return s.records[i].Position > after })
	end := min(start+limit, len(s.records))
	return append([]Record(nil), s.records[start:end]...)
}

// Wait returns once there is a record after the position. It answers ErrStreamClosed when there will be none, or ctx's error.
func (s *Stream) Wait(ctx context.Context, after int64) error {
	for {
		wake, err := s.state(after)
		if wake == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for stream records: %w", ctx.Err())
		case <-wake:
		}
	}
}

// state answers the channel to wait on, or nil when waiting is over.
func (s *Stream) state(after int64) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.last > after:
		return nil, nil
	case s.closed:
		return nil, ErrStreamClosed
	}
	return s.wake, nil
}

func (s *Stream) append(r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	r.Position = s.last
	r.EventSourceARN, r.AWSRegion = s.arn, s.region
	r.Change.SequenceNumber = fmt.Sprintf("1%020d", s.last)
	sum := sha256.Sum256([]byte(s.arn + r.Change.SequenceNumber))
	r.EventID = hex.EncodeToString(sum[:16])
	s.trim(r.at)
	s.records = append(s.records, r)
	close(s.wake)
	s.wake = make(chan struct{})
}

// trim forgets records that are past their retention.
func (s *Stream) trim(now time.Time) {
	expired := 0
	for expired < len(s.records) && now.Sub(s.records[expired].at) > retention {
		expired++
	}
	clear(s.records[:expired])
	s.records = s.records[expired:]
}

func (s *Stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.wake)
	}
}

// publish records a change in the table's stream; a write that changes nothing leaves no record.
func (t *table) publish(c change, now time.Time, by identity) {
	if t.stream == nil || (c.old == nil && c.next == nil) {
		return
	}
	if c.old != nil && c.next != nil && equalItems(c.old.item, c.next.item) {
		return
	}
	r := Record{EventName: eventName(c), EventVersion: "1.1", EventSource: "aws:dynamodb", at: now}
	r.Change = t.recordChange(c, now)
	if by == byService {
		r.UserIdentity = &UserIdentity{Type: "Service", PrincipalID: "dynamodb.amazonaws.com"}
	}
	t.stream.append(r)
}

func eventName(c change) string {
	switch {
	case c.old == nil:
		return "INSERT"
	case c.next == nil:
		return "REMOVE"
	}
	return "MODIFY"
}

func (t *table) recordChange(c change, now time.Time) RecordChange {
	either := c.next
	if either == nil {
		either = c.old
	}
	view := t.stream.view
	result := RecordChange{
		ApproximateCreationDateTime: now.Unix(), Keys: t.keys.pick(either.item), StreamViewType: view,
	}
	if c.next != nil && (view == viewNew || view == viewBoth) {
		result.NewImage = c.next.item
	}
	if c.old != nil && (view == viewOld || view == viewBoth) {
		result.OldImage = c.old.item
	}
	result.SizeBytes = result.Keys.storedSize() + result.NewImage.storedSize() + result.OldImage.storedSize()
	return result
}

// openStream starts a stream with a label of its own.
func (t *table) openStream(view string, now time.Time) {
	label := now.UTC().Format("2006-01-02T15:04:05.000")
	for label <= t.lastLabel {
		now = now.Add(time.Millisecond)
		label = now.UTC().Format("2006-01-02T15:04:05.000")
	}
	t.lastLabel = label
	t.stream = &Stream{
		arn: t.arn + "/stream/" + label, region: t.id.region, label: label, view: view, wake: make(chan struct{}),
	}
}

func (t *table) closeStream() {
	if t.stream != nil {
		t.stream.end()
		t.stream = nil
	}
}
