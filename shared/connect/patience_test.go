package connect

import (
	"testing"
	"time"
)

// However a stack's request fails, short of killing its function, the stack hears of it within two minutes; and as long as
// CloudFormation waits, a Delete is tried.
func TestRetryPausesFillTheAnswerTime(t *testing.T) {
	var at time.Duration
	var deliveries []time.Duration
	for n := 1; n <= 10; n++ {
		deliveries = append(deliveries, at)
		at += RetryPause(n)
	}
	if last := deliveries[9]; last < AnswerTime-30*time.Second || last > AnswerTime {
		t.Errorf("the last of ten deliveries comes after %s", last)
	}
	if deliveries[5] < 110*time.Second || deliveries[5] > 118*time.Second {
		t.Errorf("the delivery that gives up comes after %s", deliveries[5])
	}
	if RetryPause(0) != firstPause || RetryPause(1<<30) != lastPause {
		t.Error("pauses are not bounded")
	}
}
