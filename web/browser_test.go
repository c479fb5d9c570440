package web_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rolecall/infra/local/laptop"
)

// The console and the widget in a real browser, against the real laptop target: tests/*.mjs say what must hold.
func TestInTheBrowser(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	chromium := strings.TrimSpace(command(t, root, nil, "sh", "web/tests/chromium.sh"))
	command(t, root, nil, "make", "--no-print-directory", "web")
	host := hostPage(t)
	var logs functionLogs
	pocket, err := laptop.Start(t.Context(), laptop.Options{
		Environ: os.Environ(), Root: root, Out: t.TempDir(), APIAddress: "127.0.0.1:0", AWSAddress: "127.0.0.1:0", Clock: time.Now,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), FunctionLog: logs.add,
		Web: filepath.Join(root, "build", "web"), Origins: []string{host},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pocket.Close()
	run := exec.CommandContext(t.Context(), "node", "web/tests/run.mjs")
	run.Dir = root
	run.Env = append(os.Environ(), "ROLECALL_URL="+pocket.APIURL, "ROLECALL_AWS_URL="+pocket.AWSURL, "ROLECALL_HOST_URL="+host, "ROLECALL_CHROMIUM="+chromium)
	var said strings.Builder
	run.Stdout, run.Stderr = io.MultiWriter(os.Stdout, &said), os.Stderr
	if err := run.Run(); err != nil {
		// The failures come last: the end of a log is what people see first.
		_, failures, _ := strings.Cut(said.String(), "FAIL ")
		t.Errorf("the browser's tests: %v\nlast lines of the functions:\n%s\nFAIL %s", err, logs.last(20), failures)
	}
}

// command answers what a command prints, or fails with it.
func command(t *testing.T, dir string, more []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), more...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, problems.String())
	}
	return string(out)
}

// hostPage serves pages that embed the widget, from an origin of their own.
func hostPage(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.FileServer(http.Dir(filepath.Join("tests", "host"))), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

// functionLogs keeps what the functions wrote, for when something fails.
type functionLogs struct {
	mu    sync.Mutex
	lines []string
}

func (f *functionLogs) add(function, line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, function+" "+line)
}

func (f *functionLogs) last(n int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.lines[max(0, len(f.lines)-n):], "\n")
}
