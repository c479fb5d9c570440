package iam

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

var (
	nameForm    = regexp.MustCompile(`^[\w+=,.@-]+$`)
	pathForm    = regexp.MustCompile(`^(/|/[!-~]+/)$`)
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
)

// A rule is what AWS says of one input: its length in characters and its form.
type rule struct {
	field    string // as AWS spells it in its messages
	min, max int
	form     *regexp.Regexp
	pattern  string // the form as AWS prints it
}

const namePattern = `[\w+=,.@-]+`

func roleName() rule   { return rule{"roleName", 1, 64, nameForm, namePattern} }
func userName() rule   { return rule{"userName", 1, 64, nameForm, namePattern} }
func policyName() rule { return rule{"policyName", 1, 128, nameForm, namePattern} }
func entityPath() rule {
	return rule{"path", 1, 512, pathForm, `(\u002F)|(\u002F[\u0021-\u007E]+\u002F)`}
}

// check answers nil or a ValidationError in AWS's words.
func (r rule) check(value string) error {
	n := utf8.RuneCountInString(value)
	switch {
	case n < r.min:
		return r.violated(value, fmt.Sprintf("Member must have length greater than or equal to %d", r.min))
	case n > r.max:
		return r.violated(value, fmt.Sprintf("Member must have length less than or equal to %d", r.max))
	case r.form != nil && !r.form.MatchString(value):
		return r.violated(value, "Member must satisfy regular expression pattern: "+r.pattern)
	}
	return nil
}

func (r rule) violated(value, constraint string) error {
	return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, r.field, constraint)
}

func invalid(format string, args ...any) error {
	return fail("ValidationError", http.StatusBadRequest, format, args...)
}

// between checks a number of seconds.
func between(field string, d, least, most time.Duration) error {
	if d < least {
		return invalid("1 validation error detected: Value '%d' at '%s' failed to satisfy constraint: "+
			"Member must have value greater than or equal to %d", int(d.Seconds()), field, int(least.Seconds()))
	}
	if d > most {
		return invalid("1 validation error detected: Value '%d' at '%s' failed to satisfy constraint: "+
			"Member must have value less than or equal to %d", int(d.Seconds()), field, int(most.Seconds()))
	}
	return nil
}

// Limits of a role's longest session.
const (
	minMaxSession = time.Hour
	maxMaxSession = 12 * time.Hour
)

const (
	maxTags        = 50
	maxTagKey      = 128
	maxTagValue    = 256
	maxDescription = 1000
)

var (
	tagKeyForm   = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$`)
	tagValueForm = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
)

// checkTags judges the tags an entity or a session would have.
func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return limitExceeded("The number of tags has reached the maximum limit.")
	}
	folded := map[string]bool{}
	for key, value := range tags {
		if err := (rule{"tags.1.member.key", 1, maxTagKey, tagKeyForm, `[\p{L}\p{Z}\p{N}_.:/=+\-@]+`}).check(key); err != nil {
			return err
		}
		if err := (rule{"tags.1.member.value", 0, maxTagValue, tagValueForm, `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`}).check(value); err != nil {
			return err
		}
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return invalidInput("Caller is not allowed to use tags with the prefix aws:")
		}
		if folded[strings.ToLower(key)] {
			return invalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		folded[strings.ToLower(key)] = true
	}
	return nil
}

// weight is a document's size as IAM counts it: white space is free.
func weight(text string) int {
	n := 0
	for _, r := range text {
		if !unicode.IsSpace(r) {
			n += utf8.RuneLen(r)
		}
	}
	return n
}

// roleFromARN splits a role's ARN into account, path and name.
func roleFromARN(arn string) (account, path, name string, ok bool) {
	return fromARN(arn, ":role/")
}

func fromARN(arn, kind string) (account, path, name string, ok bool) {
	rest, isIAM := strings.CutPrefix(arn, arnPrefix+"iam::")
	account, rest, found := strings.Cut(rest, kind)
	if !isIAM || !found || !accountForm.MatchString(account) {
		return "", "", "", false
	}
	path, name = "/", rest
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		path, name = "/"+rest[:i+1], rest[i+1:]
	}
	return account, path, name, name != ""
}
