package dynamodb

import (
	"cmp"
	"maps"
	"slices"
)

// Words of errors that an update may meet in an item.
const (
	errOperandType = "An operand in the update expression has an incorrect data type"
	errNoAttribute = "The provided expression refers to an attribute that does not exist in the item"
	errPathInvalid = "The document path provided in the update expression is invalid for update"
)

// An update is a parsed UpdateExpression.
type update struct {
	set     []setAction
	remove  []path
	add     []setChange
	discard []setChange // DELETE
	paths   pathTree    // all that it touches
}

// A setAction is path = left, or path = left + right, or path = left - right.
type setAction struct {
	path        path
	left, right operand
	operator    string // "", "+" or "-"
}

// A setChange is the argument of ADD or DELETE.
type setChange struct {
	path  path
	value Value
}

// parseUpdate reads an UpdateExpression.
func parseUpdate(text string, n *names) (*update, error) {
	p := newParser(text, n)
	u := &update{}
	seen := make(map[string]bool)
	if p.syntax == "" && p.peek().kind == tokenEnd {
		p.fail()
	}
	for p.syntax == "" && p.peek().kind != tokenEnd {
		p.section(u, seen)
	}
	return u, p.finish("UpdateExpression")
}

func (p *parser) section(u *update, seen map[string]bool) {
	var name string
	var read func(*update)
	switch t := p.peek(); {
	case t.is("SET"):
		name, read = "SET", p.setAction
	case t.is("REMOVE"):
		name, read = "REMOVE", p.removeAction
	case t.is("ADD"):
		name, read = "ADD", p.addAction
	case t.is("DELETE"):
		name, read = "DELETE", p.deleteAction
	default:
		p.fail()
		return
	}
	p.next()
	if seen[name] {
		p.object(rankSection, `The "%s" section can only be used once in an update expression;`, name)
	}
	seen[name] = true
	for p.syntax == "" {
		p.countOperator()
		read(u)
		if !p.accept(",") {
			return
		}
	}
}

func (p *parser) target(u *update) path {
	target := p.path()
	p.addPath(&u.paths, target)
	return target
}

func (p *parser) removeAction(u *update) { u.remove = append(u.remove, p.target(u)) }

func (p *parser) setAction(u *update) {
	action := setAction{path: p.target(u)}
	p.expect("=")
	enclosed := p.accept("(")
	action.left = p.operand()
	if p.peek().is("+") || p.peek().is("-") {
		action.operator = p.next().text
		action.right = p.operand()
		p.checkArithmetic(action)
	}
	if enclosed {
		p.expect(")")
	}
	p.checkSetOperand(action.left)
	p.checkSetOperand(action.right)
	u.set = append(u.set, action)
}

func (p *parser) checkArithmetic(action setAction) {
	for _, o := range []operand{action.left, action.right} {
		if k, ok := o.literal(); ok && k != kindInvalid && k != kindNumber {
			p.wrongType(action.operator, k)
		}
	}
}

// checkSetOperand checks the functions of update expressions.
func (p *parser) checkSetOperand(o operand) {
	c := o.call
	if c == nil {
		return
	}
	for _, argument := range c.args {
		p.checkSetOperand(argument)
	}
	switch c.name {
	case "if_not_exists":
		if p.checkCount(c, 2) {
			p.checkPathArgument(c)
		}
	case "list_append":
		if p.checkCount(c, 2) {
			p.checkLists(c)
		}
	case "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size":
		p.object(rankFunction, "The function is not allowed in an update expression; function: %s", c.name)
	default:
		p.object(rankFunction, "Invalid function name; function: %s", c.name)
	}
}

func (p *parser) checkLists(c *call) {
	for _, o := range c.args {
		if k, ok := o.literal(); ok && k != kindInvalid && k != kindList {
			p.wrongType(c.name, k)
		}
	}
}

func (p *parser) addAction(u *update) {
	change := setChange{path: p.target(u), value: p.value()}
	k := change.value.kind
	if k != kindInvalid && k != kindNumber && elementKind(k) == kindInvalid {
		p.object(rankOperands, "Incorrect operand type for operator or function; operator: ADD, operand type: %s, "+
			"typeSet: ALLOWED_FOR_ADD_OPERAND", k.longName())
	}
	u.add = append(u.add, change)
}

func (p *parser) deleteAction(u *update) {
	change := setChange{path: p.target(u), value: p.value()}
	k := change.value.kind
	if k != kindInvalid && elementKind(k) == kindInvalid {
		p.object(rankOperands, "Incorrect operand type for operator or function; operator: DELETE, operand type: %s, "+
			"typeSet: ALLOWED_FOR_DELETE_OPERAND", k.longName())
	}
	u.discard = append(u.discard, change)
}

// creates tells whether the update brings an item into being: one that only removes does not.
func (u *update) creates() bool {
	return len(u.set)+len(u.add) > 0 || len(u.remove)+len(u.discard) == 0
}

// apply answers the item after the update; the given one stays as it was. Every operand sees the item before the update.
func (u *update) apply(item Item) (Item, error) {
	values, err := u.values(item)
	if err != nil {
		return nil, err
	}
	e := &editor{item: maps.Clone(item), owned: make(map[string]bool)}
	for _, target := range u.remove {
		if err := e.edit(target, gone); err != nil {
			return nil, err
		}
	}
	for _, i := range u.setOrder() {
		if err := e.edit(u.set[i].path, replace(values[i])); err != nil {
			return nil, err
		}
	}
	for _, change := range u.add {
		if err := e.edit(change.path, adding(change.value)); err != nil {
			return nil, err
		}
	}
	for _, change := range u.discard {
		if err := e.edit(change.path, discarding(change.value)); err != nil {
			return nil, err
		}
	}
	e.closeUp()
	return e.item, nil
}

// setOrder puts list indices in ascending order: those beyond a list's end are appended in that order.
func (u *update) setOrder() []int {
	order := make([]int, len(u.set))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(u.set[a].path[len(u.set[a].path)-1].index, u.set[b].path[len(u.set[b].path)-1].index)
	})
	return order
}

func (u *update) values(item Item) ([]Value, error) {
	values := make([]Value, len(u.set))
	for i, action := range u.set {
		value, err := action.value(item)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

func (a setAction) value(item Item) (Value, error) {
	left, err := a.left.updateValue(item)
	if err != nil || a.operator == "" {
		return left, err
	}
	right, err := a.right.updateValue(item)
	if err != nil {
		return Value{}, err
	}
	if left.kind != kindNumber || right.kind != kindNumber {
		return Value{}, invalid(errOperandType)
	}
	term := right.number()
	if a.operator == "-" {
		term = term.negated()
	}
	return sum(left.number(), term)
}

func sum(a, b number) (Value, error) {
	result, problem := addNumbers(a, b)
	if problem != "" {
		return Value{}, invalid("%s", problem)
	}
	return numberValue(result), nil
}

func (o operand) updateValue(item Item) (Value, error) {
	if o.path != nil {
		value, ok := o.path.in(item)
		if !ok {
			return Value{}, invalid(errNoAttribute)
		}
		return value, nil
	}
	if o.call == nil {
		return o.value, nil
	}
	if o.call.name == "if_not_exists" {
		if value, ok := o.call.args[0].path.in(item); ok {
			return value, nil
		}
		return o.call.args[1].updateValue(item)
	}
	return o.call.listAppend(item)
}

func (c *call) listAppend(item Item) (Value, error) {
	first, err := c.args[0].updateValue(item)
	if err != nil {
		return Value{}, err
	}
	second, err := c.args[1].updateValue(item)
	if err != nil {
		return Value{}, err
	}
	if first.kind != kindList || second.kind != kindList {
		return Value{}, invalid(errOperandType)
	}
	return Value{kind: kindList, rest: slices.Concat(first.list(), second.list())}, nil
}

// An edit changes one attribute; ok tells whether there was one, and a kindGone result removes it.
type edit func(old Value, ok bool) (Value, error)

func gone(Value, bool) (Value, error) { return Value{kind: kindGone}, nil }

func replace(v Value) edit {
	return func(Value, bool) (Value, error) { return v, nil }
}

func adding(v Value) edit {
	return func(old Value, ok bool) (Value, error) {
		switch {
		case !ok:
			return v, nil
		case old.kind != v.kind:
			return Value{}, invalid(errOperandType)
		case v.kind == kindNumber:
			return sum(old.number(), v.number())
		}
		union := slices.Concat(old.set(), v.set())
		sortSet(v.kind, union)
		return Value{kind: v.kind, rest: slices.Compact(union)}, nil
	}
}

func discarding(v Value) edit {
	return func(old Value, ok bool) (Value, error) {
		switch {
		case !ok:
			return Value{kind: kindGone}, nil
		case old.kind != v.kind:
			return Value{}, invalid(errOperandType)
		}
		left := slices.DeleteFunc(slices.Clone(old.set()), v.hasElement)
		if len(left) == 0 {
			return Value{kind: kindGone}, nil
		}
		return Value{kind: v.kind, rest: left}, nil
	}
}

// An editor changes a copy of an item: an attribute is copied whole when an edit first goes into it.
type editor struct {
	item  Item
	owned map[string]bool
}

func (e *editor) edit(target path, change edit) error {
	name := target[0].name
	old, ok := e.item[name]
	if len(target) == 1 {
		changed, err := change(old, ok)
		if err != nil {
			return err
		}
		putMember(e.item, name, changed)
		return nil
	}
	if !ok {
		return invalid(errPathInvalid)
	}
	if !e.owned[name] {
		old = old.clone()
		e.owned[name] = true
	}
	changed, err := old.edit(target[1:], change)
	if err != nil {
		return err
	}
	e.item[name] = changed
	return nil
}

func putMember(members map[string]Value, name string, v Value) {
	if v.kind == kindGone {
		delete(members, name)
		return
	}
	members[name] = v
}

// edit changes a document in place and answers it; only a list that grows is another one.
func (v Value) edit(target path, change edit) (Value, error) {
	s := target[0]
	if s.indexed && v.kind == kindList {
		return v.editElement(target, change)
	}
	if s.indexed || v.kind != kindMap {
		return Value{}, invalid(errPathInvalid)
	}
	old, ok := v.members()[s.name]
	changed, err := descend(old, ok, target[1:], change)
	if err != nil {
		return Value{}, err
	}
	putMember(v.members(), s.name, changed)
	return v, nil
}

func (v Value) editElement(target path, change edit) (Value, error) {
	list := v.list()
	index := target[0].index
	if index >= len(list) {
		changed, err := descend(Value{}, false, target[1:], change)
		if err != nil || changed.kind == kindGone {
			return v, err
		}
		return Value{kind: kindList, rest: append(list, changed)}, nil
	}
	changed, err := descend(list[index], list[index].kind != kindGone, target[1:], change)
	if err != nil {
		return Value{}, err
	}
	list[index] = changed
	return v, nil
}

func descend(old Value, ok bool, rest path, change edit) (Value, error) {
	if len(rest) == 0 {
		return change(old, ok)
	}
	if !ok {
		return Value{}, invalid(errPathInvalid)
	}
	return old.edit(rest, change)
}

// clone copies maps and lists; scalars and sets are never changed in place.
func (v Value) clone() Value {
	switch v.kind { //nolint:exhaustive // the rest has nothing to copy
	case kindMap:
		members := make(map[string]Value, len(v.members()))
		for name, member := range v.members() {
			members[name] = member.clone()
		}
		v.rest = members
	case kindList:
		list := make([]Value, len(v.list()))
		for i, element := range v.list() {
			list[i] = element.clone()
		}
		v.rest = list
	}
	return v
}

// closeUp takes removed list elements out, once all indices have been used.
func (e *editor) closeUp() {
	for name := range e.owned {
		if closed, changed := e.item[name].closeUp(); changed {
			e.item[name] = closed
		}
	}
}

// closeUp writes only where an element is gone: what is not may be shared with a stored item.
func (v Value) closeUp() (closed Value, changed bool) {
	switch v.kind { //nolint:exhaustive // only documents have elements
	case kindMap:
		for name, member := range v.members() {
			if closed, ok := member.closeUp(); ok {
				v.members()[name] = closed
				changed = true
			}
		}
	case kindList:
		return v.closeUpList()
	}
	return v, changed
}

func (v Value) closeUpList() (closed Value, changed bool) {
	list := v.list()
	for i, element := range list {
		if closed, ok := element.closeUp(); ok {
			list[i] = closed
			changed = true
		}
	}
	isGone := func(element Value) bool { return element.kind == kindGone }
	if slices.ContainsFunc(list, isGone) {
		return Value{kind: kindList, rest: slices.DeleteFunc(list, isGone)}, true
	}
	return v, changed
}
