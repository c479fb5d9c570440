// Command republish puts events of Rolecall on the bus again: those that the table's stream could not deliver, which lie in
// a bucket, or those of the table. `make republish` runs it; without -send it only counts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
)

const usage = `Puts events of Rolecall on its bus again. Consumers get them a second time, with the same ids.

  make republish                                  count what could not be delivered (it lies in a bucket)
  make republish ARGS="-send"                     send it
  make republish ARGS="-from table -connection conn_…"            count the events of one connection
  make republish ARGS="-from table -since 2026-11-20T00:00:00Z"   count the events of a time: reads the whole table

Credentials and Region come from the environment or the profile, as for the AWS CLI; AWS_ENDPOINT_URL leads to the laptop
target. The rights: cloudformation:DescribeStacks, s3:ListBucket and s3:GetObject, dynamodb:Query and dynamodb:Scan,
events:PutEvents.

Sending changes nothing where the events lie. Objects that are done with may be deleted afterwards.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "republish:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, problems io.Writer) error {
	o, err := parse(args, problems)
	if err != nil {
		return err
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return errors.New("no Region: set AWS_REGION to the deployment's home Region")
	}
	c := connectTo(cfg, slog.New(slog.NewTextHandler(problems, &slog.HandlerOptions{Level: slog.LevelError})))
	return c.republish(ctx, o, out)
}

// options are what was asked for.
type options struct {
	from                      string // undelivered or table
	stack, bucket, table, bus string // names; "" is looked up in the stack's outputs
	connection                string
	since, until              time.Time // zero is open
	send                      bool
}

const (
	fromUndelivered = "undelivered"
	fromTable       = "table"
)

func parse(args []string, problems io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("republish", flag.ContinueOnError)
	f.SetOutput(problems)
	f.Usage = func() {
		_, _ = io.WriteString(problems, usage)
		f.PrintDefaults()
	}
	f.StringVar(&o.from, "from", fromUndelivered, "where the events come from: undelivered (the bucket) or table")
	f.StringVar(&o.connection, "connection", "", "only events of this connection; with -from table it saves reading the whole table")
	f.Func("since", "only events at or after this time (RFC 3339)", timeFlag(&o.since))
	f.Func("until", "only events before this time (RFC 3339)", timeFlag(&o.until))
	f.BoolVar(&o.send, "send", false, "send, instead of only counting")
	f.StringVar(&o.stack, "stack", "Rolecall", "CloudFormation stack whose outputs name bucket, table and bus")
	f.StringVar(&o.bucket, "bucket", "", "name of the bucket, if not the stack's")
	f.StringVar(&o.table, "table", "", "name of the table, if not the stack's")
	f.StringVar(&o.bus, "bus", "", "name of the bus, if not the stack's")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("%q is no flag; -help tells which there are", f.Arg(0))
	case o.from != fromUndelivered && o.from != fromTable:
		return o, fmt.Errorf("-from %q: must be %s or %s", o.from, fromUndelivered, fromTable)
	case o.from == fromTable && o.connection == "" && o.since.IsZero() && o.until.IsZero():
		return o, errors.New("-from table needs -connection, -since or -until; everything is -since 2000-01-01T00:00:00Z")
	case !o.since.IsZero() && !o.until.IsZero() && !o.since.Before(o.until):
		return o, errors.New("-since must be before -until")
	}
	return o, nil
}

func timeFlag(to *time.Time) func(string) error {
	return func(s string) error {
		t, err := time.Parse(time.RFC3339, s)
		*to = t
		return err
	}
}
