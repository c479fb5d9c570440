package faults_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/faults"
	"rolecall/infra/local/wire"
)

// door knows everybody and allows everything, but what needs "forbidden".
type door struct{}

func (door) Authenticate(id, _ string) (wire.Principal, error) {
	return wire.Principal{Account: "111111111111", ARN: "arn:aws:sts::111111111111:assumed-role/R/app-" + id}, nil
}

func (door) Authorize(_ wire.Principal, n wire.Need) error {
	if n.Resource == "forbidden" {
		return &wire.Error{Code: "AccessDenied", Message: "no"}
	}
	return nil
}

// counter is a service that counts what it performed.
type counter struct {
	performed atomic.Int64
	need      string
}

func (c *counter) Needs(*wire.Call) ([]wire.Need, error) {
	return []wire.Need{{Action: "x:Y", Resource: c.need}}, nil
}

func (c *counter) Serve(_ context.Context, call *wire.Call) (wire.Response, error) {
	c.performed.Add(1)
	if call.Service == "s3" {
		return wire.Response{Raw: []byte("an object's content"), ContentType: "text/plain"}, nil
	}
	return wire.Response{Value: struct{ Account string }{"111111111111"}}, nil
}

// pocket is a pocket AWS whose services all count.
type pocket struct {
	*faults.Injector
	server *wire.Server
	*counter
	url string
}

func start(t *testing.T) pocket {
	t.Helper()
	p := pocket{Injector: new(faults.Injector), counter: &counter{need: "*"}}
	p.server = wire.NewServer(wire.Config{Authenticator: door{}, Authorizer: door{}, Clock: time.Now, Faults: p.Injector})
	for _, name := range []string{"sts", "dynamodb", "kms", "sqs", "sns", "events", "iam", "ec2", "s3"} {
		p.server.Register(name, p.counter)
	}
	p.server.Handle("/_cfn-response/", p.server.Guard(faults.CustomResponse, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "answer" {
			t.Errorf("the response arrived as %q, %v", body, err)
		}
		p.performed.Add(1)
	})))
	listening := httptest.NewServer(p.server)
	t.Cleanup(listening.Close)
	p.url = listening.URL
	return p
}

func (p pocket) add(t *testing.T, r faults.Rule) faults.Rule {
	t.Helper()
	added, err := p.Add(r)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// config is of a client that tries as often as said, without pauses.
func (p pocket) config(key string, attempts int) aws.Config {
	return aws.Config{
		Region: "eu-west-1", BaseEndpoint: &p.url, Credentials: credentials.NewStaticCredentialsProvider(key, "secret", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = attempts
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		},
	}
}

func caller(ctx context.Context, c aws.Config) error {
	_, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	return err
}

func getItem(ctx context.Context, c aws.Config) error {
	_, err := dynamodb.NewFromConfig(c).GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String("t"), Key: map[string]ddbtypes.AttributeValue{"PK": &ddbtypes.AttributeValueMemberS{Value: "1"}},
	})
	return err
}

func getObject(ctx context.Context, c aws.Config) error {
	out, err := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true }).GetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String("bucket"), Key: aws.String("key"),
	})
	if err != nil {
		return err
	}
	defer func() { _ = out.Body.Close() }()
	_, err = io.ReadAll(out.Body)
	return err
}

// clients ask one thing of each service that has an SDK here.
func clients() map[string]func(context.Context, aws.Config) error {
	return map[string]func(context.Context, aws.Config) error{
		"sts": caller, "dynamodb": getItem, "s3": getObject,
		"kms": func(ctx context.Context, c aws.Config) error {
			_, err := kms.NewFromConfig(c).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("k")})
			return err
		},
		"sqs": func(ctx context.Context, c aws.Config) error {
			_, err := sqs.NewFromConfig(c).ListQueues(ctx, &sqs.ListQueuesInput{})
			return err
		},
		"sns": func(ctx context.Context, c aws.Config) error {
			_, err := sns.NewFromConfig(c).ListTopics(ctx, &sns.ListTopicsInput{})
			return err
		},
		"events": func(ctx context.Context, c aws.Config) error {
			_, err := eventbridge.NewFromConfig(c).ListRules(ctx, &eventbridge.ListRulesInput{})
			return err
		},
		"iam": func(ctx context.Context, c aws.Config) error {
			_, err := iam.NewFromConfig(c).ListRoles(ctx, &iam.ListRolesInput{})
			return err
		},
	}
}

// Errors come in each service's own words, so that the SDKs know what to try again.
func TestClientsReadInjectedErrors(t *testing.T) {
	want := map[string]struct{ internal, throttle string }{
		"sts":      {"InternalFailure", "Throttling"},
		"dynamodb": {"InternalServerError", "ThrottlingException"},
		"s3":       {"InternalError", "SlowDown"},
		"kms":      {"KMSInternalException", "ThrottlingException"},
		"sqs":      {"InternalFailure", "RequestThrottled"},
		"sns":      {"InternalError", "Throttling"},
		"events":   {"InternalException", "ThrottlingException"},
		"iam":      {"ServiceFailure", "Throttling"},
	}
	for service, ask := range clients() {
		for _, kind := range []wire.FaultKind{wire.FaultError500, wire.FaultThrottle429} {
			for _, after := range []bool{false, true} {
				p := start(t)
				p.add(t, faults.Rule{Service: service, Kind: kind, Rate: 1, Count: 1, After: after})
				err := ask(t.Context(), p.config("k", 1))
				var api smithy.APIError
				var response interface{ HTTPStatusCode() int }
				if !errors.As(err, &api) || !errors.As(err, &response) {
					t.Errorf("%s, %s: %v is no API error", service, kind, err)
					continue
				}
				code, status := want[service].internal, 500
				if kind == wire.FaultThrottle429 {
					code, status = want[service].throttle, 429
				}
				if api.ErrorCode() != code || response.HTTPStatusCode() != status {
					t.Errorf("%s, %s: %s with status %d, want %s", service, kind, api.ErrorCode(), response.HTTPStatusCode(), code)
				}
				if performed := p.performed.Load(); (performed == 1) != after || performed > 1 {
					t.Errorf("%s, %s, after %v: performed %d times", service, kind, after, performed)
				}
			}
		}
	}
}

// What goes wrong once, the SDK's next try mends, a truncated answer apart; nothing is performed twice unless the answer alone was lost.
func TestClientsTryAgain(t *testing.T) {
	tests := []struct {
		name string
		rule faults.Rule
		// performed counts the struck call and the one that came through.
		performed int64
		entry     string
	}{
		{"error", faults.Rule{Kind: wire.FaultError500}, 1, "error500"},
		{"error after", faults.Rule{Kind: wire.FaultError500, After: true}, 2, "error500 after"},
		{"throttle", faults.Rule{Kind: wire.FaultThrottle429}, 1, "throttle429"},
		{"reset", faults.Rule{Kind: wire.FaultReset}, 1, "reset"},
		{"reset after", faults.Rule{Kind: wire.FaultReset, After: true}, 2, "reset after"},
		{"short hang", faults.Rule{Kind: wire.FaultHang, Delay: time.Millisecond}, 1, "hang"},
		{"short hang after", faults.Rule{Kind: wire.FaultHang, Delay: time.Millisecond, After: true}, 2, "hang after"},
	}
	for _, tt := range tests {
		for service, ask := range clients() {
			p := start(t)
			tt.rule.Service, tt.rule.Rate, tt.rule.Count = service, 1, 1
			p.add(t, tt.rule)
			if err := ask(t.Context(), p.config("k", 2)); err != nil {
				t.Errorf("%s, %s: %v", tt.name, service, err)
			}
			if got := p.performed.Load(); got != tt.performed {
				t.Errorf("%s, %s: performed %d times, want %d", tt.name, service, got, tt.performed)
			}
			entries := p.server.Journal().Entries(0)
			if len(entries) != 2 || entries[0].Fault != tt.entry || entries[1].Fault != "" || entries[1].Status != 200 {
				t.Errorf("%s, %s: journal %+v", tt.name, service, entries)
			}
		}
	}
}

func TestWhatBreaksAConnection(t *testing.T) {
	t.Run("reset", func(t *testing.T) {
		p := start(t)
		p.add(t, faults.Rule{Service: "sts", Kind: wire.FaultReset, Rate: 1})
		if err := caller(t.Context(), p.config("k", 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v, want a connection reset by peer", err)
		}
	})
	t.Run("truncated", func(t *testing.T) {
		for service, ask := range clients() { // by itself, the SDK takes half an answer for the last word
			p := start(t)
			p.add(t, faults.Rule{Service: service, Kind: wire.FaultTruncated, Rate: 1})
			if err := ask(t.Context(), p.config("k", 2)); !errors.Is(err, io.ErrUnexpectedEOF) || p.performed.Load() != 1 {
				t.Errorf("%s: %v, want an unexpected end; performed %d times", service, err, p.performed.Load())
			}
		}
	})
	t.Run("hang", func(t *testing.T) {
		for _, after := range []bool{false, true} {
			p := start(t)
			p.add(t, faults.Rule{Service: "dynamodb", Kind: wire.FaultHang, Rate: 1, After: after})
			ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer stop()
			if err := getItem(ctx, p.config("k", 1)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want the client's own patience to end", err)
			}
			if performed := p.performed.Load() == 1; performed != after {
				t.Errorf("after %v: performed %v", after, performed)
			}
		}
	})
	t.Run("slow", func(t *testing.T) {
		for _, after := range []bool{false, true} {
			p := start(t)
			p.add(t, faults.Rule{Service: "sts", Kind: wire.FaultSlow, Delay: 30 * time.Millisecond, Rate: 1, After: after})
			began := time.Now()
			if err := caller(t.Context(), p.config("k", 1)); err != nil || time.Since(began) < 30*time.Millisecond || p.performed.Load() != 1 {
				t.Errorf("after %v: %v after %s, performed %d times", after, err, time.Since(began), p.performed.Load())
			}
		}
	})
}

// A call that would be denied can go wrong like any other: who asks whether a role denies must not take that for a no.
func TestACallThatWouldBeDenied(t *testing.T) {
	p := start(t)
	p.need = "forbidden"
	p.add(t, faults.Rule{Service: "sts", Kind: wire.FaultError500, Rate: 1, Count: 1})
	var api smithy.APIError
	if err := caller(t.Context(), p.config("k", 1)); !errors.As(err, &api) || api.ErrorCode() != "InternalFailure" {
		t.Errorf("struck: %v", err)
	}
	if err := caller(t.Context(), p.config("k", 1)); !errors.As(err, &api) || api.ErrorCode() != "AccessDenied" {
		t.Errorf("not struck: %v", err)
	}
}

// The bucket that takes custom resources' answers is no API, and can go wrong all the same.
func TestCustomResponses(t *testing.T) {
	p := start(t)
	put := func(t *testing.T) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.url+"/_cfn-response/1?X-Amz-Signature=0", strings.NewReader("answer"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.ReadAll(resp.Body)
		return resp.StatusCode, err
	}
	tests := []struct {
		rule      faults.Rule
		status    int
		broken    error
		performed int64
	}{
		{rule: faults.Rule{Kind: wire.FaultError500}, status: 500},
		{rule: faults.Rule{Kind: wire.FaultError500, After: true}, status: 500, performed: 1},
		{rule: faults.Rule{Kind: wire.FaultThrottle429}, status: 429},
		{rule: faults.Rule{Kind: wire.FaultReset}, broken: syscall.ECONNRESET},
		{rule: faults.Rule{Kind: wire.FaultReset, After: true}, broken: syscall.ECONNRESET, performed: 1},
		{rule: faults.Rule{Kind: wire.FaultHang, Delay: time.Millisecond}, broken: syscall.ECONNRESET},
		{rule: faults.Rule{Kind: wire.FaultSlow, Delay: time.Millisecond}, status: 200, performed: 1},
		{rule: faults.Rule{Kind: wire.FaultTruncated}, status: 200, broken: io.ErrUnexpectedEOF, performed: 1},
	}
	for _, tt := range tests {
		p.performed.Store(0)
		tt.rule.Service, tt.rule.Operation, tt.rule.Rate, tt.rule.Count = faults.CustomResponse, "PUT", 1, 1
		p.add(t, tt.rule)
		mark := p.server.Journal().Mark()
		status, err := put(t)
		if status != tt.status || !errors.Is(err, tt.broken) || p.performed.Load() != tt.performed {
			t.Errorf("%s, after %v: %d %v, performed %d times", tt.rule.Kind, tt.rule.After, status, err, p.performed.Load())
		}
		if status, err = put(t); status != 200 || err != nil {
			t.Errorf("%s, the next: %d %v", tt.rule.Kind, status, err)
		}
		entries := p.server.Journal().Entries(mark)
		if len(entries) != 2 || !strings.HasPrefix(entries[0].Fault, string(tt.rule.Kind)) || entries[1].Fault != "" || entries[1].Service != "cfn-response" {
			t.Errorf("journal %+v", entries)
		}
	}
}

func TestWhichCallsAreStruck(t *testing.T) {
	call := func(service, operation, caller string) *wire.Call {
		return &wire.Call{Service: service, Operation: operation, Principal: wire.Principal{ARN: "arn:aws:sts::1:assumed-role/R/app-" + caller}}
	}
	var i faults.Injector
	if _, err := i.Add(faults.Rule{Service: "sqs", Operation: "SendMessage", Caller: "verify", Kind: wire.FaultReset, Rate: 1, Count: 2}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		call *wire.Call
		want bool
	}{
		{call("sns", "SendMessage", "verify"), false},
		{call("sqs", "ReceiveMessage", "verify"), false},
		{call("sqs", "SendMessage", "callback"), false},
		{call("sqs", "SendMessage", "verify"), true},
		{call("sqs", "SendMessage", "verify"), true},
		{call("sqs", "SendMessage", "verify"), false}, // its count is used up
	} {
		if _, struck := i.Strike(tt.call); struck != tt.want {
			t.Errorf("%s:%s of %s: struck %v", tt.call.Service, tt.call.Operation, tt.call.Principal.ARN, struck)
		}
	}
	if rules := i.Rules(); len(rules) != 1 || rules[0].Hits != 2 {
		t.Errorf("%+v", rules)
	}
}

// One seed strikes the same calls each time, another seed others, and the rate is what was asked for.
func TestChance(t *testing.T) {
	strikes := func(seed uint64) (out string, hits int) {
		var i faults.Injector
		if _, err := i.Add(faults.Rule{Service: "sts", Kind: wire.FaultReset, Rate: 0.3, Seed: seed}); err != nil {
			t.Fatal(err)
		}
		for range 10_000 {
			if _, struck := i.Strike(&wire.Call{Service: "sts"}); struck {
				out, hits = out+"x", hits+1
				continue
			}
			out += "."
		}
		return out, hits
	}
	first, hits := strikes(7)
	if hits < 2800 || hits > 3200 {
		t.Errorf("%d of 10000 struck at a rate of 0.3", hits)
	}
	if again, _ := strikes(7); again != first {
		t.Error("one seed struck other calls the second time")
	}
	if other, _ := strikes(8); other == first {
		t.Error("another seed struck the same calls")
	}
	if chance, _ := strikes(0); chance == first {
		t.Error("no seed struck the same calls as seed 7")
	}
	none := new(faults.Injector)
	if _, err := none.Add(faults.Rule{Service: "sts", Kind: wire.FaultReset}); err != nil {
		t.Fatal(err)
	}
	if _, struck := none.Strike(&wire.Call{Service: "sts"}); struck {
		t.Error("a rate of 0 struck")
	}
}

// EC2 has an error shape of its own, and no SDK here.
func TestEC2(t *testing.T) {
	p := start(t)
	p.add(t, faults.Rule{Service: "ec2", Operation: "DescribeRegions", Kind: wire.FaultThrottle429, Rate: 1})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/", strings.NewReader("Action=DescribeRegions&Version=2016-11-15"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=k/20260102/eu-west-1/ec2/aws4_request, SignedHeaders=host, Signature=00")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 429 || !strings.Contains(string(body), "<Response><Errors><Error><Code>RequestLimitExceeded</Code>") {
		t.Errorf("%d %s %v", resp.StatusCode, body, err)
	}
}

func TestOverHTTP(t *testing.T) {
	var i faults.Injector
	ask := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		i.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	steps := []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/_local/faults", "", 200, `{"items":[]}`},
		{
			"POST", "/_local/faults", `{"service":"sts","kind":"error500"}`, 201,
			`{"id":"fault-1","service":"sts","kind":"error500","when":"before","rate":1,"hits":0}`,
		},
		{
			"POST", "/_local/faults", `{"service":"dynamodb","operation":"PutItem","kind":"hang","when":"after","rate":0.25,"count":3,"delay":"1500ms","caller":"verify","seed":9}`, 201,
			`{"id":"fault-2","service":"dynamodb","operation":"PutItem","kind":"hang","when":"after","rate":0.25,"count":3,"delay":"1.5s","caller":"verify","seed":9,"hits":0}`,
		},
		{
			"POST", "/_local/faults", `{"service":"cfn-response","kind":"truncated"}`, 201,
			`{"id":"fault-3","service":"cfn-response","kind":"truncated","when":"after","rate":1,"hits":0}`,
		},
		{"DELETE", "/_local/faults/fault-2", "", 204, ""},
		{"DELETE", "/_local/faults/fault-2", "", 404, `{"error":"there is no fault \"fault-2\""}`},
		{"GET", "/_local/faults", "", 200, `{"items":[` +
			`{"id":"fault-1","service":"sts","kind":"error500","when":"before","rate":1,"hits":0},` +
			`{"id":"fault-3","service":"cfn-response","kind":"truncated","when":"after","rate":1,"hits":0}]}`},
		{"DELETE", "/_local/faults", "", 204, ""},
		{"GET", "/_local/faults", "", 200, `{"items":[]}`},
		{"PUT", "/_local/faults", "", 405, "Method Not Allowed"},
	}
	for _, s := range steps {
		status, body := ask(s.method, s.path, s.body)
		if diff := cmp.Diff(s.want, body); status != s.status || diff != "" {
			t.Errorf("%s %s: %d\n%s", s.method, s.path, status, diff)
		}
	}
}

// A fault that is not what was meant would prove nothing: it is refused, with a sentence that says why.
func TestBadRules(t *testing.T) {
	tests := []struct{ body, want string }{
		{``, "must be a JSON object"},
		{`[]`, "must be a JSON object"},
		{`{"service":"sts","kind":"reset"} {}`, "one JSON object"},
		{`{"service":"sts","kind":"reset","probability":1}`, `unknown field \"probability\"`},
		{`{"kind":"reset"}`, `service must be one of sts, dynamodb, kms, sqs, sns, events, iam, ec2, s3, cfn-response, not \"\"`},
		{`{"service":"lambda","kind":"reset"}`, `not \"lambda\"`},
		{`{"service":"sts"}`, "kind must be one of error500, throttle429, reset, hang, slow, truncated"},
		{`{"service":"sts","kind":"fire"}`, `not \"fire\"`},
		{`{"service":"sts","kind":"reset","rate":1.5}`, "between 0 and 1, not 1.5"},
		{`{"service":"sts","kind":"reset","rate":-1}`, "between 0 and 1"},
		{`{"service":"sts","kind":"reset","count":-1}`, "must not be negative"},
		{`{"service":"sts","kind":"reset","when":"during"}`, "before or after"},
		{`{"service":"sts","kind":"truncated","when":"before"}`, "when must be after"},
		{`{"service":"sts","kind":"slow"}`, "needs a delay"},
		{`{"service":"sts","kind":"slow","delay":"2"}`, "must be a duration"},
		{`{"service":"sts","kind":"slow","delay":"-2s"}`, "between 0s and 15m0s"},
		{`{"service":"sts","kind":"reset","delay":"2s"}`, "only slow and hang take a delay"},
		{`{"service":"cfn-response","kind":"reset","operation":"GET"}`, "one operation, PUT"},
		{`{"service":"cfn-response","kind":"reset","caller":"verify"}`, "does not know its callers"},
		{`{"service":"sts","kind":"reset","id":"mine"}`, "given by the pocket AWS"},
	}
	var i faults.Injector
	for _, tt := range tests {
		w := httptest.NewRecorder()
		i.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/_local/faults", strings.NewReader(tt.body)))
		if w.Code != 400 || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: %d %s, want %s", tt.body, w.Code, w.Body, tt.want)
		}
	}
	if rules := i.Rules(); len(rules) != 0 {
		t.Errorf("in force all the same: %+v", rules)
	}
}
