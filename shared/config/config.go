// Package config reads a function's environment into a validated struct. It is the only reader of the environment.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"rolecall/shared/connect"
)

// A Config is what a function is told by its environment. Each function reads the members it needs; Load refuses a
// missing or malformed one by name.
type Config struct {
	Table        string
	Platform     connect.Platform
	PlatformName string
	TenantClaim  string
	Issuer       string           // of the API's tokens
	Regions      []connect.Region // home first
	// ConnectionsClaim names the claim that restricts a token to some connections.
	ConnectionsClaim string
	IssueRate        int            // hand-outs a minute that one tenant may have
	VerifyRate       int            // verifications a minute that one tenant may ask for
	MostPending      int            // pending connections that one tenant may have
	ReadRate         int            // reads a minute that one tenant may have
	LaunchRate       int            // launches a minute that one tenant may ask for
	RevokeRate       int            // revocations a minute that one tenant may ask for
	MACKey           int            // number of the key that makes callback tokens
	MACKeys          map[int]string // ARNs, by number, of the keys whose callback tokens are admitted
	TemplateURL      string
	TemplateVersion  string
	TemplateSHA256   string
	TemplatesBucket  string
	ConsoleURL       string // a laptop's quick-create page; else ""
	TopicName        string
	SealingKeyARN    string        // seals customers' access keys
	KeyMaxAge        time.Duration // after which a customer's access key is reported as old
	// CustomPermissions is the platform's own permission set, as package templates reads it; "" for none.
	CustomPermissions string
	CallbacksURL      string // of the queue
	VerifyNowURL      string
	VerifySweepURL    string
	CheckInterval     time.Duration
	STSRate           int // requests a second that all sweeps together may make
	Bus               string
	WebhookEndpoint   string // as configured; shared/webhook judges it
	WebhookKeyARN     string
	WebhookSecrets    []int  // numbers of the secrets to sign with, the current one first
	WebhookURL        string // of the queue
	Endpoint          string // a laptop's AWS endpoint; else ""
	Region            string
	LogLevel          slog.Level

	// OrganizationTemplateURL and its hash are "" in a partition where organizations cannot be enrolled.
	OrganizationTemplateURL    string
	OrganizationTemplateSHA256 string
	// ModuleSHA256 is the Terraform module's, which lies beside the templates.
	ModuleSHA256 string
}

// A Need is one variable that a function reads.
type Need int

// Needs, one for each group of variables that go together.
const (
	Table Need = iota
	Platform
	Presentation // who asks, and what an answer about a connection shows: claims, name, template, MAC key
	Callbacks
	Sealing   // to seal customers' access keys, or to open them
	KeyMaxAge // to report old ones
	VerifyNow
	VerifySweep
	CheckInterval
	STSRate
	Issuing
	VerifyRate
	Pending
	ReadRate
	LaunchRate
	RevokeRate
	Issuer    // to tell clients where to sign in
	Templates // to upload them
	Bus
	Webhook
)

// Load reads what a function needs, and reports everything that is wrong at once.
func Load(needs ...Need) (Config, error) {
	r := reader{get: os.LookupEnv}
	c := Config{Region: r.text("AWS_REGION"), Endpoint: r.optional("AWS_ENDPOINT_URL")}
	c.CustomPermissions = r.optional("ROLECALL_CUSTOM_PERMISSIONS")
	c.LogLevel = r.level("ROLECALL_LOG_LEVEL")
	for _, n := range needs {
		r.read(&c, n)
	}
	return c, errors.Join(r.errs...)
}

type reader struct {
	get  func(string) (string, bool)
	errs []error
}

func (r *reader) read(c *Config, n Need) {
	switch n {
	case Table:
		c.Table = r.text("ROLECALL_TABLE")
	case Platform:
		c.Platform = connect.Platform{Partition: r.partition("ROLECALL_PARTITION"), Account: r.account("ROLECALL_PLATFORM_ACCOUNT")}
		c.Regions = r.regions("ROLECALL_REGIONS", c.Platform.Partition)
	case Presentation:
		c.PlatformName, c.TenantClaim = r.text("ROLECALL_PLATFORM_NAME"), r.text("ROLECALL_TENANT_CLAIM")
		c.ConnectionsClaim = r.text("ROLECALL_CONNECTIONS_CLAIM")
		c.MACKey, c.MACKeys = r.macKeys("ROLECALL_MAC_KEY")
		c.TemplateURL = r.text("ROLECALL_TEMPLATE_URL")
		c.TemplateVersion, c.TemplateSHA256 = r.text("ROLECALL_TEMPLATE_VERSION"), r.text("ROLECALL_TEMPLATE_SHA256")
		c.ModuleSHA256 = r.text("ROLECALL_TERRAFORM_MODULE_SHA256")
		c.OrganizationTemplateURL = r.optional("ROLECALL_ORGANIZATION_TEMPLATE_URL")
		c.OrganizationTemplateSHA256 = r.optional("ROLECALL_ORGANIZATION_TEMPLATE_SHA256")
		c.ConsoleURL = r.optional("ROLECALL_CONSOLE_URL")
	case Callbacks:
		c.TopicName, c.CallbacksURL = r.text("ROLECALL_TOPIC_NAME"), r.text("ROLECALL_CALLBACKS_QUEUE_URL")
		c.MACKey, c.MACKeys = r.macKeys("ROLECALL_MAC_KEYS")
	case Sealing:
		c.SealingKeyARN = r.text("ROLECALL_SEALING_KEY_ARN")
	case KeyMaxAge:
		c.KeyMaxAge = r.days("ROLECALL_ACCESS_KEY_MAX_AGE_DAYS")
	case VerifyNow:
		c.VerifyNowURL = r.text("ROLECALL_VERIFY_NOW_QUEUE_URL")
	case VerifySweep:
		c.VerifySweepURL = r.text("ROLECALL_VERIFY_SWEEP_QUEUE_URL")
	case CheckInterval:
		c.CheckInterval = r.interval("ROLECALL_CHECK_INTERVAL")
	case STSRate:
		c.STSRate = r.rate("ROLECALL_STS_RATE")
	case Issuing:
		c.IssueRate = r.number("ROLECALL_ISSUE_RATE", 60)
	case VerifyRate:
		c.VerifyRate = r.number("ROLECALL_VERIFY_RATE", 20)
	case Pending:
		c.MostPending = r.number("ROLECALL_MOST_PENDING", 20)
	case ReadRate:
		c.ReadRate = r.number("ROLECALL_READ_RATE", 200)
	case LaunchRate:
		c.LaunchRate = r.number("ROLECALL_LAUNCH_RATE", 20)
	case RevokeRate:
		c.RevokeRate = r.number("ROLECALL_REVOKE_RATE", 20)
	case Issuer:
		c.Issuer = r.text("ROLECALL_ISSUER")
	case Templates:
		c.TemplatesBucket = r.text("ROLECALL_TEMPLATES_BUCKET")
	case Bus:
		c.Bus = r.text("ROLECALL_BUS_NAME")
	case Webhook:
		c.WebhookEndpoint, c.WebhookKeyARN = r.text("ROLECALL_WEBHOOK_ENDPOINT"), r.text("ROLECALL_WEBHOOK_KEY_ARN")
		c.WebhookSecrets, c.WebhookURL = r.numbers("ROLECALL_WEBHOOK_SECRETS"), r.text("ROLECALL_WEBHOOK_QUEUE_URL")
	}
}

func (r *reader) fail(name, problem string) {
	r.errs = append(r.errs, fmt.Errorf("environment variable %s %s", name, problem))
}

func (r *reader) text(name string) string {
	v, _ := r.get(name)
	if v == "" {
		r.fail(name, "is missing")
	}
	return v
}

func (r *reader) optional(name string) string {
	v, _ := r.get(name)
	return v
}

func (r *reader) level(name string) slog.Level {
	var l slog.Level
	if v := r.optional(name); v != "" {
		if err := l.UnmarshalText([]byte(v)); err != nil {
			r.fail(name, "must be debug, info, warn or error")
		}
	}
	return l
}

func (r *reader) partition(name string) connect.Partition {
	p := connect.Partition(r.text(name))
	switch p {
	case connect.PartitionAWS, connect.PartitionGov, connect.PartitionChina:
	default:
		r.fail(name, "must be aws, aws-us-gov or aws-cn")
		return ""
	}
	return p
}

func (r *reader) account(name string) connect.AccountID {
	a, err := connect.ParseAccountID(r.text(name))
	if err != nil {
		r.fail(name, "must be 12 digits")
	}
	return a
}

// regions are all of the one partition that the deployment serves, "" where that is not known.
func (r *reader) regions(name string, of connect.Partition) []connect.Region {
	var out []connect.Region
	for _, s := range strings.Split(r.text(name), ",") {
		region, err := connect.ParseRegion(s)
		if err != nil || (of != "" && region.Partition() != of) {
			r.fail(name, "must be a comma-separated list of Regions of the platform's partition")
			return nil
		}
		out = append(out, region)
	}
	return out
}

func (r *reader) numbers(name string) []int {
	var out []int
	for _, s := range strings.Split(r.text(name), ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			r.fail(name, "must be a comma-separated list of numbers from 1")
			return nil
		}
		out = append(out, n)
	}
	return out
}

// macKeys reads "<number>=<ARN>", one or several with commas; current is the first one's number.
func (r *reader) macKeys(name string) (current int, arns map[int]string) {
	arns = map[int]string{}
	for _, s := range strings.Split(r.text(name), ",") {
		number, arn, _ := strings.Cut(s, "=")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || arn == "" || arns[n] != "" {
			r.fail(name, "must be a comma-separated list of <number>=<ARN of a key>, each number once and from 1")
			return 0, nil
		}
		if arns[n] = arn; current == 0 {
			current = n
		}
	}
	return current, arns
}

// rate is at least 2, for two sweeps that run at the same time share it.
func (r *reader) rate(name string) int {
	n, err := strconv.Atoi(r.text(name))
	if err != nil || n < 2 || n > 10_000 {
		r.fail(name, "must be a whole number from 2 to 10000")
	}
	return n
}

// number is one of a tenant's limits, which must be more than the block in which processes take it.
func (r *reader) number(name string, least int) int {
	n, err := strconv.Atoi(r.text(name))
	if err != nil || n < least || n > 1_000_000 {
		r.fail(name, fmt.Sprintf("must be a whole number from %d to 1000000", least))
	}
	return n
}

// days are at most ten years.
func (r *reader) days(name string) time.Duration {
	n, err := strconv.Atoi(r.text(name))
	if err != nil || n < 1 || n > 3650 {
		r.fail(name, "must be a whole number of days from 1 to 3650")
	}
	return time.Duration(n) * 24 * time.Hour
}

// interval admits those that divide a day into whole minutes, so that every slot has its turn equally often.
func (r *reader) interval(name string) time.Duration {
	const day = 24 * time.Hour
	d, err := time.ParseDuration(r.text(name))
	if err != nil || d < time.Minute || d > day || d%time.Minute != 0 || day%d != 0 {
		r.fail(name, "must be a Go duration of whole minutes that divides 24h, such as 24h or 6h")
		return day
	}
	return d
}
