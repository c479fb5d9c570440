package queue

import (
	"fmt"
	"time"

	"rolecall/shared/connect"
)

// A report is a stack's request on its way. Times are Unix milliseconds.
type report struct {
	callback
	Bound     bool     `json:"bound,omitempty"`
	StartedAt int64    `json:"startedAt"`
	Attempt   int      `json:"attempt,omitempty"`
	Reply     replyTo  `json:"reply"`
	Verdict   *verdict `json:"verdict,omitempty"`
	Taken     bool     `json:"taken,omitempty"`
	Settled   int      `json:"settled,omitempty"`
}

type callback struct {
	ConnectionID    string `json:"connectionId,omitempty"`
	EnrolmentID     string `json:"enrolmentId,omitempty"`
	Type            string `json:"type"`
	Resource        string `json:"resource"`
	StackID         string `json:"stackId"`
	LogicalID       string `json:"logicalId"`
	RequestID       string `json:"requestId"`
	TokenValid      bool   `json:"tokenValid,omitempty"`
	Launch          int    `json:"launch,omitempty"`
	RoleARN         string `json:"roleArn,omitempty"`
	TemplateVersion string `json:"templateVersion,omitempty"`
	Permissions     string `json:"permissions,omitempty"`
	Withdrawn       bool   `json:"withdrawn,omitempty"`
	ExternalID      string `json:"externalId,omitempty"`
	PolicyDigest    string `json:"policyDigest,omitempty"`
	BoundaryARN     string `json:"permissionsBoundaryArn,omitempty"`
	SignedAt        int64  `json:"signedAt,omitempty"`
	SentAt          int64  `json:"sentAt"`
}

type reason struct {
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

type verdict struct {
	OK bool `json:"ok"`
	reason
	Open         bool     `json:"open,omitempty"`
	Attempt      int      `json:"attempt,omitempty"`
	Checks       []check  `json:"checks,omitempty"`
	Account      string   `json:"account,omitempty"`
	Regions      []string `json:"regions,omitempty"`
	SessionTags  bool     `json:"sessionTags,omitempty"`
	PolicyDigest string   `json:"policyDigest,omitempty"`
	At           int64    `json:"at,omitempty"`
}

type check struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	reason
	At int64 `json:"at"`
}

// millis is 0 for no time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func toReason(r connect.Reason) reason { return reason{string(r.Code), r.Message, r.Fix} }

func (r reason) reason() connect.Reason {
	return connect.Reason{Code: connect.Code(r.Code), Message: r.Message, Fix: r.Fix}
}

func toReport(j connect.ReportJob) *report {
	r := j.Report
	return &report{
		callback: callback{
			ConnectionID: string(r.ConnectionID), EnrolmentID: string(r.EnrolmentID), Type: string(r.Type), Resource: string(r.Resource),
			StackID: r.StackID.String(), LogicalID: r.LogicalID, RequestID: r.RequestID, TokenValid: r.TokenValid, Launch: r.Launch,
			RoleARN: r.RoleARN.String(), TemplateVersion: r.TemplateVersion, Permissions: string(r.Grant.Permissions),
			Withdrawn: r.Grant.Withdrawn, ExternalID: r.Grant.ExternalID, PolicyDigest: r.Grant.PolicyDigest,
			BoundaryARN: r.Grant.BoundaryARN, SignedAt: millis(r.SignedAt), SentAt: millis(r.SentAt),
		},
		Bound: j.Bound, StartedAt: millis(j.StartedAt), Attempt: j.Attempt, Reply: *toReplyTo(&j.ReplyTo), Verdict: toVerdict(j.Verdict),
		Taken: j.Taken, Settled: j.Settled,
	}
}

func toVerdict(v *connect.ReportVerdict) *verdict {
	if v == nil {
		return nil
	}
	o := v.Outcome
	out := &verdict{
		OK: v.Reply.OK, reason: toReason(v.Reply.Reason), Open: v.Open, Attempt: v.Attempt, Account: string(o.Account),
		SessionTags: o.SessionTags, PolicyDigest: o.PolicyDigest, At: millis(o.At),
	}
	for _, g := range o.Regions {
		out.Regions = append(out.Regions, string(g))
	}
	for _, k := range o.Checks {
		out.Checks = append(out.Checks, check{string(k.Name), string(k.Verdict), toReason(k.Reason), millis(k.At)})
	}
	return out
}

func (v *verdict) verdict() *connect.ReportVerdict {
	if v == nil {
		return nil
	}
	out := &connect.ReportVerdict{
		Reply: connect.Reply{OK: v.OK, Reason: v.reason.reason()}, Open: v.Open, Attempt: v.Attempt,
		Outcome: connect.Outcome{
			Account: connect.AccountID(v.Account), SessionTags: v.SessionTags, PolicyDigest: v.PolicyDigest, At: moment(v.At),
		},
	}
	for _, g := range v.Regions {
		out.Outcome.Regions = append(out.Outcome.Regions, connect.Region(g))
	}
	for _, k := range v.Checks {
		out.Outcome.Checks = append(out.Outcome.Checks, connect.Check{
			Name: connect.CheckName(k.Name), Verdict: connect.Verdict(k.Verdict), Reason: k.reason.reason(), At: moment(k.At),
		})
	}
	return out
}

func (c callback) callback() (connect.Callback, error) {
	out := connect.Callback{
		Type: connect.RequestType(c.Type), Resource: connect.CallbackResource(c.Resource), LogicalID: c.LogicalID, RequestID: c.RequestID,
		TokenValid: c.TokenValid, Launch: c.Launch, TemplateVersion: c.TemplateVersion, SignedAt: moment(c.SignedAt), SentAt: moment(c.SentAt),
		Grant: connect.Grant{
			Permissions: connect.Permissions(c.Permissions), Withdrawn: c.Withdrawn, ExternalID: c.ExternalID,
			PolicyDigest: c.PolicyDigest, BoundaryARN: c.BoundaryARN,
		},
	}
	var err error
	if c.EnrolmentID != "" {
		out.EnrolmentID, err = connect.ParseEnrolmentID(c.EnrolmentID)
	} else {
		out.ConnectionID, err = connect.ParseConnectionID(c.ConnectionID)
	}
	if err != nil {
		return out, err
	}
	if out.StackID, err = connect.ParseStackID(c.StackID); err != nil || c.RoleARN == "" {
		return out, err
	}
	out.RoleARN, err = connect.ParseRoleARN(c.RoleARN)
	return out, err
}

func (r *report) job(redelivered bool) (*connect.ReportJob, error) {
	cb, err := r.callback.callback()
	if err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	return &connect.ReportJob{
		Report: cb, Bound: r.Bound, StartedAt: moment(r.StartedAt), Attempt: r.Attempt, ReplyTo: *r.Reply.replyTo(), Verdict: r.Verdict.verdict(),
		Taken: r.Taken, Settled: r.Settled, Redelivered: redelivered,
	}, nil
}

// A contender is the report of an organization's account as versions before 1.4.0 queued it: its token was found valid.
type contender struct {
	callback
	StartedAt int64    `json:"startedAt"`
	Verdict   *verdict `json:"verdict,omitempty"`
}

// report is the message as this version understands it. A verdict without what it rests on changes nothing; the role is proven again.
func (c *contender) report(m message) *report {
	r := &report{callback: c.callback, StartedAt: c.StartedAt, Attempt: m.Attempt}
	r.TokenValid = true
	if m.Reply != nil {
		r.Reply = *m.Reply
	}
	return r
}
