package lambda

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"rolecall/infra/local/wire"
)

// An environment is one process of a function and the Runtime API in front of it.
type environment struct {
	service  *Service
	function Function
	expires  time.Time // of its credentials
	began    time.Time // when its process was started
	process  *exec.Cmd
	end      context.CancelFunc

	ready  chan struct{}    // the runtime asked for an invocation; holds one
	work   chan *invocation // the invocation for the waiting runtime; holds one
	broken chan []byte      // what the runtime posted to init/error; holds one
	gone   chan struct{}    // closed when the process has been reaped and its output read
	exit   error            // how the process ended; read it after gone

	mu      sync.Mutex
	current *invocation // what the runtime works on
}

// start runs a function's process until it asks for its first invocation. The environment is nil where the function
// itself failed to start, which the Result tells; an error is the service's own.
func (s *Service) start(f Function, requestID string) (*environment, Result, error) {
	e, err := s.launch(f)
	if err != nil {
		var missing *exec.Error
		var path *os.PathError
		if errors.As(err, &missing) || errors.As(err, &path) {
			return nil, failure(requestID, "Runtime.InvalidEntrypoint", "%v", err), nil
		}
		return nil, Result{}, err
	}
	result, ok := e.initialise(requestID)
	if !ok {
		e.kill()
		<-e.gone
		return nil, result, nil
	}
	return e, Result{}, nil
}

// initialise waits for the first request for an invocation.
func (e *environment) initialise(requestID string) (Result, bool) {
	timer := time.NewTimer(initTimeout)
	defer timer.Stop()
	select {
	case <-e.ready:
		e.service.cfg.Started(e.function.Name, e.service.cfg.Clock().Sub(e.began))
		return Result{}, true
	case body := <-e.broken:
		return Result{RequestID: requestID, Payload: body, FunctionError: "Unhandled"}, false
	case <-e.gone:
	case <-timer.C:
		return failure(requestID, "Sandbox.Timedout", "Init timed out after %.2f seconds", initTimeout.Seconds()), false
	}
	select {
	case body := <-e.broken:
		return Result{RequestID: requestID, Payload: body, FunctionError: "Unhandled"}, false
	default:
		return e.exited(requestID), false
	}
}

// handle gives one invocation to the waiting runtime. It returns when the runtime asks for the next one, the process
// ends or the function's time is over; only in the first case can the environment be used again.
func (e *environment) handle(inv *invocation) (Result, bool) {
	timeout := e.function.Timeout
	inv.deadline = e.service.cfg.Clock().Add(timeout)
	e.begin(inv)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var reusable, late bool
	select {
	case <-e.ready: // only once there is an answer: see finish
		reusable = true
	case <-e.gone:
	case <-timer.C:
		late = true
		e.kill()
		<-e.gone
	}
	if a := e.answerOf(inv); a != nil {
		return a.result(inv.requestID), reusable
	}
	if !late {
		return e.exited(inv.requestID), false
	}
	message := fmt.Sprintf("Task timed out after %.2f seconds", timeout.Seconds())
	e.service.cfg.Log(e.function.Name, inv.requestID+" "+message)
	return failure(inv.requestID, "Sandbox.Timedout", "%s", message), false
}

func (a *answer) result(requestID string) Result {
	r := Result{RequestID: requestID, Payload: a.payload}
	if a.failed {
		r.FunctionError = "Unhandled"
	}
	return r
}

// begin hands the invocation to the runtime's pending request.
func (e *environment) begin(inv *invocation) {
	select { // a request that was repeated while idle counts once
	case <-e.ready:
	default:
	}
	e.mu.Lock()
	e.current = inv
	e.mu.Unlock()
	e.work <- inv
}

func (e *environment) answerOf(inv *invocation) *answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	return inv.answer
}

// exited is the result of an invocation whose process ended without an answer.
func (e *environment) exited(requestID string) Result {
	if e.service.ctx.Err() != nil {
		return failure(requestID, "Runtime.ExitError", "the pocket AWS is stopping")
	}
	if e.exit == nil {
		return failure(requestID, "Runtime.ExitError", "Runtime exited without providing a reason")
	}
	return failure(requestID, "Runtime.ExitError", "Runtime exited with error: %v", e.exit)
}

// fit says whether the environment can take an invocation now.
func (e *environment) fit(now time.Time) bool {
	select {
	case <-e.gone:
		return false
	default:
	}
	return e.expires.IsZero() || e.expires.Sub(now) >= renewBefore
}

// kill ends the process and its children; gone tells when it is done.
func (e *environment) kill() { e.end() }

// launch starts the process with its Runtime API.
func (s *Service) launch(f Function) (*environment, error) {
	id, secret, token, expires, err := s.cfg.Credentials(f.RoleARN, f.Name)
	if err != nil {
		return nil, fmt.Errorf("lambda: credentials of role %s for function %s: %w", f.RoleARN, f.Name, err)
	}
	listen := net.ListenConfig{}
	listener, err := listen.Listen(s.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, &wire.Error{
			Code: "ServiceException", Status: http.StatusInternalServerError,
			Message: "runtime API of " + f.Name + ": " + err.Error(),
		}
	}
	ctx, end := context.WithCancel(s.ctx)
	e := &environment{
		service: s, function: f, expires: expires, began: s.cfg.Clock(), end: end,
		ready: make(chan struct{}, 1), work: make(chan *invocation, 1), broken: make(chan []byte, 1),
		gone: make(chan struct{}),
	}
	//nolint:gosec // running the function's own binary is what this package is for
	e.process = exec.CommandContext(ctx, f.Bootstrap)
	e.process.Dir = filepath.Dir(f.Bootstrap)
	e.process.Env = s.environ(f, listener.Addr().String(), id, secret, token)
	// A group of its own lets kill reach the children, and keeps a terminal's Ctrl-C from the function.
	e.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	e.process.Cancel = func() error { return e.killGroup() }
	server := &http.Server{Handler: e.runtimeAPI(), ReadHeaderTimeout: initTimeout}
	if err := s.supervise(e, server, listener); err != nil {
		end()
		return nil, errors.Join(err, listener.Close())
	}
	return e, nil
}

// supervise starts the process and what watches it: the log reader, the Runtime API's server and the reaper.
func (s *Service) supervise(e *environment, server *http.Server, listener net.Listener) error {
	output, input, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("lambda: output of %s: %w", e.function.Name, err)
	}
	e.process.Stdout, e.process.Stderr = input, input
	if err := e.process.Start(); err != nil {
		return errors.Join(err, input.Close(), output.Close())
	}
	_ = input.Close() // the process has its own copy
	read := make(chan struct{})
	go func() {
		defer close(read)
		readLines(output, func(line string) { s.cfg.Log(e.function.Name, line) })
	}()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with ErrServerClosed
	}()
	reap := func() {
		e.exit = e.process.Wait()
		_ = e.killGroup() // children may outlive the process
		// A child that left the group may hold the pipe open: what it has not written by then is lost.
		lingering := time.AfterFunc(time.Second, func() { _ = output.Close() })
		<-read
		lingering.Stop()
		_ = output.Close()
		e.end()
		close(e.gone)
		_ = server.Close()
		<-served
	}
	if !s.spawn(reap) {
		_ = e.killGroup()
		reap()
		return errClosed
	}
	return nil
}

// killGroup kills the process and all children that stayed in its group.
func (e *environment) killGroup() error {
	err := syscall.Kill(-e.process.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// environ is the whole environment of a function's process; nothing of the pocket AWS's own leaks in.
func (s *Service) environ(f Function, api, id, secret, token string) []string {
	root := filepath.Dir(f.Bootstrap)
	env := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		// A developer's own AWS files must not change what a function does; Lambda has none.
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	}
	maps.Copy(env, f.Env)
	maps.Copy(env, s.cfg.ExtraEnv(f))
	maps.Copy(env, map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          api,
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      s.cfg.Clock().UTC().Format("2006/01/02") + "/[$LATEST]" + randomHex(16),
		"AWS_REGION":                      f.Region,
		"AWS_DEFAULT_REGION":              f.Region,
		"AWS_ACCESS_KEY_ID":               id,
		"AWS_SECRET_ACCESS_KEY":           secret,
		"AWS_SESSION_TOKEN":               token,
		"LAMBDA_TASK_ROOT":                root,
		"_HANDLER":                        "bootstrap",
		"TZ":                              ":UTC",
	})
	list := make([]string, 0, len(env))
	for _, key := range slices.Sorted(maps.Keys(env)) {
		list = append(list, key+"="+env[key])
	}
	return list
}
