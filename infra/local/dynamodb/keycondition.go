package dynamodb

import "strings"

// A keyCondition restricts one key attribute. operator is a comparator, "BETWEEN" or "begins_with".
type keyCondition struct {
	name     string
	operator string
	values   []Value
}

const invalidKeyCondition = "Invalid condition in KeyConditionExpression: "

// readKeyConditions takes a KeyConditionExpression apart: one condition per key, joined by AND.
func readKeyConditions(c condition) ([]keyCondition, error) {
	var all []keyCondition
	if err := gatherKeyConditions(c, &all); err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for _, k := range all {
		if seen[k.name] {
			return nil, invalid("KeyConditionExpressions must only contain one condition per key")
		}
		seen[k.name] = true
	}
	if len(all) > 2 {
		return nil, invalid("Conditions can be of length 1 or 2 only")
	}
	return all, nil
}

func gatherKeyConditions(c condition, all *[]keyCondition) error {
	if and, ok := c.(andCondition); ok {
		for _, inner := range and {
			if err := gatherKeyConditions(inner, all); err != nil {
				return err
			}
		}
		return nil
	}
	k, err := readKeyCondition(c)
	if err != nil {
		return err
	}
	*all = append(*all, k)
	return nil
}

func readKeyCondition(c condition) (keyCondition, error) {
	switch c := c.(type) {
	case compareCondition:
		return c.keyCondition()
	case betweenCondition:
		return keyConditionOf("BETWEEN", c.operand, c.low, c.high)
	case callCondition:
		if c.call.name == "begins_with" {
			return keyConditionOf("begins_with", c.call.args[0], c.call.args[1])
		}
		return keyCondition{}, invalidOperator(c.call.name)
	case orCondition:
		return keyCondition{}, invalidOperator("OR")
	case notCondition:
		return keyCondition{}, invalidOperator("NOT")
	default:
		return keyCondition{}, invalidOperator("IN")
	}
}

func invalidOperator(name string) error {
	return invalid("Invalid operator used in KeyConditionExpression: %s", name)
}

func (c compareCondition) keyCondition() (keyCondition, error) {
	if c.operator == "<>" {
		return keyCondition{}, invalidOperator("<>")
	}
	if c.left.path != nil || c.left.call != nil {
		return keyConditionOf(c.operator, c.left, c.right)
	}
	mirrored := map[string]string{"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
	return keyConditionOf(mirrored[c.operator], c.right, c.left)
}

func keyConditionOf(operator string, attribute operand, values ...operand) (keyCondition, error) {
	k := keyCondition{operator: operator}
	if attribute.call != nil {
		return k, invalid("KeyConditionExpressions cannot contain nested operations")
	}
	for _, v := range values {
		switch {
		case v.call != nil:
			return k, invalid("KeyConditionExpressions cannot contain nested operations")
		case v.path != nil && attribute.path != nil:
			return k, invalid(invalidKeyCondition + "Multiple attribute names used in one condition")
		}
		k.values = append(k.values, v.value)
	}
	switch {
	case attribute.path == nil && (operator == "BETWEEN" || operator == "begins_with"):
		return k, invalid(invalidKeyCondition+"%s operator must have the key attribute as its first operand", operator)
	case attribute.path == nil:
		return k, invalid(invalidKeyCondition + "No key attribute specified")
	case len(attribute.path) > 1:
		return k, invalid("KeyConditionExpressions cannot have conditions on nested attributes")
	}
	k.name = attribute.path[0].name
	return k, nil
}

// assignKeys matches conditions with a schema; sorted is nil where the sort key is free.
func assignKeys(conditions []keyCondition, keys keySchema) (partition string, sorted *keyCondition, err error) {
	given := make(map[string]*keyCondition)
	for i := range conditions {
		given[conditions[i].name] = &conditions[i]
	}
	if keys.sort == "" && len(conditions) > 1 {
		return "", nil, invalid("Query key condition not supported")
	}
	for _, name := range keys.names() {
		k := given[name]
		if k == nil && (name == keys.partition || len(conditions) > 1) {
			return "", nil, invalid("Query condition missed key schema element: %s", name)
		}
		if k == nil {
			continue
		}
		if err := k.check(keys.kindOf(name)); err != nil {
			return "", nil, err
		}
	}
	hash := given[keys.partition]
	if hash.operator != "=" {
		return "", nil, invalid("Query key condition not supported")
	}
	return hash.values[0].sortable(), given[keys.sort], nil
}

func (k *keyCondition) check(want kind) error {
	for _, v := range k.values {
		if v.kind != want {
			return invalidParameter("Condition parameter type does not match schema type")
		}
		if v.text == "" {
			return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "+
				"an empty %s value. Key: %s", strings.ToLower(v.kind.longName()), k.name)
		}
	}
	if k.operator == "begins_with" && want == kindNumber {
		return invalid("Invalid operand type for begins_with in KeyConditionExpression: N")
	}
	return nil
}

// querySpan is the part of a tree that a query walks.
func querySpan(partition string, sorted *keyCondition) keySpan {
	hash := hashOf(partition)
	low, high := sorted.limits()
	place := func(k key) int {
		return compareKeys(key{hash: k.hash, partition: k.partition}, key{hash: hash, partition: partition})
	}
	return keySpan{
		before: func(k key) bool {
			c := place(k)
			return c < 0 || (c == 0 && low(k.sort))
		},
		after: func(k key) bool {
			c := place(k)
			return c > 0 || (c == 0 && high(k.sort))
		},
	}
}

// limits tells which encoded sort keys are below and above the condition; a nil condition has no limits.
func (k *keyCondition) limits() (below, above func(string) bool) {
	none := func(string) bool { return false }
	if k == nil {
		return none, none
	}
	v := k.values[0].sortable()
	less := func(s string) bool { return s < v }
	more := func(s string) bool { return s > v }
	switch k.operator {
	case "=":
		return less, more
	case "<":
		return none, func(s string) bool { return s >= v }
	case "<=":
		return none, more
	case ">":
		return func(s string) bool { return s <= v }, none
	case ">=":
		return less, none
	case "begins_with":
		return less, func(s string) bool { return s > v && !strings.HasPrefix(s, v) }
	}
	top := k.values[1].sortable()
	return less, func(s string) bool { return s > top }
}

// eachPath visits all document paths of a condition.
func eachPath(c condition, visit func(path)) {
	switch c := c.(type) {
	case andCondition:
		for _, inner := range c {
			eachPath(inner, visit)
		}
	case orCondition:
		for _, inner := range c {
			eachPath(inner, visit)
		}
	case notCondition:
		eachPath(c.inner, visit)
	case compareCondition:
		eachOperandPath(visit, c.left, c.right)
	case betweenCondition:
		eachOperandPath(visit, c.operand, c.low, c.high)
	case inCondition:
		eachOperandPath(visit, append([]operand{c.operand}, c.list...)...)
	case callCondition:
		eachOperandPath(visit, c.call.args...)
	}
}

func eachOperandPath(visit func(path), operands ...operand) {
	for _, o := range operands {
		switch {
		case o.path != nil:
			visit(o.path)
		case o.call != nil:
			eachOperandPath(visit, o.call.args...)
		}
	}
}
