package laptop_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolecall/templates"
)

// An attack is a row of the table: what somebody does who is not the customer, what is to come of it, and what came of it.
type attack struct {
	name, expected string
	do             func(*testing.T) string
}

// Everything that a stranger can say to the callback topics, and what comes of it. What CloudFormation did not ask leaves the
// whole table (but for LIMIT# leases and the schedule's cursor, which count and change nothing), the published events and the
// lengths of all queues as they were, byte for byte.
func TestAttacks(t *testing.T) {
	s := newScene(t)
	var table strings.Builder
	for _, a := range slices.Concat(s.madeUpSignatures(), s.wrongAddresses(), s.genuineAddresses(), s.tokens(), s.replays(t), s.ends(), s.revocations()) {
		seen := "did not finish"
		t.Run(a.name, func(t *testing.T) {
			if seen = a.do(t); seen != a.expected {
				t.Errorf("%s\nexpected %s\nseen     %s", a.name, a.expected, seen)
			}
		})
		fmt.Fprintf(&table, "%s\n    expected  %s\n    seen      %s\n", a.name, a.expected, seen)
	}
	t.Logf("attacks\n%s", table.String())
}

// madeUpSignatures are requests that look as CloudFormation's do, but for the signature: nobody else can make that.
func (s *scene) madeUpSignatures() (out []attack) {
	var leaked []message
	for _, kind := range []string{"Create", "Update", "Delete"} {
		for _, resource := range []string{"Connection", "StackStarted"} {
			m := s.forged(kind, resource)
			out = append(out, s.dropped(fmt.Sprintf("forged %s of %s, no token and a made-up one", kind, resource), "dropped: answer_refused ×2; PUTs: 403 ×2; nothing written",
				m, s.forged(kind, resource).saying("CallbackToken", madeUpToken)))
			leaked = append(leaked, s.forged(kind, resource).saying("CallbackToken", s.victim.token))
		}
	}
	// With a valid token, roles that are reported are tried for as long as IAM may take, before the address shows what they are.
	out = append(out, s.dropped("forged requests of all kinds with the leaked token", "dropped: answer_refused ×6; PUTs: 403 ×6; nothing written", leaked...))
	same := s.forged("Update", "Connection").saying("RoleArn", s.victim.made.RoleARN).saying("CallbackToken", s.victim.token)
	return append(out, s.dropped("forged Update that names the role which serves", "dropped: answer_refused ×1; PUTs: 403 ×1; nothing written", same))
}

// wrongAddresses are answer addresses that CloudFormation does not write for the request.
func (s *scene) wrongAddresses() (out []attack) {
	m := s.forged("Delete", "Connection").saying("CallbackToken", s.victim.token)
	stack, logical, request, address := m.text("StackId"), m.text("LogicalResourceId"), m.text("RequestId"), m.text("ResponseURL")
	other := stack[:len(stack)-12] + "0123456789ab"
	path, query, _ := strings.Cut(strings.TrimPrefix(address, bucket()), "?")
	moon := strings.ReplaceAll(stack, ":eu-west-1:", ":eu-moon-1:")
	for _, row := range []struct{ name, reason, stack, address string }{
		{"key names another stack", "key", stack, s.signed(other, logical, request)},
		{"key names another logical id", "key", stack, s.signed(stack, "StackStarted", request)},
		{"key names another request", "key", stack, s.signed(stack, logical, "another")},
		{"Signature Version 2", "signature", stack, bucket() + path + "?AWSAccessKeyId=AKIAEXAMPLE&Expires=4102444800&Signature=c2lnbmF0dXJl"},
		{"encoded twice", "key", stack, bucket() + strings.ReplaceAll(path, "%", "%25") + "?" + query},
		{"a slash more", "key", stack, bucket() + "/" + path + "?" + query},
		{"a parameter twice", "signature", stack, address + "&X-Amz-Expires=7200"},
		{"path style", "host", stack, "https://s3.eu-west-1.amazonaws.com/cloudformation-custom-resource-response-euwest1" + path + "?" + query},
		{"a bucket of the stranger's own", "host", stack, "https://cloudformation-custom-resource-response-mine.s3.eu-west-1.amazonaws.com" + path + "?" + query},
		{"another Region's bucket", "host", stack, "https://cloudformation-custom-resource-response-eumoon1.s3.eu-moon-1.amazonaws.com" + path + "?" + query},
		{"signed for another Region", "signature", stack, strings.Replace(address, "%2Feu-west-1%2F", "%2Feu-moon-1%2F", 1)},
		{"a stack of an unknown Region", "stack", moon, s.signed(moon, logical, request)},
		{"an address that has ended", "expired", stack, s.signedAgo(stack, logical, request, 2*time.Hour+time.Minute)},
	} {
		if row.address == address {
			panic(row.name + " changes nothing")
		}
		forged := m.with("StackId", row.stack).with("ResponseURL", row.address)
		out = append(out, s.dropped("address: "+row.name, "dropped: "+row.reason+" ×1; no I/O; nothing written", forged))
	}
	return out
}

// genuineAddresses are signed by CloudFormation, for something else.
func (s *scene) genuineAddresses() []attack {
	own := s.strangers.next(s.t, "Create")
	other := s.victim.other.next(s.t, "Create")
	own.succeed(s.t)
	other.succeed(s.t)
	var borrowed []message
	for _, kind := range []string{"Create", "Update", "Delete"} {
		for _, resource := range []string{"Connection", "StackStarted"} {
			for _, token := range []string{"", s.victim.older, s.victim.token} {
				borrowed = append(borrowed, s.forged(kind, resource).saying("CallbackToken", token).
					with("LogicalResourceId", "Other").with("RequestId", other.text("RequestId")).with("ResponseURL", other.text("ResponseURL")))
			}
		}
	}
	m := s.forged("Delete", "Connection").saying("CallbackToken", s.victim.token).with("ResponseURL", own.text("ResponseURL"))
	return []attack{
		s.dropped("own genuine address, the victim's StackId in the JSON", "dropped: key ×1; no I/O; nothing written",
			m.with("RequestId", own.text("RequestId")).with("LogicalResourceId", own.text("LogicalResourceId"))),
		{
			"address of another resource of the victim's stack, no token, an older launch's and its own", "taken: PUTs: 200 ×18; nothing written",
			func(t *testing.T) string {
				return "taken: " + s.watch(t, func() { s.publish(t, borrowed...) }, func(g sight) bool { return g.puts[http.StatusOK] >= len(borrowed) }).String()
			},
		},
	}
}

// tokens are stacks that the stranger really makes in an account of its own.
func (s *scene) tokens() []attack {
	mine := func(t *testing.T) customer { return customer{t, newAccount(), "eu-west-1"} }
	// refused makes a stack of a connection's link that is to be refused, and tells why and what was written.
	refused := func(change func(*testing.T) connection) func(*testing.T) string {
		return func(t *testing.T) string {
			c, me := change(t), mine(t)
			quietNow(t)
			var end string
			g := s.watch(t, func() {
				me.launch(c, func(in *cloudformation.CreateStackInput) { in.StackName = aws.String("mine") })
				end = me.end("mine") + " " + me.told("mine")
			}, func(sight) bool { return true })
			if len(g.changed) == 1 && strings.Contains(g.changed[0], "SK:STACK#") && strings.Contains(g.changed[0], "deleted:true expiresAt:") && strings.Contains(g.changed[0], me.account) {
				return end + "; remembered for a day: its own stack's end"
			}
			return end + "; " + g.change()
		}
	}
	used := func(t *testing.T) connection { t.Helper(); return s.victim.launched }
	open := func(t *testing.T) connection { t.Helper(); return tenant{t, s.acme}.create("Open " + newAccount()) }
	return []attack{
		{
			"own stack, the bound victim's connection id, a made-up token", "ROLLBACK_COMPLETE CALLBACK_TOKEN_INVALID; nothing written",
			refused(func(t *testing.T) connection {
				return used(t).withToken(madeUpToken)
			}),
		},
		{
			"own stack, an open launch's connection id, a made-up token", "ROLLBACK_COMPLETE CALLBACK_TOKEN_INVALID; nothing written",
			refused(func(t *testing.T) connection {
				return open(t).withToken(madeUpToken)
			}),
		},
		{
			"own stack, an open launch's connection id, no token", "ROLLBACK_COMPLETE CALLBACK_TOKEN_INVALID; nothing written",
			func(t *testing.T) string {
				c, me := open(t), mine(t)
				quietNow(t)
				var end string
				g := s.watch(t, func() {
					me.raw("mine", map[string]any{"StackStarted": map[string]any{"Type": "Custom::RolecallStackStarted", "Properties": map[string]any{
						"ServiceToken": callbacksTopic, "ServiceTimeout": 300, "ConnectionId": c.ID,
					}}})
					end = me.end("mine") + " " + me.told("mine")
				}, func(sight) bool { return true })
				return end + "; " + g.change()
			},
		},
		{
			"own stack, the leaked token of an open launch", "CREATE_COMPLETE; enabled for the stranger's account; once more: ROLLBACK_COMPLETE LAUNCH_USED; remembered for a day: its own stack's end",
			func(t *testing.T) string {
				c, me := open(t), mine(t)
				me.launch(c, nil)
				first, got := me.end(c.Launch.StackName), tenant{t, s.acme}.get(c.ID)
				whose := "nobody's"
				if got.AccountID == me.account {
					whose = "the stranger's"
				}
				return first + "; " + got.Status + " for " + whose + " account; once more: " + refused(func(*testing.T) connection { return c })(t)
			},
		},
		{
			"own stack, the leaked token where an account is expected", "ROLLBACK_COMPLETE ACCOUNT_MISMATCH; pending, no stack",
			func(t *testing.T) string {
				acme, me := tenant{t, s.acme}, mine(t)
				var c connection
				acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"Pinned `+newAccount()+`","accountId":"`+newAccount()+`"}`).into(t, &c)
				me.launch(c, nil)
				end, got := me.end(c.Launch.StackName)+" "+me.told(c.Launch.StackName), acme.get(c.ID)
				if got.Stack != nil {
					return end + "; bound"
				}
				return end + "; " + got.Status + ", no stack"
			},
		},
		{
			"own stack, an older launch's token for a connection that a newer one bound", "ROLLBACK_COMPLETE LAUNCH_USED; remembered for a day: its own stack's end",
			refused(func(t *testing.T) connection { return used(t).withToken(s.victim.older) }),
		},
		{
			"own stack, the victim's used token", "ROLLBACK_COMPLETE LAUNCH_USED; remembered for a day: its own stack's end",
			refused(used),
		},
		{
			"a reader's token: neither callback token nor link (all routes: TestReadersSeeNoToken)", "no token, no launch",
			func(t *testing.T) string {
				c := open(t)
				reader := as(t, sceneTenant, "connections:read")
				a := reader.want(http.StatusOK, "GET", "/v1/connections/"+c.ID, "")
				if strings.Contains(string(a.body), c.Launch.Parameters["CallbackToken"]) || strings.Contains(string(a.body), "quickCreateUrl\":\"") {
					return string(a.body)
				}
				return "no token, no launch"
			},
		},
	}
}

// replays are messages that CloudFormation sent once.
func (s *scene) replays(t *testing.T) []attack {
	t.Helper()
	var seen []message
	for _, m := range s.tap.all(t) {
		if m.text("StackId") == s.victim.made.Stack.ID {
			seen = append(seen, m)
		}
	}
	if len(seen) != 2 {
		t.Fatalf("%d messages of the victim's stack", len(seen))
	}
	return []attack{{
		"replay of both messages of the victim's stack", "PUTs: 200 ×2; nothing written",
		func(t *testing.T) string {
			return s.watch(t, func() { s.publish(t, seen...) }, func(g sight) bool { return g.puts[http.StatusOK] >= len(seen) }).String()
		},
	}}
}

// ends are what the customers' own stacks do when it matters.
func (s *scene) ends() []attack {
	return []attack{
		{
			"the same stack name made again", "ROLLBACK_COMPLETE LAUNCH_USED; disconnected; the first stack",
			func(t *testing.T) string {
				o := s.onboard(t, "Made again", nil)
				name := o.launched.Launch.StackName
				o.theirs.deleteStack(name)
				eventually(t, 60*time.Second, "disconnected", func() bool { return o.get().Status == "disconnected" })
				o.theirs.await(o.made.Stack.ID, types.StackStatusDeleteComplete, 60*time.Second)
				o.theirs.launch(o.launched, nil)
				end, got := o.theirs.end(name)+" "+o.theirs.told(name), o.get()
				if got.Stack == nil || got.Stack.ID == o.made.Stack.ID {
					return end + "; " + got.Status + "; the first stack"
				}
				return end + "; " + got.Status + "; another stack"
			},
		},
		{
			"old stack deleted after a pasted role was proven", "DELETE_COMPLETE; enabled, unlinked, credentials 200",
			func(t *testing.T) string {
				o := s.onboard(t, "Pasted over", nil)
				role := pastedRole(t, o.theirs.account, "Pasted", o.made.ExternalID, `"ec2:DescribeRegions","iam:GetRole"`)
				o.acme.want(http.StatusOK, "PUT", "/v1/connections/"+o.made.ID+"/role", `{"roleArn":"`+role+`"}`)
				o.theirs.deleteStack(o.launched.Launch.StackName)
				o.theirs.await(o.made.Stack.ID, types.StackStatusDeleteComplete, 60*time.Second)
				eventually(t, 30*time.Second, "unlinked", func() bool { return o.get().Stack == nil })
				quietNow(t)
				got := o.get()
				if got.RoleARN != role {
					return "role " + got.RoleARN
				}
				return fmt.Sprintf("DELETE_COMPLETE; %s, unlinked, credentials %d", got.Status, o.credentials())
			},
		},
		{
			"KMS fails while a stack is deleted", "DELETE_COMPLETE; disconnected; credentials 409",
			func(t *testing.T) string {
				o := s.onboard(t, "Without KMS", nil)
				inject(t, `{"service":"kms","kind":"error500"}`)
				o.theirs.deleteStack(o.launched.Launch.StackName)
				o.theirs.await(o.made.Stack.ID, types.StackStatusDeleteComplete, 60*time.Second)
				eventually(t, 30*time.Second, "disconnected", func() bool { return o.get().Status == "disconnected" })
				return fmt.Sprintf("DELETE_COMPLETE; disconnected; credentials %d", o.credentials())
			},
		},
		{
			"verify is pressed and the role pasted while a stack waits", "verify 409; pasted 200; CREATE_COMPLETE; enabled",
			func(t *testing.T) string {
				acme := tenant{t, s.acme}
				c := acme.create("Pressed")
				theirs := customer{t, newAccount(), "eu-west-1"}
				c.Launch.Parameters["RoleName"] = "Pressed"
				inject(t, `{"service":"sts","kind":"error500","caller":"verify"}`)
				theirs.launch(c, nil)
				eventually(t, 60*time.Second, "the role on trial", func() bool { return hits() > 0 })
				pressed := acme.call("POST", "/v1/connections/"+c.ID+"/verify", "").status
				pasted := acme.call("PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"arn:aws:iam::`+theirs.account+`:role/Pressed"}`).status
				pocket.Faults.Clear()
				end := theirs.end(c.Launch.StackName)
				return fmt.Sprintf("verify %d; pasted %d; %s; %s", pressed, pasted, end, acme.get(c.ID).Status)
			},
		},
	}
}

// revocations are attempts to bring a revoked session back.
func (s *scene) revocations() []attack {
	const console = "AWSRevokeOlderSessions"
	return []attack{
		{
			"forged Delete after revoke-sessions", "dropped: answer_refused ×4; PUTs: 403 ×4; nothing written; the session works: false",
			func(t *testing.T) string {
				acme := tenant{t, s.acme}
				old := acme.keys(s.victim.made.ID)
				if !old.works() || !acme.revoke(s.victim.made.ID) {
					t.Fatal("the session cannot be revoked")
				}
				var all []message
				for _, resource := range []string{"Connection", "StackStarted"} {
					for _, token := range []string{"", s.victim.token} {
						all = append(all, s.forged("Delete", resource).saying("CallbackToken", token))
					}
				}
				g := s.watch(t, func() { s.publish(t, all...) }, func(g sight) bool { return g.drops[dropRefused] >= len(all) })
				return fmt.Sprintf("%s; the session works: %v", g, old.works())
			},
		},
		{
			`the customer's own "Revoke active sessions" while ours is in force`, "ours lifted; the customer's is as it was",
			func(t *testing.T) string {
				older, err := os.ReadFile("testdata/connection-1.1.0.yaml")
				if err != nil {
					t.Fatal(err)
				}
				o := s.onboard(t, "Revoked by both", func(in *cloudformation.CreateStackInput) {
					in.TemplateURL, in.TemplateBody = nil, aws.String(string(older))
				})
				name, own := o.made.RoleARN[strings.LastIndex(o.made.RoleARN, "/")+1:], templates.Revocation(time.Unix(1, 0))
				put := &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String(console), PolicyDocument: &own}
				if !o.acme.revoke(o.made.ID) || o.theirs.inlinePolicy(o.made.RoleARN, templates.RevocationPolicy) == "" {
					t.Fatal("not revoked")
				}
				if _, err := iamOf(o.theirs.account).PutRolePolicy(t.Context(), put); err != nil {
					t.Fatal(err)
				}
				o.theirs.deleteStack(o.launched.Launch.StackName) // a role with a policy of the customer's own stays
				eventually(t, 90*time.Second, "ours lifted", func() bool { return o.theirs.inlinePolicy(o.made.RoleARN, templates.RevocationPolicy) == "" })
				if o.theirs.inlinePolicy(o.made.RoleARN, console) != own {
					return "the customer's is " + o.theirs.inlinePolicy(o.made.RoleARN, console)
				}
				return "ours lifted; the customer's is as it was"
			},
		},
	}
}

// Thousands of forgeries that name the victims' stacks, their logical id and new roles, while one customer replaces the role
// and another's update rolls back: both are answered in time, nothing is left behind, and others hardly notice.
func TestAFloodOfForgeries(t *testing.T) {
	n := 500
	if os.Getenv("ROLECALL_LONG") != "" {
		n = 5000
	}
	s := newScene(t)
	replaced, rolled := s.onboard(t, "Replaced under a flood", nil), s.onboard(t, "Rolled back under a flood", nil)
	other := as(t, "acme-beside-a-flood")
	calm := median(other.onboardings(t, "Calm", func(n int) bool { return n < 3 }))
	quietNow(t)

	began, dead, failures := time.Now(), deadLetters(t), errorLines()
	c := s.count()
	var all sync.WaitGroup
	for part := range 4 {
		all.Go(func() {
			for i := part; i < n; i += 4 {
				o := []onboarded{replaced, rolled}[i%2]
				m := s.forgedOf(o, []string{"Update", "Create"}[i%8/7], "Connection").saying("RoleArn", fmt.Sprintf("arn:aws:iam::%s:role/Forged%d", o.theirs.account, i))
				if i%4 > 1 {
					m = m.saying("CallbackToken", madeUpToken)
				}
				s.publish(t, m)
			}
		})
	}
	eventually(t, time.Minute, "a flood", func() bool { return c.look().drops[dropRefused] > n/20 })
	replaced.theirs.update(replaced.launched.Launch.StackName, map[string]string{"RoleName": "Replacement"})
	rolled.theirs.spoilt(rolled.launched, map[string]string{"RoleName": "Spoilt"})
	ends := make([]string, 2)
	took := make([]time.Duration, 2)
	for i, o := range []onboarded{replaced, rolled} {
		all.Go(func() {
			asked := time.Now()
			ends[i], took[i] = o.theirs.end(o.launched.Launch.StackName), 0
			took[i] = time.Since(asked)
		})
	}
	flooded := median(other.onboardings(t, "Flooded", func(i int) bool { return i == 0 || (i < 5 && c.look().drops[dropRefused] < n) }))
	all.Wait()
	eventually(t, 10*time.Minute, "all forgeries dropped", func() bool { return c.look().drops[dropRefused] >= n })
	drained := time.Since(began)
	eventually(t, 2*time.Minute, "the old role back", func() bool { got := rolled.get(); return got.Status == "enabled" && got.RoleARN == rolled.made.RoleARN })
	quietNow(t)

	g := c.look()
	t.Logf("%d forgeries, drained in %s; the update took %s (%s), the one that rolls back %s (%s); PUTs %s; dropped %s; another tenant onboards in %s, without the flood in %s: %.1f times",
		n, drained.Round(time.Second), took[0].Round(100*time.Millisecond), ends[0], took[1].Round(100*time.Millisecond), ends[1], tally(g.puts), tally(g.drops),
		flooded.Round(10*time.Millisecond), calm.Round(10*time.Millisecond), flooded.Seconds()/calm.Seconds())
	if ends[0] != string(types.StackStatusUpdateComplete) || ends[1] != string(types.StackStatusUpdateRollbackComplete) || max(took[0], took[1]) > 300*time.Second {
		t.Errorf("the updates: %v after %v", ends, took)
	}
	if got := replaced.get(); got.Status != "enabled" || !strings.HasSuffix(got.RoleARN, "/Replacement") {
		t.Errorf("replaced: %s with %s", got.Status, got.RoleARN)
	}
	if g.puts[http.StatusForbidden] > n || g.drops[dropRefused] != n {
		t.Errorf("PUTs %s; dropped %s", tally(g.puts), tally(g.drops))
	}
	if now := deadLetters(t); now != dead {
		t.Errorf("dead letters %s, before %s", now, dead)
	}
	if now := errorLines(); len(now) != len(failures) {
		t.Errorf("errors:\n%s", strings.Join(now[len(failures):], "\n"))
	}
}

// onboardings is how long new customers of a tenant wait, one after the other, while more says so.
func (x tenant) onboardings(t *testing.T, name string, more func(int) bool) (took []time.Duration) {
	t.Helper()
	for i := 0; more(i); i++ {
		began := time.Now()
		c := x.create(fmt.Sprintf("%s %d", name, i))
		theirs := customer{t, newAccount(), c.Launch.Region}
		theirs.launch(c, nil)
		eventually(t, 5*time.Minute, "enabled", func() bool { return x.get(c.ID).Status == "enabled" })
		took = append(took, time.Since(began))
	}
	return took
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
