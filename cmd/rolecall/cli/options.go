package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rolecall/cmd/rolecall/api"
)

// options are the flags by which credentials are asked for. They are the same wherever credentials are.
type options struct {
	duration time.Duration
	readOnly bool
	reason   string
	policy   string // a file
	arns     []string
}

func (o *options) add(c *cobra.Command) {
	f := c.Flags()
	f.DurationVar(&o.duration, "duration", 0, "how long the credentials last, 15m to 1h; half an hour by default")
	f.BoolVar(&o.readOnly, "read-only", false, "narrow the credentials to reading (AWS's ReadOnlyAccess)")
	f.StringVar(&o.reason, "reason", "", "what they are for; kept in the audit records")
	f.StringVar(&o.policy, "policy", "", "file with an IAM policy that narrows the credentials; - reads it from standard input")
	f.StringSliceVar(&o.arns, "policy-arn", nil, "managed policy that narrows the credentials; may be given several times")
	c.MarkFlagsMutuallyExclusive("read-only", "policy")
	c.MarkFlagsMutuallyExclusive("read-only", "policy-arn")
}

// ask is what the API is asked for.
func (o *options) ask(p *Program) (api.IssueCredentials, error) {
	if o.duration < 0 || o.duration%time.Second != 0 {
		return api.IssueCredentials{}, fmt.Errorf("--duration %s is no number of seconds", o.duration)
	}
	ask := api.IssueCredentials{DurationSeconds: int(o.duration / time.Second), ReadOnly: o.readOnly, Reason: o.reason, PolicyARNs: o.arns}
	if o.policy == "" {
		return ask, nil
	}
	text, err := p.readFile(o.policy)
	if err != nil {
		return ask, fmt.Errorf("the policy: %w", err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return ask, errors.New("the policy: " + o.policy + " is no JSON object")
	}
	ask.Policy = text // as it is: a member that is there twice must not get lost on the way to who refuses it
	return ask, nil
}
