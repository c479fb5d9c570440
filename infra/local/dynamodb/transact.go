package dynamodb

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rolecall/infra/local/wire"
)

// Limits of transactions.
const (
	maxTransaction      = 100
	maxTransactionBytes = 4 << 20
	idempotency         = 10 * time.Minute
	maxRequestToken     = 36
)

const (
	errTransactionSize = "Transaction request size exceeded: the aggregate size of the items in the transaction cannot exceed 4 MB"
	errDuplicateItem   = "Transaction request cannot include multiple operations on one item"
)

type transactWriteInput struct {
	TransactItems               []transactWrite
	ReturnConsumedCapacity      string
	ReturnItemCollectionMetrics string
	ClientRequestToken          string `json:",omitempty"`
}

// A transactWrite is one action; exactly one member is set.
type transactWrite struct {
	ConditionCheck *writeInput `json:",omitempty"`
	Put            *writeInput `json:",omitempty"`
	Delete         *writeInput `json:",omitempty"`
	Update         *writeInput `json:",omitempty"`
}

func (t *transactWrite) action() (writeKind, *writeInput, error) {
	all := []struct {
		kind  writeKind
		input *writeInput
	}{{writeCheck, t.ConditionCheck}, {writePut, t.Put}, {writeDelete, t.Delete}, {writeUpdate, t.Update}}
	var kind writeKind
	var input *writeInput
	for _, one := range all {
		if one.input == nil {
			continue
		}
		if input != nil {
			return 0, nil, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
		}
		kind, input = one.kind, one.input
	}
	if input == nil {
		return 0, nil, invalid("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")
	}
	return kind, input, nil
}

func (in *transactWriteInput) writes(at scope) (writes []*write, tables []string, err error) {
	if err := checkTransaction(len(in.TransactItems)); err != nil {
		return nil, nil, err
	}
	if len(in.ClientRequestToken) > maxRequestToken {
		return nil, nil, constraint(in.ClientRequestToken, "clientRequestToken", "Member must have length less than or equal to 36")
	}
	if err := checkEnum("returnConsumedCapacity", in.ReturnConsumedCapacity, "INDEXES", "TOTAL", "NONE"); err != nil {
		return nil, nil, err
	}
	for i := range in.TransactItems {
		kind, input, err := in.TransactItems[i].action()
		if err != nil {
			return nil, nil, err
		}
		if err := requireExpression(kind, input, i+1); err != nil {
			return nil, nil, err
		}
		w, err := input.parse(kind, at)
		if err != nil {
			return nil, nil, err
		}
		writes = append(writes, w)
		if !slices.Contains(tables, input.TableName) {
			tables = append(tables, input.TableName)
		}
	}
	return writes, tables, nil
}

func checkTransaction(count int) error {
	switch {
	case count == 0:
		return constraint("[]", "transactItems", "Member must have length greater than or equal to 1")
	case count > maxTransaction:
		return invalid("1 validation error detected: Value at 'transactItems' failed to satisfy constraint: " +
			"Member must have length less than or equal to 100")
	}
	return nil
}

func requireExpression(kind writeKind, input *writeInput, number int) error {
	parameter := ""
	switch {
	case kind == writeCheck && input.ConditionExpression == nil:
		parameter = "conditionCheck.conditionExpression"
	case kind == writeUpdate && input.UpdateExpression == nil:
		parameter = "update.updateExpression"
	default:
		return nil
	}
	return invalid("1 validation error detected: Value null at 'transactItems.%d.member.%s' failed to satisfy constraint: "+
		"Member must not be null", number, parameter)
}

func (s *Service) transactWriteItems(at scope, in *transactWriteInput) (any, error) {
	writes, tables, err := in.writes(at)
	if err != nil {
		return nil, err
	}
	digest, err := in.digest()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token := requestToken{id: at.account + "/" + at.region + "/" + in.ClientRequestToken, digest: digest, at: s.clock()}
	if in.ClientRequestToken != "" {
		done, err := s.requests.seen(token)
		if err != nil {
			return nil, err
		}
		if done {
			return transactOutput(s.reread(writes), in.ReturnConsumedCapacity, at, tables, (*consumed).asReads), nil
		}
	}
	changes, err := s.prepareTransaction(writes)
	if err != nil {
		return nil, err
	}
	used := s.applyAll(changes)
	if in.ClientRequestToken != "" {
		s.requests.remember(token)
	}
	for id, units := range used {
		doubled := units.doubled()
		used[id] = &doubled
	}
	return transactOutput(used, in.ReturnConsumedCapacity, at, tables, (*consumed).asWrites), nil
}

func transactOutput(used map[tableID]*capacity, level string, at scope, tables []string, as func(*consumed) *consumed) any {
	output := map[string]any{}
	list := reportAll(used, level, at, tables)
	for _, report := range list {
		as(report)
	}
	if list != nil {
		output["ConsumedCapacity"] = list
	}
	return output
}

// reread is the price of answering a transaction that has been done before: reading its items.
func (s *Service) reread(writes []*write) map[tableID]*capacity {
	used := make(map[tableID]*capacity)
	for _, w := range writes {
		t := s.tables[w.table]
		if t == nil {
			continue
		}
		if used[w.table] == nil {
			used[w.table] = &capacity{}
		}
		given := w.key
		if w.kind == writePut {
			given = w.item
		}
		used[w.table].table += 2 * readUnits(recordSize(t.items.get(t.keys.of(given))), true)
	}
	return used
}

// prepareTransaction tries all writes; it answers the changes only if every one of them may be stored.
func (s *Service) prepareTransaction(writes []*write) ([]change, error) {
	changes := make([]change, len(writes))
	reasons := make([]reason, len(writes))
	seen := make(map[target]bool)
	cancelled, size := false, int64(0)
	for i, w := range writes {
		t, err := s.find(w.table)
		if err != nil {
			return nil, err
		}
		if place, err := t.place(w); err == nil {
			if seen[target{w.table, place}] {
				return nil, invalid(errDuplicateItem)
			}
			seen[target{w.table, place}] = true
		}
		changes[i], err = t.prepare(w)
		if reasons[i], err = reasonOf(err); err != nil {
			return nil, err
		}
		cancelled = cancelled || reasons[i].Code != reasonNone
		size += max(recordSize(changes[i].next), recordSize(changes[i].old))
	}
	if cancelled {
		return nil, cancellation(reasons)
	}
	if size > maxTransactionBytes {
		return nil, invalid(errTransactionSize)
	}
	return changes, nil
}

const reasonNone = "None"

// A reason says why one action of a transaction did not go through.
type reason struct {
	Code    string
	Message string `json:",omitempty"`
	Item    Item   `json:",omitempty"`
}

// reasonOf turns an action's error into its reason; an error that is the whole request's is answered as such.
func reasonOf(err error) (reason, error) {
	if err == nil {
		return reason{Code: reasonNone}, nil
	}
	var failed *conditionFailed
	if errors.As(err, &failed) {
		return reason{Code: "ConditionalCheckFailed", Message: conditionFailedMessage, Item: failed.item}, nil
	}
	var api *wire.Error
	if errors.As(err, &api) && api.Code == "ValidationException" {
		return reason{Code: "ValidationError", Message: api.Message}, nil
	}
	return reason{}, err
}

func cancellation(reasons []reason) error {
	codes := make([]string, len(reasons))
	for i, r := range reasons {
		codes[i] = r.Code
	}
	result := failure("TransactionCanceledException", fmt.Sprintf(
		"Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", ")))
	result.Fields = map[string]any{"CancellationReasons": reasons}
	return result
}

// digest identifies what a request asks for, whatever the order in which its JSON was written.
func (in *transactWriteInput) digest() ([sha256.Size]byte, error) {
	if in.ClientRequestToken == "" {
		return [sha256.Size]byte{}, nil
	}
	copied := *in
	copied.ClientRequestToken = ""
	canonical, err := json.Marshal(copied)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("digest of a transaction: %w", err)
	}
	return sha256.Sum256(canonical), nil
}

// requestTokens remembers the transactions of the last ten minutes; the service's lock guards it.
type requestTokens struct {
	known map[string]requestToken
	queue []requestToken // oldest first
}

type requestToken struct {
	id     string
	digest [sha256.Size]byte
	at     time.Time
}

// seen tells whether the same request has been done within the last ten minutes.
func (r *requestTokens) seen(token requestToken) (bool, error) {
	for len(r.queue) > 0 && token.at.Sub(r.queue[0].at) > idempotency {
		delete(r.known, r.queue[0].id)
		r.queue[0] = requestToken{}
		r.queue = r.queue[1:]
	}
	earlier, ok := r.known[token.id]
	if ok && earlier.digest != token.digest {
		return false, failure("IdempotentParameterMismatchException",
			"The request uses the same client token as a previous, but non-identical request. "+
				"Do not reuse a client token with different requests, unless the requests are identical")
	}
	return ok, nil
}

func (r *requestTokens) remember(token requestToken) {
	r.known[token.id] = token
	r.queue = append(r.queue, token)
}

type transactGetInput struct {
	TransactItems          []transactGet
	ReturnConsumedCapacity string
}

type transactGet struct {
	Get *getInput
}

type itemResponse struct {
	Item *Item `json:",omitempty"`
}

func (s *Service) transactGetItems(at scope, in *transactGetInput) (any, error) {
	reads, tables, err := in.reads(at)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, err := s.getTogether(reads)
	if err != nil {
		return nil, err
	}
	used := make(map[tableID]*capacity)
	responses := make([]itemResponse, len(reads))
	for i, r := range reads {
		if used[r.table] == nil {
			used[r.table] = &capacity{}
		}
		used[r.table].table += 2 * readUnits(recordSize(found[i]), true)
		if found[i] != nil {
			item := r.show(found[i])
			responses[i].Item = &item
		}
	}
	output := map[string]any{"Responses": responses}
	if list := reportAll(used, in.ReturnConsumedCapacity, at, tables); list != nil {
		for _, report := range list {
			report.asReads()
		}
		output["ConsumedCapacity"] = list
	}
	return output, nil
}

func (in *transactGetInput) reads(at scope) (reads []*read, tables []string, err error) {
	if err := checkTransaction(len(in.TransactItems)); err != nil {
		return nil, nil, err
	}
	if err := checkEnum("returnConsumedCapacity", in.ReturnConsumedCapacity, "INDEXES", "TOTAL", "NONE"); err != nil {
		return nil, nil, err
	}
	for i, one := range in.TransactItems {
		if one.Get == nil {
			return nil, nil, invalid("1 validation error detected: Value null at 'transactItems.%d.member.get' failed to satisfy "+
				"constraint: Member must not be null", i+1)
		}
		r, err := one.Get.parse(at)
		if err != nil {
			return nil, nil, err
		}
		reads = append(reads, r)
		if !slices.Contains(tables, one.Get.TableName) {
			tables = append(tables, one.Get.TableName)
		}
	}
	return reads, tables, nil
}

func (s *Service) getTogether(reads []*read) ([]*record, error) {
	found := make([]*record, len(reads))
	reasons := make([]reason, len(reads))
	seen := make(map[target]bool)
	cancelled, size := false, int64(0)
	for i, r := range reads {
		record, place, err := s.getOnce(r)
		if reasons[i], err = reasonOf(err); err != nil {
			return nil, err
		}
		if reasons[i].Code != reasonNone {
			cancelled = true
			continue
		}
		if seen[target{r.table, place}] {
			return nil, invalid(errDuplicateItem)
		}
		seen[target{r.table, place}] = true
		found[i] = record
		size += recordSize(record)
	}
	if cancelled {
		return nil, cancellation(reasons)
	}
	if size > maxTransactionBytes {
		return nil, invalid(errTransactionSize)
	}
	return found, nil
}
