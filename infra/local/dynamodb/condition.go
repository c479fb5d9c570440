package dynamodb

import "strings"

// A condition is one node of a condition, filter or key condition.
type condition interface {
	holds(item Item) bool
}

type (
	andCondition     []condition
	orCondition      []condition
	notCondition     struct{ inner condition }
	compareCondition struct {
		operator    string
		left, right operand
	}
	betweenCondition struct{ operand, low, high operand }
	inCondition      struct {
		operand operand
		list    []operand
	}
	callCondition struct{ call *call }
)

// parseCondition reads an expression of the given kind: "ConditionExpression", "FilterExpression", "KeyConditionExpression".
func parseCondition(kind, text string, n *names) (condition, error) {
	p := newParser(text, n)
	var result condition
	if p.syntax == "" {
		result = p.condition(p.or())
	}
	if err := p.finish(kind); err != nil {
		return nil, err
	}
	return result, nil
}

// A term is a condition, or an operand that may become part of one.
type term struct {
	condition condition
	operand   *operand
	enclosed  bool // stood in parentheses
}

func (p *parser) or() term {
	defer p.leave()
	if !p.enter() {
		return term{}
	}
	first := p.and()
	if !p.peek().is("OR") {
		return first
	}
	all := orCondition{p.condition(first)}
	for p.accept("OR") {
		p.countOperator()
		all = append(all, p.condition(p.and()))
	}
	return term{condition: all}
}

func (p *parser) and() term {
	first := p.not()
	if !p.peek().is("AND") {
		return first
	}
	all := andCondition{p.condition(first)}
	for p.accept("AND") {
		p.countOperator()
		all = append(all, p.condition(p.not()))
	}
	return term{condition: all}
}

func (p *parser) not() term {
	if !p.accept("NOT") {
		return p.comparison()
	}
	defer p.leave()
	if !p.enter() {
		return term{}
	}
	p.countOperator()
	return term{condition: notCondition{p.condition(p.not())}}
}

// condition turns a term into a condition, or refuses an operand that is none.
func (p *parser) condition(t term) condition {
	if t.condition != nil || p.syntax != "" {
		return t.condition
	}
	c := t.operand.call
	if c == nil {
		p.fail()
		return nil
	}
	p.checkCall(c)
	if c.name == "size" {
		p.object(rankMisused, "The function is not allowed to be used this way in an expression; function: %s", c.name)
	}
	return callCondition{c}
}

func (p *parser) comparison() term {
	left := p.enclosedTerm()
	if left.operand == nil || p.syntax != "" {
		return left
	}
	t := p.peek()
	switch {
	case t.kind == tokenSign && isComparator(t.text):
		return p.compare(*left.operand)
	case t.is("BETWEEN"):
		return p.between(*left.operand)
	case t.is("IN"):
		return p.in(*left.operand)
	}
	return left
}

func isComparator(text string) bool {
	switch text {
	case "=", "<>", "<", "<=", ">", ">=":
		return true
	}
	return false
}

func (p *parser) enclosedTerm() term {
	if !p.accept("(") {
		o := p.bareOperand()
		return term{operand: &o}
	}
	inner := p.or()
	p.expect(")")
	if inner.enclosed {
		p.object(rankParentheses, "The expression has redundant parentheses;")
	}
	inner.enclosed = true
	return inner
}

func (p *parser) compare(left operand) term {
	operator := p.next().text
	p.countOperator()
	right := p.operand()
	p.checkOperands(left, right)
	p.checkDistinct(operator, []operand{left, right})
	if operator != "=" && operator != "<>" {
		p.checkOrdered(operator, left, right)
	}
	return term{condition: compareCondition{operator, left, right}}
}

func (p *parser) between(left operand) term {
	p.next()
	p.countOperator()
	low := p.operand()
	p.expect("AND")
	high := p.operand()
	p.checkOperands(left, low, high)
	p.checkOrdered("BETWEEN", left, low, high)
	p.checkBounds(low, high)
	return term{condition: betweenCondition{left, low, high}}
}

func (p *parser) in(left operand) term {
	p.next()
	p.countOperator()
	p.expect("(")
	var list []operand
	for p.syntax == "" {
		list = append(list, p.operand())
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	if len(list) > maxOperands {
		p.object(rankOperands, "Invalid number of operands for operator: IN, number of operands: %d", len(list))
	}
	p.checkOperands(append([]operand{left}, list...)...)
	return term{condition: inCondition{left, list}}
}

// checkOperands refuses functions other than size as operands.
func (p *parser) checkOperands(operands ...operand) {
	for _, o := range operands {
		if o.call == nil {
			continue
		}
		p.checkCall(o.call)
		if o.call.name != "size" {
			p.object(rankMisused, "The function is not allowed to be used this way in an expression; function: %s", o.call.name)
		}
	}
}

func (p *parser) checkOrdered(operator string, operands ...operand) {
	for _, o := range operands {
		if k, ok := o.literal(); ok && k != kindInvalid && !k.ordered() {
			p.wrongType(operator, k)
		}
	}
}

func (p *parser) checkBounds(low, high operand) {
	lowKind, lowLiteral := low.literal()
	highKind, highLiteral := high.literal()
	if !lowLiteral || !highLiteral || lowKind == kindInvalid || highKind == kindInvalid {
		return
	}
	if lowKind != highKind {
		p.object(rankType, "The BETWEEN operator requires same data type for lower and upper bounds; "+
			"lower bound operand: AttributeValue: %s, upper bound operand: AttributeValue: %s", low.value.describe(), high.value.describe())
		return
	}
	if c, ok := low.value.order(high.value); ok && c > 0 {
		p.object(rankType, "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "+
			"lower bound operand: AttributeValue: %s, upper bound operand: AttributeValue: %s", low.value.describe(), high.value.describe())
	}
}

func (p *parser) checkDistinct(name string, args []operand) {
	if len(args) != 2 || args[0].path == nil || args[1].path == nil || args[0].path.String() != args[1].path.String() {
		return
	}
	p.object(rankDistinct, "The first operand must be distinct from the remaining operands for this operator or function; "+
		"operator: %s, first operand: %s", name, args[0].path)
}

// checkCall checks a function of condition expressions.
func (p *parser) checkCall(c *call) {
	p.checkOperands(c.args...)
	counts := map[string]int{
		"attribute_exists": 1, "attribute_not_exists": 1, "size": 1, "attribute_type": 2, "begins_with": 2, "contains": 2,
	}
	count, known := counts[c.name]
	if !known {
		p.object(rankFunction, "Invalid function name; function: %s", c.name)
		return
	}
	if !p.checkCount(c, count) {
		return
	}
	p.checkDistinct(c.name, c.args)
	switch c.name {
	case "attribute_exists", "attribute_not_exists":
		p.checkPathArgument(c)
	case "begins_with":
		p.checkPrefix(c)
	case "attribute_type":
		p.checkTypeName(c)
	case "size":
		p.checkSized(c)
	}
}

func (p *parser) checkPrefix(c *call) {
	for _, o := range c.args {
		if k, ok := o.literal(); ok && k != kindInvalid && k != kindString && k != kindBinary {
			p.wrongType(c.name, k)
		}
	}
}

func (p *parser) checkTypeName(c *call) {
	k, ok := c.args[1].literal()
	switch {
	case !ok:
		p.object(rankType, "Incorrect operand type for operator or function; operator or function: %s, "+
			"operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}", c.name)
	case k == kindInvalid: // undefined, which is reported already
	case k != kindString:
		p.wrongType(c.name, k)
	case kindOf(c.args[1].value.text) == kindInvalid:
		p.object(rankType, "Invalid attribute type name found; type: %s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}", c.args[1].value.text)
	}
}

func (p *parser) checkSized(c *call) {
	k, ok := c.args[0].literal()
	if ok && (k == kindNumber || k == kindBool || k == kindNull) {
		p.wrongType(c.name, k)
	}
}

// resolve finds an operand's value in an item; ok is false where there is none.
func (o operand) resolve(item Item) (value Value, ok bool) {
	switch {
	case o.path != nil:
		return o.path.in(item)
	case o.call == nil:
		return o.value, true
	}
	argument, ok := o.call.args[0].resolve(item) // size is the only function that is an operand
	if !ok {
		return Value{}, false
	}
	size, ok := argument.size()
	return numberValue(wholeNumber(size)), ok
}

func (c andCondition) holds(item Item) bool {
	for _, inner := range c {
		if !inner.holds(item) {
			return false
		}
	}
	return true
}

func (c orCondition) holds(item Item) bool {
	for _, inner := range c {
		if inner.holds(item) {
			return true
		}
	}
	return false
}

func (c notCondition) holds(item Item) bool { return !c.inner.holds(item) }

func (c compareCondition) holds(item Item) bool {
	left, leftOK := c.left.resolve(item)
	right, rightOK := c.right.resolve(item)
	same := leftOK && rightOK && left.equal(right)
	switch c.operator {
	case "=":
		return same
	case "<>":
		return !same
	}
	order, ok := left.order(right)
	if !leftOK || !rightOK || !ok {
		return false
	}
	return ordered(c.operator, order)
}

func ordered(operator string, order int) bool {
	switch operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}

func (c betweenCondition) holds(item Item) bool {
	return compareCondition{">=", c.operand, c.low}.holds(item) && compareCondition{"<=", c.operand, c.high}.holds(item)
}

func (c inCondition) holds(item Item) bool {
	for _, candidate := range c.list {
		if (compareCondition{"=", c.operand, candidate}).holds(item) {
			return true
		}
	}
	return false
}

func (c callCondition) holds(item Item) bool {
	first, ok := c.call.args[0].resolve(item)
	switch c.call.name {
	case "attribute_exists":
		return ok
	case "attribute_not_exists":
		return !ok
	}
	second, secondOK := c.call.args[1].resolve(item)
	if !ok || !secondOK {
		return false
	}
	switch c.call.name {
	case "attribute_type":
		return first.kind.String() == second.text
	case "begins_with":
		return first.kind == second.kind && (first.kind == kindString || first.kind == kindBinary) &&
			strings.HasPrefix(first.text, second.text)
	default:
		return first.contains(second)
	}
}

func (v Value) contains(part Value) bool {
	switch v.kind { //nolint:exhaustive // nothing else contains anything
	case kindString, kindBinary:
		return part.kind == v.kind && strings.Contains(v.text, part.text)
	case kindStringSet, kindNumberSet, kindBinarySet:
		return part.kind == elementKind(v.kind) && v.hasElement(part.text)
	case kindList:
		for _, element := range v.list() {
			if element.equal(part) {
				return true
			}
		}
	}
	return false
}
