// Package lambda is the Lambda service of the pocket AWS: it runs real bootstrap binaries behind the Lambda Runtime API,
// retries and gives up as Lambda does for each kind of source, and polls queues and streams for event source mappings.
//
// A function runs in environments. An environment is one process in a process group of its own with a Runtime API
// listener of its own on the loopback interface; it handles one invocation at a time and stays warm in between. What
// outlives its timeout is killed, and an environment whose credentials near their end is replaced between invocations.
package lambda

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"rolecall/infra/local/wire"
)

const (
	defaultTimeout      = 3 * time.Second
	defaultMemory       = 128
	defaultEnvironments = 10
	maxSyncPayload      = 6 * 1024 * 1024
	maxAsyncPayload     = 1024 * 1024
	// maxResponse is Lambda's limit for a buffered response: 6 MB and what its envelope takes.
	maxResponse = 6291556
	// renewBefore is the least life that credentials must have when an invocation starts.
	renewBefore = 5 * time.Minute
	// initTimeout is how long an environment may take to ask for its first invocation.
	initTimeout = 10 * time.Second
)

// A Function is what a caller of [Service.Create] wants to run.
type Function struct {
	Name      string
	ARN       string // arn:aws:lambda:<region>:<account>:function:<name>
	Account   string // 12 digits
	Region    string
	Bootstrap string            // path of the executable; its directory is LAMBDA_TASK_ROOT
	Env       map[string]string // the function's own variables; reserved names are refused
	Timeout   time.Duration     // 0 means 3 s, as for Lambda
	MemoryMB  int               // told to the function, not enforced; 0 means 128
	RoleARN   string
	// ReservedConcurrency bounds the environments; nil leaves Config.MaxEnvironments, 0 throttles every invocation.
	ReservedConcurrency *int
	DeadLetterARN       string // queue or topic for asynchronous events that were given up
	Description         string
}

// Credentials answers credentials of a role for a function's environment.
type Credentials func(roleARN, functionName string) (accessKeyID, secret, token string, expires time.Time, err error)

// Config is what a Service needs of its surroundings. Clock and Credentials must be set.
type Config struct {
	Clock       func() time.Time
	Credentials Credentials
	// Log takes one whole line that a function wrote, without its line feed and at most 64 KiB of it. It is called from
	// several goroutines.
	Log func(function, line string)
	// ExtraEnv gives variables that every function gets, such as AWS_ENDPOINT_URL; they win over the function's own.
	ExtraEnv func(f Function) map[string]string
	// Permit says whether a role may perform an action; mappings and destinations ask it. nil permits everything.
	Permit func(roleARN, action, resource string) error
	// Deliver hands a [Failure] (or, for OnSuccess, a result) to its destination. nil loses it with a log line.
	Deliver func(ctx context.Context, d Delivery) error
	// Started is told how long a process took from its start to its first request for an invocation.
	Started func(function string, took time.Duration)
	Queue   Queue  // what SQS mappings poll
	Stream  Stream // what DynamoDB mappings poll
	// MaxEnvironments bounds each function without reserved concurrency; 0 means 10.
	MaxEnvironments int
	// AsyncDelays are the waits before the first and the second retry of an asynchronous event whose function failed.
	// nil means Lambda's: 1 and 2 minutes.
	AsyncDelays []time.Duration
}

// A Service hosts functions and their event source mappings.
type Service struct {
	cfg  Config
	ctx  context.Context //nolint:containedctx // the life of everything the service starts; Close ends it
	stop context.CancelFunc
	work sync.WaitGroup
	// call is Invoke; the sources of events go through it.
	call func(ctx context.Context, arn string, payload []byte) (Result, error)

	mu        sync.Mutex
	running   map[chan struct{}]string // ARNs of functions, by what is closed at the end of each invocation
	closed    bool
	functions map[string]*pool    // by ARN
	mappings  map[string]*mapping // by UUID
}

// New makes a Service without functions. Close ends what it starts.
func New(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = func(string, string) {}
	}
	if cfg.ExtraEnv == nil {
		cfg.ExtraEnv = func(Function) map[string]string { return nil }
	}
	if cfg.Permit == nil {
		cfg.Permit = func(string, string, string) error { return nil }
	}
	if cfg.Started == nil {
		cfg.Started = func(string, time.Duration) {}
	}
	if cfg.MaxEnvironments == 0 {
		cfg.MaxEnvironments = defaultEnvironments
	}
	if cfg.AsyncDelays == nil {
		cfg.AsyncDelays = []time.Duration{time.Minute, 2 * time.Minute}
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Service{
		cfg: cfg, ctx: ctx, stop: stop,
		functions: map[string]*pool{}, mappings: map[string]*mapping{}, running: map[chan struct{}]string{},
	}
	s.call = s.Invoke
	return s
}

// Close stops all mappings, kills all environments with their children and waits until they are gone.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
}

// spawn runs f on a goroutine that Close waits for; false means that the service is closed and f will not run.
func (s *Service) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Go(f)
	return true
}

// Create adds a function. It answers ResourceConflictException for an ARN that exists and
// InvalidParameterValueException for a definition that cannot run.
func (s *Service) Create(f Function) error {
	f, err := complete(f)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.functions[f.ARN]; ok {
		return &wire.Error{
			Code: "ResourceConflictException", Status: http.StatusConflict,
			Message: "Function already exist: " + f.Name,
		}
	}
	s.functions[f.ARN] = &pool{service: s, function: f}
	return nil
}

// Update replaces a function's definition: idle environments end now, busy ones after their invocation.
func (s *Service) Update(f Function) error {
	f, err := complete(f)
	if err != nil {
		return err
	}
	p, err := s.pool(f.ARN)
	if err != nil {
		return err
	}
	p.replace(f)
	return nil
}

// Delete removes a function, its environments and its permissions; its mappings stay and fail, as Lambda's do.
func (s *Service) Delete(arn string) error {
	s.mu.Lock()
	p, ok := s.functions[arn]
	delete(s.functions, arn)
	s.mu.Unlock()
	if !ok {
		return notFound(arn)
	}
	p.retire()
	return nil
}

// Function answers a function's definition, defaults filled in.
func (s *Service) Function(arn string) (Function, error) {
	p, err := s.pool(arn)
	if err != nil {
		return Function{}, err
	}
	return p.definition(), nil
}

// Functions are the functions of one account and Region, by name.
func (s *Service) Functions(account, region string) []Function {
	s.mu.Lock()
	pools := slices.Collect(maps.Values(s.functions))
	s.mu.Unlock()
	var list []Function
	for _, p := range pools {
		if f := p.definition(); f.Account == account && f.Region == region {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (s *Service) pool(arn string) (*pool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.functions[arn]
	if !ok {
		return nil, notFound(arn)
	}
	return p, nil
}

func notFound(arn string) error {
	return &wire.Error{
		Code: "ResourceNotFoundException", Status: http.StatusNotFound,
		Message: "Function not found: " + arn, Fields: map[string]any{"Type": "User"},
	}
}

func invalid(format string, args ...any) error {
	return &wire.Error{Code: "InvalidParameterValueException", Message: fmt.Sprintf(format, args...)}
}

// complete fills in Lambda's defaults and refuses what could not run.
func complete(f Function) (Function, error) {
	if f.Timeout == 0 {
		f.Timeout = defaultTimeout
	}
	if f.MemoryMB == 0 {
		f.MemoryMB = defaultMemory
	}
	if f.Name == "" || f.ARN == "" || f.RoleARN == "" {
		return f, invalid("a function needs a name, an ARN and a role; got %q, %q, %q", f.Name, f.ARN, f.RoleARN)
	}
	if f.Timeout < time.Second || f.Timeout > 15*time.Minute {
		return f, invalid("Timeout of function %s must lie between 1 and 900 seconds", f.Name)
	}
	info, err := os.Stat(f.Bootstrap)
	if err != nil {
		return f, invalid("bootstrap of function %s: %v", f.Name, err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return f, invalid("bootstrap of function %s is not an executable file: %s", f.Name, f.Bootstrap)
	}
	if keys := reservedKeys(f.Env); len(keys) > 0 {
		return f, invalid("Lambda was unable to configure your environment variables because the environment variables "+
			"you have provided contains reserved keys that are currently not supported for modification. "+
			"Reserved keys used in this request: %s", strings.Join(keys, ", "))
	}
	f.Env = maps.Clone(f.Env)
	return f, nil
}

// reservedKeys are the variables of env that only Lambda may set.
func reservedKeys(env map[string]string) []string {
	reserved := []string{
		"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
		"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
		"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
		"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
	}
	var used []string
	for _, key := range reserved {
		if _, ok := env[key]; ok {
			used = append(used, key)
		}
	}
	return used
}
