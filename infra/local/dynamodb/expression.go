package dynamodb

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of expressions.
const (
	maxExpression = 4096 // bytes
	maxNesting    = 150  // parentheses, functions and NOTs within each other
	maxOperators  = 300
	maxOperands   = 100 // of IN
)

// A step of a document path: a name, or a list index where name is empty and indexed is set.
type step struct {
	name    string
	index   int
	indexed bool
}

// A path leads to an attribute: a.b[2].
type path []step

// String is how DynamoDB's errors print a path: "[a, b, [2]]".
func (p path) String() string {
	parts := make([]string, len(p))
	for i, s := range p {
		parts[i] = s.name
		if s.indexed {
			parts[i] = "[" + strconv.Itoa(s.index) + "]"
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// in finds the value at the path.
func (p path) in(item Item) (Value, bool) {
	value, ok := item[p[0].name]
	for _, s := range p[1:] {
		if !ok {
			return Value{}, false
		}
		value, ok = value.child(s)
	}
	return value, ok
}

func (v Value) child(s step) (Value, bool) {
	if !s.indexed {
		member, ok := v.members()[s.name]
		return member, ok
	}
	list := v.list()
	if s.index >= len(list) {
		return Value{}, false
	}
	return list[s.index], true
}

// An operand is a path, a value or a function; exactly one of path, call is set, or neither for a value.
type operand struct {
	path  path
	call  *call
	value Value
}

type call struct {
	name string
	args []operand
}

// literal is the kind of an operand that is a value.
func (o operand) literal() (kind, bool) {
	return o.value.kind, o.path == nil && o.call == nil
}

// names holds what placeholders stand for, shared by all expressions of a request so that unused ones are found.
type names struct {
	names      map[string]string
	values     map[string]Value
	usedNames  map[string]bool
	usedValues map[string]bool
}

func newNames(attributeNames map[string]string, attributeValues map[string]Value) *names {
	return &names{
		names: attributeNames, values: attributeValues,
		usedNames: make(map[string]bool), usedValues: make(map[string]bool),
	}
}

// check refuses malformed placeholders and invalid values, before any expression is read.
func (n *names) check() error {
	if n.names != nil && len(n.names) == 0 {
		return invalid("ExpressionAttributeNames must not be empty")
	}
	for _, name := range sortedKeys(n.names) {
		if !isPlaceholder(name, '#') {
			return invalid(`ExpressionAttributeNames contains invalid key: Syntax error; key: "%s"`, name)
		}
	}
	if n.values != nil && len(n.values) == 0 {
		return invalid("ExpressionAttributeValues must not be empty")
	}
	for _, name := range sortedKeys(n.values) {
		if !isPlaceholder(name, ':') {
			return invalid(`ExpressionAttributeValues contains invalid key: Syntax error; key: "%s"`, name)
		}
		if value := n.values[name]; value.kind == kindInvalid {
			return invalid("ExpressionAttributeValues contains invalid value: %s for key %s", value.text, name)
		}
	}
	return nil
}

func isPlaceholder(name string, mark byte) bool {
	return len(name) > 1 && name[0] == mark && span(name[1:], isNamePart) == len(name)-1
}

// checkUsed refuses placeholders that no expression used.
func (n *names) checkUsed() error {
	if unused := missing(sortedKeys(n.names), n.usedNames); len(unused) > 0 {
		return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", strings.Join(unused, ", "))
	}
	if unused := missing(sortedKeys(n.values), n.usedValues); len(unused) > 0 {
		return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", strings.Join(unused, ", "))
	}
	return nil
}

func missing(keys []string, used map[string]bool) []string {
	var unused []string
	for _, k := range keys {
		if !used[k] {
			unused = append(unused, k)
		}
	}
	return unused
}

// A parser reads one expression. A syntax error stops it; a semantic error is kept until the end, because DynamoDB reports
// the gravest of them, by rank, and syntax errors before any.
type parser struct {
	text      string
	tokens    []token
	at        int
	depth     int
	operators int
	names     *names
	syntax    string
	semantic  string
	rank      int
}

// Ranks of semantic errors, the gravest first.
const (
	rankParentheses = iota + 1
	rankReserved
	rankFunction
	rankMisused
	rankSection
	rankName
	rankOperands
	rankOverlap
	rankConflict
	rankDistinct
	rankType
)

func newParser(text string, n *names) *parser {
	p := &parser{text: text, names: n}
	switch {
	case text == "":
		p.syntax = "The expression can not be empty;"
	case len(text) > maxExpression:
		p.syntax = fmt.Sprintf("Expression size has exceeded the maximum allowed size; expression size: %d", len(text))
	default:
		p.tokens = lex(text)
		return p
	}
	p.tokens = []token{{kind: tokenEnd}}
	return p
}

// finish ends the reading of an expression of the given kind and answers its error, if any.
func (p *parser) finish(kind string) error {
	if p.syntax == "" && p.peek().kind != tokenEnd {
		p.fail()
	}
	if p.syntax == "" {
		p.syntax = p.semantic
	}
	if p.syntax == "" {
		return nil
	}
	return invalid("Invalid %s: %s", kind, p.syntax)
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

func (p *parser) accept(text string) bool {
	if p.syntax != "" || !p.peek().is(text) {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.fail()
	}
}

// fail records a syntax error at the current token and skips to the end, so that all loops stop.
func (p *parser) fail() {
	if p.syntax == "" {
		t := p.peek()
		from, to := t.start, t.end
		if p.at > 0 {
			from = p.tokens[p.at-1].start
		}
		if p.at+1 < len(p.tokens) {
			to = p.tokens[p.at+1].end
		}
		p.syntax = fmt.Sprintf(`Syntax error; token: "%s", near: "%s"`, t.shown(), p.text[from:to])
	}
	p.at = len(p.tokens) - 1
}

// stop ends the reading with another error than a syntax error.
func (p *parser) stop(message string) {
	if p.syntax == "" {
		p.syntax = message
	}
	p.at = len(p.tokens) - 1
}

func (p *parser) object(rank int, format string, args ...any) {
	if p.semantic == "" || rank < p.rank {
		p.semantic, p.rank = fmt.Sprintf(format, args...), rank
	}
}

// enter guards every recursion; leave ends it.
func (p *parser) enter() bool {
	p.depth++
	if p.depth > maxNesting {
		p.stop("The expression is nested too deeply")
		return false
	}
	return p.syntax == ""
}

func (p *parser) leave() { p.depth-- }

func (p *parser) countOperator() {
	p.operators++
	if p.operators > maxOperators {
		p.stop(fmt.Sprintf("The expression contains too many operators; operator count: %d", p.operators))
	}
}

// path reads a document path.
func (p *parser) path() path {
	result := path{p.pathName()}
	for p.syntax == "" {
		switch {
		case p.accept("."):
			result = append(result, p.pathName())
		case p.accept("["):
			result = append(result, p.pathIndex())
			p.expect("]")
		default:
			return p.checkPath(result)
		}
	}
	return result
}

func (p *parser) checkPath(result path) path {
	if len(result) > maxDepth {
		p.object(rankName, "The document path has too many nesting elements; nesting levels: %d", len(result))
	}
	return result
}

func (p *parser) pathName() step {
	t := p.peek()
	switch t.kind {
	case tokenWord:
		p.next()
		if isReserved(t.text) {
			p.object(rankReserved, "Attribute name is a reserved keyword; reserved keyword: %s", t.text)
		}
		return step{name: t.text}
	case tokenName:
		p.next()
		p.names.usedNames[t.text] = true
		name, ok := p.names.names[t.text]
		if !ok {
			p.object(rankName, "An expression attribute name used in the document path is not defined; attribute name: %s", t.text)
		}
		return step{name: name}
	default:
		p.fail()
		return step{}
	}
}

func (p *parser) pathIndex() step {
	t := p.peek()
	if t.kind != tokenNumber {
		p.fail()
		return step{}
	}
	p.next()
	index, err := strconv.ParseInt(t.text, 10, 32)
	if err != nil {
		p.object(rankName, "List index is not within the allowable range; index: [%s]", t.text)
	}
	return step{index: int(index), indexed: true}
}

func (p *parser) value() Value {
	t := p.peek()
	if t.kind != tokenValue {
		p.fail()
		return Value{}
	}
	p.next()
	p.names.usedValues[t.text] = true
	value, ok := p.names.values[t.text]
	if !ok {
		p.object(rankName, "An expression attribute value used in expression is not defined; attribute value: %s", t.text)
	}
	return value
}

// operand reads a path, value or function, in parentheses or not.
func (p *parser) operand() operand {
	defer p.leave()
	if !p.enter() {
		return operand{}
	}
	if p.accept("(") {
		if p.peek().is("(") {
			p.object(rankParentheses, "The expression has redundant parentheses;")
		}
		inner := p.operand()
		p.expect(")")
		return inner
	}
	return p.bareOperand()
}

func (p *parser) bareOperand() operand {
	t := p.peek()
	if t.kind == tokenValue {
		return operand{value: p.value()}
	}
	if t.kind == tokenWord && p.at+1 < len(p.tokens) && p.tokens[p.at+1].is("(") && !isOperatorWord(t.text) {
		return operand{call: p.call()}
	}
	return operand{path: p.path()}
}

// isOperatorWord tells words that stand before a parenthesis without being functions.
func isOperatorWord(text string) bool {
	switch strings.ToUpper(text) {
	case "AND", "OR", "NOT", "IN", "BETWEEN", "SET", "REMOVE", "ADD", "DELETE":
		return true
	}
	return false
}

func (p *parser) call() *call {
	result := &call{name: p.next().text}
	p.expect("(")
	for p.syntax == "" {
		result.args = append(result.args, p.operand())
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return result
}

// checkCount refuses a call with the wrong number of arguments.
func (p *parser) checkCount(c *call, count int) bool {
	if len(c.args) != count {
		p.object(rankOperands, "Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d",
			c.name, len(c.args))
		return false
	}
	return true
}

func (p *parser) checkPathArgument(c *call) {
	if c.args[0].path == nil {
		p.object(rankType, "Operator or function requires a document path; operator or function: %s", c.name)
	}
}

func (p *parser) wrongType(name string, k kind) {
	p.object(rankType, "Incorrect operand type for operator or function; operator or function: %s, operand type: %s", name, k)
}

// A pathTree is a set of paths none of which leads through another.
type pathTree struct {
	path     path // set where a path of the set ends
	any      path // a path of the set that leads through here
	children map[step]*pathTree
}

// add puts a path in; it answers an earlier path that overlaps, or one that conflicts: an index where the other has a name.
func (t *pathTree) add(p path) (overlap, conflict path) {
	at := t
	for i, s := range p {
		if at.path != nil {
			return at.path, nil
		}
		if other := at.otherType(s); i > 0 && other != nil {
			return nil, other
		}
		at = at.grow(s, p)
	}
	if at.path != nil {
		return at.path, nil
	}
	if len(at.children) > 0 {
		return at.any, nil
	}
	at.path = p
	return nil, nil
}

func (t *pathTree) otherType(s step) path {
	for existing, child := range t.children {
		if existing.indexed != s.indexed {
			return child.any
		}
		return nil // all children are of one type
	}
	return nil
}

func (t *pathTree) grow(s step, p path) *pathTree {
	child, ok := t.children[s]
	if ok {
		return child
	}
	if t.children == nil {
		t.children = make(map[step]*pathTree)
	}
	child = &pathTree{any: p}
	t.children[s] = child
	return child
}

// addPath adds to the tree and objects to overlaps and conflicts.
func (p *parser) addPath(tree *pathTree, added path) {
	if p.syntax != "" {
		return
	}
	overlap, conflict := tree.add(added)
	if overlap != nil {
		p.object(rankOverlap, "Two document paths overlap with each other; must remove or rewrite one of these paths; "+
			"path one: %s, path two: %s", overlap, added)
	}
	if conflict != nil {
		p.object(rankConflict, "Two document paths conflict with each other; must remove or rewrite one of these paths; "+
			"path one: %s, path two: %s", conflict, added)
	}
}
