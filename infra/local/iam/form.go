package iam

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// members reads name.member.1, name.member.2, …, each followed by suffix.
func members(form url.Values, name, suffix string) []string {
	var out []string
	for i := 1; ; i++ {
		key := name + ".member." + strconv.Itoa(i) + suffix
		if !form.Has(key) {
			return out
		}
		out = append(out, form.Get(key))
	}
}

// tagsOf reads Tags.member.N.Key and .Value; the same key twice is refused.
func tagsOf(form url.Values) (map[string]string, error) {
	keys := members(form, "Tags", ".Key")
	tags := make(map[string]string, len(keys))
	for i, key := range keys {
		if _, twice := tags[key]; twice {
			return nil, invalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		tags[key] = form.Get("Tags.member." + strconv.Itoa(i+1) + ".Value")
	}
	return tags, nil
}

// tagContext is what condition keys say of tags in a request.
func tagContext(tags map[string]string) map[string][]string {
	about := map[string][]string{}
	for key, value := range tags {
		about["aws:RequestTag/"+key] = []string{value}
		about["aws:TagKeys"] = append(about["aws:TagKeys"], key)
	}
	slices.Sort(about["aws:TagKeys"])
	return about
}

// seconds reads a whole number of seconds; def stands for none given.
func seconds(form url.Values, name string, def time.Duration) (time.Duration, error) {
	if !form.Has(name) {
		return def, nil
	}
	n, err := strconv.ParseInt(form.Get(name), 10, 32)
	if err != nil {
		return 0, fail("MalformedInput", http.StatusBadRequest, "%s must be a whole number.", name)
	}
	return time.Duration(n) * time.Second, nil
}
