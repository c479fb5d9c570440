package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"rolecall/shared/connect"
)

// keptEvent is an event as DynamoDB gives it back: its data has been JSON. Nobody changes the data of an event.
func keptEvent(e connect.Event) (connect.Event, error) {
	text, err := json.Marshal(e.Data)
	if err == nil {
		e.Data = nil
		err = json.Unmarshal(text, &e.Data)
	}
	if err != nil {
		return connect.Event{}, fmt.Errorf("event %s: %w", e.ID, err)
	}
	return e, nil
}

const noteTime = "2006-01-02T15:04:05.000000000Z" // always as long, so that it sorts

// eventKey sorts notes behind the change in whose state they were made, and by time among themselves.
func eventKey(e connect.Event, note bool) key {
	name := fmt.Sprintf("%010d", e.Sequence)
	if note {
		name += "#" + e.At.UTC().Format(noteTime) + "#" + e.ID
	}
	return key{kindEvent, string(e.ConnectionID) + string(e.EnrolmentID), name}
}

// event adds the event of a change, of which there must be none yet, or a note, which may come twice.
func (t *transaction) event(e connect.Event, note bool) error {
	record, err := keptEvent(e)
	if err != nil {
		return err
	}
	refuse := unless(connect.ErrConflict)
	if note {
		refuse = nil
	}
	t.put(eventKey(e, note), record, refuse)
	return nil
}

// Note implements connect.NoteStore.
func (m *Memory) Note(ctx context.Context, e connect.Event) error {
	return m.do(ctx, "Note", func() error {
		var t transaction
		if err := t.event(e, true); err != nil {
			return err
		}
		return m.commit(t)
	})
}

// Events implements connect.ConnectionStore.
func (m *Memory) Events(ctx context.Context, id connect.ConnectionID, q connect.EventQuery) (connect.Page[connect.Event], error) {
	return ask(ctx, m, "Events", func() (page connect.Page[connect.Event], err error) {
		before, err := readCursor(q.Cursor, parseEventName)
		if err != nil {
			return page, err
		}
		last := ""
		for _, k := range slices.Backward(m.of(kindEvent, string(id))) {
			e := get[connect.Event](m, k)
			if (before != "" && k.name >= before) || (q.About != "" && !strings.HasPrefix(string(e.Type), q.About+".")) {
				continue
			}
			if len(page.Items) == q.Limit {
				page.Next = writeCursor(eventPrefix + last)
				return page, nil
			}
			page.Items, last = append(page.Items, e), k.name
		}
		return page, nil
	})
}

const eventPrefix = "EVENT#"

func parseEventName(cursor string) (string, error) {
	name, ok := strings.CutPrefix(cursor, eventPrefix)
	if !ok {
		return "", errCursor
	}
	return name, nil
}
