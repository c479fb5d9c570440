package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rolecall/templates"
)

// Context keys. Their defaults stand in cdk.json; `cdk -c key=value` or the JSON object in CDK_CONTEXT_JSON goes before
// them. A list can be written as JSON or with commas.
//
//	account           The platform's AWS account, 12 digits. Default: CDK_DEFAULT_ACCOUNT, which the CDK CLI sets from the
//	                  credentials in use, else 111111111111 (the laptop's).
//	homeRegion        Where everything but the topics is. It also settles the partition: cn-* is aws-cn, us-gov-* is
//	                  aws-us-gov, all others are aws. One deployment serves one partition.
//	regions           Regions in which customers may create their stack; each gets a topic stack and must be bootstrapped
//	                  for CDK. Holds homeRegion.
//	platformName      What customers know the platform as: 1-64 ASCII letters, digits, spaces and ._&()+-
//	issuer            The OIDC issuer of the tokens that the API takes, https, as in their "iss". The default is a
//	                  placeholder that API Gateway refuses: a deployment without an issuer of its own does not come up.
//	audience          The tokens' "aud" (or "client_id"), one or several.
//	tenantClaim       The claim that names the tenant.
//	connectionsClaim  The claim that, where a token has it, names the connections and scopes that it may use and change.
//	issuesPerMinute   How often the services of one tenant may be handed credentials in a minute, 60 to 1000000.
//	verificationsPerMinute
//	                  How often one tenant may have roles and access keys verified in a minute, 20 to 1000000; what the
//	                  schedule and customers' stacks bring about is not counted.
//	pendingConnections
//	                  How many pending connections one tenant may have, 20 to 1000000.
//	readsPerMinute    How often the callers of one tenant may read in a minute, 200 to 1000000.
//	launchesPerMinute How often one tenant may create connections and enrolments, and launch connections anew, in a minute,
//	                  20 to 1000000.
//	revocationsPerMinute
//	                  How often one tenant may have sessions revoked in a minute, 20 to 1000000.
//	requestsPerSecond What the gateway lets through in all, 10 to 10000. Default, and 0: four times what issuesPerMinute gives
//	                  one tenant, 200 at least.
//	lambdaConcurrency The account's quota of concurrent executions of Lambda in the home Region, 10 to 1000000. Default: 10, a
//	                  new account's. What queues may set going follows from it, and from 200 on api and broker have
//	                  a part of it for themselves.
//	corsOrigins       Exact origins of the SPAs, such as https://app.example.com; none by default.
//	functionsDir      Folder that `make build` fills: <function>/bootstrap.
//	consoleDir        Folder that `make web` fills with the console and the widget; "" deploys neither, nor does
//	                  any partition but aws.
//	consoleClientId   The console's client at the issuer: public, authorization code with PKCE, redirect <console>/callback.
//	checkInterval     How often an enabled connection is checked again, as a Go duration of whole minutes that divides 24h.
//	webhookEndpoint   Where published events are posted, a public https URL; "" (the default) makes no webhook. See
//	                  docs/webhooks.md.
//	webhookSecrets    Numbers of the secrets that sign posts, the current one first: [1] to begin with, [2,1] while
//	                  receivers change to the second, then [2].
//	macKeys           Numbers of the KMS keys whose callback tokens are admitted, the one that makes new tokens first: [1] to
//	                  begin with, [2,1] after a rotation, then [2]. See docs/keys.md.
//	stsRate           How many requests a second the scheduled checks may make of STS in all, 2 to 10000. AWS answers some
//	                  hundreds a second of one account and Region; customers who wait come first and share what is left.
//	accessKeyMaxAgeDays
//	                  After how many days a customer's long-lived access key is reported as old, 1 to 3650.
//	logRetentionDays  Of all log groups; one of the numbers that CloudWatch Logs takes.
//	customPermissions A permission set of the platform's own, offered as "custom" beside the others: {"title", "description",
//	                  "policy"}, the last one a file with an IAM policy, by its path from here. None by default.
//	calledViaCloudFormation
//	                  true adds aws:CalledVia = cloudformation.amazonaws.com to the topics' policy. Off, since it could not
//	                  be tried against AWS that CloudFormation's publish for a custom resource carries that key: if it
//	                  does not, all customers' stacks fail.
const (
	keyAccount          = "account"
	keyHomeRegion       = "homeRegion"
	keyRegions          = "regions"
	keyPlatformName     = "platformName"
	keyIssuer           = "issuer"
	keyAudience         = "audience"
	keyTenantClaim      = "tenantClaim"
	keyConnectionsClaim = "connectionsClaim"
	keyIssuesPerMinute  = "issuesPerMinute"
	keyVerifications    = "verificationsPerMinute"
	keyPending          = "pendingConnections"
	keyReads            = "readsPerMinute"
	keyLaunches         = "launchesPerMinute"
	keyRevocations      = "revocationsPerMinute"
	keyRequests         = "requestsPerSecond"
	keyConcurrency      = "lambdaConcurrency"
	keyCORSOrigins      = "corsOrigins"
	keyFunctionsDir     = "functionsDir"
	keyConsoleDir       = "consoleDir"
	keyConsoleClientID  = "consoleClientId"
	keyCheckInterval    = "checkInterval"
	keyWebhookEndpoint  = "webhookEndpoint"
	keyWebhookSecrets   = "webhookSecrets"
	keyMACKeys          = "macKeys"
	keySTSRate          = "stsRate"
	keyAccessKeyMaxAge  = "accessKeyMaxAgeDays"
	keyLogRetentionDays = "logRetentionDays"
	keyCustom           = "customPermissions"
	keyCalledVia        = "calledViaCloudFormation"
)

// laptopAccount stands in where nobody says which account it is: the pocket AWS's platform.
const laptopAccount = "111111111111"

// config is the validated context.
type config struct {
	account          string
	homeRegion       string
	regions          []string // home first
	partition        string
	platformName     string
	issuer           string
	audience         []string
	tenantClaim      string
	connectionsClaim string
	issuesPerMinute  int
	verifications    int // a minute
	pending          int
	reads            int // a minute
	launches         int // a minute
	revocations      int // a minute
	requests         int // a second, of the whole API
	concurrency      concurrency
	corsOrigins      []string
	functionsDir     string
	consoleDir       string // "" for no console
	consoleClientID  string
	checkInterval    time.Duration
	webhookEndpoint  string   // "" for none
	webhookSecrets   []string // numbers
	macKeys          []string // numbers, the current one first
	stsRate          int
	keyMaxAgeDays    int
	logRetentionDays int
	calledVia        bool
	custom           *templates.Set // the platform's own permission set; nil for none
}

var (
	accountRE = regexp.MustCompile(`^[0-9]{12}$`)
	regionRE  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+){1,2}-[0-9]{1,2}$`)
	nameRE    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9 ._&()+-]{0,62}[A-Za-z0-9.)+])?$`)
	claimRE   = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,128}$`)
	wordRE    = regexp.MustCompile(`^[!-~]{1,256}$`)
	numberRE  = regexp.MustCompile(`^[1-9][0-9]{0,5}$`)
)

// loadConfig reads and checks the context. All that is wrong is reported at once, each with its key and the fix.
func loadConfig(context func(string) any, getenv func(string) string) (config, error) {
	r := reader{context: context}
	cfg := config{
		account:          r.account(getenv("CDK_DEFAULT_ACCOUNT")),
		homeRegion:       r.text(keyHomeRegion, regionRE, `a Region such as "eu-west-1"`),
		platformName:     r.text(keyPlatformName, nameRE, "1 to 64 ASCII letters, digits, spaces and ._&()+-"),
		issuer:           r.issuer(),
		audience:         r.list(keyAudience, wordRE, 1, `one or more audiences such as ["rolecall"]`),
		tenantClaim:      r.text(keyTenantClaim, claimRE, `the name of a claim such as "tenant_id"`),
		connectionsClaim: r.text(keyConnectionsClaim, claimRE, `the name of a claim such as "rolecall_connections"`),
		issuesPerMinute:  r.tenants(keyIssuesPerMinute, 60, 6000),
		verifications:    r.tenants(keyVerifications, 20, 300),
		pending:          r.tenants(keyPending, 20, 1000),
		reads:            r.tenants(keyReads, 200, 12_000),
		launches:         r.tenants(keyLaunches, 20, 300),
		revocations:      r.tenants(keyRevocations, 20, 300),
		concurrency:      concurrencyOf(r.number(keyConcurrency, 10, 1_000_000, 1000)),
		corsOrigins:      r.origins(),
		functionsDir:     r.text(keyFunctionsDir, nil, `a folder such as "build/lambda"`),
		consoleDir:       r.folder(keyConsoleDir),
		consoleClientID:  r.text(keyConsoleClientID, wordRE, `the console's client id at the issuer, such as "rolecall-console"`),
		checkInterval:    r.interval(),
		webhookEndpoint:  r.webhook(),
		webhookSecrets:   r.list(keyWebhookSecrets, numberRE, 1, "numbers of secrets such as [1]"),
		macKeys:          r.list(keyMACKeys, numberRE, 1, "numbers of keys such as [1]"),
		stsRate:          r.number(keySTSRate, sweepConcurrency, 10_000, 60),
		keyMaxAgeDays:    r.keyAge(),
		logRetentionDays: r.retention(),
		calledVia:        r.flag(keyCalledVia),
	}
	cfg.partition = partitionOf(cfg.homeRegion)
	cfg.regions = r.regions(cfg.homeRegion)
	cfg.custom = r.custom(cfg.partition)
	cfg.requests = r.requests(cfg.issuesPerMinute)
	return cfg, errors.Join(r.problems...)
}

// partitionOf is the partition of a Region.
func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	default:
		return "aws"
	}
}

// reader collects what is wrong while it reads.
type reader struct {
	context  func(string) any
	problems []error
}

func (r *reader) wrong(key, fix string) {
	r.problems = append(r.problems,
		fmt.Errorf("context %q is %v; give %s, in cdk.json or by -c %s=…", key, shown(r.context(key)), fix, key))
}

func shown(v any) string {
	if v == nil {
		return "missing"
	}
	return fmt.Sprintf("%q", fmt.Sprint(v))
}

func (r *reader) text(key string, form *regexp.Regexp, fix string) string {
	s, ok := r.context(key).(string)
	if !ok || s == "" || (form != nil && !form.MatchString(s)) {
		r.wrong(key, fix)
		return ""
	}
	return s
}

// list takes a JSON array, or a string with commas as the command line has it.
func (r *reader) list(key string, form *regexp.Regexp, least int, fix string) []string {
	var items []string
	switch v := r.context(key).(type) {
	case nil:
	case string:
		items = strings.FieldsFunc(strings.Trim(v, "[]"), func(c rune) bool { return c == ',' || c == ' ' || c == '"' })
	case []any:
		for _, item := range v {
			items = append(items, fmt.Sprint(item))
		}
	default:
		r.wrong(key, fix)
		return nil
	}
	for i, item := range items {
		if !form.MatchString(item) || slices.Contains(items[:i], item) {
			r.wrong(key, fix)
			return nil
		}
	}
	if len(items) < least {
		r.wrong(key, fix)
		return nil
	}
	return items
}

func (r *reader) account(fromCLI string) string {
	switch {
	case r.context(keyAccount) != nil:
		return r.text(keyAccount, accountRE, "the platform's account, 12 digits in quotes")
	case fromCLI == "":
		return laptopAccount
	case !accountRE.MatchString(fromCLI):
		r.problems = append(r.problems, fmt.Errorf("CDK_DEFAULT_ACCOUNT %q is not 12 digits; set context %q", fromCLI, keyAccount))
		return ""
	default:
		return fromCLI
	}
}

// regions are the supported Regions, home first: functions take the first as the default.
func (r *reader) regions(home string) []string {
	const fix = `Regions of one partition, homeRegion among them, such as ["eu-west-1","us-east-1"]`
	all := r.list(keyRegions, regionRE, 1, fix)
	if all == nil || home == "" {
		return nil
	}
	i := slices.Index(all, home)
	if i < 0 {
		r.wrong(keyRegions, fix)
		return nil
	}
	for _, region := range all {
		if partitionOf(region) != partitionOf(home) {
			r.wrong(keyRegions, fix)
			return nil
		}
	}
	return append([]string{home}, slices.Delete(slices.Clone(all), i, i+1)...)
}

// issuer takes http from loopback only: that is the laptop's own issuer, and API Gateway refuses it anyway.
func (r *reader) issuer() string {
	const fix = `the OIDC issuer's URL, such as "https://login.example.com/"`
	s := r.text(keyIssuer, wordRE, fix)
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		r.wrong(keyIssuer, fix)
		return ""
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u)) {
		r.wrong(keyIssuer, fix)
		return ""
	}
	return s
}

func isLoopback(u *url.URL) bool {
	return u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost" || u.Hostname() == "::1"
}

func (r *reader) origins() []string {
	const fix = `exact origins such as ["https://app.example.com"], without path and without *`
	origins := r.list(keyCORSOrigins, wordRE, 0, fix)
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || strings.Contains(o, "*") || u.Scheme+"://"+u.Host != o ||
			(u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u))) {
			r.wrong(keyCORSOrigins, fix)
			return nil
		}
	}
	return origins
}

// webhook takes an address or http from loopback only, for the laptop: a deployed function refuses that, and more, itself.
func (r *reader) webhook() string {
	const fix = `a public https URL such as "https://hooks.example.com/rolecall", or "" for none`
	if s := r.context(keyWebhookEndpoint); s == nil || s == "" {
		return ""
	}
	s := r.text(keyWebhookEndpoint, nil, fix)
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || len(s) > 2048 || strings.ContainsAny(s, " \\") {
		r.wrong(keyWebhookEndpoint, fix)
		return ""
	}
	if isLoopback(u) && (u.Scheme == "http" || u.Scheme == "https") {
		return s
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme != "https" || !strings.Contains(u.Host, ".") && ip == nil || ip != nil && (!ip.IsGlobalUnicast() || ip.IsPrivate()) {
		r.wrong(keyWebhookEndpoint, fix)
		return ""
	}
	return s
}

// folder is a path or "" for none.
func (r *reader) folder(key string) string {
	if s := r.context(key); s == nil || s == "" {
		return ""
	}
	return r.text(key, nil, `a folder such as "build/web", or "" for none`)
}

func (r *reader) interval() time.Duration {
	s, _ := r.context(keyCheckInterval).(string)
	d, err := time.ParseDuration(s)
	const day = 24 * time.Hour
	if err != nil || d < time.Minute || d > day || d%time.Minute != 0 || day%d != 0 {
		r.wrong(keyCheckInterval, `a Go duration of whole minutes that divides 24h, such as "24h" or "6h"`)
		return 0
	}
	return d
}

// tenants is a limit of each tenant.
func (r *reader) tenants(key string, least, usual int) int {
	return r.number(key, least, 1_000_000, usual)
}

func (r *reader) number(key string, least, most, usual int) int {
	given := fmt.Sprint(r.context(key))
	if f, isFloat := r.context(key).(float64); isFloat { // a number of cdk.json; a million would read 1e+06
		given = strconv.FormatFloat(f, 'f', -1, 64)
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < least || n > most {
		r.wrong(key, fmt.Sprintf("a whole number from %d to %d, such as %d", least, most, usual))
		return 0
	}
	return n
}

const (
	// mostRequests a second is API Gateway's own quota of an account and Region.
	mostRequests = 10_000
	// leastRequests a second is what a deployment gets whose tenants are handed few credentials: pages are read, too.
	leastRequests = 200
)

// requests is what the gateway lets through in a second. One tenant's services at their limit take a quarter of it.
func (r *reader) requests(issuesPerMinute int) int {
	switch v := r.context(keyRequests); fmt.Sprint(v) {
	case "<nil>", "", "0":
		return min(max(4*issuesPerMinute/60, leastRequests), mostRequests)
	default:
		return r.number(keyRequests, 10, mostRequests, 400)
	}
}

func (r *reader) keyAge() int {
	n, err := strconv.Atoi(fmt.Sprint(r.context(keyAccessKeyMaxAge)))
	if err != nil || n < 1 || n > 3650 {
		r.wrong(keyAccessKeyMaxAge, "a number of days from 1 to 3650, such as 90")
		return 0
	}
	return n
}

func (r *reader) retention() int {
	n, err := strconv.Atoi(fmt.Sprint(r.context(keyLogRetentionDays)))
	if _, ok := retentions()[n]; err != nil || !ok {
		r.wrong(keyLogRetentionDays, "a number of days that CloudWatch Logs takes, such as 90")
		return 0
	}
	return n
}

// custom reads the platform's own permission set, an object or the same as JSON.
func (r *reader) custom(partition string) *templates.Set {
	const fix = `an object such as {"title":"Cost data","description":"reads bills and usage","policy":"cost-policy.json"}`
	v := r.context(keyCustom)
	if v == nil || v == "" {
		return nil
	}
	text, isText := v.(string)
	if !isText {
		encoded, err := json.Marshal(v)
		if err != nil {
			r.wrong(keyCustom, fix)
			return nil
		}
		text = string(encoded)
	}
	var given struct{ Title, Description, Policy string }
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&given); err != nil || given.Policy == "" {
		r.wrong(keyCustom, fix)
		return nil
	}
	policy, err := os.ReadFile(given.Policy)
	if err != nil {
		r.problems = append(r.problems, fmt.Errorf("context %q: %w", keyCustom, err))
		return nil
	}
	set, err := templates.Custom(given.Title, given.Description, string(policy), partition)
	if err != nil {
		r.problems = append(r.problems, fmt.Errorf("context %q, %s: %w", keyCustom, given.Policy, err))
		return nil
	}
	return &set
}

func (r *reader) flag(key string) bool {
	v := fmt.Sprint(r.context(key))
	if v != "true" && v != "false" {
		r.wrong(key, "true or false")
	}
	return v == "true"
}

// checkFunctions looks for the built functions before CDK does, to say what to do.
func checkFunctions(dir string, more ...string) error {
	for _, name := range append(functionNames(), more...) {
		file := filepath.Join(dir, name, "bootstrap")
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is not there: run `make build`, or set context %q to the folder that holds <function>/bootstrap",
				file, keyFunctionsDir)
		} else if err != nil {
			return fmt.Errorf("context %q: %w", keyFunctionsDir, err)
		}
	}
	return nil
}
