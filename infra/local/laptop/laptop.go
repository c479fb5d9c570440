// Package laptop puts the pocket AWS together and deploys the synthesised CDK app into it. All wiring of the platform
// is in the app's templates; what stands here is AWS itself.
package laptop

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rolecall/infra/local/assembly"
	"rolecall/infra/local/cfn"
	"rolecall/infra/local/dynamodb"
	"rolecall/infra/local/ec2"
	"rolecall/infra/local/events"
	"rolecall/infra/local/faults"
	"rolecall/infra/local/iam"
	"rolecall/infra/local/kms"
	"rolecall/infra/local/lambda"
	"rolecall/infra/local/oidc"
	"rolecall/infra/local/organizations"
	"rolecall/infra/local/resources"
	"rolecall/infra/local/s3"
	"rolecall/infra/local/scheduler"
	"rolecall/infra/local/sns"
	"rolecall/infra/local/sqs"
	"rolecall/infra/local/stacksets"
	"rolecall/infra/local/wire"
)

// What the laptop's platform is called; the CDK app is synthesised with the same values.
const (
	Account     = "111111111111"
	HomeRegion  = "eu-west-1"
	Audience    = "rolecall"
	TenantClaim = "tenant_id"

	// The clients that people sign in with at the laptop's issuer.
	ConsoleClient = "rolecall-console"
	CLIClient     = "rolecall-cli"
)

// Options say what to run and where.
type Options struct {
	// Root is the project's folder, Out a folder for what is built; it may be kept between runs.
	Root, Out string
	// Environ is the environment of the commands that build and synthesise, as os.Environ gives it.
	Environ []string
	// APIAddress and AWSAddress are where to listen, such as "127.0.0.1:8080"; port 0 takes any.
	APIAddress, AWSAddress string
	Clock                  func() time.Time
	Log                    *slog.Logger
	// FunctionLog takes the lines that functions write; nil drops them.
	FunctionLog func(function, line string)
	// Started is told how long a function's process took to its first request for work; may be nil.
	Started func(function string, took time.Duration)
	// Progress is told in a few words what is being done; may be nil.
	Progress func(step string)
	// Patch may change a stack's template before it is deployed, for tests of what happens then; may be nil.
	Patch func(name, template string) string
	// Context is CDK context beside the laptop's own, such as {"webhookEndpoint": "http://127.0.0.1:9000/"}; may be nil.
	Context map[string]any
	// Web is the folder of the built console, served at /; "" serves a text that says what there is.
	Web string
	// Origins are those whose pages may call the API and load the widget, such as "http://localhost:5173".
	Origins []string
}

// maxEnvironments bounds how many processes of one function run at a time. An account of AWS has room for a thousand;
// customers who wait for a role to spread hold one each for up to 20 seconds.
const maxEnvironments = 50

// A Laptop is the running pocket AWS with Rolecall in it.
type Laptop struct {
	APIURL string // http://localhost:8080
	AWSURL string // http://127.0.0.1:4566

	IAM       *iam.Service
	DynamoDB  *dynamodb.Service
	SQS       *sqs.Service
	SNS       *sns.Service
	Events    *events.Service
	Scheduler *scheduler.Service
	Lambda    *lambda.Service
	Engine    *cfn.Engine
	Issuer    *oidc.Issuer
	Journal   *wire.Journal
	Faults    *faults.Injector
	// Organizations are of customers; their accounts are like any other.
	Organizations *organizations.Service

	stackSets *stacksets.Service

	options  Options
	kms      *kms.Service
	s3       *s3.Service
	apis     *resources.APIs
	door     *wire.Server
	ready    chan struct{}
	stop     context.CancelFunc
	servers  []*http.Server
	running  sync.WaitGroup
	assembly *assembly.Assembly
	site     http.Handler // what is at /
}

// Start listens, builds the functions, synthesises the CDK app and deploys it. It answers when everything is up; on
// error nothing is left running.
func Start(ctx context.Context, o Options) (*Laptop, error) {
	l := &Laptop{options: o, ready: make(chan struct{}), Faults: new(faults.Injector)}
	apiListener, awsListener, err := l.listen(ctx)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	if err := l.assemble(life); err != nil {
		_ = apiListener.Close()
		_ = awsListener.Close()
		stop()
		return nil, err
	}
	l.serve(awsListener, l.door)
	l.serve(apiListener, l.front())
	if err := l.bringUp(ctx); err != nil {
		l.Close()
		return nil, err
	}
	l.run(life)
	close(l.ready)
	return l, nil
}

func (l *Laptop) listen(ctx context.Context) (api, aws net.Listener, err error) {
	var lc net.ListenConfig
	if api, err = lc.Listen(ctx, "tcp", l.options.APIAddress); err != nil {
		return nil, nil, fmt.Errorf("%w (choose another port with ROLECALL_PORT)", err)
	}
	if aws, err = lc.Listen(ctx, "tcp", l.options.AWSAddress); err != nil {
		_ = api.Close()
		return nil, nil, fmt.Errorf("%w (choose another port with ROLECALL_AWS_PORT)", err)
	}
	l.APIURL = fmt.Sprintf("http://localhost:%d", port(api))
	l.AWSURL = fmt.Sprintf("http://127.0.0.1:%d", port(aws))
	return api, aws, nil
}

func port(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// assemble makes the services and joins them to each other.
func (l *Laptop) assemble(life context.Context) error {
	clock, log := l.options.Clock, l.options.Log
	l.IAM, l.DynamoDB, l.kms, l.s3 = iam.New(clock), dynamodb.New(clock), kms.New(clock), s3.New(clock)
	l.SQS = sqs.New(l.AWSURL, clock)
	l.SNS, l.Events = sns.New(l.SQS, clock, log), events.New(l.SQS, clock, log)
	l.Lambda = lambda.New(lambda.Config{
		Clock: clock, Credentials: l.functionCredentials, Log: l.options.FunctionLog, ExtraEnv: l.functionEnv,
		Permit: l.permit, Deliver: l.deliver, Started: l.options.Started, Queue: queue{l.SQS}, Stream: stream{l.DynamoDB},
		MaxEnvironments: maxEnvironments,
	})
	l.Scheduler = scheduler.New(clock, l.invokeScheduled, log)
	issuer, err := oidc.New(oidc.Config{
		Issuer: l.issuerURL(), Audience: Audience, TenantClaim: TenantClaim, Clock: clock,
		Scopes:  []string{"connections:read", "connections:write", "credentials:issue"},
		Clients: l.clients(), People: people(), Origins: []string{l.APIURL},
	})
	if err != nil {
		return err
	}
	l.Issuer = issuer
	if l.site, err = l.newSite(); err != nil {
		return err
	}
	l.apis = &resources.APIs{New: l.newAPI}
	l.Engine = cfn.NewEngine(cfn.Config{
		Clock: clock, NewID: newID, Endpoint: l.AWSURL, Log: log,
		Publish: l.publish, InvokeAsync: l.invokeCustom, Fetch: l.fetch, Parameter: parameter,
	})
	resources.Register(l.Engine, resources.Services{
		IAM: l.IAM, DynamoDB: l.DynamoDB, SQS: l.SQS, SNS: l.SNS, Events: l.Events, KMS: l.kms, S3: l.s3,
		Scheduler: l.Scheduler, Lambda: l.Lambda, APIs: l.apis, Asset: l.asset,
	})
	l.Organizations = organizations.New()
	l.stackSets = stacksets.New(stacksets.Config{
		NewID: newID, Engine: l.Engine, Organizations: l.Organizations,
		Root: func(account string) (wire.Principal, error) { return l.IAM.Authenticate(account, "") },
	}, cfn.New(l.Engine))
	l.stackSets.Register(l.Engine)
	l.openDoor()
	return life.Err()
}

// openDoor registers every service that AWS clients can reach.
func (l *Laptop) openDoor() {
	regions := ec2.New()
	l.IAM.KnowRegions(regions)
	l.door = wire.NewServer(wire.Config{
		Authenticator: l.IAM, Authorizer: l, Secrets: l.IAM.Secret, Clock: l.options.Clock, Faults: l.Faults, Log: l.options.Log,
	})
	l.Journal = l.door.Journal()
	for name, s := range map[string]wire.Service{
		"iam": l.IAM, "sts": l.IAM.STS(), "dynamodb": l.DynamoDB, "sqs": l.SQS, "sns": l.SNS, "events": l.Events,
		"kms": l.kms, "s3": l.s3, "lambda": l.Lambda, "cloudformation": l.stackSets, "ec2": regions,
		"organizations": l.Organizations,
	} {
		l.door.Register(name, s)
	}
	l.door.Handle(iam.FederationPath, l.IAM.Federation())
	l.door.Handle(cfn.PagePath, cfn.NewPage(l.Engine, HomeRegion))
	l.door.Handle(iam.PagePath, iam.NewPage(l.IAM, cfn.PagePath+"home.css"))
	l.door.Handle(cfn.ResponsePath, l.door.Guard(faults.CustomResponse, l.Engine.Responses()))
	l.door.Handle("/", l.s3.Anonymous())
}

func (l *Laptop) issuerURL() string { return l.APIURL + "/oidc" }

// clients are the programs that people sign in with: the console, served here, and the command-line helper, anywhere on
// this machine.
func (l *Laptop) clients() []oidc.Client {
	return []oidc.Client{
		{ID: ConsoleClient, Redirects: []string{l.APIURL + "/", l.APIURL + "/callback"}, SignedOut: []string{l.APIURL + "/"}},
		{ID: CLIClient, Redirects: []string{"http://127.0.0.1/callback", "http://[::1]/callback"}, Loopback: true},
	}
}

// people are who can sign in: one for each of two tenants.
func people() []oidc.Person {
	return []oidc.Person{
		{Subject: "ada@acme.example", Name: "Ada Lovelace", Tenant: "acme", TenantName: "Acme"},
		{Subject: "grace@globex.example", Name: "Grace Hopper", Tenant: "globex", TenantName: "Globex"},
	}
}

func (l *Laptop) asset(key string) (string, error) {
	if l.assembly == nil {
		return "", errors.New("nothing has been synthesised yet")
	}
	return l.assembly.Asset(key)
}

func (l *Laptop) progress(step string) {
	if l.options.Progress != nil {
		l.options.Progress(step)
	}
}

// bringUp builds, synthesises and deploys.
func (l *Laptop) bringUp(ctx context.Context) error {
	functions := filepath.Join(l.options.Out, "functions")
	l.progress("building the functions")
	if err := Build(ctx, l.options.Environ, l.options.Root, functions); err != nil {
		return err
	}
	l.progress("synthesising the CDK app")
	out := filepath.Join(l.options.Out, "cdk.out")
	if err := Synthesise(ctx, l.options.Environ, l.options.Root, out, functions, l.issuerURL(), l.context()); err != nil {
		return err
	}
	a, err := assembly.Read(out)
	if err != nil {
		return err
	}
	l.assembly = a
	if err := l.upload(a.Files); err != nil {
		return err
	}
	for _, s := range a.Stacks {
		l.progress("deploying " + s.Name)
		if err := l.deploy(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// upload does what CDK's asset publishing does.
func (l *Laptop) upload(files []assembly.File) error {
	for _, f := range files {
		if err := l.s3.CreateBucket(Account, f.Region, f.Bucket); err != nil && !isAlreadyOwned(err) {
			return err
		}
		if err := l.s3.PutObject(f.Bucket, f.Key, f.Body, nil); err != nil {
			return err
		}
	}
	return nil
}

func isAlreadyOwned(err error) bool {
	var e *wire.Error
	return errors.As(err, &e) && e.Code == "BucketAlreadyOwnedByYou"
}

func (l *Laptop) deploy(ctx context.Context, s assembly.Stack) error {
	template := s.Template
	if l.options.Patch != nil {
		template = l.options.Patch(s.Name, template)
	}
	root, err := l.IAM.Authenticate(s.Account, "")
	if err != nil {
		return err
	}
	_, err = l.Engine.Create(ctx, cfn.Input{
		Principal: root, Account: s.Account, Region: s.Region, Name: s.Name, Template: template,
		Capabilities: []string{"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"}, OnFailure: "DO_NOTHING",
	})
	if err != nil {
		return fmt.Errorf("stack %s: %w", s.Name, err)
	}
	made, err := l.Engine.Wait(ctx, s.Account, s.Region, s.Name)
	if err != nil {
		return fmt.Errorf("stack %s: %w", s.Name, err)
	}
	if made.Status != "CREATE_COMPLETE" {
		return fmt.Errorf("stack %s is %s: %w", s.Name, made.Status, l.why(s))
	}
	return nil
}

// why collects the reasons of a failed deployment.
func (l *Laptop) why(s assembly.Stack) error {
	list, err := l.Engine.Events(s.Account, s.Region, s.Name)
	if err != nil {
		return err
	}
	var all []error
	for _, e := range list {
		if e.Status == "CREATE_FAILED" && e.Reason != "" {
			all = append(all, fmt.Errorf("%s: %s", e.LogicalID, e.Reason))
		}
	}
	return errors.Join(all...)
}

// run starts what goes on by itself.
func (l *Laptop) run(life context.Context) {
	l.running.Go(func() { l.Scheduler.Run(life) })
	l.running.Go(func() { l.DynamoDB.Sweep(life, time.Minute) })
}

func (l *Laptop) serve(listener net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	l.servers = append(l.servers, s)
	l.running.Go(func() {
		if err := s.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			l.options.Log.Error("server", "address", listener.Addr().String(), "error", err)
		}
	})
}

// Close ends everything that Start has started.
func (l *Laptop) Close() {
	l.stop()
	l.Lambda.Close()
	l.Engine.Close()
	l.stackSets.Close()
	for _, s := range l.servers {
		_ = s.Close()
	}
	l.running.Wait()
}

// Token is a token of the laptop's issuer for a tenant, with the given scopes or, without any, all.
func (l *Laptop) Token(tenant string, scopes ...string) (string, error) {
	return l.Issuer.Token(tenant, scopes, nil)
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// parameter answers the one parameter that CDK's templates look at: the version of the bootstrap stack.
func parameter(_ context.Context, _, _, name string) (string, error) {
	if name == "/cdk-bootstrap/hnb659fds/version" {
		return "30", nil
	}
	return "", &wire.Error{Code: "ParameterNotFound", Message: "the laptop has no parameter " + name, Status: http.StatusBadRequest}
}

// front is what listens for people: the HTTP API, the issuer, and the laptop's own few routes.
func (l *Laptop) front() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/oidc/", l.Issuer)
	mux.HandleFunc("GET /healthz", l.health)
	mux.Handle("POST /_local/sweep", fromHere(http.HandlerFunc(l.sweep)))
	mux.Handle("POST /_local/organizations", fromHere(http.HandlerFunc(l.createOrganization)))
	mux.Handle("PUT /_local/organizations/accounts/{account}/policy", fromHere(http.HandlerFunc(l.controlAccount)))
	mux.Handle(faults.Path, fromHere(l.Faults))
	mux.Handle(faults.Path+"/", fromHere(l.Faults))
	mux.Handle("/", l.split())
	return mux
}

// fromHere refuses what some web page makes a developer's browser send: another site's request, or one to a name that
// only leads here.
func fromHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		ip := net.ParseIP(host)
		site := r.Header.Get("Sec-Fetch-Site")
		if (host != "localhost" && (ip == nil || !ip.IsLoopback())) || (site != "" && site != "none" && site != "same-origin") ||
			(site == "" && r.Header.Get("Origin") != "") {
			http.Error(w, "this is for this machine's own programs and pages", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (l *Laptop) health(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-l.ready:
		_, _ = w.Write([]byte("ok\n"))
	default:
		http.Error(w, "starting", http.StatusServiceUnavailable)
	}
}

func (l *Laptop) sweep(w http.ResponseWriter, r *http.Request) {
	if err := l.Scheduler.FireAll(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (l *Laptop) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "Rolecall on a laptop\n\nHTTP API      %[1]s/v1 (described by %[1]s/openapi.json)\ntokens        POST %[1]s/oidc/token for machines, %[1]s/oidc/authorize for people\n"+
		"AWS endpoint  %[2]s\nsweep now     POST %[1]s/_local/sweep\n"+
		"faults        GET, POST and DELETE %[1]s/_local/faults\n\nThe README's tour goes on from here.\n", l.APIURL, l.AWSURL)
}

// removeAll empties a folder that is about to be written anew.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clean %s: %w", dir, err)
	}
	return nil
}
