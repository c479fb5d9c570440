package dynamodb

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// Limits of keys and items, in bytes.
const (
	maxPartitionKey = 2048
	maxSortKey      = 1024
	maxItem         = 400 * 1024
)

// A keySchema names the attributes of a key and their types; sort is empty for a key without sort key.
type keySchema struct {
	partition, sort         string
	partitionKind, sortKind kind
}

func (k keySchema) names() []string {
	if k.sort == "" {
		return []string{k.partition}
	}
	return []string{k.partition, k.sort}
}

func (k keySchema) kindOf(name string) kind {
	if name == k.partition {
		return k.partitionKind
	}
	return k.sortKind
}

func (k keySchema) has(name string) bool {
	return name == k.partition || (name == k.sort && name != "")
}

// of places an item that has the key's attributes.
func (k keySchema) of(item Item) key {
	result := key{partition: item[k.partition].sortable()}
	result.hash = hashOf(result.partition)
	if k.sort != "" {
		result.sort = item[k.sort].sortable()
	}
	return result
}

// pick is the part of an item that is the key.
func (k keySchema) pick(item Item) Item {
	result := make(Item, 2)
	for _, name := range k.names() {
		result[name] = item[name]
	}
	return result
}

// check refuses a Key parameter that is not exactly the key.
func (k keySchema) check(given Item) error {
	const mismatch = "The provided key element does not match the schema"
	if len(given) != len(k.names()) {
		return invalid(mismatch)
	}
	for _, name := range k.names() {
		if given[name].kind != k.kindOf(name) {
			return invalid(mismatch)
		}
	}
	return k.checkContent(given)
}

// checkItem refuses an item that lacks the key.
func (k keySchema) checkItem(item Item) error {
	for _, name := range k.names() {
		value, ok := item[name]
		if !ok {
			return invalidParameter("Missing the key %s in the item", name)
		}
		if value.kind != k.kindOf(name) {
			return invalidParameter("Type mismatch for key %s expected: %s actual: %s", name, k.kindOf(name), value.kind)
		}
	}
	return k.checkContent(item)
}

func (k keySchema) checkContent(item Item) error {
	for _, name := range k.names() {
		value := item[name]
		if value.text == "" {
			return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "+
				"an empty %s value. Key: %s", strings.ToLower(value.kind.longName()), name)
		}
		if err := checkKeySize(value, name == k.partition); err != nil {
			return err
		}
	}
	return nil
}

func checkKeySize(value Value, partition bool) error {
	switch {
	case value.kind == kindNumber:
		return nil
	case partition && len(value.text) > maxPartitionKey:
		return invalidParameter("Size of hashkey has exceeded the maximum size limit of2048 bytes")
	case !partition && len(value.text) > maxSortKey:
		return invalidParameter("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
	}
	return nil
}

// An index is a global secondary index with the items that have its key.
type index struct {
	definition Index
	arn        string
	keys       keySchema
	projected  map[string]bool // names, for INCLUDE and KEYS_ONLY; nil for ALL
	entries    tree
	size       int64
}

func newIndex(definition Index, types map[string]kind, table keySchema, tableARN string) *index {
	ix := &index{
		definition: definition, arn: tableARN + "/index/" + definition.IndexName,
		keys: readKeySchema(definition.KeySchema, types),
	}
	if definition.Projection.ProjectionType == projectAll {
		return ix
	}
	ix.projected = make(map[string]bool)
	for _, name := range slices.Concat(ix.keys.names(), table.names(), definition.Projection.NonKeyAttributes) {
		ix.projected[name] = true
	}
	return ix
}

// check refuses an item whose attributes cannot be the index's key; an item without them is just not in the index.
func (ix *index) check(item Item) error {
	for _, name := range ix.keys.names() {
		value, ok := item[name]
		if !ok {
			continue
		}
		if want := ix.keys.kindOf(name); value.kind != want {
			return invalidParameter("Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s",
				name, want, value.kind, ix.definition.IndexName)
		}
		if value.text == "" {
			return invalid("One or more parameter values are not valid. A value specified for a secondary index key is not supported. "+
				"The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s",
				strings.ToLower(value.kind.longName()), ix.definition.IndexName, name)
		}
		if err := checkKeySize(value, name == ix.keys.partition); err != nil {
			return err
		}
	}
	return nil
}

// place is where an item with the given table key stands in the index; ok is false where it does not.
func (ix *index) place(item Item, base key) (place key, ok bool) {
	for _, name := range ix.keys.names() {
		if _, ok := item[name]; !ok {
			return key{}, false
		}
	}
	place = ix.keys.of(item)
	place.base = base.joined()
	return place, true
}

// joined is the key as one string, unlike for unlike keys.
func (k key) joined() string {
	length := binary.AppendUvarint(nil, uint64(len(k.partition)))
	return string(length) + k.partition + k.sort
}

// project answers the record as the index holds it.
func (ix *index) project(r *record) *record {
	if ix.projected == nil {
		return r
	}
	item := make(Item, len(ix.projected))
	for name := range ix.projected {
		if value, ok := r.item[name]; ok {
			item[name] = value
		}
	}
	return &record{item: item, size: item.storedSize()}
}

// A table holds its items, its indexes, and what follows from them. The service's lock guards it.
type table struct {
	id            tableID
	definition    Definition
	arn           string
	uuid          string
	created       time.Time
	keys          keySchema
	items         tree
	size          int64
	indexes       []*index
	ttl           string // the attribute, "" while off
	expiry        tree   // items by time of expiry, while ttl is on
	stream        *Stream
	lastLabel     string // of the stream, so that labels never repeat
	recovery      bool   // point-in-time recovery
	recoverySince time.Time
}

func (t *table) index(name string) *index {
	for _, ix := range t.indexes {
		if ix.definition.IndexName == name {
			return ix
		}
	}
	return nil
}

// A change is a write that has passed all checks; old and next are nil where there is no item.
type change struct {
	table     *table
	key       key
	old, next *record
}

// apply stores a change and answers the write units it took.
func (t *table) apply(c change, now time.Time, by identity) capacity {
	used := capacity{table: writeUnits(c.old, c.next)}
	if c.next == nil {
		t.items.remove(c.key)
	} else {
		t.items.set(c.key, c.next)
	}
	t.size += recordSize(c.next) - recordSize(c.old)
	for _, ix := range t.indexes {
		if units := ix.apply(c); units > 0 {
			used.addIndex(ix.definition.IndexName, units)
		}
	}
	t.applyExpiry(c)
	t.publish(c, now, by)
	return used
}

func recordSize(r *record) int64 {
	if r == nil {
		return 0
	}
	return int64(r.size)
}

// apply moves the item in the index and answers the write units that took: an entry that moves costs a delete and a put, one
// that stays as it was costs nothing.
func (ix *index) apply(c change) float64 {
	before, oldPlace := ix.entryOf(c.old, c.key)
	after, newPlace := ix.entryOf(c.next, c.key)
	ix.size += recordSize(after) - recordSize(before)
	if before != nil && (after == nil || oldPlace != newPlace) {
		ix.entries.remove(oldPlace)
	}
	if after != nil {
		ix.entries.set(newPlace, after)
	}
	switch {
	case before != nil && after != nil && oldPlace != newPlace:
		return writeUnits(before, nil) + writeUnits(nil, after)
	case before != nil && after != nil && equalItems(before.item, after.item):
		return 0
	case before == nil && after == nil:
		return 0
	}
	return writeUnits(before, after)
}

func (ix *index) entryOf(r *record, base key) (*record, key) {
	if r == nil {
		return nil, key{}
	}
	place, ok := ix.place(r.item, base)
	if !ok {
		return nil, key{}
	}
	return ix.project(r), place
}

// fill builds a new index from the table's items; items whose attributes cannot be its key stay out, as DynamoDB does when
// it backfills.
func (t *table) fill(ix *index) {
	t.items.ascend(func(key) bool { return false }, func(e entry) bool {
		if ix.check(e.record.item) == nil {
			ix.apply(change{table: t, key: e.key, next: e.record})
		}
		return true
	})
}
