package queue

import (
	"time"

	"rolecall/shared/connect"
)

// A contender is the report of an account's stack that is tried without being written down.
type contender struct {
	EnrolmentID     string `json:"enrolmentId"`
	Type            string `json:"type"`
	Resource        string `json:"resource"`
	StackID         string `json:"stackId"`
	LogicalID       string `json:"logicalId"`
	RequestID       string `json:"requestId"`
	Launch          int    `json:"launch,omitempty"`
	RoleARN         string `json:"roleArn"`
	TemplateVersion string `json:"templateVersion,omitempty"`
	Permissions     string `json:"permissions,omitempty"`
	Withdrawn       bool   `json:"withdrawn,omitempty"`
	ExternalID      string `json:"externalId,omitempty"`
	PolicyDigest    string `json:"policyDigest,omitempty"`
	BoundaryARN     string `json:"permissionsBoundaryArn,omitempty"`
	SentAt          int64  `json:"sentAt"`    // Unix milliseconds, as SNS tells them
	StartedAt       int64  `json:"startedAt"` // Unix milliseconds
	Verdict         *reply `json:"verdict,omitempty"`
}

type reply struct {
	OK      bool   `json:"ok"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

func toContender(k *connect.Contender) *contender {
	if k == nil {
		return nil
	}
	r := k.Report
	out := &contender{
		EnrolmentID: string(k.EnrolmentID), Type: string(r.Type), Resource: string(r.Resource), StackID: r.StackID.String(),
		LogicalID: r.LogicalID, RequestID: r.RequestID, Launch: r.Launch, RoleARN: r.RoleARN.String(), TemplateVersion: r.TemplateVersion,
		Permissions: string(r.Grant.Permissions), Withdrawn: r.Grant.Withdrawn, ExternalID: r.Grant.ExternalID,
		PolicyDigest: r.Grant.PolicyDigest, BoundaryARN: r.Grant.BoundaryARN, SentAt: r.SentAt.UnixMilli(), StartedAt: k.StartedAt.UnixMilli(),
	}
	if v := k.Verdict; v != nil {
		out.Verdict = &reply{OK: v.OK, Code: string(v.Reason.Code), Message: v.Reason.Message, Fix: v.Reason.Fix}
	}
	return out
}

func (c *contender) contender() (*connect.Contender, error) {
	if c == nil {
		return nil, nil
	}
	id, err := connect.ParseEnrolmentID(c.EnrolmentID)
	if err != nil {
		return nil, err
	}
	stack, err := connect.ParseStackID(c.StackID)
	if err != nil {
		return nil, err
	}
	role, err := connect.ParseRoleARN(c.RoleARN)
	if err != nil {
		return nil, err
	}
	out := &connect.Contender{
		EnrolmentID: id, StartedAt: time.UnixMilli(c.StartedAt).UTC(),
		Report: connect.Callback{
			Type: connect.RequestType(c.Type), Resource: connect.CallbackResource(c.Resource), StackID: stack, LogicalID: c.LogicalID,
			RequestID: c.RequestID, Launch: c.Launch, RoleARN: role, TemplateVersion: c.TemplateVersion, SentAt: time.UnixMilli(c.SentAt).UTC(),
			Grant: connect.Grant{
				Permissions: connect.Permissions(c.Permissions), Withdrawn: c.Withdrawn, ExternalID: c.ExternalID,
				PolicyDigest: c.PolicyDigest, BoundaryARN: c.BoundaryARN,
			},
		},
	}
	if v := c.Verdict; v != nil {
		out.Verdict = &connect.Reply{OK: v.OK, Reason: connect.Reason{Code: connect.Code(v.Code), Message: v.Message, Fix: v.Fix}}
	}
	return out, nil
}
