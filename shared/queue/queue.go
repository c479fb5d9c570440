// Package queue carries jobs between Rolecall's functions over SQS.
package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolecall/shared/connect"
)

// maxDelay is SQS's own limit.
const maxDelay = 15 * time.Minute

// A message is a job as it stands in a queue. The queues are encrypted at rest; the reply's URL is in no other place.
type message struct {
	ConnectionID  string     `json:"connectionId,omitempty"`
	Run           int64      `json:"run,omitempty"`
	Attempt       int        `json:"attempt,omitempty"`
	Farewell      bool       `json:"farewell,omitempty"`
	Contender     *contender `json:"contender,omitempty"`
	Reply         *replyTo   `json:"reply,omitempty"`
	ConnectionIDs []string   `json:"connectionIds,omitempty"`
}

type replyTo struct {
	URL        string `json:"url"`
	StackID    string `json:"stackId"`
	RequestID  string `json:"requestId"`
	LogicalID  string `json:"logicalId"`
	PhysicalID string `json:"physicalId"`
	Until      int64  `json:"until"` // Unix seconds
}

// Jobs sends to the queues of package verify. Either URL may be "" where a function has no business with that queue.
type Jobs struct {
	Client   *sqs.Client
	NowURL   string // verify-now: tries that somebody waits for
	SweepURL string // verify-sweep: re-checks that nobody waits for
}

// Verify implements connect.Jobs.
func (j Jobs) Verify(ctx context.Context, job connect.VerifyJob, delay time.Duration) error {
	m := message{ConnectionID: string(job.ConnectionID), Run: job.Run, Attempt: job.Attempt, Farewell: job.Farewell}
	m.Contender = toContender(job.Contender)
	if r := job.ReplyTo; r != nil {
		m.Reply = &replyTo{r.URL.Reveal(), r.StackID, r.RequestID, r.LogicalID, r.PhysicalID, r.Until.Unix()}
	}
	return j.send(ctx, j.NowURL, m, delay)
}

// Sweep implements connect.SweepJobs.
func (j Jobs) Sweep(ctx context.Context, ids []connect.ConnectionID, delay time.Duration) error {
	m := message{ConnectionIDs: make([]string, len(ids))}
	for i, id := range ids {
		m.ConnectionIDs[i] = string(id)
	}
	return j.send(ctx, j.SweepURL, m, delay)
}

func (j Jobs) send(ctx context.Context, url string, m message, delay time.Duration) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	text := string(body)
	in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &text, DelaySeconds: wholeSeconds(delay)}
	if _, err := j.Client.SendMessage(ctx, in); err != nil {
		return connect.Unavailable(connect.CodeInternal, "the queue did not take the job", err)
	}
	return nil
}

// wholeSeconds rounds up: a try that comes early would be no try of its own.
func wholeSeconds(d time.Duration) int32 {
	d = min(max(d, 0), maxDelay)
	return int32((d + time.Second - 1) / time.Second)
}

// A Job is what a message asks for: one try, or a sweep over connections.
type Job struct {
	Try   *connect.VerifyJob
	Sweep []connect.ConnectionID
}

// Parse reads a message; redelivered says that it has been received before.
func Parse(body string, redelivered bool) (Job, error) {
	var m message
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return Job{}, fmt.Errorf("job: %w", err)
	}
	if m.ConnectionID == "" && m.Contender == nil {
		return sweepJob(m.ConnectionIDs)
	}
	job := &connect.VerifyJob{Run: m.Run, Attempt: m.Attempt, Farewell: m.Farewell, Redelivered: redelivered}
	var err error
	if m.ConnectionID != "" {
		if job.ConnectionID, err = connect.ParseConnectionID(m.ConnectionID); err != nil {
			return Job{}, fmt.Errorf("job: %w", err)
		}
	}
	if job.Contender, err = m.Contender.contender(); err != nil {
		return Job{}, fmt.Errorf("job: %w", err)
	}
	if r := m.Reply; r != nil {
		job.ReplyTo = &connect.ReplyTo{
			URL: connect.NewSecret(r.URL), StackID: r.StackID, RequestID: r.RequestID, LogicalID: r.LogicalID, PhysicalID: r.PhysicalID,
			Until: time.Unix(r.Until, 0),
		}
	}
	return Job{Try: job}, nil
}

func sweepJob(ids []string) (Job, error) {
	if len(ids) == 0 {
		return Job{}, fmt.Errorf("job: it names no connection")
	}
	job := Job{}
	for _, s := range ids {
		id, err := connect.ParseConnectionID(s)
		if err != nil {
			return Job{}, fmt.Errorf("job: %w", err)
		}
		job.Sweep = append(job.Sweep, id)
	}
	return job, nil
}
