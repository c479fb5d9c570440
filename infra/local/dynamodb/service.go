// Package dynamodb is DynamoDB in one process and in memory: the JSON 1.0 protocol with the whole expression language,
// transactions, global secondary indexes, streams, time to live and the limits of the real service, in its words.
//
// Tables are eventually consistent nowhere: every read sees all writes that were answered before it. Local secondary indexes,
// PartiQL, backups' contents, throttling and the parameters that expressions replaced in 2014 are not here; asking for them is
// an error that says so.
package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"rolecall/infra/local/wire"
)

// A Service holds the tables of all accounts and Regions. It is safe for concurrent use.
type Service struct {
	clock func() time.Time

	mu       sync.RWMutex // guards all tables: writers one at a time, so that transactions need no more
	tables   map[tableID]*table
	requests requestTokens
}

type tableID struct{ account, region, name string }

func (id tableID) arn() string {
	return "arn:aws:dynamodb:" + id.region + ":" + id.account + ":table/" + id.name
}

// New makes a Service without tables.
func New(clock func() time.Time) *Service {
	return &Service{clock: clock, tables: make(map[tableID]*table), requests: requestTokens{known: make(map[string]requestToken)}}
}

// A scope is where a call takes place.
type scope struct{ account, region string }

// table reads a TableName parameter: a name, or a table's ARN.
func (s scope) table(name string) tableID {
	id := tableID{account: s.account, region: s.region, name: name}
	if !strings.HasPrefix(name, "arn:") {
		return id
	}
	parts := strings.SplitN(name, ":", 6)
	if len(parts) == 6 {
		id.region, id.account = parts[3], parts[4]
		id.name = strings.TrimPrefix(parts[5], "table/")
	}
	return id
}

type operation func(s *Service, at scope, body []byte) (any, error)

// serve makes an operation of a method with an input of its own.
func serve[In any](method func(*Service, scope, *In) (any, error)) operation {
	return func(s *Service, at scope, body []byte) (any, error) {
		input := new(In)
		if err := decode(body, input); err != nil {
			return nil, err
		}
		return method(s, at, input)
	}
}

func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if err == nil {
		return nil
	}
	var shape shapeError
	if errors.As(err, &shape) {
		return failure("SerializationException", shape.Error())
	}
	return failure("SerializationException", err.Error())
}

func operationNamed(name string) operation {
	switch name {
	case "CreateTable":
		return serve((*Service).createTable)
	case "DescribeTable":
		return serve((*Service).describeTable)
	case "DeleteTable":
		return serve((*Service).deleteTable)
	case "UpdateTable":
		return serve((*Service).updateTable)
	case "ListTables":
		return serve((*Service).listTables)
	case "UpdateTimeToLive":
		return serve((*Service).updateTimeToLive)
	case "DescribeTimeToLive":
		return serve((*Service).describeTimeToLive)
	case "UpdateContinuousBackups":
		return serve((*Service).updateContinuousBackups)
	case "DescribeContinuousBackups":
		return serve((*Service).describeContinuousBackups)
	}
	return itemOperationNamed(name)
}

func itemOperationNamed(name string) operation {
	switch name {
	case "PutItem":
		return serve((*Service).putItem)
	case "GetItem":
		return serve((*Service).getItem)
	case "UpdateItem":
		return serve((*Service).updateItem)
	case "DeleteItem":
		return serve((*Service).deleteItem)
	case "Query":
		return serve((*Service).query)
	case "Scan":
		return serve((*Service).scan)
	case "BatchGetItem":
		return serve((*Service).batchGetItem)
	case "BatchWriteItem":
		return serve((*Service).batchWriteItem)
	case "TransactWriteItems":
		return serve((*Service).transactWriteItems)
	case "TransactGetItems":
		return serve((*Service).transactGetItems)
	}
	return nil
}

// Serve performs the call.
func (s *Service) Serve(_ context.Context, call *wire.Call) (wire.Response, error) {
	perform := operationNamed(call.Operation)
	if perform == nil {
		return wire.Response{}, failure("InvalidAction", "The DynamoDB operation "+call.Operation+" is not part of this emulator")
	}
	value, err := perform(s, scope{account: call.Principal.Account, region: call.Region}, call.Body)
	if err != nil {
		return wire.Response{}, answer(err)
	}
	return wire.Response{Value: value, ContentType: "application/x-amz-json-1.0"}, nil
}

// answer turns what went wrong into an API error.
func answer(err error) error {
	var failed *conditionFailed
	if !errors.As(err, &failed) {
		return err
	}
	result := failure("ConditionalCheckFailedException", conditionFailedMessage)
	if failed.item != nil {
		result.Fields = map[string]any{"Item": failed.item}
	}
	return result
}

// find answers a table for operations on items.
func (s *Service) find(id tableID) (*table, error) {
	t, ok := s.tables[id]
	if !ok {
		return nil, notFound()
	}
	return t, nil
}
