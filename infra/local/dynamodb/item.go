package dynamodb

import (
	"encoding/json"
)

// legacy holds the parameters that expressions replaced; requests that use them are refused by name.
type legacy struct {
	Expected            json.RawMessage
	AttributeUpdates    json.RawMessage
	AttributesToGet     json.RawMessage
	ConditionalOperator json.RawMessage
	KeyConditions       json.RawMessage
	QueryFilter         json.RawMessage
	ScanFilter          json.RawMessage
}

func (l *legacy) refuse() error {
	given := map[string]json.RawMessage{
		"Expected": l.Expected, "AttributeUpdates": l.AttributeUpdates, "AttributesToGet": l.AttributesToGet,
		"ConditionalOperator": l.ConditionalOperator, "KeyConditions": l.KeyConditions,
		"QueryFilter": l.QueryFilter, "ScanFilter": l.ScanFilter,
	}
	for _, name := range sortedKeys(given) {
		if value := given[name]; len(value) > 0 && string(value) != "null" {
			return invalid("The legacy parameter %s is not supported by this emulator: use expressions", name)
		}
	}
	return nil
}

// placeholders are what an expression's #names and :values stand for.
type placeholders struct {
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]Value
}

// A writeInput is the input of PutItem, UpdateItem and DeleteItem, and an action of TransactWriteItems.
type writeInput struct {
	TableName                           string
	Item                                Item
	Key                                 Item
	ConditionExpression                 *string
	UpdateExpression                    *string
	ReturnValues                        string
	ReturnConsumedCapacity              string
	ReturnItemCollectionMetrics         string
	ReturnValuesOnConditionCheckFailure string
	placeholders
	legacy
}

type writeKind uint8

const (
	writePut writeKind = iota + 1
	writeUpdate
	writeDelete
	writeCheck // ConditionCheck of a transaction
)

// A write is a parsed writeInput, ready to be tried against its table.
type write struct {
	kind           writeKind
	table          tableID
	item           Item // of a put
	key            Item // of the others
	condition      condition
	update         *update
	returnOnFailed bool
}

// parse checks all that needs no table.
func (in *writeInput) parse(kind writeKind, at scope) (*write, error) {
	if in.TableName == "" {
		return nil, invalid("The parameter 'TableName' is required but was not present in the request")
	}
	if err := in.checkEnums(); err != nil {
		return nil, err
	}
	if err := in.checkTarget(kind); err != nil {
		return nil, err
	}
	w := &write{
		kind: kind, table: at.table(in.TableName), item: in.Item, key: in.Key,
		returnOnFailed: in.ReturnValuesOnConditionCheckFailure == "ALL_OLD",
	}
	return w, in.parseExpressions(w)
}

func (in *writeInput) checkEnums() error {
	if err := in.refuse(); err != nil {
		return err
	}
	if err := checkEnum("returnConsumedCapacity", in.ReturnConsumedCapacity, "INDEXES", "TOTAL", "NONE"); err != nil {
		return err
	}
	if err := checkEnum("returnItemCollectionMetrics", in.ReturnItemCollectionMetrics, "SIZE", "NONE"); err != nil {
		return err
	}
	if err := checkEnum("returnValuesOnConditionCheckFailure", in.ReturnValuesOnConditionCheckFailure, "ALL_OLD", "NONE"); err != nil {
		return err
	}
	return checkEnum("returnValues", in.ReturnValues, "ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW")
}

func (in *writeInput) checkTarget(kind writeKind) error {
	target, name := in.Key, "Key"
	if kind == writePut {
		target, name = in.Item, "Item"
	}
	if target == nil {
		return invalid("The parameter '%s' is required but was not present in the request", name)
	}
	if problem := target.problem(); problem != "" {
		return invalid("%s", problem)
	}
	if kind != writeUpdate && in.ReturnValues != "" && in.ReturnValues != "NONE" && in.ReturnValues != "ALL_OLD" {
		return invalid("Return values set to invalid value")
	}
	return nil
}

func (in *writeInput) parseExpressions(w *write) error {
	if err := in.checkPlaceholders(w.kind); err != nil {
		return err
	}
	n := newNames(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err := n.check(); err != nil {
		return err
	}
	var err error
	if w.kind == writeUpdate && in.UpdateExpression != nil {
		if w.update, err = parseUpdate(*in.UpdateExpression, n); err != nil {
			return err
		}
	}
	if in.ConditionExpression != nil {
		if w.condition, err = parseCondition("ConditionExpression", *in.ConditionExpression, n); err != nil {
			return err
		}
	}
	return n.checkUsed()
}

func (in *writeInput) checkPlaceholders(kind writeKind) error {
	if in.ConditionExpression != nil || (kind == writeUpdate && in.UpdateExpression != nil) {
		return nil
	}
	if in.ExpressionAttributeNames != nil {
		return invalid("ExpressionAttributeNames can only be specified when using expressions")
	}
	if in.ExpressionAttributeValues == nil {
		return nil
	}
	if kind == writeUpdate {
		return invalid("ExpressionAttributeValues can only be specified when using expressions: " +
			"UpdateExpression and ConditionExpression are null")
	}
	return invalid("ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null")
}

// place checks the write's key and finds where in the table it goes.
func (t *table) place(w *write) (key, error) {
	if w.kind == writePut {
		if err := t.keys.checkItem(w.item); err != nil {
			return key{}, err
		}
		return t.keys.of(w.item), nil
	}
	if err := t.keys.check(w.key); err != nil {
		return key{}, err
	}
	if w.update != nil {
		for s := range w.update.paths.children {
			if t.keys.has(s.name) {
				return key{}, invalidParameter("Cannot update attribute %s. This attribute is part of the key", s.name)
			}
		}
	}
	return t.keys.of(w.key), nil
}

// prepare tries the write without storing anything. A condition that does not hold is a *conditionFailed, which has the item
// where the write asked for it.
func (t *table) prepare(w *write) (change, error) {
	place, err := t.place(w)
	if err != nil {
		return change{}, err
	}
	c := change{table: t, key: place, old: t.items.get(place)}
	var old Item
	if c.old != nil {
		old = c.old.item
	}
	if w.condition != nil && !w.condition.holds(old) {
		failed := &conditionFailed{}
		if w.returnOnFailed {
			failed.item = old
		}
		return change{}, failed
	}
	c.next, err = t.next(w, c.old)
	return c, err
}

// next is the record after the write.
func (t *table) next(w *write, old *record) (*record, error) {
	switch w.kind {
	case writePut:
		return t.checked(w.item, "Item size has exceeded the maximum allowed size")
	case writeUpdate:
		item, err := w.updated(old)
		if err != nil || item == nil {
			return nil, err
		}
		return t.checked(item, "Item size to update has exceeded the maximum allowed size")
	case writeCheck:
		return old, nil
	case writeDelete:
	}
	return nil, nil
}

// updated is the item after an update; nil where an update that only removes finds no item.
func (w *write) updated(old *record) (Item, error) {
	base := w.key
	if old != nil {
		base = old.item
	}
	if w.update == nil {
		return base, nil
	}
	item, err := w.update.apply(base)
	if old == nil && !w.update.creates() {
		return nil, err
	}
	return item, err
}

func (t *table) checked(item Item, tooLarge string) (*record, error) {
	r := &record{item: item, size: item.storedSize()}
	if r.size > maxItem {
		return nil, invalid("%s", tooLarge)
	}
	for _, ix := range t.indexes {
		if err := ix.check(item); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// writeOutput is the output of PutItem, UpdateItem and DeleteItem.
type writeOutput struct {
	Attributes       Item      `json:",omitempty"`
	ConsumedCapacity *consumed `json:",omitempty"`
}

func (s *Service) putItem(at scope, in *writeInput) (any, error) { return s.write(writePut, at, in) }

func (s *Service) updateItem(at scope, in *writeInput) (any, error) {
	return s.write(writeUpdate, at, in)
}

func (s *Service) deleteItem(at scope, in *writeInput) (any, error) {
	return s.write(writeDelete, at, in)
}

func (s *Service) write(kind writeKind, at scope, in *writeInput) (any, error) {
	w, err := in.parse(kind, at)
	if err != nil {
		return nil, err
	}
	c, used, err := s.perform(w)
	if err != nil {
		return nil, err
	}
	return &writeOutput{
		Attributes: returned(in.ReturnValues, w, c), ConsumedCapacity: used.report(in.ReturnConsumedCapacity, in.TableName),
	}, nil
}

func (s *Service) perform(w *write) (change, capacity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(w.table)
	if err != nil {
		return change{}, capacity{}, err
	}
	c, err := t.prepare(w)
	if err != nil {
		return change{}, capacity{}, err
	}
	return c, t.apply(c, s.clock(), byCaller), nil
}

// returned picks the attributes that ReturnValues asks for.
func returned(values string, w *write, c change) Item {
	switch values {
	case "ALL_OLD":
		return c.old.attributes()
	case "ALL_NEW":
		return c.next.attributes()
	case "UPDATED_OLD":
		return w.touched(c.old.attributes())
	case "UPDATED_NEW":
		return w.touched(c.next.attributes())
	}
	return nil
}

func (r *record) attributes() Item {
	if r == nil {
		return nil
	}
	return r.item
}

func (w *write) touched(item Item) Item {
	if w.update == nil || item == nil {
		return nil
	}
	return w.update.paths.project(item)
}

type getInput struct {
	TableName              string
	Key                    Item
	ProjectionExpression   *string
	ConsistentRead         bool
	ReturnConsumedCapacity string
	placeholders
	legacy
}

// A read is a parsed getInput.
type read struct {
	table      tableID
	key        Item
	projection *pathTree
}

func (in *getInput) parse(at scope) (*read, error) {
	if in.TableName == "" {
		return nil, invalid("The parameter 'TableName' is required but was not present in the request")
	}
	if err := in.refuse(); err != nil {
		return nil, err
	}
	if err := checkEnum("returnConsumedCapacity", in.ReturnConsumedCapacity, "INDEXES", "TOTAL", "NONE"); err != nil {
		return nil, err
	}
	if in.Key == nil {
		return nil, invalid("The parameter 'Key' is required but was not present in the request")
	}
	if problem := in.Key.problem(); problem != "" {
		return nil, invalid("%s", problem)
	}
	projection, err := in.projection(in.ProjectionExpression)
	return &read{table: at.table(in.TableName), key: in.Key, projection: projection}, err
}

// projection reads a ProjectionExpression that is the request's only expression.
func (p *placeholders) projection(expression *string) (*pathTree, error) {
	if expression == nil {
		if p.ExpressionAttributeNames != nil {
			return nil, invalid("ExpressionAttributeNames can only be specified when using expressions")
		}
		return nil, nil
	}
	n := newNames(p.ExpressionAttributeNames, nil)
	if err := n.check(); err != nil {
		return nil, err
	}
	tree, err := parseProjection(*expression, n)
	if err != nil {
		return nil, err
	}
	return tree, n.checkUsed()
}

// get reads one item under the service's lock; nil where there is none.
func (s *Service) get(r *read) (*record, error) {
	t, err := s.find(r.table)
	if err != nil {
		return nil, err
	}
	if err := t.keys.check(r.key); err != nil {
		return nil, err
	}
	return t.items.get(t.keys.of(r.key)), nil
}

// show is the item as the caller wants to see it.
func (r *read) show(found *record) Item {
	if found == nil || r.projection == nil {
		return found.attributes()
	}
	return r.projection.project(found.item)
}

type getOutput struct {
	Item             *Item     `json:",omitempty"` // an empty projection of an item that exists is {}
	ConsumedCapacity *consumed `json:",omitempty"`
}

func (s *Service) getItem(at scope, in *getInput) (any, error) {
	r, err := in.parse(at)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	found, err := s.get(r)
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	used := capacity{table: readUnits(recordSize(found), in.ConsistentRead)}
	output := &getOutput{ConsumedCapacity: used.report(in.ReturnConsumedCapacity, in.TableName)}
	if found != nil {
		item := r.show(found)
		output.Item = &item
	}
	return output, nil
}
