package wire

import "sync"

// journalLimit is how many entries a journal keeps at least; it holds up to twice as many before it drops the oldest.
const journalLimit = 1 << 16

// A Mark is a place in a journal: what [Journal.Mark] answered before something happened shows, given to
// [Journal.Entries] afterwards, what that something asked.
type Mark uint64

// A Journal remembers the calls a server answered, oldest first. The zero value is ready; it is safe for concurrent use.
type Journal struct {
	mu      sync.Mutex
	first   Mark // the mark of entries[0]
	entries []Entry
}

// Mark answers the place after the newest entry.
func (j *Journal) Mark() Mark {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end()
}

// Entries answers a copy of what was recorded at and after the mark, oldest first; the zero mark means everything kept.
func (j *Journal) Entries(since Mark) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	skip := min(max(since, j.first), j.end()) - j.first
	return append([]Entry(nil), j.entries[skip:]...)
}

// Reset forgets all entries. Marks taken earlier stay valid.
func (j *Journal) Reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.first = j.end()
	j.entries = nil
}

func (j *Journal) add(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) == 2*journalLimit {
		j.entries = append([]Entry(nil), j.entries[journalLimit:]...)
		j.first += journalLimit
	}
	j.entries = append(j.entries, e)
}

func (j *Journal) end() Mark { return j.first + Mark(len(j.entries)) }

// Tally counts entries by service and operation, the way IAM writes actions: {"dynamodb:PutItem": 1}.
func Tally(entries []Entry) map[string]int {
	counts := make(map[string]int)
	for _, e := range entries {
		counts[e.Service+":"+e.Operation]++
	}
	return counts
}
