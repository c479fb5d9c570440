package sqs

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"rolecall/infra/local/wire"
)

// operation is one API operation: the IAM action that it takes, and what it does.
type operation struct {
	action string
	run    func(context.Context, *wire.Call) (any, error)
}

func (s *Service) table() map[string]operation {
	return map[string]operation{
		"CreateQueue":                  {"sqs:CreateQueue", s.createQueue},
		"DeleteQueue":                  {"sqs:DeleteQueue", s.deleteQueue},
		"GetQueueUrl":                  {"sqs:GetQueueUrl", s.getQueueURL},
		"ListQueues":                   {"sqs:ListQueues", s.listQueues},
		"GetQueueAttributes":           {"sqs:GetQueueAttributes", s.getQueueAttributes},
		"SetQueueAttributes":           {"sqs:SetQueueAttributes", s.setQueueAttributes},
		"PurgeQueue":                   {"sqs:PurgeQueue", s.purgeQueue},
		"SendMessage":                  {"sqs:SendMessage", s.sendMessage},
		"SendMessageBatch":             {"sqs:SendMessage", s.sendMessageBatch},
		"ReceiveMessage":               {"sqs:ReceiveMessage", s.receiveMessage},
		"DeleteMessage":                {"sqs:DeleteMessage", s.deleteMessage},
		"DeleteMessageBatch":           {"sqs:DeleteMessage", s.deleteMessageBatch},
		"ChangeMessageVisibility":      {"sqs:ChangeMessageVisibility", s.changeMessageVisibility},
		"ChangeMessageVisibilityBatch": {"sqs:ChangeMessageVisibility", s.changeMessageVisibilityBatch},
		"StartMessageMoveTask":         {"sqs:StartMessageMoveTask", s.startMessageMoveTask},
		"ListMessageMoveTasks":         {"sqs:ListMessageMoveTasks", s.listMessageMoveTasks},
	}
}

// Needs implements [wire.Service].
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	op, known := s.operations[call.Operation]
	if !known {
		return nil, unknown(call)
	}
	var in struct {
		QueueURL       string `json:"QueueUrl"`
		QueueName      string
		Owner          string `json:"QueueOwnerAWSAccountId"`
		SourceARN      string `json:"SourceArn"`
		DestinationARN string `json:"DestinationArn"`
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	switch call.Operation {
	case "ListQueues":
		return []wire.Need{{Action: op.action, Resource: "*"}}, nil
	case "CreateQueue":
		arn := queueARN(call.Principal.Account, call.Region, in.QueueName)
		return []wire.Need{{Action: op.action, Resource: arn}}, nil
	case "GetQueueUrl":
		need, err := s.NeedFor(op.action, queueARN(first(in.Owner, call.Principal.Account), call.Region, in.QueueName))
		return []wire.Need{need}, err
	case "ListMessageMoveTasks":
		need, err := s.NeedFor(op.action, in.SourceARN)
		return []wire.Need{need}, err
	case "StartMessageMoveTask":
		return s.needsOfMove(in.SourceARN, in.DestinationARN)
	}
	arn, err := s.arnOf(call, in.QueueURL)
	if err != nil {
		return nil, err
	}
	need, err := s.NeedFor(op.action, arn)
	return []wire.Need{need}, err
}

// needsOfMove: SQS moves messages with the caller's own rights.
func (s *Service) needsOfMove(source, destination string) ([]wire.Need, error) {
	var needs []wire.Need
	for _, action := range []string{"sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage"} {
		need, err := s.NeedFor(action, source)
		if err != nil {
			return nil, err
		}
		needs = append(needs, need)
	}
	targets := []string{destination}
	if destination == "" {
		targets = s.sourcesOf(source)
	}
	for _, target := range targets {
		need, err := s.NeedFor("sqs:SendMessage", target)
		if err != nil {
			return nil, err
		}
		needs = append(needs, need)
	}
	return needs, nil
}

// sourcesOf lists the queues that bury their messages in the given one.
func (s *Service) sourcesOf(deadLetter string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sources []string
	for arn, q := range s.queues {
		if q.settings.deadLetter == deadLetter {
			sources = append(sources, arn)
		}
	}
	slices.Sort(sources)
	return sources
}

// Serve implements [wire.Service].
func (s *Service) Serve(ctx context.Context, call *wire.Call) (wire.Response, error) {
	op, known := s.operations[call.Operation]
	if !known {
		return wire.Response{}, unknown(call)
	}
	value, err := op.run(ctx, call)
	if err != nil {
		return wire.Response{}, err
	}
	return wire.Response{Value: value}, nil
}

func unknown(call *wire.Call) error {
	return fail("InvalidAction", "The action %s is not part of the pocket AWS's SQS.", call.Operation)
}

// arnOf resolves a queue URL. URLs here carry no Region, so the Region is that of the call.
func (s *Service) arnOf(call *wire.Call, url string) (string, error) {
	if url == "" {
		return "", fail("MissingParameter", "The request must contain the parameter QueueUrl.")
	}
	account, name, ok := nameAt(url)
	if !ok {
		return "", fail("InvalidAddress", "The address %s is not valid for this endpoint.", url)
	}
	return queueARN(account, call.Region, name), nil
}

// nothing is the answer of operations that answer nothing.
type nothing struct{}

func (s *Service) createQueue(_ context.Context, call *wire.Call) (any, error) {
	var in struct {
		QueueName  string
		Attributes map[string]string
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	q, err := s.Create(call.Principal.Account, call.Region, in.QueueName, in.Attributes)
	if err != nil {
		return nil, err
	}
	return map[string]string{"QueueUrl": q.URL}, nil
}

func (s *Service) getQueueURL(_ context.Context, call *wire.Call) (any, error) {
	var in struct {
		QueueName string
		Owner     string `json:"QueueOwnerAWSAccountId"`
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	q, err := s.Find(queueARN(first(in.Owner, call.Principal.Account), call.Region, in.QueueName))
	if err != nil {
		return nil, err
	}
	return map[string]string{"QueueUrl": q.URL}, nil
}

func (s *Service) listQueues(_ context.Context, call *wire.Call) (any, error) {
	var in struct{ QueueNamePrefix string }
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	urls := []string{}
	for _, q := range s.queues {
		if q.account == call.Principal.Account && q.region == call.Region && strings.HasPrefix(q.name, in.QueueNamePrefix) {
			urls = append(urls, s.describe(q).URL)
		}
	}
	slices.Sort(urls)
	return map[string][]string{"QueueUrls": urls}, nil
}

// onQueue is the part of the input that names the queue.
type onQueue struct {
	QueueURL string `json:"QueueUrl"`
}

func (s *Service) deleteQueue(_ context.Context, call *wire.Call) (any, error) {
	var in onQueue
	arn, err := s.decode(call, &in, &in.QueueURL)
	if err != nil {
		return nil, err
	}
	return nothing{}, s.Delete(arn)
}

// decode reads the input and resolves the queue URL in it.
func (s *Service) decode(call *wire.Call, in any, url *string) (string, error) {
	if err := call.Decode(in); err != nil {
		return "", err
	}
	return s.arnOf(call, *url)
}

func (s *Service) getQueueAttributes(_ context.Context, call *wire.Call) (any, error) {
	var in struct {
		onQueue
		AttributeNames []string
	}
	arn, err := s.decode(call, &in, &in.QueueURL)
	if err != nil {
		return nil, err
	}
	all, err := s.Attributes(arn)
	if err != nil {
		return nil, err
	}
	known := append(append(settable(), computed()...), "All")
	for _, name := range in.AttributeNames {
		if !slices.Contains(known, name) {
			return nil, fail("InvalidAttributeName", "Unknown Attribute %s.", name)
		}
	}
	if !slices.Contains(in.AttributeNames, "All") {
		maps.DeleteFunc(all, func(name, _ string) bool { return !slices.Contains(in.AttributeNames, name) })
	}
	return map[string]any{"Attributes": all}, nil
}

func (s *Service) setQueueAttributes(_ context.Context, call *wire.Call) (any, error) {
	var in struct {
		onQueue
		Attributes map[string]string
	}
	arn, err := s.decode(call, &in, &in.QueueURL)
	if err != nil {
		return nil, err
	}
	return nothing{}, s.SetAttributes(arn, in.Attributes)
}

func (s *Service) purgeQueue(_ context.Context, call *wire.Call) (any, error) {
	var in onQueue
	arn, err := s.decode(call, &in, &in.QueueURL)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(arn)
	if err != nil {
		return nil, err
	}
	now := s.clock()
	if !q.purged.IsZero() && now.Sub(q.purged) < time.Minute {
		return nil, &wire.Error{
			Code: "PurgeQueueInProgress", Status: http.StatusForbidden,
			Message: fmt.Sprintf("Only one PurgeQueue operation on %s is allowed every 60 seconds.", q.name),
		}
	}
	q.purged, q.messages = now, nil
	return nothing{}, nil
}

// sendInput is SendMessage's input, and an entry of SendMessageBatch.
type sendInput struct {
	onQueue
	ID                      string `json:"Id"`
	MessageBody             string
	DelaySeconds            *int
	MessageAttributes       map[string]Attribute
	MessageSystemAttributes map[string]Attribute
	MessageGroupID          *string `json:"MessageGroupId"`
}

func (in sendInput) outgoing(call *wire.Call) outgoing {
	return outgoing{
		body: in.MessageBody, attributes: in.MessageAttributes, delay: seconds(in.DelaySeconds),
		sender: call.Principal.UserID, group: in.MessageGroupID, trace: in.MessageSystemAttributes["AWSTraceHeader"].StringValue,
	}
}

// sent is SendMessage's answer, and an entry of SendMessageBatch's.
type sent struct {
	ID              string `json:"Id,omitempty"`
	MessageID       string `json:"MessageId"`
	MD5OfBody       string `json:"MD5OfMessageBody"`
	MD5OfAttributes string `json:"MD5OfMessageAttributes,omitempty"`
	MD5OfSystem     string `json:"MD5OfMessageSystemAttributes,omitempty"`
}

func (s *Service) sendMessage(_ context.Context, call *wire.Call) (any, error) {
	var in sendInput
	arn, err := s.decode(call, &in, &in.QueueURL)
	if err != nil {
		return nil, err
	}
	return s.send(arn, call, in)
}

func (s *Service) send(arn string, call *wire.Call, in sendInput) (sent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(arn)
	if err != nil {
		return sent{}, err
	}
	m, err := s.enqueue(q, in.outgoing(call))
	if err != nil {
		return sent{}, err
	}
	return sent{
		ID: in.ID, MessageID: m.id, MD5OfBody: digest([]byte(m.body)),
		MD5OfAttributes: attributesDigest(m.attributes), MD5OfSystem: attributesDigest(in.MessageSystemAttributes),
	}, nil
}

func (s *Service) sendMessageBatch(_ context.Context, call *wire.Call) (any, error) {
	var in struct {
		onQueue
		Entries []sendInput
	}
	arn, err := s.decode(call, &in, &in.QueueURL)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, e := range in.Entries {
		size += e.outgoing(call).size()
	}
	if size > maxSize {
		return nil, fail("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxSize, size)
	}
	return batch(in.Entries, func(e sendInput) string { return e.ID },
		func(e sendInput) (any, error) { return s.send(arn, call, e) })
}

func (s *Service) receiveMessage(ctx context.Context, call *wire.Call) (any, error) {
	var in struct {
		onQueue
		AttributeNames              []string // the older name of MessageSystemAttributeNames
		MessageSystemAttributeNames []string
		MessageAttributeNames       []string
		MaxNumberOfMessages         *int
		VisibilityTimeout           *int
		WaitTimeSeconds             *int
	}
	arn, err := s.decode(call, &in, &in.QueueURL)
	if err != nil {
		return nil, err
	}
	most := orElse(in.MaxNumberOfMessages, 1)
	if most == 0 {
		most = -1 // in the API 0 is as wrong as 11; only [ReceiveInput] takes it for 1
	}
	got, err := s.Receive(ctx, arn, ReceiveInput{
		Max: most, Wait: seconds(in.WaitTimeSeconds), Visibility: seconds(in.VisibilityTimeout),
	})
	if err != nil {
		return nil, err
	}
	system := append(in.AttributeNames, in.MessageSystemAttributeNames...)
	for i := range got {
		got[i].narrow(system, in.MessageAttributeNames)
	}
	if len(got) == 0 {
		return nothing{}, nil
	}
	return map[string]any{"Messages": got}, nil
}

// narrow leaves a message only the attributes that the receiver asked for.
func (m *Message) narrow(system, attributes []string) {
	if !slices.Contains(system, "All") {
		maps.DeleteFunc(m.Attributes, func(name, _ string) bool { return !slices.Contains(system, name) })
	}
	maps.DeleteFunc(m.MessageAttributes, func(name string, _ Attribute) bool {
		return !slices.ContainsFunc(attributes, func(asked string) bool { return asksFor(asked, name) })
	})
	m.MD5OfAttributes = attributesDigest(m.MessageAttributes)
}

func asksFor(asked, name string) bool {
	if asked == "All" || asked == ".*" || asked == name {
		return true
	}
	prefix, open := strings.CutSuffix(asked, ".*")
	return open && strings.HasPrefix(name, prefix)
}

// handled is an entry of the two batches on received messages.
type handled struct {
	onQueue
	ID                string `json:"Id"`
	ReceiptHandle     string
	VisibilityTimeout *int
}

func (s *Service) deleteMessage(_ context.Context, call *wire.Call) (any, error) {
	var in handled
	arn, err := s.decode(call, &in, &in.QueueURL)
	if err != nil {
		return nil, err
	}
	return nothing{}, s.DeleteMessage(arn, in.ReceiptHandle)
}

func (s *Service) deleteMessageBatch(_ context.Context, call *wire.Call) (any, error) {
	return s.handleBatch(call, func(arn string, e handled) error { return s.DeleteMessage(arn, e.ReceiptHandle) })
}

func (s *Service) changeMessageVisibility(_ context.Context, call *wire.Call) (any, error) {
	var in handled
	arn, err := s.decode(call, &in, &in.QueueURL)
	if err != nil {
		return nil, err
	}
	return nothing{}, s.changeVisibility(arn, in)
}

func (s *Service) changeMessageVisibilityBatch(_ context.Context, call *wire.Call) (any, error) {
	return s.handleBatch(call, s.changeVisibility)
}

func (s *Service) changeVisibility(arn string, in handled) error {
	timeout := seconds(in.VisibilityTimeout)
	if timeout == nil {
		return fail("MissingParameter", "The request must contain the parameter VisibilityTimeout.")
	}
	return s.ChangeVisibility(arn, in.ReceiptHandle, *timeout)
}

func (s *Service) handleBatch(call *wire.Call, each func(arn string, e handled) error) (any, error) {
	var in struct {
		onQueue
		Entries []handled
	}
	arn, err := s.decode(call, &in, &in.QueueURL)
	if err != nil {
		return nil, err
	}
	if _, err := s.Find(arn); err != nil {
		return nil, err
	}
	return batch(in.Entries, func(e handled) string { return e.ID }, func(e handled) (any, error) {
		return map[string]string{"Id": e.ID}, each(arn, e)
	})
}

func (s *Service) startMessageMoveTask(_ context.Context, call *wire.Call) (any, error) {
	var in struct {
		SourceARN      string `json:"SourceArn"`
		DestinationARN string `json:"DestinationArn"`
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	task, err := s.redrive(in.SourceARN, in.DestinationARN)
	if err != nil {
		return nil, err
	}
	return map[string]string{"TaskHandle": task.handle}, nil
}

func (s *Service) listMessageMoveTasks(_ context.Context, call *wire.Call) (any, error) {
	var in struct {
		SourceARN string `json:"SourceArn"`
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(in.SourceARN)
	if err != nil {
		return nil, err
	}
	results := []map[string]any{}
	for _, task := range slices.Backward(q.tasks) {
		results = append(results, map[string]any{
			"Status": "COMPLETED", "SourceArn": in.SourceARN, "DestinationArn": task.destination,
			"ApproximateNumberOfMessagesMoved": task.moved, "StartedTimestamp": task.started.UnixMilli(),
		})
	}
	return map[string]any{"Results": results}, nil
}

func seconds(given *int) *time.Duration {
	if given == nil {
		return nil
	}
	d := time.Duration(*given) * time.Second
	return &d
}
