package policy_test

import (
	"testing"

	"rolecall/infra/local/policy"
)

func TestActionsAndResources(t *testing.T) {
	const queue = "arn:aws:sqs:eu-west-1:111111111111:orders"
	cases := map[string]struct {
		elements         string
		action, resource string
		want             policy.Decision
	}{
		"all":                            {`"Action":"*","Resource":"*"`, "sqs:SendMessage", queue, policy.Allow},
		"case of the action":             {`"Action":"SQS:sendmessage","Resource":"*"`, "sqs:SendMessage", queue, policy.Allow},
		"prefix":                         {`"Action":"sqs:Send*","Resource":"*"`, "sqs:SendMessage", queue, policy.Allow},
		"star in the middle":             {`"Action":"sqs:*Mess?ge","Resource":"*"`, "sqs:SendMessage", queue, policy.Allow},
		"other action":                   {`"Action":["sqs:Receive*","sqs:Send"],"Resource":"*"`, "sqs:SendMessage", queue, policy.NoMatch},
		"not action":                     {`"NotAction":"iam:*","Resource":"*"`, "sqs:SendMessage", queue, policy.Allow},
		"not action, named":              {`"NotAction":["iam:*","sqs:*"],"Resource":"*"`, "sqs:SendMessage", queue, policy.NoMatch},
		"exact resource":                 {`"Action":"sqs:*","Resource":"` + queue + `"`, "sqs:SendMessage", queue, policy.Allow},
		"case of the resource":           {`"Action":"sqs:*","Resource":"arn:aws:sqs:eu-west-1:111111111111:Orders"`, "sqs:SendMessage", queue, policy.NoMatch},
		"star within a part":             {`"Action":"sqs:*","Resource":"arn:aws:sqs:*:111111111111:ord*"`, "sqs:SendMessage", queue, policy.Allow},
		"star does not cross a colon":    {`"Action":"sqs:*","Resource":"arn:aws:sqs:*:orders"`, "sqs:SendMessage", queue, policy.NoMatch},
		"short pattern is filled up":     {`"Action":"sqs:*","Resource":"arn:aws:sqs"`, "sqs:SendMessage", queue, policy.Allow},
		"star crosses slashes":           {`"Action":"s3:*","Resource":"arn:aws:s3:::b/*"`, "s3:GetObject", "arn:aws:s3:::b/x/y", policy.Allow},
		"colons in the last part":        {`"Action":"logs:*","Resource":"arn:aws:logs:*:*:log-group:/aws/*:log-stream:*"`, "logs:PutLogEvents", "arn:aws:logs:eu-west-1:111111111111:log-group:/aws/l:log-stream:s", policy.Allow},
		"no resource, pattern needed":    {`"Action":"ec2:*","Resource":"arn:aws:ec2:*:*:*"`, "ec2:DescribeRegions", "*", policy.NoMatch},
		"no resource, star":              {`"Action":"ec2:*","Resource":["*"]`, "ec2:DescribeRegions", "*", policy.Allow},
		"not resource":                   {`"Action":"sqs:*","NotResource":"arn:aws:sqs:*:*:secret"`, "sqs:SendMessage", queue, policy.Allow},
		"not resource, named":            {`"Action":"sqs:*","NotResource":["arn:aws:sqs:*:*:o*"]`, "sqs:SendMessage", queue, policy.NoMatch},
		"variable":                       {`"Action":"sqs:*","Resource":"arn:aws:sqs:*:${aws:PrincipalAccount}:*"`, "sqs:SendMessage", queue, policy.Allow},
		"variable, other account":        {`"Action":"sqs:*","Resource":"arn:aws:sqs:*:${aws:PrincipalAccount}:*"`, "sqs:SendMessage", "arn:aws:sqs:eu-west-1:222222222222:orders", policy.NoMatch},
		"variable without a value":       {`"Action":"sqs:*","Resource":"arn:aws:sqs:*:*:${aws:PrincipalTag/team}"`, "sqs:SendMessage", queue, policy.NoMatch},
		"variable with a default":        {`"Action":"sqs:*","Resource":"arn:aws:sqs:*:*:${aws:PrincipalTag/team, 'orders'}"`, "sqs:SendMessage", queue, policy.Allow},
		"a value's star is no wildcard":  {`"Action":"sqs:*","Resource":"arn:aws:sqs:*:*:${app:star}"`, "sqs:SendMessage", queue, policy.NoMatch},
		"literal star":                   {`"Action":"sqs:*","Resource":"arn:aws:sqs:*:*:${*}"`, "sqs:SendMessage", queue, policy.NoMatch},
		"a value's colon is no part":     {`"Action":"sqs:*","Resource":"arn:aws:${app:arnish}"`, "sqs:SendMessage", queue, policy.NoMatch},
		"explicit deny after the allow":  {`"Action":"*","Resource":"*"},{"Effect":"Deny","Action":"sqs:Send*","Resource":"*"`, "sqs:SendMessage", queue, policy.Deny},
		"deny of something else":         {`"Action":"*","Resource":"*"},{"Effect":"Deny","Action":"sqs:Purge*","Resource":"*"`, "sqs:SendMessage", queue, policy.Allow},
		"deny whose condition fails":     {`"Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"app:yes":"false"}}`, "sqs:SendMessage", queue, policy.Allow},
		"deny whose condition holds":     {`"Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"app:yes":true}}`, "sqs:SendMessage", queue, policy.Deny},
		"identity policies fit everyone": {`"Action":"sqs:*","Resource":"*"`, "sqs:SendMessage", queue, policy.Allow},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			doc := parse(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+c.elements+`}]}`)
			got := doc.Evaluate(policy.Request{
				Action: c.action, Resource: c.resource, Principal: broker,
				Context: map[string][]string{"app:star": {"*"}, "app:arnish": {"sqs:eu-west-1:111111111111:orders"}, "app:yes": {"true"}},
			})
			if got != c.want {
				t.Errorf("decision %v, want %v", got, c.want)
			}
		})
	}
}

func TestVariablesNeedTheNewerVersion(t *testing.T) {
	const rest = `"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:PrincipalAccount}"}}`
	r := policy.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::111111111111", Principal: broker}
	if got := parse(t, `{"Version":"2012-10-17",`+rest).Evaluate(r); got != policy.Allow {
		t.Errorf("2012-10-17: %v, want Allow", got)
	}
	for _, older := range []string{`{"Version":"2008-10-17",`, `{`} {
		if got := parse(t, older+rest).Evaluate(r); got != policy.NoMatch {
			t.Errorf("%s: %v, want NoMatch", older, got)
		}
	}
}

func TestConditions(t *testing.T) {
	context := map[string][]string{
		"app:name": {"Blue"}, "app:n": {"10"}, "app:when": {"2026-03-01T12:00:00Z"}, "app:flag": {"true"},
		"app:arn": {"arn:aws:iam::111111111111:role/rolecall/broker"}, "app:ip": {"10.1.2.3"}, "app:ip6": {"2001:db8::7"},
		"app:tags": {"team", "cost"}, "app:bin": {"QmxvYg=="}, "app:team": {"Blue"}, "app:glob": {"B*"}, "app:empty": {},
	}
	cases := map[string]struct {
		condition string
		want      bool
	}{
		"StringEquals":                      {`{"StringEquals":{"app:name":"Blue"}}`, true},
		"StringEquals minds case":           {`{"StringEquals":{"app:name":"blue"}}`, false},
		"StringEquals takes * literally":    {`{"StringEquals":{"app:name":"B*"}}`, false},
		"StringEquals, one of several":      {`{"StringEquals":{"app:name":["Red","Blue"]}}`, true},
		"StringEquals, no value":            {`{"StringEquals":{"app:name":[]}}`, false},
		"StringEquals, key missing":         {`{"StringEquals":{"app:none":"Blue"}}`, false},
		"StringEquals, key empty":           {`{"StringEquals":{"app:empty":""}}`, false},
		"StringEquals of a variable":        {`{"StringEquals":{"app:name":"${app:team}"}}`, true},
		"StringEquals, unknown variable":    {`{"StringEquals":{"app:name":"${app:none}"}}`, false},
		"StringNotEquals":                   {`{"StringNotEquals":{"app:name":"Red"}}`, true},
		"StringNotEquals, one matches":      {`{"StringNotEquals":{"app:name":["Red","Blue"]}}`, false},
		"StringNotEquals, key missing":      {`{"StringNotEquals":{"app:none":"Blue"}}`, true},
		"StringNotEquals, unknown variable": {`{"StringNotEquals":{"app:name":"${app:none}"}}`, true},
		"IgnoreCase":                        {`{"StringEqualsIgnoreCase":{"app:name":"bLUE"}}`, true},
		"NotEqualsIgnoreCase":               {`{"StringNotEqualsIgnoreCase":{"app:name":"bLUE"}}`, false},
		"StringLike":                        {`{"StringLike":{"app:name":"?l*"}}`, true},
		"StringLike minds case":             {`{"StringLike":{"app:name":"b*"}}`, false},
		"StringLike, key missing":           {`{"StringLike":{"app:none":"*"}}`, false},
		"StringLike, star of a variable":    {`{"StringLike":{"app:name":"${app:glob}"}}`, false},
		"StringNotLike":                     {`{"StringNotLike":{"app:name":"R*"}}`, true},
		"StringNotLike, key missing":        {`{"StringNotLike":{"app:none":"R*"}}`, true},
		"keys are ANDed":                    {`{"StringEquals":{"app:name":"Blue","app:n":"11"}}`, false},
		"operators are ANDed":               {`{"StringEquals":{"app:name":"Blue"},"Bool":{"app:flag":"false"}}`, false},
		"IfExists, missing":                 {`{"StringEqualsIfExists":{"app:none":"x"}}`, true},
		"IfExists, other":                   {`{"StringEqualsIfExists":{"app:name":"x"}}`, false},
		"Bool as boolean":                   {`{"Bool":{"app:flag":true}}`, true},
		"Bool in other case":                {`{"Bool":{"app:flag":"TRUE"}}`, true},
		"Bool, key missing":                 {`{"Bool":{"app:none":"false"}}`, false},
		"BoolIfExists, key missing":         {`{"BoolIfExists":{"app:none":"true"}}`, true},
		"Null, key there":                   {`{"Null":{"app:name":"false"}}`, true},
		"Null, key missing":                 {`{"Null":{"app:none":true}}`, true},
		"Null wants it, is missing":         {`{"Null":{"app:none":"false"}}`, false},
		"Null refuses it, is there":         {`{"Null":{"app:name":"true"}}`, false},
		"NumericEquals, other spelling":     {`{"NumericEquals":{"app:n":"10.0"}}`, true},
		"NumericLessThan":                   {`{"NumericLessThan":{"app:n":11}}`, true},
		"NumericLessThan, equal":            {`{"NumericLessThan":{"app:n":10}}`, false},
		"NumericLessThanEquals":             {`{"NumericLessThanEquals":{"app:n":"10"}}`, true},
		"NumericGreaterThan":                {`{"NumericGreaterThan":{"app:n":9}}`, true},
		"NumericGreaterThanEquals":          {`{"NumericGreaterThanEquals":{"app:n":11}}`, false},
		"NumericNotEquals":                  {`{"NumericNotEquals":{"app:n":10}}`, false},
		"Numeric of a word":                 {`{"NumericEquals":{"app:name":10}}`, false},
		"DateLessThan":                      {`{"DateLessThan":{"app:when":"2026-03-01T12:00:01Z"}}`, true},
		"DateGreaterThan, other zone":       {`{"DateGreaterThan":{"app:when":"2026-03-01T14:00:00+02:00"}}`, false},
		"DateEquals, epoch":                 {`{"DateEquals":{"app:when":"1772366400"}}`, true},
		"DateGreaterThanEquals, day":        {`{"DateGreaterThanEquals":{"app:when":"2026-03-01"}}`, true},
		"IpAddress":                         {`{"IpAddress":{"app:ip":"10.1.0.0/16"}}`, true},
		"IpAddress, single":                 {`{"IpAddress":{"app:ip":"10.1.2.3"}}`, true},
		"IpAddress, outside":                {`{"IpAddress":{"app:ip":["10.2.0.0/16","192.168.0.0/16"]}}`, false},
		"IpAddress, version 6":              {`{"IpAddress":{"app:ip6":"2001:db8::/32"}}`, true},
		"NotIpAddress":                      {`{"NotIpAddress":{"app:ip":"10.1.0.0/16"}}`, false},
		"BinaryEquals":                      {`{"BinaryEquals":{"app:bin":"QmxvYg=="}}`, true},
		"BinaryEquals, other":               {`{"BinaryEquals":{"app:bin":"QmxvYw=="}}`, false},
		"ArnEquals":                         {`{"ArnEquals":{"app:arn":"arn:aws:iam::111111111111:role/rolecall/broker"}}`, true},
		"ArnEquals takes wildcards":         {`{"ArnEquals":{"app:arn":"arn:aws:iam::*:role/rolecall/*"}}`, true},
		"ArnLike, star in its part":         {`{"ArnLike":{"app:arn":"arn:aws:*:role/rolecall/broker"}}`, false},
		"ArnLike, key missing":              {`{"ArnLike":{"app:none":"arn:aws:iam::*:role/*"}}`, false},
		"ArnNotLike":                        {`{"ArnNotLike":{"app:arn":"arn:aws:iam::*:user/*"}}`, true},
		"ArnNotEquals, matching":            {`{"ArnNotEquals":{"app:arn":"arn:aws:iam::*:role/*"}}`, false},
		"ArnNotLike, key missing":           {`{"ArnNotLike":{"app:none":"arn:aws:iam::*:role/*"}}`, true},
		"ForAllValues, subset":              {`{"ForAllValues:StringEquals":{"app:tags":["team","cost","x"]}}`, true},
		"ForAllValues, one outside":         {`{"ForAllValues:StringEquals":{"app:tags":["team"]}}`, false},
		"ForAllValues, key missing":         {`{"ForAllValues:StringEquals":{"app:none":["team"]}}`, true},
		"ForAnyValue":                       {`{"ForAnyValue:StringEquals":{"app:tags":["x","cost"]}}`, true},
		"ForAnyValue, none":                 {`{"ForAnyValue:StringEquals":{"app:tags":["x"]}}`, false},
		"ForAnyValue, key missing":          {`{"ForAnyValue:StringEquals":{"app:none":["x"]}}`, false},
		"ForAnyValue negated, some outside": {`{"ForAnyValue:StringNotEquals":{"app:tags":["team"]}}`, true},
		"ForAnyValue negated, all inside":   {`{"ForAnyValue:StringNotEquals":{"app:tags":["team","cost"]}}`, false},
		"ForAllValues negated":              {`{"ForAllValues:StringNotLike":{"app:tags":["c*"]}}`, false},
		"ForAllValues Bool IfExists":        {`{"ForAllValues:BoolIfExists":{"app:none":"true"}}`, true},
		"negated, one of the key's values":  {`{"StringNotEquals":{"app:tags":"cost"}}`, false},
		"negated, none of the key's values": {`{"StringNotEquals":{"app:tags":"x"}}`, true},
		"positive, one of the key's values": {`{"StringEquals":{"app:tags":"cost"}}`, true},
		"ArnLike does not fill up":          {`{"ArnLike":{"app:arn":"arn:aws:iam"}}`, false},
		"ArnLike, lone star":                {`{"ArnLike":{"app:arn":"*"}}`, true},
		"no condition in the block":         {`{}`, true},
		"key in other case":                 {`{"StringEquals":{"APP:Name":"Blue"}}`, true},
		"variable in other case":            {`{"StringEquals":{"app:name":"${APP:TEAM}"}}`, true},
		"unfinished variable is text":       {`{"StringEquals":{"app:name":"${app:team"}}`, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			doc := parse(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":`+c.condition+`}}`)
			got := doc.Evaluate(policy.Request{Action: "app:Do", Resource: "*", Context: context})
			if (got == policy.Allow) != c.want {
				t.Errorf("decision %v, want allowed %v", got, c.want)
			}
		})
	}
}
