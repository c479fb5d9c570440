package wire

import "testing"

// A pocket AWS that runs for days must not grow for days, and marks stay true while the oldest entries go.
func TestJournalIsBounded(t *testing.T) {
	var j Journal
	const calls = 5*journalLimit + 7
	for i := range calls {
		j.add(Entry{Status: i})
		if len(j.entries) > 2*journalLimit {
			t.Fatalf("%d entries after %d calls", len(j.entries), i+1)
		}
	}
	all := j.Entries(0)
	if len(all) < journalLimit || all[len(all)-1].Status != calls-1 || all[0].Status != calls-len(all) {
		t.Errorf("kept %d entries, %d to %d", len(all), all[0].Status, all[len(all)-1].Status)
	}
	if last := j.Entries(j.Mark() - 3); len(last) != 3 || last[0].Status != calls-3 {
		t.Errorf("the last three are %v", last)
	}
}
