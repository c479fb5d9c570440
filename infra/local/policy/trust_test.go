package policy_test

import (
	"strings"
	"testing"

	"rolecall/infra/local/policy"
)

const externalID = "abc123def456"

var broker = policy.Principal{
	Account: "111111111111",
	ARN:     "arn:aws:sts::111111111111:assumed-role/broker/session",
	RoleARN: "arn:aws:iam::111111111111:role/rolecall/broker",
}

func trust(t *testing.T, principal, effect, condition string) policy.Document {
	t.Helper()
	text := `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Principal":` + principal +
		`,"Action":"sts:AssumeRole"` + condition + `}]}`
	doc := parse(t, text)
	if err := doc.CheckTrust(); err != nil {
		t.Fatalf("CheckTrust: %v", err)
	}
	return doc
}

func parse(t *testing.T, text string) policy.Document {
	t.Helper()
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return doc
}

// TestTrustProbes holds the trust policies of the threat model against the three probes a verification makes.
func TestTrustProbes(t *testing.T) {
	const account = `{"AWS":"arn:aws:iam::111111111111:root"}`
	cases := map[string]struct {
		principal, effect, condition string
		right, none, wrong           policy.Decision
	}{
		"exact":             {account, "Allow", `,"Condition":{"StringEquals":{"sts:ExternalId":"abc123def456"}}`, policy.Allow, policy.NoMatch, policy.NoMatch},
		"no condition":      {account, "Allow", ``, policy.Allow, policy.Allow, policy.Allow},
		"like anything":     {account, "Allow", `,"Condition":{"StringLike":{"sts:ExternalId":"*"}}`, policy.Allow, policy.NoMatch, policy.Allow},
		"like a prefix":     {account, "Allow", `,"Condition":{"StringLike":{"sts:ExternalId":"abc*"}}`, policy.Allow, policy.NoMatch, policy.Allow},
		"if exists":         {account, "Allow", `,"Condition":{"StringEqualsIfExists":{"sts:ExternalId":"abc123def456"}}`, policy.Allow, policy.Allow, policy.NoMatch},
		"not equals":        {account, "Allow", `,"Condition":{"StringNotEquals":{"sts:ExternalId":"other"}}`, policy.Allow, policy.Allow, policy.Allow},
		"two ids":           {account, "Allow", `,"Condition":{"StringEquals":{"sts:ExternalId":["abc123def456","abc123def457"]}}`, policy.Allow, policy.NoMatch, policy.Allow},
		"MFA only":          {account, "Allow", `,"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`, policy.NoMatch, policy.NoMatch, policy.NoMatch},
		"deny":              {account, "Deny", ``, policy.Deny, policy.Deny, policy.Deny},
		"wrong vendor":      {`{"AWS":"arn:aws:iam::999999999999:root"}`, "Allow", `,"Condition":{"StringEquals":{"sts:ExternalId":"abc123def456"}}`, policy.NoMatch, policy.NoMatch, policy.NoMatch},
		"ignore case":       {account, "Allow", `,"Condition":{"StringEqualsIgnoreCase":{"sts:ExternalId":"ABC123DEF456"}}`, policy.Allow, policy.NoMatch, policy.NoMatch},
		"anyone, right id":  {`"*"`, "Allow", `,"Condition":{"StringEquals":{"sts:ExternalId":"abc123def456"}}`, policy.Allow, policy.NoMatch, policy.NoMatch},
		"key in other case": {account, "Allow", `,"Condition":{"StringEquals":{"STS:externalid":"abc123def456"}}`, policy.Allow, policy.NoMatch, policy.NoMatch},
		"our roles only": {account, "Allow", `,"Condition":{"StringEquals":{"sts:ExternalId":"abc123def456"},` +
			`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/rolecall/*"}}`, policy.Allow, policy.NoMatch, policy.NoMatch},
		"other roles only": {account, "Allow", `,"Condition":{"StringEquals":{"sts:ExternalId":"abc123def456"},` +
			`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/other/*"}}`, policy.NoMatch, policy.NoMatch, policy.NoMatch},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			doc := trust(t, c.principal, c.effect, c.condition)
			probe := func(id ...string) policy.Decision {
				r := policy.Request{
					Action: "sts:AssumeRole", Resource: "arn:aws:iam::222222222222:role/r", Principal: broker,
					Context: map[string][]string{"aws:MultiFactorAuthPresent": {"false"}},
				}
				if len(id) > 0 {
					r.Context["sts:ExternalId"] = id
				}
				return doc.Evaluate(r)
			}
			got := []policy.Decision{probe(externalID), probe(), probe(strings.TrimSuffix(externalID, "6") + "7")}
			want := []policy.Decision{c.right, c.none, c.wrong}
			for i, label := range []string{"right id", "no id", "wrong id"} {
				if got[i] != want[i] {
					t.Errorf("%s: decision %v, want %v", label, got[i], want[i])
				}
			}
		})
	}
}

func TestPrincipals(t *testing.T) {
	user := policy.Principal{Account: "111111111111", ARN: "arn:aws:iam::111111111111:user/ann"}
	root := policy.Principal{Account: "111111111111", ARN: "arn:aws:iam::111111111111:root"}
	sns := policy.Principal{Service: "sns.amazonaws.com", Account: "111111111111"}
	cases := map[string]struct {
		principal string
		who       policy.Principal
		want      policy.Grade // Open: not named
	}{
		"everyone":                   {`"*"`, user, policy.ByRole},
		"every AWS principal":        {`{"AWS":"*"}`, user, policy.ByRole},
		"everyone covers services":   {`"*"`, sns, policy.ByRole},
		"account id":                 {`{"AWS":"111111111111"}`, user, policy.ByAccount},
		"account root covers user":   {`{"AWS":"arn:aws:iam::111111111111:root"}`, user, policy.ByAccount},
		"account root covers root":   {`{"AWS":"arn:aws:iam::111111111111:root"}`, root, policy.ByAccount},
		"account root, session":      {`{"AWS":["arn:aws:iam::111111111111:root"]}`, broker, policy.ByAccount},
		"account is not a service":   {`{"AWS":"111111111111"}`, sns, policy.Open},
		"foreign account":            {`{"AWS":"222222222222"}`, user, policy.Open},
		"exact user":                 {`{"AWS":"arn:aws:iam::111111111111:user/ann"}`, user, policy.ByName},
		"other user":                 {`{"AWS":"arn:aws:iam::111111111111:user/an"}`, user, policy.Open},
		"role of the session":        {`{"AWS":"arn:aws:iam::111111111111:role/rolecall/broker"}`, broker, policy.ByRole},
		"role with another path":     {`{"AWS":"arn:aws:iam::111111111111:role/broker"}`, broker, policy.Open},
		"exact session":              {`{"AWS":"arn:aws:sts::111111111111:assumed-role/broker/session"}`, broker, policy.ByName},
		"other session":              {`{"AWS":"arn:aws:sts::111111111111:assumed-role/broker/other"}`, broker, policy.Open},
		"most direct wins":           {`{"AWS":["111111111111","arn:aws:sts::111111111111:assumed-role/broker/session"]}`, broker, policy.ByName},
		"service":                    {`{"Service":"sns.amazonaws.com"}`, sns, policy.ByName},
		"other service":              {`{"Service":["sqs.amazonaws.com"]}`, sns, policy.Open},
		"service name, not a caller": {`{"Service":"sns.amazonaws.com"}`, user, policy.Open},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			doc := trust(t, c.principal, "Allow", "")
			decision, grade := doc.Grants(policy.Request{Action: "sts:AssumeRole", Resource: "arn:aws:iam::1:role/r", Principal: c.who})
			if named := decision == policy.Allow; named != (c.want != policy.Open) || grade != c.want {
				t.Errorf("decision %v, grade %v, want grade %v", decision, grade, c.want)
			}
		})
	}
}

func TestNotPrincipal(t *testing.T) {
	const whole = `{"AWS":["arn:aws:iam::111111111111:root","arn:aws:iam::111111111111:role/rolecall/broker",` +
		`"arn:aws:sts::111111111111:assumed-role/broker/session"]}`
	other := policy.Principal{Account: "111111111111", ARN: "arn:aws:iam::111111111111:user/ann"}
	cases := map[string]struct {
		listed string
		who    policy.Principal
		want   policy.Decision
	}{
		"whole chain listed is spared":    {whole, broker, policy.NoMatch},
		"somebody else of the account":    {whole, other, policy.Deny},
		"the role without its account":    {`{"AWS":"arn:aws:iam::111111111111:role/rolecall/broker"}`, broker, policy.Deny},
		"the account alone spares nobody": {`{"AWS":"arn:aws:iam::111111111111:root"}`, broker, policy.Deny},
		"everyone is spared":              {`"*"`, broker, policy.NoMatch},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			doc := parse(t, `{"Statement":{"Effect":"Deny","NotPrincipal":`+c.listed+`,"Action":"sqs:*","Resource":"*"}}`)
			got := doc.Evaluate(policy.Request{Action: "sqs:SendMessage", Resource: "arn:aws:sqs:eu-west-1:111111111111:q", Principal: c.who})
			if got != c.want {
				t.Errorf("decision %v, want %v", got, c.want)
			}
		})
	}
}
