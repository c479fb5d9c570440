package lambda

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(buildDir())
		os.Exit(code)
	}))
}

const (
	testAccount = "111111111111"
	testRegion  = "eu-west-1"
	testRole    = "arn:aws:iam::111111111111:role/rolecall/test"
	testARN     = "arn:aws:lambda:eu-west-1:111111111111:function:test"
)

// buildDir is this test run's own; TestMain removes it.
func buildDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("rolecall-lambda-%d", os.Getpid()))
}

// built is the bootstrap under test; the first test to need it builds it.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir(), "bootstrap")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-ldflags", "-s -w",
		"-o", path, "./testdata/bootstrap")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func bootstrap(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatalf("building the bootstrap: %v", err)
	}
	return path
}

func function(t testing.TB) Function {
	t.Helper()
	return Function{
		Name: "test", ARN: testARN, Account: testAccount, Region: testRegion, RoleARN: testRole,
		Bootstrap: bootstrap(t), Timeout: time.Minute,
	}
}

// logs collects the functions' lines.
type logs struct {
	mu    sync.Mutex
	lines []string
	added chan string
}

func newLogs() *logs { return &logs{added: make(chan string, 1000)} }

func (l *logs) add(_, line string) {
	l.mu.Lock()
	l.lines = append(l.lines, line)
	l.mu.Unlock()
	select {
	case l.added <- line:
	default:
	}
}

// next waits for a line with a prefix.
func (l *logs) next(t *testing.T, prefix string) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case line := <-l.added:
			if strings.HasPrefix(line, prefix) {
				return line
			}
		case <-deadline:
			t.Fatalf("no log line %q…", prefix)
		}
	}
}

// keys answers credentials that last for an hour of the clock.
func keys(clock func() time.Time) Credentials {
	return func(_, name string) (string, string, string, time.Time, error) {
		return "ASIA" + strings.ToUpper(name), "secret", "token", clock().Add(time.Hour), nil
	}
}

// host is a service with one function, closed with the test.
func host(t testing.TB, cfg Config, f Function) *Service {
	t.Helper()
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Credentials == nil {
		cfg.Credentials = keys(cfg.Clock)
	}
	s := New(cfg)
	t.Cleanup(s.Close)
	if err := s.Create(f); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return s
}

func invoke(t testing.TB, s *Service, payload string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := s.Invoke(ctx, testARN, []byte(payload))
	if err != nil {
		t.Fatalf("Invoke(%s): %v", payload, err)
	}
	return r
}

// stopped waits until a process is gone; a zombie that its new parent has not reaped yet counts as gone.
func stopped(t *testing.T, pid string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		out, _ := exec.CommandContext(t.Context(), "ps", "-o", "stat=", "-p", pid).Output()
		state := strings.TrimSpace(string(out))
		if state == "" || strings.HasPrefix(state, "Z") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s still runs: %q", pid, state)
		}
	}
}
