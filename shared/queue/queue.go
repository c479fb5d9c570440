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
	Lift          bool       `json:"farewell,omitempty"`
	Report        *report    `json:"report,omitempty"`
	Contender     *contender `json:"contender,omitempty"` // of versions before 1.4.0
	Reply         *replyTo   `json:"reply,omitempty"`
	ConnectionIDs []string   `json:"connectionIds,omitempty"`
}

type replyTo struct {
	URL        string `json:"url"`
	StackID    string `json:"stackId"`
	RequestID  string `json:"requestId"`
	LogicalID  string `json:"logicalId"`
	PhysicalID string `json:"physicalId"`
	Until      int64  `json:"until"`             // Unix seconds
	Expires    int64  `json:"expires,omitempty"` // Unix seconds
}

func toReplyTo(r *connect.ReplyTo) *replyTo {
	if r == nil {
		return nil
	}
	out := &replyTo{r.URL.Reveal(), r.StackID, r.RequestID, r.LogicalID, r.PhysicalID, r.Until.Unix(), 0}
	if !r.Expires.IsZero() {
		out.Expires = r.Expires.Unix()
	}
	return out
}

func (r *replyTo) replyTo() *connect.ReplyTo {
	if r == nil {
		return nil
	}
	out := &connect.ReplyTo{
		URL: connect.NewSecret(r.URL), StackID: r.StackID, RequestID: r.RequestID, LogicalID: r.LogicalID, PhysicalID: r.PhysicalID,
		Until: time.Unix(r.Until, 0),
	}
	if r.Expires != 0 {
		out.Expires = time.Unix(r.Expires, 0)
	}
	return out
}

// Jobs sends to the queues of package verify. Either URL may be "" where a function has no business with that queue.
type Jobs struct {
	Client   *sqs.Client
	NowURL   string // verify-now: tries that somebody waits for
	SweepURL string // verify-sweep: re-checks that nobody waits for
}

// Verify implements connect.Jobs.
func (j Jobs) Verify(ctx context.Context, job connect.VerifyJob, delay time.Duration) error {
	m := message{
		ConnectionID: string(job.ConnectionID), Run: job.Run, Attempt: job.Attempt, Lift: job.Lift, Reply: toReplyTo(job.ReplyTo),
	}
	return j.send(ctx, j.NowURL, m, delay, string(job.ConnectionID))
}

// unboundGroup holds the reports of all stacks that are not bound: whoever sends many delays others of these alone.
const unboundGroup = "unbound"

// Report implements connect.Jobs. Bound stacks' reports are grouped by account, so that SQS's fair queues let nobody's flood delay
// other accounts.
func (j Jobs) Report(ctx context.Context, job connect.ReportJob, delay time.Duration) error {
	group := unboundGroup
	if job.Bound {
		group = string(job.Report.StackID.Account())
	}
	return j.send(ctx, j.NowURL, message{Report: toReport(job)}, delay, group)
}

// Sweep implements connect.SweepJobs.
func (j Jobs) Sweep(ctx context.Context, ids []connect.ConnectionID, delay time.Duration) error {
	m := message{ConnectionIDs: make([]string, len(ids))}
	for i, id := range ids {
		m.ConnectionIDs[i] = string(id)
	}
	return j.send(ctx, j.SweepURL, m, delay, "")
}

// send puts a message into a queue; group is its MessageGroupId, "" for none.
func (j Jobs) send(ctx context.Context, url string, m message, delay time.Duration, group string) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	text := string(body)
	in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &text, DelaySeconds: wholeSeconds(delay)}
	if group != "" {
		in.MessageGroupId = &group
	}
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

// A Job is what a message asks for: one attempt of a run, the next step of a stack's report, or a sweep over connections.
type Job struct {
	Try    *connect.VerifyJob
	Report *connect.ReportJob
	Sweep  []connect.ConnectionID
}

// Parse reads a message; redelivered says that it has been received before.
func Parse(body string, redelivered bool) (Job, error) {
	var m message
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return Job{}, fmt.Errorf("job: %w", err)
	}
	if m.Contender != nil {
		m.Report = m.Contender.report(m)
	}
	switch {
	case m.Report != nil:
		job, err := m.Report.job(redelivered)
		return Job{Report: job}, err
	case m.ConnectionID == "":
		return sweepJob(m.ConnectionIDs)
	}
	id, err := connect.ParseConnectionID(m.ConnectionID)
	if err != nil {
		return Job{}, fmt.Errorf("job: %w", err)
	}
	return Job{Try: &connect.VerifyJob{
		ConnectionID: id, Run: m.Run, Attempt: m.Attempt, Lift: m.Lift, Redelivered: redelivered, ReplyTo: m.Reply.replyTo(),
	}}, nil
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
