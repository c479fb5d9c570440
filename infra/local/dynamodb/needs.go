package dynamodb

import (
	"encoding/json"
	"slices"
	"strings"

	"rolecall/infra/local/wire"
)

// A needsInput holds what permissions depend on, of any operation's input.
type needsInput struct {
	TableName              string
	IndexName              string
	Key                    Item
	Item                   Item
	Select                 string
	ReturnValues           string
	ReturnConsumedCapacity string
	KeyConditionExpression *string
	Tags                   []Tag
	RequestItems           map[string]json.RawMessage
	TransactItems          []transactNeed
	placeholders
}

type transactNeed struct {
	ConditionCheck, Put, Delete, Update, Get *needsInput
}

// Needs says what the caller must be permitted, as AWS does: a transaction takes the permissions of its actions, an index
// stands for itself. The condition keys are dynamodb:LeadingKeys, Select, ReturnValues, ReturnConsumedCapacity and
// EnclosingOperation; dynamodb:Attributes is not here.
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	input := new(needsInput)
	if err := decode(call.Body, input); err != nil {
		return nil, err
	}
	at := scope{account: call.Principal.Account, region: call.Region}
	switch call.Operation {
	case "ListTables":
		return []wire.Need{{Action: "dynamodb:ListTables", Resource: "*"}}, nil
	case "TransactWriteItems", "TransactGetItems":
		return s.transactionNeeds(call.Operation, at, input.TransactItems), nil
	case "BatchGetItem", "BatchWriteItem":
		return s.batchNeeds(call.Operation, at, input.RequestItems), nil
	case "CreateTable":
		return createNeeds(at, input), nil
	}
	if operationNamed(call.Operation) == nil {
		return nil, nil // Serve says that there is no such operation
	}
	return []wire.Need{s.need(call.Operation, at, input)}, nil
}

func createNeeds(at scope, input *needsInput) []wire.Need {
	id := at.table(input.TableName)
	needs := []wire.Need{{Action: "dynamodb:CreateTable", Resource: id.arn(), ResourceAccount: id.account}}
	if len(input.Tags) > 0 {
		needs = append(needs, wire.Need{Action: "dynamodb:TagResource", Resource: id.arn(), ResourceAccount: id.account})
	}
	return needs
}

// need is the permission for one action on a table or index.
func (s *Service) need(action string, at scope, input *needsInput) wire.Need {
	id := at.table(input.TableName)
	need := wire.Need{
		Action: "dynamodb:" + action, Resource: id.arn(), ResourceAccount: id.account, Context: make(map[string][]string),
	}
	if input.IndexName != "" {
		need.Resource += "/index/" + input.IndexName
	}
	given := map[string]string{
		"dynamodb:Select": input.Select, "dynamodb:ReturnValues": input.ReturnValues,
		"dynamodb:ReturnConsumedCapacity": input.ReturnConsumedCapacity,
	}
	for name, value := range given {
		if value != "" {
			need.Context[name] = []string{value}
		}
	}
	if leading := s.leadingKeys(id, input); leading != nil {
		need.Context["dynamodb:LeadingKeys"] = leading
	}
	return need
}

// leadingKeys is the partition key that the input names, nil where it names none.
func (s *Service) leadingKeys(id tableID, input *needsInput) []string {
	keys, ok := s.keysOf(id, input.IndexName)
	if !ok {
		return nil
	}
	for _, item := range []Item{input.Key, input.Item} {
		if value, ok := item[keys.partition]; ok {
			return []string{value.text}
		}
	}
	if input.KeyConditionExpression == nil {
		return nil
	}
	n := newNames(input.ExpressionAttributeNames, input.ExpressionAttributeValues)
	parsed, err := parseCondition("KeyConditionExpression", *input.KeyConditionExpression, n)
	if err != nil {
		return nil // Serve refuses it
	}
	conditions, err := readKeyConditions(parsed)
	if err != nil {
		return nil
	}
	at := slices.IndexFunc(conditions, func(k keyCondition) bool { return k.name == keys.partition })
	if at < 0 || len(conditions[at].values) == 0 {
		return nil
	}
	return []string{conditions[at].values[0].text}
}

func (s *Service) keysOf(id tableID, indexName string) (keySchema, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.tables[id]
	if !ok {
		return keySchema{}, false
	}
	if indexName == "" {
		return t.keys, true
	}
	ix := t.index(indexName)
	if ix == nil {
		return keySchema{}, false
	}
	return ix.keys, true
}

// transactionNeeds asks once for equal permissions.
func (s *Service) transactionNeeds(operation string, at scope, items []transactNeed) []wire.Need {
	var needs []wire.Need
	add := func(action string, input *needsInput) {
		if input == nil {
			return
		}
		need := s.need(action, at, input)
		need.Context["dynamodb:EnclosingOperation"] = []string{operation}
		needs = merge(needs, need)
	}
	for _, item := range items {
		add("ConditionCheckItem", item.ConditionCheck)
		add("PutItem", item.Put)
		add("DeleteItem", item.Delete)
		add("UpdateItem", item.Update)
		add("GetItem", item.Get)
	}
	return needs
}

// merge adds a need, or its leading keys to one that is like it.
func merge(needs []wire.Need, added wire.Need) []wire.Need {
	const leading = "dynamodb:LeadingKeys"
	for i := range needs {
		same := needs[i].Action == added.Action && needs[i].Resource == added.Resource &&
			slices.Equal(needs[i].Context["dynamodb:ReturnValues"], added.Context["dynamodb:ReturnValues"])
		if !same {
			continue
		}
		if keys := added.Context[leading]; len(keys) > 0 {
			needs[i].Context[leading] = append(needs[i].Context[leading], keys...)
		}
		return needs
	}
	return append(needs, added)
}

func (s *Service) batchNeeds(operation string, at scope, tables map[string]json.RawMessage) []wire.Need {
	var needs []wire.Need
	for _, name := range sortedKeys(tables) {
		need := s.need(operation, at, &needsInput{TableName: name})
		if leading := s.batchLeadingKeys(at.table(name), tables[name]); leading != nil {
			need.Context["dynamodb:LeadingKeys"] = leading
		}
		needs = append(needs, need)
	}
	return needs
}

// batchLeadingKeys reads either form of a batch: {Keys: […]} or a list of requests. What cannot be read is Serve's to refuse.
func (s *Service) batchLeadingKeys(id tableID, request json.RawMessage) []string {
	keys, ok := s.keysOf(id, "")
	if !ok {
		return nil
	}
	var items []Item
	if strings.HasPrefix(strings.TrimSpace(string(request)), "[") {
		items = writtenItems(request)
	} else {
		var reads keysAndAttributes
		if json.Unmarshal(request, &reads) == nil {
			items = reads.Keys
		}
	}
	var leading []string
	for _, item := range items {
		if value, ok := item[keys.partition]; ok {
			leading = append(leading, value.text)
		}
	}
	return leading
}

func writtenItems(request json.RawMessage) []Item {
	var writes []batchWrite
	if json.Unmarshal(request, &writes) != nil {
		return nil
	}
	var items []Item
	for _, w := range writes {
		if w.PutRequest != nil {
			items = append(items, w.PutRequest.Item)
		}
		if w.DeleteRequest != nil {
			items = append(items, w.DeleteRequest.Key)
		}
	}
	return items
}
