package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolecall/shared/bus"
	"rolecall/shared/connect"
	"rolecall/shared/store"
)

// clients are the AWS services that are asked.
type clients struct {
	stacks  *cloudformation.Client
	objects *s3.Client
	tables  *dynamodb.Client
	buses   *eventbridge.Client
	log     *slog.Logger
}

func connectTo(cfg aws.Config, log *slog.Logger) clients {
	return clients{
		stacks: cloudformation.NewFromConfig(cfg), tables: dynamodb.NewFromConfig(cfg), buses: eventbridge.NewFromConfig(cfg), log: log,
		objects: s3.NewFromConfig(cfg, func(o *s3.Options) {
			o.UsePathStyle = cfg.BaseEndpoint != nil || o.BaseEndpoint != nil // a laptop's hosts have no names for buckets
			o.DisableLogOutputChecksumValidationSkipped = true
		}),
	}
}

// A batch is event records as the table's stream has them, in order.
type batch []lambdaevents.DynamoDBEventRecord

// republish counts what the options name and, if they say so, sends it. It goes on after what it cannot read or send, and
// answers an error at the end.
func (c clients) republish(ctx context.Context, o options, out io.Writer) error {
	if err := c.complete(ctx, &o); err != nil {
		return err
	}
	t := tally{types: map[string]int{}}
	each := func(b batch) error {
		wanted := t.read(b, o)
		if !o.send {
			return nil
		}
		return c.send(ctx, o.bus, wanted, &t)
	}
	var err error
	if o.from == fromTable {
		err = c.fromTable(ctx, o, each)
	} else {
		err = c.fromBucket(ctx, o, &t, each)
	}
	t.report(out, o)
	if err != nil {
		return err
	}
	return t.verdict()
}

// outputs of the stack by what they stand for.
const (
	outputTable  = "TableName"
	outputBus    = "BusName"
	outputBucket = "UndeliveredName"
)

// complete looks up the names that were not given.
func (c clients) complete(ctx context.Context, o *options) error {
	missing := map[string]*string{}
	if o.bus == "" {
		missing[outputBus] = &o.bus
	}
	if o.from == fromTable && o.table == "" {
		missing[outputTable] = &o.table
	}
	if o.from == fromUndelivered && o.bucket == "" {
		missing[outputBucket] = &o.bucket
	}
	if len(missing) == 0 {
		return nil
	}
	found, err := c.stacks.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &o.stack})
	if err != nil {
		return fmt.Errorf("stack %s: %w", o.stack, err)
	}
	for _, s := range found.Stacks {
		for _, output := range s.Outputs {
			if to, ok := missing[aws.ToString(output.OutputKey)]; ok {
				*to = aws.ToString(output.OutputValue)
				delete(missing, aws.ToString(output.OutputKey))
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("stack %s has no output %s; is it up to date?", o.stack, slices.Sorted(maps.Keys(missing))[0])
	}
	return nil
}

// A tally is what was found and done.
type tally struct {
	objects, events, unreadable, sent, failed int

	types map[string]int
}

// read counts the batch and answers the records that the options name. What cannot be read can only be counted.
func (t *tally) read(b batch, o options) batch {
	var wanted batch
	for _, r := range b {
		e, err := store.EventOf(r.Change.NewImage)
		if err != nil {
			t.unreadable++
			continue
		}
		if !o.names(e) {
			continue
		}
		t.events++
		t.types[string(e.Type)]++
		r.Change.SequenceNumber = strconv.Itoa(t.events)
		wanted = append(wanted, r)
	}
	return wanted
}

func (o options) names(e connect.Event) bool {
	return (o.connection == "" || string(e.ConnectionID) == o.connection) &&
		(o.since.IsZero() || !e.At.Before(o.since)) && (o.until.IsZero() || e.At.Before(o.until))
}

func (t *tally) report(out io.Writer, o options) {
	where := "table " + o.table
	if o.from == fromUndelivered {
		where = fmt.Sprintf("%d objects of bucket %s", t.objects, o.bucket)
	}
	_, _ = fmt.Fprintf(out, "%d events in %s\n", t.events, where)
	for _, kind := range slices.Sorted(maps.Keys(t.types)) {
		_, _ = fmt.Fprintf(out, "%7d  %s\n", t.types[kind], kind)
	}
	if t.unreadable > 0 {
		_, _ = fmt.Fprintf(out, "%7d  cannot be read\n", t.unreadable)
	}
	if o.send {
		_, _ = fmt.Fprintf(out, "%d sent to bus %s, %d not\n", t.sent, o.bus, t.failed)
		return
	}
	_, _ = fmt.Fprintln(out, "nothing was sent; -send sends them")
}

func (t *tally) verdict() error {
	var errs []error
	if t.unreadable > 0 {
		errs = append(errs, fmt.Errorf("%d records cannot be read; they stay where they are", t.unreadable))
	}
	if t.failed > 0 {
		errs = append(errs, fmt.Errorf("%d events were not taken; run it again", t.failed))
	}
	return errors.Join(errs...)
}

// send publishes a batch as the function publish does. The publisher stops at the first record that is not taken; the
// ones after it are sent all the same.
func (c clients) send(ctx context.Context, name string, b batch, t *tally) error {
	p := bus.Publisher{Client: c.buses, Bus: name, Read: store.EventOf, Log: c.log}
	for len(b) > 0 {
		answer, err := p.Handle(ctx, lambdaevents.DynamoDBEvent{Records: b})
		if err != nil {
			return err
		}
		if len(answer.BatchItemFailures) == 0 {
			t.sent += len(b)
			return nil
		}
		if ctx.Err() != nil {
			t.failed += len(b)
			return ctx.Err()
		}
		stopped := slices.IndexFunc(b, func(r lambdaevents.DynamoDBEventRecord) bool {
			return r.Change.SequenceNumber == answer.BatchItemFailures[0].ItemIdentifier
		})
		t.sent += stopped
		t.failed++
		b = b[stopped+1:]
	}
	return nil
}

// prefix is where Lambda puts what an event source mapping gave up.
const prefix = "aws/lambda/"

// fromBucket reads every object that Lambda left: one batch of the stream each, whole.
func (c clients) fromBucket(ctx context.Context, o options, t *tally, each func(batch) error) error {
	pages := s3.NewListObjectsV2Paginator(c.objects, &s3.ListObjectsV2Input{Bucket: &o.bucket, Prefix: aws.String(prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("bucket %s: %w", o.bucket, err)
		}
		for _, object := range page.Contents {
			b, err := c.object(ctx, o.bucket, aws.ToString(object.Key))
			if err != nil {
				return err
			}
			t.objects++
			if b == nil {
				t.unreadable++
			}
			if err := each(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// object is the batch in an object, nil if there is none in it.
func (c clients) object(ctx context.Context, bucket, key string) (batch, error) {
	got, err := c.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", key, err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", key, err)
	}
	var record struct{ Payload string }
	var event lambdaevents.DynamoDBEvent
	if json.Unmarshal(text, &record) != nil || json.Unmarshal([]byte(record.Payload), &event) != nil {
		return nil, nil
	}
	return event.Records, nil
}

// Keys of the table's event records; package store owns them.
const (
	connectionPrefix = "CONN#"
	eventPrefix      = "EVENT#"
)

// fromTable reads the event records of one connection, or goes through the whole table: no index has them by time.
func (c clients) fromTable(ctx context.Context, o options, each func(batch) error) error {
	if o.connection != "" {
		return c.query(ctx, o, each)
	}
	pages := dynamodb.NewScanPaginator(c.tables, &dynamodb.ScanInput{
		TableName: &o.table, ConsistentRead: aws.Bool(true), FilterExpression: aws.String("begins_with(SK, :event)"),
		ExpressionAttributeValues: map[string]ddbtypes.AttributeValue{":event": &ddbtypes.AttributeValueMemberS{Value: eventPrefix}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("table %s: %w", o.table, err)
		}
		if err := each(records(page.Items)); err != nil {
			return err
		}
	}
	return nil
}

func (c clients) query(ctx context.Context, o options, each func(batch) error) error {
	pages := dynamodb.NewQueryPaginator(c.tables, &dynamodb.QueryInput{
		TableName: &o.table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("PK = :connection AND begins_with(SK, :event)"),
		ExpressionAttributeValues: map[string]ddbtypes.AttributeValue{
			":connection": &ddbtypes.AttributeValueMemberS{Value: connectionPrefix + o.connection},
			":event":      &ddbtypes.AttributeValueMemberS{Value: eventPrefix},
		},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("table %s: %w", o.table, err)
		}
		if err := each(records(page.Items)); err != nil {
			return err
		}
	}
	return nil
}

// records are items as the stream would have brought them. Event records have texts and numbers only.
func records(items []map[string]ddbtypes.AttributeValue) batch {
	out := make(batch, 0, len(items))
	for _, item := range items {
		image := map[string]lambdaevents.DynamoDBAttributeValue{}
		for name, value := range item {
			switch v := value.(type) {
			case *ddbtypes.AttributeValueMemberS:
				image[name] = lambdaevents.NewStringAttribute(v.Value)
			case *ddbtypes.AttributeValueMemberN:
				image[name] = lambdaevents.NewNumberAttribute(v.Value)
			}
		}
		out = append(out, lambdaevents.DynamoDBEventRecord{EventName: "INSERT", Change: lambdaevents.DynamoDBStreamRecord{NewImage: image}})
	}
	return out
}
