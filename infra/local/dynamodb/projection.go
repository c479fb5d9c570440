package dynamodb

import (
	"maps"
	"slices"
)

// parseProjection reads a ProjectionExpression.
func parseProjection(text string, n *names) (*pathTree, error) {
	p := newParser(text, n)
	tree := &pathTree{}
	for p.syntax == "" {
		p.addPath(tree, p.path())
		if !p.accept(",") {
			break
		}
	}
	return tree, p.finish("ProjectionExpression")
}

// project keeps what the paths lead to; list elements close up.
func (t *pathTree) project(item Item) Item {
	return Item(t.projectMembers(item))
}

func (t *pathTree) projectMembers(members map[string]Value) map[string]Value {
	result := make(map[string]Value, len(t.children))
	for s, child := range t.children {
		member, ok := members[s.name]
		if !ok || s.indexed {
			continue
		}
		if kept, ok := child.projectValue(member); ok {
			result[s.name] = kept
		}
	}
	return result
}

func (t *pathTree) projectValue(v Value) (Value, bool) {
	if t.path != nil {
		return v, true
	}
	switch v.kind {
	case kindMap:
		members := t.projectMembers(v.members())
		return Value{kind: kindMap, rest: members}, len(members) > 0
	case kindList:
		list := t.projectList(v.list())
		return Value{kind: kindList, rest: list}, len(list) > 0
	default:
		return Value{}, false
	}
}

func (t *pathTree) projectList(list []Value) []Value {
	steps := slices.SortedFunc(maps.Keys(t.children), func(a, b step) int { return a.index - b.index })
	var result []Value
	for _, s := range steps {
		if !s.indexed || s.index >= len(list) {
			continue
		}
		if kept, ok := t.children[s].projectValue(list[s.index]); ok {
			result = append(result, kept)
		}
	}
	return result
}
