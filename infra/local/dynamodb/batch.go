package dynamodb

import "fmt"

// Limits of batches.
const (
	maxBatchGet   = 100
	maxBatchWrite = 25
	maxBatchBytes = 16 << 20 // of a BatchGetItem's answer
)

const (
	errDuplicateKeys = "Provided list of item keys contains duplicates"
	errEmptyBatch    = "1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: " +
		"Member must have length greater than or equal to 1"
)

// A target is one item, to find those that a request names twice.
type target struct {
	table tableID
	key   key
}

type batchGetInput struct {
	RequestItems           map[string]*keysAndAttributes
	ReturnConsumedCapacity string
}

type keysAndAttributes struct {
	Keys                     []Item
	ProjectionExpression     *string           `json:",omitempty"`
	ExpressionAttributeNames map[string]string `json:",omitempty"`
	ConsistentRead           bool              `json:",omitempty"`
}

type batchGetOutput struct {
	Responses        map[string][]Item
	UnprocessedKeys  map[string]*keysAndAttributes
	ConsumedCapacity []*consumed `json:",omitempty"`
}

func (s *Service) batchGetItem(at scope, in *batchGetInput) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	output := &batchGetOutput{Responses: make(map[string][]Item), UnprocessedKeys: make(map[string]*keysAndAttributes)}
	room := int64(maxBatchBytes)
	for _, name := range sortedKeys(in.RequestItems) {
		if err := s.batchGetTable(at, name, in, output, &room); err != nil {
			return nil, err
		}
	}
	return output, nil
}

func (in *batchGetInput) check() error {
	if err := checkEnum("returnConsumedCapacity", in.ReturnConsumedCapacity, "INDEXES", "TOTAL", "NONE"); err != nil {
		return err
	}
	if len(in.RequestItems) == 0 {
		return invalid(errEmptyBatch)
	}
	count := 0
	for name, request := range in.RequestItems {
		if request == nil || len(request.Keys) == 0 {
			return invalid("1 validation error detected: Value '[]' at 'requestItems.%s.member.keys' failed to satisfy constraint: "+
				"Member must have length greater than or equal to 1", name)
		}
		count += len(request.Keys)
	}
	if count > maxBatchGet {
		return invalid("Too many items requested for the BatchGetItem call")
	}
	return nil
}

func (s *Service) batchGetTable(at scope, name string, in *batchGetInput, output *batchGetOutput, room *int64) error {
	request := in.RequestItems[name]
	p := placeholders{ExpressionAttributeNames: request.ExpressionAttributeNames}
	projection, err := p.projection(request.ProjectionExpression)
	if err != nil {
		return err
	}
	used, seen := capacity{}, make(map[key]bool)
	output.Responses[name] = []Item{}
	for _, given := range request.Keys {
		r := &read{table: at.table(name), key: given, projection: projection}
		found, place, err := s.getOnce(r)
		if err != nil {
			return err
		}
		if seen[place] {
			return invalid(errDuplicateKeys)
		}
		seen[place] = true
		if *room < recordSize(found) {
			output.postpone(name, request, given)
			continue
		}
		*room -= recordSize(found)
		used.table += readUnits(recordSize(found), request.ConsistentRead)
		if found != nil {
			output.Responses[name] = append(output.Responses[name], r.show(found))
		}
	}
	if report := used.report(in.ReturnConsumedCapacity, name); report != nil {
		output.ConsumedCapacity = append(output.ConsumedCapacity, report)
	}
	return nil
}

// getOnce reads an item and answers its place too.
func (s *Service) getOnce(r *read) (*record, key, error) {
	if problem := r.key.problem(); problem != "" {
		return nil, key{}, invalid("%s", problem)
	}
	found, err := s.get(r)
	if err != nil {
		return nil, key{}, err
	}
	return found, s.tables[r.table].keys.of(r.key), nil
}

// postpone leaves a key for the next request: the answer is full.
func (o *batchGetOutput) postpone(name string, request *keysAndAttributes, given Item) {
	rest := o.UnprocessedKeys[name]
	if rest == nil {
		copied := *request
		copied.Keys = nil
		rest = &copied
		o.UnprocessedKeys[name] = rest
	}
	rest.Keys = append(rest.Keys, given)
}

type batchWriteInput struct {
	RequestItems           map[string][]batchWrite
	ReturnConsumedCapacity string
}

type batchWrite struct {
	PutRequest    *struct{ Item Item }
	DeleteRequest *struct{ Key Item }
}

func (s *Service) batchWriteItem(at scope, in *batchWriteInput) (any, error) {
	if err := checkEnum("returnConsumedCapacity", in.ReturnConsumedCapacity, "INDEXES", "TOTAL", "NONE"); err != nil {
		return nil, err
	}
	writes, err := in.writes(at)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changes, err := s.prepareBatch(writes)
	if err != nil {
		return nil, err
	}
	used := s.applyAll(changes)
	output := map[string]any{"UnprocessedItems": map[string]any{}}
	if list := reportAll(used, in.ReturnConsumedCapacity, at, sortedKeys(in.RequestItems)); list != nil {
		output["ConsumedCapacity"] = list
	}
	return output, nil
}

func (in *batchWriteInput) writes(at scope) ([]*write, error) {
	if len(in.RequestItems) == 0 {
		return nil, invalid(errEmptyBatch)
	}
	var writes []*write
	for _, name := range sortedKeys(in.RequestItems) {
		if len(in.RequestItems[name]) == 0 {
			return nil, invalid("%s", fmt.Sprintf("1 validation error detected: Value '{%s=[]}' at 'requestItems' failed to satisfy constraint: "+
				"Map value must satisfy constraint: [Member must have length less than or equal to 25, "+
				"Member must have length greater than or equal to 1]", name))
		}
		for _, request := range in.RequestItems[name] {
			w, err := request.write(at.table(name))
			if err != nil {
				return nil, err
			}
			writes = append(writes, w)
		}
	}
	if len(writes) > maxBatchWrite {
		return nil, invalid("Too many items requested for the BatchWriteItem call")
	}
	return writes, nil
}

func (b batchWrite) write(table tableID) (*write, error) {
	w := &write{table: table}
	given := Item(nil)
	switch {
	case b.PutRequest != nil && b.DeleteRequest != nil:
		return nil, invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	case b.PutRequest != nil:
		w.kind, w.item, given = writePut, b.PutRequest.Item, b.PutRequest.Item
	case b.DeleteRequest != nil:
		w.kind, w.key, given = writeDelete, b.DeleteRequest.Key, b.DeleteRequest.Key
	default:
		return nil, invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	}
	if problem := given.problem(); problem != "" {
		return nil, invalid("%s", problem)
	}
	return w, nil
}

// prepareBatch checks all writes before any is stored.
func (s *Service) prepareBatch(writes []*write) ([]change, error) {
	changes := make([]change, 0, len(writes))
	seen := make(map[target]bool)
	for _, w := range writes {
		t, err := s.find(w.table)
		if err != nil {
			return nil, err
		}
		c, err := t.prepare(w)
		if err != nil {
			return nil, err
		}
		if seen[target{w.table, c.key}] {
			return nil, invalid(errDuplicateKeys)
		}
		seen[target{w.table, c.key}] = true
		changes = append(changes, c)
	}
	return changes, nil
}

// applyAll stores changes of different items and answers what they took of each table.
func (s *Service) applyAll(changes []change) map[tableID]*capacity {
	used := make(map[tableID]*capacity)
	now := s.clock()
	for _, c := range changes {
		units := c.table.apply(c, now, byCaller)
		if used[c.table.id] == nil {
			used[c.table.id] = &capacity{}
		}
		used[c.table.id].add(units)
	}
	return used
}

// reportAll lists the capacity of tables under the names that the request gave them.
func reportAll(used map[tableID]*capacity, level string, at scope, names []string) []*consumed {
	var list []*consumed
	for _, name := range names {
		units := used[at.table(name)]
		if units == nil {
			continue
		}
		if report := units.report(level, name); report != nil {
			list = append(list, report)
		}
	}
	return list
}
