package dynamodb

import (
	"cmp"
	"slices"
	"strings"
)

// A key places an entry of a table or index: partitions by hash, inside one by sort key, and in an index by the table's key.
type key struct {
	hash      uint64
	partition string
	sort      string
	base      string // in an index, the table's own key
}

func compareKeys(a, b key) int {
	if c := cmp.Compare(a.hash, b.hash); c != 0 {
		return c
	}
	if c := strings.Compare(a.partition, b.partition); c != 0 {
		return c
	}
	if c := strings.Compare(a.sort, b.sort); c != 0 {
		return c
	}
	return strings.Compare(a.base, b.base)
}

// hashOf spreads partitions over the 64-bit space that Scan walks and its segments divide: FNV-1a and a final mix.
func hashOf(partition string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(partition) {
		h = (h ^ uint64(partition[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	return h ^ h>>33
}

// A record is a stored item. It never changes: an update stores another record.
type record struct {
	item Item
	size int
}

type entry struct {
	key    key
	record *record
}

// A tree is a B-tree of entries in key order: look-ups, writes and the start of a walk take O(log n).
type tree struct {
	root  *node
	count int
}

const (
	maxEntries = 63
	minEntries = maxEntries / 2
)

type node struct {
	entries  []entry
	children []*node // none in a leaf, else one more than entries
}

// find gives the place of k in the node, and whether it is there.
func (n *node) find(k key) (int, bool) {
	return slices.BinarySearchFunc(n.entries, k, func(e entry, k key) int { return compareKeys(e.key, k) })
}

func (t *tree) get(k key) *record {
	for n := t.root; n != nil; {
		i, found := n.find(k)
		if found {
			return n.entries[i].record
		}
		if len(n.children) == 0 {
			return nil
		}
		n = n.children[i]
	}
	return nil
}

// set stores r under k in place of whatever was there.
func (t *tree) set(k key, r *record) {
	if t.root == nil {
		t.root = &node{}
	}
	if len(t.root.entries) == maxEntries {
		t.root = &node{children: []*node{t.root}}
		t.root.split(0)
	}
	if t.root.insert(entry{key: k, record: r}) {
		t.count++
	}
}

// split divides the full child i in two around its middle entry.
func (n *node) split(i int) {
	child := n.children[i]
	middle := child.entries[minEntries]
	right := &node{entries: slices.Clone(child.entries[minEntries+1:])}
	clear(child.entries[minEntries:])
	child.entries = child.entries[:minEntries]
	if len(child.children) > 0 {
		right.children = slices.Clone(child.children[minEntries+1:])
		clear(child.children[minEntries+1:])
		child.children = child.children[:minEntries+1]
	}
	n.entries = slices.Insert(n.entries, i, middle)
	n.children = slices.Insert(n.children, i+1, right)
}

func (n *node) insert(e entry) (added bool) {
	i, found := n.find(e.key)
	if found {
		n.entries[i] = e
		return false
	}
	if len(n.children) == 0 {
		n.entries = slices.Insert(n.entries, i, e)
		return true
	}
	if len(n.children[i].entries) == maxEntries {
		n.split(i)
		switch c := compareKeys(e.key, n.entries[i].key); {
		case c == 0:
			n.entries[i] = e
			return false
		case c > 0:
			i++
		}
	}
	return n.children[i].insert(e)
}

func (t *tree) remove(k key) {
	if t.root == nil || !t.root.remove(k) {
		return
	}
	t.count--
	if len(t.root.entries) > 0 {
		return
	}
	if len(t.root.children) == 0 {
		t.root = nil
		return
	}
	t.root = t.root.children[0]
}

func (n *node) remove(k key) bool {
	i, found := n.find(k)
	if len(n.children) == 0 {
		if found {
			n.entries = slices.Delete(n.entries, i, i+1)
		}
		return found
	}
	if len(n.children[i].entries) <= minEntries {
		n.fill(i)
		return n.remove(k)
	}
	if !found {
		return n.children[i].remove(k)
	}
	n.entries[i] = n.children[i].removeLast()
	return true
}

func (n *node) removeLast() entry {
	last := len(n.entries) - 1
	if len(n.children) == 0 {
		e := n.entries[last]
		n.entries = slices.Delete(n.entries, last, last+1)
		return e
	}
	if len(n.children[last+1].entries) <= minEntries {
		n.fill(last + 1)
		return n.removeLast()
	}
	return n.children[last+1].removeLast()
}

// fill makes child i hold more than the minimum, from a neighbour or by joining it with one.
func (n *node) fill(i int) {
	switch {
	case i > 0 && len(n.children[i-1].entries) > minEntries:
		n.borrowLeft(i)
	case i < len(n.entries) && len(n.children[i+1].entries) > minEntries:
		n.borrowRight(i)
	case i < len(n.entries):
		n.join(i)
	default:
		n.join(i - 1)
	}
}

func (n *node) borrowLeft(i int) {
	child, left := n.children[i], n.children[i-1]
	last := len(left.entries) - 1
	child.entries = slices.Insert(child.entries, 0, n.entries[i-1])
	n.entries[i-1] = left.entries[last]
	left.entries = slices.Delete(left.entries, last, last+1)
	if len(left.children) > 0 {
		child.children = slices.Insert(child.children, 0, left.children[last+1])
		left.children = slices.Delete(left.children, last+1, last+2)
	}
}

func (n *node) borrowRight(i int) {
	child, right := n.children[i], n.children[i+1]
	child.entries = append(child.entries, n.entries[i])
	n.entries[i] = right.entries[0]
	right.entries = slices.Delete(right.entries, 0, 1)
	if len(right.children) > 0 {
		child.children = append(child.children, right.children[0])
		right.children = slices.Delete(right.children, 0, 1)
	}
}

// join merges child i, entry i and child i+1.
func (n *node) join(i int) {
	left, right := n.children[i], n.children[i+1]
	left.entries = append(append(left.entries, n.entries[i]), right.entries...)
	left.children = append(left.children, right.children...)
	n.entries = slices.Delete(n.entries, i, i+1)
	n.children = slices.Delete(n.children, i+1, i+2)
}

// ascend visits entries in order from the first one that is not before, until visit answers false. before must hold for a
// prefix of the order.
func (t *tree) ascend(before func(key) bool, visit func(entry) bool) {
	if t.root != nil {
		t.root.ascend(before, visit)
	}
}

func (n *node) ascend(before func(key) bool, visit func(entry) bool) bool {
	start := firstFrom(n.entries, func(k key) bool { return !before(k) })
	for i := start; i <= len(n.entries); i++ {
		if len(n.children) > 0 && !n.children[i].ascend(before, visit) {
			return false
		}
		if i < len(n.entries) && !visit(n.entries[i]) {
			return false
		}
	}
	return true
}

// descend visits entries in reverse order from the last one that is not after, until visit answers false. after must hold
// for a suffix of the order.
func (t *tree) descend(after func(key) bool, visit func(entry) bool) {
	if t.root != nil {
		t.root.descend(after, visit)
	}
}

func (n *node) descend(after func(key) bool, visit func(entry) bool) bool {
	start := firstFrom(n.entries, after)
	for i := start; i >= 0; i-- {
		if i < start && !visit(n.entries[i]) {
			return false
		}
		if len(n.children) > 0 && !n.children[i].descend(after, visit) {
			return false
		}
	}
	return true
}

// firstFrom finds the first entry for which holds is true, given that it then holds for all that follow.
func firstFrom(entries []entry, holds func(key) bool) int {
	low, high := 0, len(entries)
	for low < high {
		middle := (low + high) / 2
		if holds(entries[middle].key) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low
}
