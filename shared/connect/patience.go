package connect

import "time"

// Pauses between the deliveries of a message somebody waits for: short at first, since most failures are over at once,
// and never so long that a waiting stack would run out of patience meanwhile.
const (
	firstPause = 5 * time.Second
	lastPause  = 40 * time.Second
)

// RetryPause is how long a message that has been delivered so often, from 1, waits for its next delivery: 5, 10, 20, then
// 40 seconds. A function that died cannot ask for one; its messages wait for their queue's visibility timeout.
func RetryPause(deliveries int) time.Duration {
	d := firstPause
	for n := 1; n < deliveries && d < lastPause; n++ {
		d *= 2
	}
	return min(d, lastPause)
}
