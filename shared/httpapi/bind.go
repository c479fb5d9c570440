package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"rolecall/shared/connect"
)

// maxBody is the longest body that is read.
const maxBody = 64 << 10

// bodyField is the member of an input that stands for the request's body.
const bodyField = "Body"

// bind fills in, a struct whose members are tagged path, query or header, from the request. A member called Body takes
// the JSON body; an input without one takes none.
func bind(r *http.Request, body []byte, in reflect.Value) error {
	if err := bindParameters(r, in); err != nil {
		return err
	}
	target := in.FieldByName(bodyField)
	if !target.IsValid() {
		return bindNothing(body)
	}
	if len(body) == 0 {
		return newProblem(http.StatusBadRequest, codeBodyMissing, "this route needs a body", "Send a JSON object.")
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return newProblem(http.StatusUnsupportedMediaType, codeContentType, "the body must be application/json",
			"Send the header Content-Type: application/json.")
	}
	return decodeObject(body, target)
}

// bindNothing admits an empty body and, since many clients send one with every POST, an empty object.
func bindNothing(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return decodeObject(body, reflect.ValueOf(struct{}{}))
}

func isJSON(contentType string) bool {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" {
		return false
	}
	charset, ok := parameters["charset"]
	return !ok || strings.EqualFold(charset, "utf-8")
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, invalidBody("the body could not be read to its end")
	}
	if len(body) > maxBody {
		return nil, newProblem(http.StatusRequestEntityTooLarge, codeBodyTooLarge, "the body is over 64 KiB", "Send less.")
	}
	return body, nil
}

func bindParameters(r *http.Request, in reflect.Value) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return newProblem(http.StatusBadRequest, codeParameterInvalid, "the query cannot be read", "")
	}
	var wrong []FieldError
	for field, value := range in.Fields() {
		switch {
		case field.Tag.Get("path") != "":
			value.SetString(r.PathValue(field.Tag.Get("path")))
		case field.Tag.Get("header") != "":
			value.SetString(r.Header.Get(field.Tag.Get("header")))
		case field.Tag.Get("query") != "":
			name := field.Tag.Get("query")
			if given := query[name]; !setParameter(value, given) {
				wrong = append(wrong, FieldError{Field: name, Code: codeParameterInvalid, Message: "must be given once, as " + kindName(value)})
			}
			delete(query, name)
		}
	}
	if len(wrong) > 0 {
		p := newProblem(http.StatusBadRequest, codeParameterInvalid, "the parameter "+wrong[0].Field+" "+wrong[0].Message, "")
		p.Errors = wrong
		return p
	}
	for name := range query {
		return unknownParameter(name)
	}
	return nil
}

func setParameter(value reflect.Value, given []string) bool {
	switch {
	case len(given) == 0:
		return true
	case len(given) > 1:
		return false
	case value.Kind() == reflect.String:
		value.SetString(given[0])
		return true
	case value.Kind() == reflect.Pointer: // where an empty text is not the same as none
		value.Set(reflect.ValueOf(&given[0]))
		return true
	}
	n, err := strconv.ParseInt(given[0], 10, 32)
	value.SetInt(n)
	return err == nil && n > 0 // 0 stands for a parameter that was not given
}

func kindName(value reflect.Value) string {
	if value.Kind() == reflect.String || value.Kind() == reflect.Pointer {
		return "text"
	}
	return "a whole number above 0"
}

func unknownParameter(name string) error {
	p := newProblem(http.StatusBadRequest, codeUnknownParameter, "the query has a parameter that this route does not know",
		"Leave it out; /openapi.json says which there are.")
	p.Errors = []FieldError{{Field: cut(name), Code: codeUnknownParameter, Message: "is not known"}}
	return p
}

func invalidBody(detail string) *Problem {
	return newProblem(http.StatusBadRequest, codeBodyInvalid, detail, "Send one JSON object, in UTF-8.")
}

// decodeObject reads one JSON object into a struct of strings, numbers, flags, maps, structs, and lists and pointers of these: every key
// known, as it is written, and given once, in what lies within a map, too. encoding/json alone would take "NAME" for "name", and the
// last of two.
func decodeObject(body []byte, into reflect.Value) error {
	if !utf8.Valid(body) {
		return invalidBody("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return invalidBody("the body is not a JSON object")
	}
	wrong, err := members(d, into, "")
	if err != nil {
		return invalidBody("the body is not valid JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalidBody("something follows the JSON object")
	}
	return fieldProblem(append(wrong, repeatedField(body)...))
}

// repeatedField names a field that is given twice, however deep it lies.
func repeatedField(body []byte) []FieldError {
	path, found := connect.RepeatedMember(body, func(name string) string { return name })
	if !found {
		return nil
	}
	return []FieldError{{Field: cut(path), Code: codeFieldInvalid, Message: "is given twice"}}
}

// members reads an object from behind its opening brace to its end. prefix is what stands before a member's name in errors.
func members(d *json.Decoder, into reflect.Value, prefix string) ([]FieldError, error) {
	given := map[string]bool{}
	var wrong []FieldError
	for d.More() {
		key, value, err := member(d)
		if err != nil {
			return nil, err
		}
		wrong = append(wrong, assign(into, prefix, key, value)...)
		given[key] = true
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, err
	}
	return append(wrong, missing(into, prefix, given)...), nil
}

func member(d *json.Decoder) (key string, value json.RawMessage, err error) {
	t, err := d.Token()
	if err != nil {
		return "", nil, err
	}
	key, ok := t.(string)
	if !ok {
		return "", nil, errors.New("a key is no string")
	}
	return key, value, d.Decode(&value)
}

func assign(into reflect.Value, prefix, key string, value json.RawMessage) []FieldError {
	field, ok := fieldNamed(into, key)
	if !ok {
		return []FieldError{{Field: prefix + cut(key), Code: codeUnknownField, Message: unknownMessage(key)}}
	}
	return decodeValue(field, prefix+key, value)
}

// decodeValue reads one value, which is valid JSON; field is its name in errors.
func decodeValue(into reflect.Value, field string, value json.RawMessage) []FieldError {
	must := func(kind string) []FieldError {
		return []FieldError{{Field: field, Code: codeFieldInvalid, Message: "must be " + kind}}
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return decodeValue(into.Elem(), field, value)
	case reflect.Bool:
		if value[0] != 't' && value[0] != 'f' {
			return must("true or false")
		}
		into.SetBool(value[0] == 't')
	case reflect.Struct:
		d := json.NewDecoder(bytes.NewReader(value))
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return must("an object")
		}
		wrong, err := members(d, into, field+".")
		if err != nil {
			return must("an object")
		}
		return wrong
	case reflect.Slice:
		var items []json.RawMessage
		if value[0] != '[' || json.Unmarshal(value, &items) != nil {
			return must("a list")
		}
		into.Set(reflect.MakeSlice(into.Type(), len(items), len(items)))
		var wrong []FieldError
		for i, item := range items {
			wrong = append(wrong, decodeValue(into.Index(i), field+"["+strconv.Itoa(i)+"]", item)...)
		}
		return wrong
	case reflect.Map:
		if value[0] != '{' || json.Unmarshal(value, into.Addr().Interface()) != nil {
			return must("an object")
		}
	case reflect.Int:
		// 0 stands for a number that was not given.
		if json.Unmarshal(value, into.Addr().Interface()) != nil || into.Int() < 1 {
			return must("a whole number above 0")
		}
	default:
		if value[0] != '"' || json.Unmarshal(value, into.Addr().Interface()) != nil {
			return must("a string")
		}
	}
	return nil
}

func fieldNamed(into reflect.Value, key string) (reflect.Value, bool) {
	for f, value := range into.Fields() {
		if name, _ := jsonName(f); name == key {
			return value, true
		}
	}
	return reflect.Value{}, false
}

func jsonName(f reflect.StructField) (name string, optional bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, options == "omitempty"
}

func missing(into reflect.Value, prefix string, given map[string]bool) []FieldError {
	var wrong []FieldError
	for f := range into.Fields() {
		if name, optional := jsonName(f); !optional && !given[name] {
			wrong = append(wrong, FieldError{Field: prefix + name, Code: codeFieldInvalid, Message: "is missing"})
		}
	}
	return wrong
}

func isExternalID(key string) bool {
	return strings.EqualFold(strings.NewReplacer("_", "", "-", "").Replace(key), "externalid")
}

func unknownMessage(key string) string {
	if isExternalID(key) {
		return "is made by Rolecall alone and never taken from a request; the answer tells it"
	}
	return "is not known"
}

// fieldProblem bears the code of what is unknown first: that is never a slip of the value.
func fieldProblem(wrong []FieldError) error {
	if len(wrong) == 0 {
		return nil
	}
	first := wrong[0]
	for _, w := range wrong {
		if w.Code == codeUnknownField {
			first = w
			break
		}
	}
	p := newProblem(http.StatusBadRequest, first.Code, "the field "+strconv.Quote(first.Field)+" "+first.Message,
		"/openapi.json says which fields there are.")
	p.Errors = wrong
	return p
}

// cut keeps what a caller made up short in the answer.
func cut(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:64], "")
}

// ifMatch is the version that If-Match names; 0 for any.
func ifMatch(header string) (int64, error) {
	if header == "" || header == "*" {
		return 0, nil
	}
	inner, opened := strings.CutPrefix(header, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	version, err := strconv.ParseInt(inner, 10, 64)
	if !opened || !closed || err != nil || version < 1 || inner != strconv.FormatInt(version, 10) {
		return 0, newProblem(http.StatusBadRequest, codeIfMatchInvalid, "If-Match is no ETag of a connection",
			`Send the ETag as the connection was read with it, such as "3", or leave the header out.`)
	}
	return version, nil
}

// checkIdempotencyKey admits 1 to 128 printable ASCII characters; none is no key.
func checkIdempotencyKey(key string) error {
	if len(key) > 128 || !isPrintableASCII(key) {
		return newProblem(http.StatusBadRequest, codeIdempotencyKeyInvalid,
			"Idempotency-Key must be 1 to 128 printable ASCII characters", "Send a random UUID for each new request.")
	}
	return nil
}
