package laptop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"rolecall/infra/local/dynamodb"
	"rolecall/infra/local/gateway"
	"rolecall/infra/local/iam"
	"rolecall/infra/local/lambda"
	"rolecall/infra/local/sns"
	"rolecall/infra/local/sqs"
	"rolecall/infra/local/wire"
)

// The joints between services: who asks whom, and with whose rights.

// sessionLife is how long a function's own credentials last; Lambda's environments are replaced before.
const sessionLife = time.Hour

func (l *Laptop) functionCredentials(roleARN, name string) (id, secret, token string, expires time.Time, err error) {
	c, err := l.IAM.RoleSession(roleARN, name, sessionLife)
	return c.AccessKeyID, c.SecretAccessKey, c.Token, c.Expiration, err
}

// functionEnv is all that a function on the laptop is told beyond its template.
func (l *Laptop) functionEnv(lambda.Function) map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL":             l.AWSURL,
		"ROLECALL_CONSOLE_URL":         strings.Replace(l.AWSURL, "127.0.0.1", "localhost", 1),
		"ROLECALL_LOCAL_RESPONSE_HOST": strings.TrimPrefix(l.AWSURL, "http://"),
	}
}

// roleMay says whether a role of a service may perform what is needed.
func (l *Laptop) roleMay(c iam.Credentials, need wire.Need) error {
	p, err := l.IAM.Authenticate(c.AccessKeyID, c.Token)
	if err != nil {
		return err
	}
	return l.IAM.Authorize(p, need)
}

// permit is asked by Lambda for a function's role.
func (l *Laptop) permit(roleARN, action, resource string) error {
	c, err := l.IAM.RoleSession(roleARN, "event-source-mapping", sessionLife)
	if err != nil {
		return err
	}
	need := wire.Need{Action: action, Resource: resource}
	if strings.HasPrefix(action, "sqs:") {
		if need, err = l.SQS.NeedFor(action, resource); err != nil {
			return err
		}
	}
	return l.roleMay(c, need)
}

// deliver puts what Lambda gave up where it is to be kept.
func (l *Laptop) deliver(_ context.Context, d lambda.Delivery) error {
	switch {
	case strings.Contains(d.Destination, ":s3:::"):
		bucket := d.Destination[strings.LastIndex(d.Destination, ":")+1:]
		return l.s3.PutObject(bucket, d.Key, d.Body, nil)
	case strings.Contains(d.Destination, ":sqs:"):
		_, err := l.SQS.Send(d.Destination, string(d.Body), nil)
		return err
	default:
		return fmt.Errorf("the laptop cannot deliver to %s", d.Destination)
	}
}

// invokeScheduled starts a schedule's target with the rights of the schedule's role.
func (l *Laptop) invokeScheduled(ctx context.Context, roleARN, targetARN string, input []byte) error {
	c, err := l.IAM.ServiceSession(iam.ServiceRequest{
		Service: "scheduler.amazonaws.com", RoleARN: roleARN, SessionName: "schedule", Duration: sessionLife,
	})
	if err != nil {
		return err
	}
	if err := l.roleMay(c, wire.Need{Action: "lambda:InvokeFunction", Resource: targetARN}); err != nil {
		return err
	}
	return l.Lambda.InvokeAsync(ctx, targetARN, input)
}

func (l *Laptop) newAPI(id, account, region string) *gateway.API {
	return gateway.New(gateway.Config{
		ID: id, Account: account, Region: region, Clock: l.options.Clock,
		Invoke: func(ctx context.Context, arn string, payload []byte) ([]byte, bool, error) {
			r, err := l.Lambda.Invoke(ctx, arn, payload)
			return r.Payload, r.FunctionError != "", err
		},
		Admits: func(arn, source string) bool {
			return l.Lambda.Admits(arn, "apigateway.amazonaws.com", source, account)
		},
		Log: func(line string) { l.options.Log.Info("gateway", "line", line) },
	})
}

// publish sends a custom resource's request as the customer, whom only the topic's own policy can admit.
func (l *Laptop) publish(_ context.Context, p wire.Principal, topicARN, message string) error {
	needs, err := l.SNS.Needs(&wire.Call{
		Service: "sns", Operation: "Publish", Principal: p, Form: url.Values{"TopicArn": {topicARN}, "Message": {message}},
	})
	if err != nil {
		return err
	}
	for _, n := range needs {
		if err := l.Authorize(p, n); err != nil {
			return err
		}
	}
	_, err = l.SNS.Publish(topicARN, sns.Message{Subject: "AWS CloudFormation custom resource request", Body: message})
	return err
}

// invokeCustom sends a custom resource's request to a function as whoever deploys the stack.
func (l *Laptop) invokeCustom(ctx context.Context, p wire.Principal, functionARN string, payload []byte) error {
	if err := l.Authorize(p, wire.Need{Action: "lambda:InvokeFunction", Resource: functionARN}); err != nil {
		return err
	}
	return l.Lambda.InvokeAsync(ctx, functionARN, payload)
}

var s3HostRE = regexp.MustCompile(`^([a-z0-9.-]+)\.s3[.-]([a-z0-9-]+\.)?amazonaws\.com$`)

// fetch reads a template from the pocket S3 by the URL that it would have in AWS, as anybody could.
func (l *Laptop) fetch(ctx context.Context, templateURL string) ([]byte, error) {
	u, err := url.Parse(templateURL)
	if err != nil {
		return nil, err
	}
	m := s3HostRE.FindStringSubmatch(u.Host)
	if m == nil {
		return nil, &wire.Error{Code: "ValidationError", Message: "TemplateURL must be an Amazon S3 URL.", Status: http.StatusBadRequest}
	}
	return l.get(ctx, l.AWSURL+"/"+m[1]+u.EscapedPath())
}

// maxTemplate is CloudFormation's own limit.
const maxTemplate = 1 << 20

func (l *Laptop) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTemplate+1))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &wire.Error{Code: "ValidationError", Message: "S3 error: " + http.StatusText(resp.StatusCode), Status: http.StatusBadRequest}
	}
	return body, err
}

// A queue lets Lambda poll SQS.
type queue struct{ sqs *sqs.Service }

func (q queue) VisibilityTimeout(_ context.Context, arn string) (time.Duration, error) {
	a, err := q.sqs.Attributes(arn)
	if err != nil {
		return 0, err
	}
	seconds, err := strconv.Atoi(a["VisibilityTimeout"])
	return time.Duration(seconds) * time.Second, err
}

func (q queue) Receive(ctx context.Context, arn string, maximum int, wait time.Duration) ([]lambda.Message, error) {
	got, err := q.sqs.Receive(ctx, arn, sqs.ReceiveInput{Max: maximum, Wait: &wait})
	if err != nil {
		return nil, err
	}
	out := make([]lambda.Message, 0, len(got))
	for _, m := range got {
		out = append(out, lambda.Message{
			ID: m.MessageID, ReceiptHandle: m.ReceiptHandle, Body: m.Body, MD5OfBody: m.MD5OfBody, MD5OfAttributes: m.MD5OfAttributes,
			Attributes: m.Attributes, MessageAttributes: attributes(m.MessageAttributes),
		})
	}
	return out, nil
}

func attributes(in map[string]sqs.Attribute) map[string]lambda.MessageAttribute {
	out := map[string]lambda.MessageAttribute{}
	for name, a := range in {
		out[name] = lambda.MessageAttribute{DataType: a.DataType, StringValue: a.StringValue, BinaryValue: a.BinaryValue}
	}
	return out
}

func (q queue) Delete(_ context.Context, arn string, handles []string) error {
	for _, h := range handles {
		if err := q.sqs.DeleteMessage(arn, h); err != nil {
			return err
		}
	}
	return nil
}

// A stream lets Lambda read a table's stream.
type stream struct{ tables *dynamodb.Service }

func (s stream) Latest(_ context.Context, arn string) (string, error) {
	st := s.tables.Stream(arn)
	if st == nil {
		return "", fmt.Errorf("there is no stream %s", arn)
	}
	if last := st.Records(st.Last()-1, 1); len(last) == 1 {
		return last[0].Change.SequenceNumber, nil
	}
	return "", nil
}

func (s stream) Records(ctx context.Context, arn, after string, maximum int, wait time.Duration) ([]lambda.StreamRecord, error) {
	st := s.tables.Stream(arn)
	if st == nil {
		return nil, fmt.Errorf("there is no stream %s", arn)
	}
	position := int64(0)
	if after != "" {
		var err error
		if position, err = strconv.ParseInt(after[1:], 10, 64); err != nil {
			return nil, fmt.Errorf("sequence number %q: %w", after, err)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := st.Wait(waiting, position); err != nil && (ctx.Err() != nil || waiting.Err() == nil) {
		return nil, err
	}
	var out []lambda.StreamRecord
	for _, r := range st.Records(position, maximum) {
		record, err := streamRecord(r)
		if err != nil {
			return nil, err
		}
		out = append(out, record)
	}
	return out, nil
}

func streamRecord(r dynamodb.Record) (lambda.StreamRecord, error) {
	out := lambda.StreamRecord{
		EventID: r.EventID, EventName: r.EventName, SequenceNumber: r.Change.SequenceNumber,
		Created: time.Unix(r.Change.ApproximateCreationDateTime, 0), SizeBytes: r.Change.SizeBytes, StreamViewType: r.Change.StreamViewType,
	}
	for _, part := range []struct {
		to   *json.RawMessage
		from dynamodb.Item
	}{{&out.Keys, r.Change.Keys}, {&out.NewImage, r.Change.NewImage}, {&out.OldImage, r.Change.OldImage}} {
		if part.from == nil {
			continue
		}
		text, err := json.Marshal(part.from)
		if err != nil {
			return out, err
		}
		*part.to = text
	}
	if r.UserIdentity != nil {
		text, err := json.Marshal(r.UserIdentity)
		if err != nil {
			return out, err
		}
		out.UserIdentity = text
	}
	return out, nil
}
