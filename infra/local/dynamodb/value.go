package dynamodb

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// A kind is the type of an attribute value.
type kind uint8

const (
	kindInvalid kind = iota // text holds what is wrong with the value
	kindString
	kindNumber
	kindBinary
	kindBool
	kindNull
	kindList
	kindMap
	kindStringSet
	kindNumberSet
	kindBinarySet
	kindGone // a list element that an update removes
)

// maxDepth is how deep attributes may nest.
const maxDepth = 32

// String is the type's descriptor in the protocol.
func (k kind) String() string {
	names := [...]string{"", "S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS", ""}
	return names[k]
}

// kindOf finds a type by its descriptor; kindInvalid for an unknown one.
func kindOf(descriptor string) kind {
	for k := kindString; k <= kindBinarySet; k++ {
		if k.String() == descriptor {
			return k
		}
	}
	return kindInvalid
}

// longName is what DynamoDB calls a type in the errors of ADD and DELETE.
func (k kind) longName() string {
	names := [...]string{
		"", "STRING", "NUMBER", "BINARY", "BOOLEAN", "NULL", "LIST", "MAP", "STRING_SET", "NUMBER_SET", "BINARY_SET", "",
	}
	return names[k]
}

// A Value is one attribute value. Values are immutable once they are part of a stored item.
// Its JSON form is DynamoDB's: {"S": "text"}.
type Value struct {
	kind  kind
	truth bool
	text  string // S and B raw, N in its canonical form
	rest  any    // []Value, map[string]Value, or []string for sets: sorted, numbers canonical
}

// An Item is a set of named attributes.
type Item map[string]Value

func invalidValue(problem string) Value { return Value{text: problem} }

func (v Value) list() []Value {
	list, _ := v.rest.([]Value)
	return list
}

func (v Value) members() map[string]Value {
	members, _ := v.rest.(map[string]Value)
	return members
}

func (v Value) set() []string {
	set, _ := v.rest.([]string)
	return set
}

// number of a kindNumber value; its text is canonical, so it parses.
func (v Value) number() number {
	n, _ := parseNumber(v.text)
	return n
}

func numberValue(n number) Value { return Value{kind: kindNumber, text: n.String()} }

// UnmarshalJSON reads the protocol's form. Only a wrong JSON shape is an error: a value that DynamoDB would refuse is kept
// as such, because its error names the parameter that it came in.
func (v *Value) UnmarshalJSON(data []byte) error {
	var raw any
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("attribute value: %w", err)
	}
	read, err := readValue(raw, 1)
	*v = read
	return err
}

type shapeError string

func (e shapeError) Error() string { return string(e) }

func readValue(raw any, depth int) (Value, error) {
	object, ok := raw.(map[string]any)
	if !ok {
		return Value{}, shapeError("Unexpected value type in payload")
	}
	if depth > maxDepth {
		return invalidValue("Nesting Levels have exceeded supported limits"), nil
	}
	var found Value
	count := 0
	for descriptor, content := range object {
		k := kindOf(descriptor)
		if k == kindInvalid || content == nil {
			continue
		}
		read, err := readKind(k, content, depth)
		if err != nil {
			return Value{}, err
		}
		found = read
		count++
	}
	switch {
	case count == 0:
		return invalidValue("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"), nil
	case count > 1:
		return invalidValue("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"), nil
	}
	return found, nil
}

func readKind(k kind, content any, depth int) (Value, error) {
	switch k {
	case kindString:
		text, err := readText(content)
		return Value{kind: kindString, text: text}, err
	case kindNumber:
		return readNumber(content)
	case kindBinary:
		raw, err := readBytes(content)
		return Value{kind: kindBinary, text: raw}, err
	case kindBool:
		truth, err := readBool(content)
		return Value{kind: kindBool, truth: truth}, err
	case kindNull:
		return readNull(content)
	case kindList:
		return readList(content, depth)
	case kindMap:
		return readMap(content, depth)
	case kindStringSet, kindNumberSet, kindBinarySet:
		return readSet(k, content)
	case kindInvalid, kindGone:
	}
	return Value{}, shapeError("Unexpected value type in payload")
}

func readText(content any) (string, error) {
	switch content := content.(type) {
	case string:
		return content, nil
	case float64:
		return "", shapeError("NUMBER_VALUE cannot be converted to String")
	case bool:
		return "", shapeError(strings.ToUpper(fmt.Sprint(content)) + "_VALUE cannot be converted to String")
	}
	return "", shapeError("Start of structure or map found where not expected")
}

func readBytes(content any) (string, error) {
	text, ok := content.(string)
	if !ok {
		return "", shapeError("only base-64-encoded strings are convertible to bytes")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", shapeError("Invalid Base64 in a binary value")
	}
	return string(raw), nil
}

func readBool(content any) (bool, error) {
	truth, ok := content.(bool)
	if !ok {
		return false, shapeError("Unexpected token received from parser")
	}
	return truth, nil
}

func readNull(content any) (Value, error) {
	null, err := readBool(content)
	if err != nil {
		return Value{}, err
	}
	if !null {
		return invalidValue("One or more parameter values were invalid: Null attribute value types must have the value of true"), nil
	}
	return Value{kind: kindNull}, nil
}

func readNumber(content any) (Value, error) {
	text, err := readText(content)
	if err != nil {
		return Value{}, err
	}
	n, problem := parseNumber(text)
	if problem != "" {
		return invalidValue(problem), nil
	}
	return numberValue(n), nil
}

func readList(content any, depth int) (Value, error) {
	raw, ok := content.([]any)
	if !ok {
		return Value{}, shapeError("Unexpected field type")
	}
	list := make([]Value, len(raw))
	for i, element := range raw {
		read, err := readValue(element, depth+1)
		if err != nil || read.kind == kindInvalid {
			return read, err
		}
		list[i] = read
	}
	return Value{kind: kindList, rest: list}, nil
}

func readMap(content any, depth int) (Value, error) {
	raw, ok := content.(map[string]any)
	if !ok {
		return Value{}, shapeError("Unexpected field type")
	}
	members := make(map[string]Value, len(raw))
	for name, member := range raw {
		read, err := readValue(member, depth+1)
		if err != nil || read.kind == kindInvalid {
			return read, err
		}
		members[name] = read
	}
	return Value{kind: kindMap, rest: members}, nil
}

func readSet(k kind, content any) (Value, error) {
	raw, ok := content.([]any)
	if !ok {
		return Value{}, shapeError("Unexpected field type")
	}
	if len(raw) == 0 {
		return invalidValue(emptySet(k)), nil
	}
	set := make([]string, 0, len(raw))
	for _, element := range raw {
		read, err := readKind(elementKind(k), element, maxDepth)
		if err != nil || read.kind == kindInvalid {
			return read, err
		}
		set = append(set, read.text)
	}
	sortSet(k, set)
	if len(slices.Compact(slices.Clone(set))) < len(set) {
		return invalidValue(duplicates(k, raw)), nil
	}
	return Value{kind: k, rest: set}, nil
}

func emptySet(k kind) string {
	switch k {
	case kindStringSet:
		return "One or more parameter values were invalid: An string set  may not be empty"
	case kindNumberSet:
		return "One or more parameter values were invalid: An number set  may not be empty"
	default:
		return "One or more parameter values were invalid: Binary sets should not be empty"
	}
}

func duplicates(k kind, raw []any) string {
	if k == kindNumberSet {
		return "Input collection contains duplicates"
	}
	texts := make([]string, len(raw))
	for i, element := range raw {
		texts[i] = fmt.Sprint(element)
	}
	list := "[" + strings.Join(texts, ", ") + "]"
	if k == kindBinarySet {
		return "One or more parameter values were invalid: Input collection " + list + "of type BS contains duplicates."
	}
	return "One or more parameter values were invalid: Input collection " + list + " contains duplicates."
}

// elementKind is the type of a set's elements.
func elementKind(set kind) kind {
	switch set {
	case kindStringSet:
		return kindString
	case kindNumberSet:
		return kindNumber
	case kindBinarySet:
		return kindBinary
	default:
		return kindInvalid
	}
}

func sortSet(k kind, set []string) {
	slices.SortFunc(set, func(a, b string) int {
		return compareText(elementKind(k), a, b)
	})
}

func compareText(k kind, a, b string) int {
	if k != kindNumber || a == b {
		return strings.Compare(a, b)
	}
	x, _ := parseNumber(a)
	y, _ := parseNumber(b)
	return strings.Compare(x.sortable(), y.sortable())
}

// MarshalJSON writes the protocol's form, map members in order of their names.
func (v Value) MarshalJSON() ([]byte, error) {
	return v.appendJSON(nil), nil
}

func (v Value) appendJSON(b []byte) []byte {
	b = append(b, `{"`...)
	b = append(b, v.kind.String()...)
	b = append(b, `":`...)
	switch v.kind {
	case kindString, kindNumber, kindBinary:
		b = appendText(b, v.kind, v.text)
	case kindBool:
		b = fmt.Append(b, v.truth)
	case kindNull:
		b = append(b, "true"...)
	case kindList:
		b = appendList(b, v.list(), func(b []byte, element Value) []byte { return element.appendJSON(b) })
	case kindMap:
		b = appendMembers(b, v.members())
	case kindStringSet, kindNumberSet, kindBinarySet:
		b = appendList(b, v.set(), func(b []byte, element string) []byte { return appendText(b, elementKind(v.kind), element) })
	case kindInvalid, kindGone:
		b = append(b, "null"...)
	}
	return append(b, '}')
}

func appendList[T any](b []byte, list []T, add func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, element := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = add(b, element)
	}
	return append(b, ']')
}

func appendMembers(b []byte, members map[string]Value) []byte {
	b = append(b, '{')
	for i, name := range sortedKeys(members) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, kindString, name), ':')
		b = members[name].appendJSON(b)
	}
	return append(b, '}')
}

func appendText(b []byte, k kind, text string) []byte {
	if k == kindBinary {
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, []byte(text))
		return append(b, '"')
	}
	if isPlain(text) {
		return append(append(append(b, '"'), text...), '"')
	}
	quoted, err := json.Marshal(text)
	if err != nil { // cannot be: every string marshals
		return append(b, `""`...)
	}
	return append(b, quoted...)
}

func isPlain(text string) bool {
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// storedSize is what the value counts towards an item's size.
func (v Value) storedSize() int {
	switch v.kind {
	case kindString, kindBinary:
		return len(v.text)
	case kindNumber:
		return v.number().size()
	case kindBool, kindNull:
		return 1
	case kindList:
		size := 3
		for _, element := range v.list() {
			size += 1 + element.storedSize()
		}
		return size
	case kindMap:
		return 3 + len(v.members()) + Item(v.members()).storedSize()
	case kindStringSet, kindBinarySet, kindNumberSet:
		size := 0
		for _, element := range v.set() {
			size += Value{kind: elementKind(v.kind), text: element}.storedSize()
		}
		return size
	case kindInvalid, kindGone:
	}
	return 0
}

// storedSize is the item's size in bytes by DynamoDB's rules: names and values.
func (i Item) storedSize() int {
	size := 0
	for name, value := range i {
		size += len(name) + value.storedSize()
	}
	return size
}

// problem finds the first invalid attribute, in order of names, and says what is wrong.
func (i Item) problem() string {
	problem, at := "", ""
	for name, value := range i {
		if value.kind == kindInvalid && (problem == "" || name < at) {
			problem, at = value.text, name
		}
	}
	return problem
}

func equalItems(a, b Item) bool { return equalMembers(a, b) }

func equalMembers(a, b map[string]Value) bool {
	if len(a) != len(b) {
		return false
	}
	for name, value := range a {
		other, ok := b[name]
		if !ok || !value.equal(other) {
			return false
		}
	}
	return true
}

func (v Value) equal(other Value) bool {
	if v.kind != other.kind || v.truth != other.truth || v.text != other.text {
		return false
	}
	switch v.kind {
	case kindList:
		return slices.EqualFunc(v.list(), other.list(), Value.equal)
	case kindMap:
		return equalMembers(v.members(), other.members())
	case kindStringSet, kindNumberSet, kindBinarySet:
		return slices.Equal(v.set(), other.set())
	default:
		return true
	}
}

// order compares two values of one ordered type; ok is false for anything else.
func (v Value) order(other Value) (result int, ok bool) {
	if v.kind != other.kind || !v.kind.ordered() {
		return 0, false
	}
	return compareText(v.kind, v.text, other.text), true
}

func (k kind) ordered() bool { return k == kindString || k == kindNumber || k == kindBinary }

// size is what the expression function size() answers; ok is false for types that have none.
func (v Value) size() (size int, ok bool) {
	switch v.kind {
	case kindString:
		return utf16Length(v.text), true
	case kindBinary:
		return len(v.text), true
	case kindList:
		return len(v.list()), true
	case kindMap:
		return len(v.members()), true
	case kindStringSet, kindNumberSet, kindBinarySet:
		return len(v.set()), true
	case kindNumber, kindBool, kindNull, kindInvalid, kindGone:
	}
	return 0, false
}

func utf16Length(text string) int {
	length := 0
	for _, r := range text {
		length += max(utf16.RuneLen(r), 1)
	}
	return length
}

// describe is how DynamoDB prints a value inside an error: "{S:text}".
func (v Value) describe() string {
	return "{" + v.kind.String() + ":" + v.text + "}"
}

// sortable encodes a key value so that byte order is DynamoDB's order.
func (v Value) sortable() string {
	if v.kind == kindNumber {
		return v.number().sortable()
	}
	return v.text
}

func (v Value) hasElement(text string) bool {
	_, found := slices.BinarySearchFunc(v.set(), text, func(a, b string) int { return compareText(elementKind(v.kind), a, b) })
	return found
}
