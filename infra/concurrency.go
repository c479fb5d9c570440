package main

// A concurrency is how many executions of Lambda the account may have at a time, and how they are shared out. What strangers
// and customers' stacks can set going, by queues, is always well below the whole, so that the HTTP API answers.
type concurrency struct {
	awaited  int // of each of the two queues that somebody waits for: callbacks and verify-now
	sweeps   int
	webhooks int
	reserved int // for api, and as many for broker; 0 for none
}

const (
	// leastConcurrency is the least that SQS lets an event source have.
	leastConcurrency = 2
	// mostAwaited is as much as STS answers: a try asks it three times, and it takes some hundred questions a second.
	mostAwaited = 100
	// mostWebhooks keeps a receiver that is slow from taking the account's functions.
	mostWebhooks = 5
	// sweepConcurrency is how many sweeps run at the same time; each takes its share of the STS limit, which functions/verify
	// knows. A message holds a hundred connections: more than one would keep an invocation from ending in time.
	sweepConcurrency = 2
	// unreserved is what AWS demands to remain for functions without a reservation.
	unreserved = 100
)

// concurrencyOf shares out an account's quota. A quarter of it each is reserved for api and broker, where AWS allows that; a
// new account's quota of ten leaves four executions for them, beside the least that the three sources can have.
func concurrencyOf(quota int) concurrency {
	c := concurrency{
		awaited: min(max(quota/10, leastConcurrency), mostAwaited), sweeps: sweepConcurrency,
		webhooks: min(max(quota/100, leastConcurrency), mostWebhooks),
	}
	if quota-2*(quota/4) >= unreserved {
		c.reserved = quota / 4
	}
	return c
}
