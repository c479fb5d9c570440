package templates

import (
	"bytes"
	"encoding/json"
	"strings"
)

// An Order is the role that a customer is to make without the stack. Whatever its texts hold, it ends up quoted.
type Order struct {
	Partition       string // of the customer's account, which is the platform's
	Region          string // any of the partition: it tells the CLI, which may be configured for none, whose IAM to ask
	PlatformName    string
	PlatformAccount string
	ConnectionID    string
	PermissionSet   string
	RoleName        string // fresh for each launch; letters, digits and dashes
	TrustPolicy     string // JSON
}

// A Recipe is how to make the ordered role by tools. Both texts make the role that the template makes: the same trust
// policy, the same permissions, the exceptions in place before what they except from.
type Recipe struct {
	PolicyARNs []string // of AWS's managed policies that the permission set grants
	CLI        string   // commands of the AWS CLI, for bash or zsh; they print the role's ARN
	Terraform  string   // resources of the AWS provider; an output is the role's ARN
}

// Names of the role's inline policies, as in the template.
const (
	exceptionsPolicy   = "RolecallExceptions"
	customPolicy       = "RolecallCustom"
	verificationPolicy = "RolecallVerification"
)

// roleARN stands for the role's ARN in documents that are written before the role is there.
const roleARN = "ROLE_ARN_OF_THIS_ROLE"

// ByHand writes the recipe for an order; ok is false where the manifest has no such permission set, or not its policy.
func (m Manifest) ByHand(o Order) (recipe Recipe, ok bool) {
	for _, s := range m.Sets {
		if s.Name == o.PermissionSet && (s.Name != CustomSet || s.Policy != "") {
			r := handmade{order: o, policies: m.inline(s), managed: s.policyARNs(o.Partition)}
			return Recipe{PolicyARNs: r.managed, CLI: r.cli(), Terraform: r.terraform()}, true
		}
	}
	return Recipe{}, false
}

func (s Set) policyARNs(partition string) []string {
	out := make([]string, 0, len(s.ManagedPolicies))
	for _, p := range s.ManagedPolicies {
		out = append(out, "arn:"+partition+":iam::aws:policy/"+p)
	}
	return out
}

// An inlinePolicy is a policy of the role's own.
type inlinePolicy struct {
	name string
	key  string // distinguishes it in Terraform's names
	text string // JSON, compact; roleARN stands for the role's
}

type policyDocument struct {
	Version   string
	Statement []policyStatement
}

type policyStatement struct {
	Sid      string
	Effect   string
	Action   []string
	Resource string
}

// inline are the inline policies that a role with the set has, in the order in which they are to be put: what takes away
// comes first.
func (m Manifest) inline(s Set) []inlinePolicy {
	var out []inlinePolicy
	if s.Policy != "" {
		out = append(out, inlinePolicy{customPolicy, "custom", s.Policy})
	} else if len(s.Deny) > 0 {
		var d policyDocument
		for _, denial := range s.Deny {
			d.Statement = append(d.Statement, policyStatement{denial.SID, "Deny", denial.Actions, "*"})
		}
		out = append(out, inlinePolicy{exceptionsPolicy, "exceptions", d.text()})
	}
	var d policyDocument
	for _, g := range m.Always {
		resource := g.Resource
		if resource == "role" {
			resource = roleARN
		}
		d.Statement = append(d.Statement, policyStatement{g.SID, "Allow", g.Actions, resource})
	}
	return append(out, inlinePolicy{verificationPolicy, "verification", d.text()})
}

func (d policyDocument) text() string {
	d.Version = "2012-10-17"
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(d) // texts always encode
	return strings.TrimSpace(b.String())
}

// handmade is an order with what the manifest makes of it.
type handmade struct {
	order    Order
	policies []inlinePolicy
	managed  []string
}

// description is the role's, as in the template.
func (h handmade) description() string {
	return "Lets " + h.order.PlatformName + " (account " + h.order.PlatformAccount + ") in with " + h.order.PermissionSet +
		" permissions - " + h.order.ConnectionID
}

// maxSession is how long a session of the role can last, in seconds: role chaining ends at an hour.
const maxSession = "3600"

// cli is one chain of commands, so that nothing is done after what failed. It holds no comment: an interactive zsh would
// take one for a command.
func (h handmade) cli() string {
	role := "--region " + shellQuote(h.order.Region) + " --role-name " + shellQuote(h.order.RoleName)
	steps := []string{"role_arn=$(aws iam create-role " + role + " \\\n" +
		"  --description " + shellQuote(h.description()) + " --max-session-duration " + maxSession + " \\\n" +
		"  --assume-role-policy-document " + shellQuote(h.order.TrustPolicy) + " \\\n" +
		"  --query Role.Arn --output text)"}
	for _, p := range h.policies {
		steps = append(steps, "aws iam put-role-policy "+role+" --policy-name "+p.name+" \\\n"+
			"  --policy-document "+shellQuoteWith(p.text, roleARN, `"$role_arn"`))
	}
	for _, arn := range h.managed {
		steps = append(steps, "aws iam attach-role-policy "+role+" --policy-arn "+shellQuote(arn))
	}
	steps = append(steps, `printf '%s: %s\n' `+shellQuote("Give this role ARN to "+h.order.PlatformName)+` "$role_arn"`)
	return strings.Join(steps, " &&\n") + "\n"
}

// A StackOrder is the stack of a launch.
type StackOrder struct {
	Region      string
	Name        string
	TemplateURL string
	Parameters  []Parameter
}

// A Parameter of a stack.
type Parameter struct{ Name, Value string }

// CLI are commands of the AWS CLI, for bash or zsh, that create the stack and wait for it.
func (o StackOrder) CLI() string {
	type parameter struct{ ParameterKey, ParameterValue string }
	parameters := make([]parameter, 0, len(o.Parameters))
	for _, p := range o.Parameters {
		parameters = append(parameters, parameter{p.Name, p.Value})
	}
	var list bytes.Buffer
	e := json.NewEncoder(&list)
	e.SetEscapeHTML(false)
	_ = e.Encode(parameters) // texts always encode
	where := " --region " + shellQuote(o.Region) + " --stack-name " + shellQuote(o.Name)
	return "aws cloudformation create-stack" + where + " \\\n" +
		"  --template-url " + shellQuote(o.TemplateURL) + " --capabilities CAPABILITY_NAMED_IAM \\\n" +
		"  --parameters " + shellQuote(strings.TrimSpace(list.String())) + " &&\n" +
		"aws cloudformation wait stack-create-complete" + where + "\n"
}

// shellQuote makes one word of any text without NUL, for every shell of POSIX.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// shellQuoteWith is shellQuote, but where mark stands the shell puts what word expands to.
func shellQuoteWith(text, mark, word string) string {
	parts := strings.Split(text, mark)
	for i, p := range parts {
		parts[i] = shellQuote(p)
	}
	return strings.Join(parts, word)
}
