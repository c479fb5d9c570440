package sqs

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"time"
)

// A standard queue whose messages name groups is a fair queue: while one group takes more than its share of those who work
// on the queue, messages of the others are delivered before its own. Nothing is held back: where no other message waits, the
// noisy group's are delivered as ever. The thresholds are those that AWS names; AWS calls them approximate.
const (
	noisyInFlight = 30              // messages that a group has in flight at least, to be noisy by their number
	noisyShare    = 10              // one part of so many, of all messages in flight or of all time spent
	quietAfter    = 5 * time.Minute // without a message that was sent, a group is quiet again
	recent        = time.Minute     // time spent counts by half after each
)

var groupID = regexp.MustCompile(`^[!-~]{1,128}$`)

func checkGroup(group *string) error {
	if group != nil && !groupID.MatchString(*group) {
		return fail("InvalidParameterValue", "Value %s for parameter MessageGroupId is invalid. Reason: "+
			"MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.", *group)
	}
	return nil
}

// fairness is what a queue remembers of its groups; a message without one is a group by itself, and counts in the whole alone.
type fairness struct {
	spent map[string]time.Duration // from receipts to their ends; of messages without a group under ""
	since time.Time                // when it was last halved
	sent  map[string]time.Time     // when the group's latest message came
}

// sentBy notes that a message of the group has come.
func (q *queue) sentBy(group string, now time.Time) {
	if group == "" {
		return
	}
	if q.fair.sent == nil {
		q.fair.sent = map[string]time.Time{}
	}
	q.fair.sent[group] = now
}

// worked notes that the latest receipt of a message has ended.
func (q *queue) worked(m *message, now time.Time) {
	if m.nonce == "" {
		return
	}
	if q.fair.spent == nil {
		q.fair.spent, q.fair.since = map[string]time.Duration{}, now
	}
	q.fair.spent[m.group] += m.receipt(now)
}

func (f *fairness) fade(now time.Time) {
	if now.Sub(f.since) > 20*recent {
		clear(f.spent)
		f.since = now
	}
	for ; now.Sub(f.since) >= recent; f.since = f.since.Add(recent) {
		for group := range f.spent {
			f.spent[group] /= 2
		}
	}
}

// A load is what a noisy group takes just now.
type load struct {
	flying int // messages
	spent  time.Duration
}

// inTurn are the queue's messages in the order in which they are to be delivered: the oldest first, but those of noisy groups
// after all others, and among them those of the group with the fewest messages in flight, and the least time spent on it.
func (q *queue) inTurn(now time.Time) []*message {
	turn := slices.Clone(q.messages)
	noisy := q.noisy(now)
	if len(noisy) == 0 {
		return turn
	}
	slices.SortStableFunc(turn, func(a, b *message) int {
		one, loud := noisy[a.group]
		other, louder := noisy[b.group]
		if loud != louder {
			return map[bool]int{true: 1, false: -1}[loud]
		}
		return cmp.Or(cmp.Compare(one.flying, other.flying), cmp.Compare(one.spent, other.spent))
	})
	return turn
}

// noisy are the groups with a backlog that take more than their share.
func (q *queue) noisy(now time.Time) map[string]load {
	loads, waits := q.loads(now)
	var all load
	for _, l := range loads {
		all.flying += l.flying
		all.spent += l.spent
	}
	noisy := map[string]load{}
	for group := range waits { // "" has sent nothing, ever
		l := loads[group]
		many := l.flying >= noisyInFlight && l.flying*noisyShare > all.flying
		long := l.spent*noisyShare > all.spent
		if (many || long) && now.Sub(q.fair.sent[group]) < quietAfter {
			noisy[group] = l
		}
	}
	return noisy
}

// loads are what each group takes, and whether it has messages that wait. Groups without any are forgotten.
func (q *queue) loads(now time.Time) (loads map[string]load, waits map[string]bool) {
	loads, waits = map[string]load{}, map[string]bool{}
	here := map[string]bool{}
	for _, m := range q.messages {
		here[m.group] = true
		l, flies := loads[m.group], m.visibleAt.After(now)
		waits[m.group] = waits[m.group] || !flies
		if m.nonce == "" {
			continue
		}
		if flies {
			l.flying++
		}
		l.spent += m.receipt(now)
		loads[m.group] = l
	}
	maps.DeleteFunc(waits, func(_ string, waits bool) bool { return !waits })
	maps.DeleteFunc(q.fair.sent, func(group string, _ time.Time) bool { return !here[group] })
	maps.DeleteFunc(q.fair.spent, func(group string, _ time.Duration) bool { return group != "" && !waits[group] })
	q.fair.fade(now)
	for group, d := range q.fair.spent {
		l := loads[group]
		l.spent += d
		loads[group] = l
	}
	return loads, waits
}

// receipt is how long the message's latest receipt has lasted.
func (m *message) receipt(now time.Time) time.Duration {
	if m.visibleAt.Before(now) {
		now = m.visibleAt
	}
	return now.Sub(m.received)
}
