package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/wire"
)

func TestInvokeAnswersWhatTheFunctionAnswers(t *testing.T) {
	s := host(t, Config{}, function(t))
	tests := map[string]struct{ payload, want string }{
		"echo":          {`{"a":[1,"<é>"]}`, `{"a":[1,"<é>"]}`},
		"empty payload": {``, `{}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := invoke(t, s, tt.payload)
			if r.FunctionError != "" || string(r.Payload) != tt.want {
				t.Errorf("got %q %s, want %s", r.FunctionError, r.Payload, tt.want)
			}
		})
	}
}

func TestFunctionErrors(t *testing.T) {
	tests := map[string]struct {
		payload, initial string
		kind, message    string // the message is a part of it
	}{
		"error":              {payload: `{"do":"error"}`, kind: "errorString", message: "no such thing"},
		"panic":              {payload: `{"do":"panic"}`, kind: "string", message: "unexpected"},
		"crash":              {payload: `{"do":"exit"}`, kind: "Runtime.ExitError", message: "Runtime exited with error: exit status 3"},
		"response too large": {payload: `{"do":"big"}`, kind: "Function.ResponseSizeTooLarge", message: "6291556 bytes"},
		"crash at start":     {initial: "exit", kind: "Runtime.ExitError", message: "exit status 7"},
		"error at start":     {initial: "error", kind: "Init.NoConfig", message: "no configuration"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := function(t)
			f.Env = map[string]string{"INIT": tt.initial}
			s := host(t, Config{}, f)
			for range 2 { // the environment is replaced or still good
				r := invoke(t, s, tt.payload)
				var e *FunctionError
				if !errors.As(r.Err(), &e) || e.Type != tt.kind || !strings.Contains(e.Message, tt.message) {
					t.Errorf("got %v (%s), want %s: …%s…", r.Err(), r.Payload, tt.kind, tt.message)
				}
			}
			if tt.initial == "" {
				if r := invoke(t, s, `{"fine":true}`); r.Err() != nil {
					t.Errorf("the function does not recover: %v", r.Err())
				}
			}
		})
	}
}

func TestBootstrapThatCannotRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(path, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := function(t)
	f.Bootstrap = path
	s := host(t, Config{}, f)
	r := invoke(t, s, `{}`)
	var e *FunctionError
	if !errors.As(r.Err(), &e) || e.Type != "Runtime.InvalidEntrypoint" {
		t.Errorf("got %v, want Runtime.InvalidEntrypoint", r.Err())
	}
}

func TestTimeoutKillsTheProcessAndItsChildren(t *testing.T) {
	f := function(t)
	f.Timeout = time.Second
	l := newLogs()
	s := host(t, Config{Log: l.add}, f)
	r := invoke(t, s, `{"do":"hang"}`)
	var e *FunctionError
	if !errors.As(r.Err(), &e) || e.Type != "Sandbox.Timedout" || !strings.HasSuffix(e.Message, "Task timed out after 1.00 seconds") {
		t.Fatalf("got %v", r.Err())
	}
	pids := strings.Fields(l.next(t, "pids "))[1:]
	for _, pid := range pids {
		stopped(t, pid)
	}
	if again := invoke(t, s, `{"do":"pid"}`); string(again.Payload) == pids[0] || again.Err() != nil {
		t.Errorf("the environment was not replaced: %s %v", again.Payload, again.Err())
	}
}

func TestCrashLeavesNoChild(t *testing.T) {
	l := newLogs()
	s := host(t, Config{Log: l.add}, function(t))
	if r := invoke(t, s, `{"do":"orphan"}`); r.Err() == nil {
		t.Fatal("the crash went unnoticed")
	}
	for _, pid := range strings.Fields(l.next(t, "pids "))[1:] {
		stopped(t, pid)
	}
}

func TestCloseKillsBusyAndIdleEnvironments(t *testing.T) {
	l := newLogs()
	s := host(t, Config{Log: l.add}, function(t))
	hanging := make(chan Result, 1)
	go func() {
		r, _ := s.Invoke(context.Background(), testARN, []byte(`{"do":"hang"}`))
		hanging <- r
	}()
	pids := strings.Fields(l.next(t, "pids "))[1:]
	idle := string(invoke(t, s, `{"do":"pid"}`).Payload)
	s.Close()
	for _, pid := range append(pids, idle) {
		stopped(t, pid)
	}
	if r := <-hanging; r.Err() == nil {
		t.Error("the invocation that Close cut off succeeded")
	}
	if _, err := s.Invoke(context.Background(), testARN, nil); err == nil {
		t.Error("a closed service invokes")
	}
}

// gate is where functions wait until they are let go.
type gate struct {
	*httptest.Server
	arrived chan struct{}
	open    chan struct{}
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{arrived: make(chan struct{}, 100), open: make(chan struct{})}
	g.Server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		g.arrived <- struct{}{}
		<-g.open
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gate) order() []byte { return fmt.Appendf(nil, `{"do":"wait","url":%q}`, g.URL) }

func TestConcurrentInvocationsRunInEnvironmentsOfTheirOwn(t *testing.T) {
	s := host(t, Config{MaxEnvironments: 3}, function(t))
	g := newGate(t)
	results := make(chan Result, 3)
	for range 3 {
		go func() {
			r, err := s.Invoke(context.Background(), testARN, g.order())
			if err != nil {
				t.Error(err)
			}
			results <- r
		}()
	}
	for range 3 {
		<-g.arrived // all three at the same time
	}
	_, err := s.Invoke(t.Context(), testARN, nil)
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != "TooManyRequestsException" || e.Status != http.StatusTooManyRequests {
		t.Errorf("the fourth got %v, want TooManyRequestsException", err)
	}
	close(g.open)
	pids := map[string]bool{}
	for range 3 {
		pids[string((<-results).Payload)] = true
	}
	if len(pids) != 3 {
		t.Errorf("three invocations in %d processes", len(pids))
	}
	if again := invoke(t, s, `{"do":"pid"}`); !pids[string(again.Payload)] {
		t.Error("no warm environment was used")
	}
}

func TestFinishWaitsForWhatRuns(t *testing.T) {
	s := host(t, Config{}, function(t))
	g := newGate(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := s.Invoke(context.Background(), testARN, g.order()); err != nil {
			t.Error(err)
		}
	}()
	<-g.arrived
	if n := s.InFlight(); n != 1 {
		t.Errorf("%d invocations are running", n)
	}
	if err := s.Finish(t.Context(), "arn:aws:lambda:eu-west-1:111111111111:function:another"); err != nil {
		t.Error(err)
	}
	over, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Finish(over, testARN); !errors.Is(err, context.Canceled) {
		t.Errorf("while it runs: %v", err)
	}
	close(g.open)
	if err := s.Finish(t.Context(), testARN); err != nil || s.InFlight() != 0 {
		t.Errorf("%v, %d running", err, s.InFlight())
	}
	<-done
}

func TestReservedConcurrencyOfZeroThrottlesEverything(t *testing.T) {
	f := function(t)
	zero := 0
	f.ReservedConcurrency = &zero
	s := host(t, Config{}, f)
	if _, err := s.Invoke(t.Context(), testARN, nil); !isThrottle(err) {
		t.Errorf("got %v, want a throttle", err)
	}
}

func TestWarmEnvironmentIsKeptUntilItsCredentialsNearTheirEnd(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Now().Unix())
	clock := func() time.Time { return time.Unix(now.Load(), 0) }
	s := host(t, Config{Clock: clock}, function(t))
	// The context deadline that the function sees is the clock's, which stands still: no order here looks at it.
	first := string(invoke(t, s, `{"do":"pid"}`).Payload)
	now.Add(54 * 60)
	if got := string(invoke(t, s, `{"do":"pid"}`).Payload); got != first {
		t.Error("with six minutes left the environment was replaced")
	}
	now.Add(2 * 60)
	if got := string(invoke(t, s, `{"do":"pid"}`).Payload); got == first {
		t.Error("with four minutes left the environment was used")
	}
	stopped(t, first)
}

func TestUpdateReplacesWarmEnvironments(t *testing.T) {
	f := function(t)
	s := host(t, Config{}, f)
	first := string(invoke(t, s, `{"do":"pid"}`).Payload)
	f.Env = map[string]string{"GREETING": "hello"}
	if err := s.Update(f); err != nil {
		t.Fatal(err)
	}
	if r := invoke(t, s, `{"do":"environ"}`); !strings.Contains(string(r.Payload), "GREETING=hello") {
		t.Errorf("the new variable is missing: %s", r.Payload)
	}
	stopped(t, first)
}

func TestUpdateDuringAnInvocationLetsItFinish(t *testing.T) {
	f := function(t)
	s := host(t, Config{}, f)
	g := newGate(t)
	done := make(chan Result, 1)
	go func() {
		r, err := s.Invoke(context.Background(), testARN, g.order())
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	<-g.arrived
	if err := s.Update(f); err != nil {
		t.Fatal(err)
	}
	close(g.open)
	r := <-done
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	stopped(t, string(r.Payload))
}

func TestDeletedFunctionIsGone(t *testing.T) {
	s := host(t, Config{}, function(t))
	pid := string(invoke(t, s, `{"do":"pid"}`).Payload)
	if err := s.Delete(testARN); err != nil {
		t.Fatal(err)
	}
	stopped(t, pid)
	_, err := s.Invoke(t.Context(), testARN, nil)
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != "ResourceNotFoundException" {
		t.Errorf("got %v, want ResourceNotFoundException", err)
	}
}

func TestFunctionSeesOnlyItsOwnEnvironment(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "/somewhere")
	t.Setenv("AWS_PROFILE", "mine")
	t.Setenv("HOME", "/somewhere")
	f := function(t)
	f.Env = map[string]string{"ROLECALL_TABLE": "table", "AWS_ENDPOINT_URL": "http://wrong"}
	s := host(t, Config{
		ExtraEnv: func(Function) map[string]string {
			return map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
		},
	}, f)
	var lines []string
	if err := json.Unmarshal(invoke(t, s, `{"do":"environ"}`).Payload, &lines); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		got[name] = value
	}
	for _, varying := range []string{"AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME", "_X_AMZN_TRACE_ID"} {
		if got[varying] == "" {
			t.Errorf("%s is missing", varying)
		}
		delete(got, varying)
	}
	want := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin", "TZ": ":UTC", "_HANDLER": "bootstrap",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "ROLECALL_TABLE": "table",
		"AWS_LAMBDA_FUNCTION_NAME": "test", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/test", "AWS_REGION": testRegion, "AWS_DEFAULT_REGION": testRegion,
		"AWS_ACCESS_KEY_ID": "ASIATEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
		"LAMBDA_TASK_ROOT": filepath.Dir(f.Bootstrap),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestInvocationContext(t *testing.T) {
	s := host(t, Config{}, function(t))
	r := invoke(t, s, `{"do":"context"}`)
	var got struct {
		RequestID, ARN, Trace string
		Left                  float64
	}
	if err := json.Unmarshal(r.Payload, &got); err != nil {
		t.Fatal(err)
	}
	if got.RequestID != r.RequestID || got.ARN != testARN || !strings.HasPrefix(got.Trace, "Root=1-") {
		t.Errorf("got %+v, request %s", got, r.RequestID)
	}
	if got.Left < 50 || got.Left > 60 {
		t.Errorf("%.1f s left of a minute", got.Left)
	}
}

func TestLogLinesAreWholeAndBounded(t *testing.T) {
	l := newLogs()
	s := host(t, Config{Log: l.add}, function(t))
	invoke(t, s, `{"do":"log"}`)
	l.next(t, "to stderr")
	l.next(t, "to stdout")
	long := l.next(t, "é")
	if len(long) > maxLine+len(cutMark)+3 || !strings.HasSuffix(long, cutMark) || !utf8.ValidString(long) {
		t.Errorf("the long line has %d bytes and ends in %q", len(long), long[len(long)-20:])
	}
}

func TestReadLines(t *testing.T) {
	full := strings.Repeat("a", maxLine)
	tests := map[string]struct {
		in   string
		want []string
	}{
		"lines":          {"one\ntwo\r\n\nthree", []string{"one", "two", "", "three"}},
		"exactly full":   {full + "\nx\n", []string{full, "x"}},
		"one too long":   {full + "b\nx\n", []string{full + cutMark, "x"}},
		"far too long":   {full + full + "\nx", []string{full + cutMark, "x"}},
		"no UTF-8":       {"a\xffb\n", []string{"a\uFFFDb"}},
		"nothing":        {"", nil},
		"only line feed": {"\n", []string{""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			readLines(strings.NewReader(tt.in), func(line string) { got = append(got, line) })
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %d lines, want %d: %.60q", len(got), len(tt.want), got)
			}
		})
	}
}

func TestInvokeRefusesBadPayloads(t *testing.T) {
	s := host(t, Config{}, function(t))
	tests := map[string]struct{ payload, code string }{
		"no JSON":   {"{", "InvalidRequestContentException"},
		"too large": {`"` + strings.Repeat("x", maxSyncPayload) + `"`, "RequestTooLargeException"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := s.Invoke(t.Context(), testARN, []byte(tt.payload))
			var e *wire.Error
			if !errors.As(err, &e) || e.Code != tt.code {
				t.Errorf("got %v, want %s", err, tt.code)
			}
		})
	}
}

func TestInvocationOutlivesItsCaller(t *testing.T) {
	s := host(t, Config{}, function(t))
	g := newGate(t)
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() {
		_, err := s.Invoke(ctx, testARN, g.order())
		failed <- err
	}()
	<-g.arrived
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(g.open)
	if r := invoke(t, s, `{"do":"pid"}`); r.Err() != nil {
		t.Error(r.Err())
	}
}

func TestCreateRefusesWhatCannotRun(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := function(t)
	tests := map[string]func(f *Function){
		"no such file":      func(f *Function) { f.Bootstrap = plain + "x" },
		"not executable":    func(f *Function) { f.Bootstrap = plain },
		"reserved variable": func(f *Function) { f.Env = map[string]string{"AWS_REGION": "x"} },
		"timeout":           func(f *Function) { f.Timeout = time.Hour },
		"no role":           func(f *Function) { f.RoleARN = "" },
		"exists":            func(*Function) {},
	}
	s := host(t, Config{}, good)
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			f := good
			if name != "exists" {
				f.ARN += "2"
			}
			change(&f)
			var e *wire.Error
			if err := s.Create(f); !errors.As(err, &e) {
				t.Errorf("got %v, want a refusal", err)
			}
		})
	}
}

func TestMissingCredentialsAreNotTheFunctionsFault(t *testing.T) {
	noRole := errors.New("no such role")
	s := host(t, Config{Credentials: func(string, string) (string, string, string, time.Time, error) {
		return "", "", "", time.Time{}, noRole
	}}, function(t))
	for range defaultEnvironments + 1 { // a failed start must not keep its place
		if _, err := s.Invoke(t.Context(), testARN, nil); !errors.Is(err, noRole) {
			t.Fatalf("got %v", err)
		}
	}
}

func BenchmarkColdStart(b *testing.B) {
	var total, worst time.Duration
	s := host(b, Config{Started: func(_ string, took time.Duration) {
		total += took
		worst = max(worst, took)
	}}, function(b))
	for b.Loop() {
		if err := s.Update(function(b)); err != nil {
			b.Fatal(err)
		}
		invoke(b, s, `{}`)
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "µs-to-next/op")
	b.ReportMetric(float64(worst.Microseconds()), "µs-to-next-worst")
}

func BenchmarkWarmInvocation(b *testing.B) {
	s := host(b, Config{}, function(b))
	invoke(b, s, `{}`)
	for b.Loop() {
		invoke(b, s, `{}`)
	}
}
