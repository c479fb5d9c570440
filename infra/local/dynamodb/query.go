package dynamodb

import (
	"math"
	"strings"
)

// maxPage is how many bytes one Query or Scan reads.
const maxPage = 1 << 20

// A rangeInput is the input of Query and Scan.
type rangeInput struct {
	TableName              string
	IndexName              string
	Select                 string
	Limit                  *int
	ConsistentRead         bool
	ScanIndexForward       *bool
	ExclusiveStartKey      Item
	KeyConditionExpression *string
	FilterExpression       *string
	ProjectionExpression   *string
	ReturnConsumedCapacity string
	Segment                *int
	TotalSegments          *int
	placeholders
	legacy
}

// A walk is a parsed rangeInput.
type walk struct {
	in         *rangeInput
	isQuery    bool
	table      tableID
	keys       []keyCondition
	filter     condition
	filtered   map[string]bool // attributes that the filter names
	projection *pathTree
	limit      int
}

// A span bounds a walk: before and after tell which keys lie outside.
type keySpan struct {
	before, after func(key) bool
}

func (s *Service) query(at scope, in *rangeInput) (any, error) {
	w, err := in.parse(at, true)
	if err != nil {
		return nil, err
	}
	return s.walk(w)
}

func (s *Service) scan(at scope, in *rangeInput) (any, error) {
	w, err := in.parse(at, false)
	if err != nil {
		return nil, err
	}
	return s.walk(w)
}

func (in *rangeInput) parse(at scope, isQuery bool) (*walk, error) {
	w := &walk{in: in, isQuery: isQuery, table: at.table(in.TableName), limit: math.MaxInt}
	if err := in.checkParameters(isQuery); err != nil {
		return nil, err
	}
	if in.Limit != nil {
		w.limit = *in.Limit
	}
	return w, w.parseExpressions()
}

func (in *rangeInput) checkParameters(isQuery bool) error {
	if in.TableName == "" {
		return invalid("The parameter 'TableName' is required but was not present in the request")
	}
	if err := in.refuse(); err != nil {
		return err
	}
	if err := checkEnum("returnConsumedCapacity", in.ReturnConsumedCapacity, "INDEXES", "TOTAL", "NONE"); err != nil {
		return err
	}
	err := checkEnum("select", in.Select, "SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")
	if err != nil {
		return err
	}
	if in.Limit != nil && *in.Limit < 1 {
		return invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: "+
			"Member must have value greater than or equal to 1", *in.Limit)
	}
	if problem := in.ExclusiveStartKey.problem(); problem != "" {
		return invalid("The provided starting key is invalid: %s", problem)
	}
	if isQuery && in.KeyConditionExpression == nil {
		return invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	if err := in.checkSelect(); err != nil {
		return err
	}
	return in.checkSegments()
}

func (in *rangeInput) checkSelect() error {
	switch {
	case in.ProjectionExpression != nil && in.Select != "" && in.Select != "SPECIFIC_ATTRIBUTES":
		return invalid("Cannot specify the ProjectionExpression when choosing to get %s", in.Select)
	case in.ProjectionExpression == nil && in.Select == "SPECIFIC_ATTRIBUTES":
		return invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case in.Select == "ALL_PROJECTED_ATTRIBUTES" && in.IndexName == "":
		return invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	}
	return nil
}

func (in *rangeInput) checkSegments() error {
	switch {
	case in.Segment == nil && in.TotalSegments == nil:
		return nil
	case in.TotalSegments == nil:
		return invalid("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case in.Segment == nil:
		return invalid("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case *in.TotalSegments < 1 || *in.TotalSegments > 1000000:
		return invalid("1 validation error detected: Value '%d' at 'totalSegments' failed to satisfy constraint: "+
			"Member must have value between 1 and 1000000", *in.TotalSegments)
	case *in.Segment < 0 || *in.Segment >= *in.TotalSegments:
		return invalid("The Segment parameter is zero-based and must be less than parameter TotalSegments: "+
			"Segment: %d is not less than TotalSegments: %d", *in.Segment, *in.TotalSegments)
	}
	return nil
}

func (w *walk) parseExpressions() error {
	in := w.in
	if err := in.checkPlaceholders(w.isQuery); err != nil {
		return err
	}
	n := newNames(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err := n.check(); err != nil {
		return err
	}
	if w.isQuery {
		c, err := parseCondition("KeyConditionExpression", *in.KeyConditionExpression, n)
		if err != nil {
			return err
		}
		if w.keys, err = readKeyConditions(c); err != nil {
			return err
		}
	}
	return w.parseFilter(n)
}

func (w *walk) parseFilter(n *names) (err error) {
	if text := w.in.FilterExpression; text != nil {
		if w.filter, err = parseCondition("FilterExpression", *text, n); err != nil {
			return err
		}
		w.filtered = make(map[string]bool)
		eachPath(w.filter, func(p path) { w.filtered[p[0].name] = true })
	}
	if text := w.in.ProjectionExpression; text != nil {
		if w.projection, err = parseProjection(*text, n); err != nil {
			return err
		}
	}
	return n.checkUsed()
}

func (in *rangeInput) checkPlaceholders(isQuery bool) error {
	if isQuery {
		return nil // it has a key condition
	}
	if in.ExpressionAttributeNames != nil && in.FilterExpression == nil && in.ProjectionExpression == nil {
		return invalid("ExpressionAttributeNames can only be specified when using expressions")
	}
	if in.ExpressionAttributeValues != nil && in.FilterExpression == nil {
		return invalid("ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null")
	}
	return nil
}

type rangeOutput struct {
	Count            int
	ScannedCount     int
	LastEvaluatedKey Item      `json:",omitempty"`
	ConsumedCapacity *consumed `json:",omitempty"`
}

// withItems is a rangeOutput for all but a mere count: its list of items is there even when empty.
type withItems struct {
	Items []Item
	rangeOutput
}

// A source is what a walk goes through: a table or one of its indexes.
type source struct {
	table   *table
	index   *index // nil for the table itself
	entries *tree
	keys    keySchema
}

func (s *Service) walk(w *walk) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	from, err := s.source(w)
	if err != nil {
		return nil, err
	}
	bounds, err := w.bounds(from)
	if err != nil {
		return nil, err
	}
	p := w.collect(from, bounds)
	return p.output(w, from), nil
}

func (s *Service) source(w *walk) (*source, error) {
	t, err := s.find(w.table)
	if err != nil {
		return nil, err
	}
	from := &source{table: t, entries: &t.items, keys: t.keys}
	if w.in.IndexName == "" {
		return from, w.checkFilter(from)
	}
	ix := t.index(w.in.IndexName)
	if ix == nil {
		return nil, invalid("The table does not have the specified index: %s", w.in.IndexName)
	}
	if w.in.ConsistentRead {
		return nil, invalid("Consistent reads are not supported on global secondary indexes")
	}
	from.index, from.entries, from.keys = ix, &ix.entries, ix.keys
	if err := w.checkProjected(ix); err != nil {
		return nil, err
	}
	return from, w.checkFilter(from)
}

// checkFilter refuses key attributes in a query's filter.
func (w *walk) checkFilter(from *source) error {
	if !w.isQuery {
		return nil
	}
	for _, name := range from.keys.names() {
		if w.filtered[name] {
			return invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", name)
		}
	}
	return nil
}

// checkProjected refuses attributes that the index does not hold.
func (w *walk) checkProjected(ix *index) error {
	if ix.projected == nil {
		return nil
	}
	if w.in.Select == "ALL_ATTRIBUTES" {
		return invalidParameter("Select type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection "+
			"type is not ALL", ix.definition.IndexName)
	}
	if w.projection == nil {
		return nil
	}
	var absent []string
	for s := range w.projection.children {
		if !ix.projected[s.name] {
			absent = append(absent, s.name)
		}
	}
	if len(absent) > 0 {
		return invalidParameter("Global secondary index %s does not project [%s]", ix.definition.IndexName, strings.Join(absent, ", "))
	}
	return nil
}

// forward is the direction of the walk.
func (w *walk) forward() bool {
	return w.in.ScanIndexForward == nil || *w.in.ScanIndexForward || !w.isQuery
}

// bounds is the part of the source that is walked: the query's range or the scan's segment, from the starting key on.
func (w *walk) bounds(from *source) (keySpan, error) {
	var bounds keySpan
	if w.isQuery {
		partition, sorted, err := assignKeys(w.keys, from.keys)
		if err != nil {
			return bounds, err
		}
		bounds = querySpan(partition, sorted)
	} else {
		bounds = w.segment()
	}
	if w.in.ExclusiveStartKey == nil {
		return bounds, nil
	}
	start, err := from.startKey(w.in.ExclusiveStartKey)
	if err != nil {
		return bounds, err
	}
	if bounds.before(start) || bounds.after(start) {
		return bounds, w.outside(from)
	}
	if w.forward() {
		bounds.before = func(k key) bool { return compareKeys(k, start) <= 0 }
	} else {
		bounds.after = func(k key) bool { return compareKeys(k, start) >= 0 }
	}
	return bounds, nil
}

func (w *walk) outside(from *source) error {
	switch {
	case !w.isQuery:
		return invalid("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "+
			"TotalSegments: %d Segment: %d", *w.in.TotalSegments, *w.in.Segment)
	case len(w.keys) == 2 && from.keys.sort != "":
		return invalid("The provided starting key does not match the range key predicate")
	}
	return invalid("The provided starting key is outside query boundaries based on provided conditions")
}

func (w *walk) segment() keySpan {
	none := func(key) bool { return false }
	if w.in.TotalSegments == nil {
		return keySpan{none, none}
	}
	total, segment := uint64(*w.in.TotalSegments), uint64(*w.in.Segment) //nolint:gosec // checked: neither is negative
	width := math.MaxUint64/total + 1
	if total == 1 {
		return keySpan{none, none}
	}
	return keySpan{
		before: func(k key) bool { return k.hash/width < segment },
		after:  func(k key) bool { return k.hash/width > segment },
	}
}

// keyNames lists the attributes of an entry's full key: the index's and the table's.
func (f *source) keyNames() []string {
	names := f.keys.names()
	if f.index == nil {
		return names
	}
	for _, name := range f.table.keys.names() {
		if !f.keys.has(name) {
			names = append(names, name)
		}
	}
	return names
}

// startKey finds the place of an ExclusiveStartKey.
func (f *source) startKey(given Item) (key, error) {
	const mismatch = "The provided starting key is invalid"
	names := f.keyNames()
	if len(given) != len(names) {
		return key{}, invalid(mismatch)
	}
	for _, name := range names {
		if _, ok := given[name]; !ok {
			return key{}, invalid(mismatch)
		}
	}
	if f.keys.check(f.keys.pick(given)) != nil || f.table.keys.check(f.table.keys.pick(given)) != nil {
		return key{}, invalid(mismatch + ": The provided key element does not match the schema")
	}
	start := f.keys.of(given)
	if f.index != nil {
		start.base = f.table.keys.of(given).joined()
	}
	return start, nil
}

// A page is what a walk has gathered.
type page struct {
	items   []Item
	count   int
	scanned int
	size    int64
	last    Item // where to go on; nil at the end
}

func (w *walk) collect(from *source, bounds keySpan) *page {
	p := &page{}
	visit := func(e entry) bool { return p.take(w, from, e.record) }
	if w.forward() {
		from.entries.ascend(bounds.before, func(e entry) bool { return !bounds.after(e.key) && visit(e) })
	} else {
		from.entries.descend(bounds.after, func(e entry) bool { return !bounds.before(e.key) && visit(e) })
	}
	return p
}

// take adds a record to the page and tells whether there is room for more.
func (p *page) take(w *walk, from *source, r *record) bool {
	p.scanned++
	p.size += int64(r.size)
	if w.filter == nil || w.filter.holds(r.item) {
		p.count++
		if w.in.Select != "COUNT" {
			p.items = append(p.items, w.show(r))
		}
	}
	if p.scanned < w.limit && p.size < maxPage {
		return true
	}
	p.last = make(Item)
	for _, name := range from.keyNames() {
		p.last[name] = r.item[name]
	}
	return false
}

func (w *walk) show(r *record) Item {
	if w.projection == nil {
		return r.item
	}
	return w.projection.project(r.item)
}

func (p *page) output(w *walk, from *source) any {
	units := readUnits(p.size, w.in.ConsistentRead)
	used := capacity{table: units}
	if from.index != nil {
		used = capacity{}
		used.addIndex(from.index.definition.IndexName, units)
	}
	output := rangeOutput{
		Count: p.count, ScannedCount: p.scanned, LastEvaluatedKey: p.last,
		ConsumedCapacity: used.report(w.in.ReturnConsumedCapacity, w.in.TableName),
	}
	if w.in.Select == "COUNT" {
		return output
	}
	if p.items == nil {
		p.items = []Item{}
	}
	return withItems{Items: p.items, rangeOutput: output}
}
