package connect

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// longestPath is how much of the way to a member is told.
const longestPath = 64

// RepeatedMember finds an object that has one member twice, at any depth of a valid JSON document, and answers the way to
// it, such as "Statement[0].Effect". Readers disagree on which of the two counts. fold gives one spelling to the names
// that count as the same.
func RepeatedMember(document []byte, fold func(name string) string) (path string, found bool) {
	if !json.Valid(document) {
		return "", false
	}
	return repeated(json.NewDecoder(bytes.NewReader(document)), fold)
}

// repeated reads one value; in a valid document no token is an error.
func repeated(d *json.Decoder, fold func(string) string) (string, bool) {
	opening, _ := d.Token()
	if opening != json.Delim('{') && opening != json.Delim('[') {
		return "", false
	}
	given := map[string]bool{}
	for i := 0; d.More(); i++ {
		place := "[" + strconv.Itoa(i) + "]"
		if opening == json.Delim('{') {
			t, _ := d.Token()
			place, _ = t.(string)
			if given[fold(place)] {
				return place, true
			}
			given[fold(place)] = true
		}
		if inside, found := repeated(d, fold); found {
			return cutPath(place, inside), true
		}
	}
	_, _ = d.Token() // what closes it
	return "", false
}

func cutPath(place, inside string) string {
	if !strings.HasPrefix(inside, "[") {
		place += "."
	}
	path := place + inside
	return strings.ToValidUTF8(path[:min(len(path), longestPath)], "")
}
