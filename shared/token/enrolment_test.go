package token_test

import (
	"errors"
	"os"
	"regexp"
	"testing"

	"rolecall/shared/connect"
)

const (
	first  = connect.EnrolmentID("enr_01k0000000000000000000000a")
	second = connect.EnrolmentID("enr_01k0000000000000000000000b")
)

func TestAnEnrolmentsToken(t *testing.T) {
	k := newKey(t)
	s, err := k.EnrolmentToken(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	again, err := k.EnrolmentToken(t.Context(), first)
	if err != nil || !again.Equal(s) || len(s.Reveal()) != 45 {
		t.Errorf("the second time another one, or of %d characters, %v", len(s.Reveal()), err)
	}
	for range 2 { // many uses
		if err := k.ProveEnrolment(t.Context(), first, s); err != nil {
			t.Error(err)
		}
	}
	other, err := k.EnrolmentToken(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	launch := k.token(t, one, 1)
	for name, bad := range map[string]string{
		"another enrolment's": other.Reveal(), "a callback token": launch, "a callback token's MAC": "e." + launch[2:], "empty": "", "another mark": "1." + s.Reveal()[2:],
		"without its mark": s.Reveal()[2:], "longer": s.Reveal() + "A", "a line end": s.Reveal()[:44] + "\n",
		"another spelling": s.Reveal()[:44] + "_",
	} {
		err := k.ProveEnrolment(t.Context(), first, connect.NewSecret(bad))
		var e *connect.Error
		if !errors.As(err, &e) || e.Code != connect.CodeTokenInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Nor does an enrolment token pass for a callback token.
	if _, err := k.Launch(t.Context(), one, connect.NewSecret("1."+s.Reveal()[2:])); err == nil {
		t.Error("an enrolment token is a callback token")
	}
}

// An enrolment lasts as long as its organization, so its link outlives rotations.
func TestAnEnrolmentsTokenAfterARotation(t *testing.T) {
	before := newKey(t)
	both := before.rotated(t, 2)
	older, err := before.EnrolmentToken(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	newer, err := both.EnrolmentToken(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^e\.2\.[A-Za-z0-9_-]{43}$`).MatchString(newer.Reveal()) {
		t.Errorf("%q does not name its key", newer.Reveal())
	}
	admitted := patternOf(t, "../../templates/cloudformation/organization.yaml", "EnrolmentToken")
	if !admitted.MatchString(older.Reveal()) || !admitted.MatchString(newer.Reveal()) {
		t.Errorf("the template does not admit %q and %q by %s", older.Reveal(), newer.Reveal(), admitted)
	}
	for _, tt := range []struct {
		keys  key
		token connect.Secret
		valid bool
	}{{both, older, true}, {both, newer, true}, {both.without(), newer, true}, {both.without(), older, false}, {before, newer, false}} {
		err := tt.keys.ProveEnrolment(t.Context(), first, tt.token)
		var e *connect.Error
		if tt.valid && err != nil || !tt.valid && (!errors.As(err, &e) || e.Code != connect.CodeTokenInvalid) {
			t.Errorf("%q by keys %v: %v", tt.token.Reveal(), tt.keys.Keys, err)
		}
	}
}

func TestAKeyThatDoesNotAnswerRefusesNoEnrolment(t *testing.T) {
	k := newKey(t)
	s, err := k.EnrolmentToken(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	silent := at("http://127.0.0.1:1", 1, k.Keys)
	var e *connect.Error
	if err := silent.ProveEnrolment(t.Context(), first, s); !errors.As(err, &e) || e.Kind != connect.KindUnavailable {
		t.Errorf("proved: %v", err)
	}
	if _, err := silent.EnrolmentToken(t.Context(), first); !errors.As(err, &e) || e.Kind != connect.KindUnavailable {
		t.Errorf("made: %v", err)
	}
}

// patternOf is what a template admits for a parameter.
func patternOf(t *testing.T, template, parameter string) *regexp.Regexp {
	t.Helper()
	text, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)\n  ` + parameter + `:\n    Type: String\n.*?AllowedPattern: (\S+)\n`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no pattern for %s", template, parameter)
	}
	return regexp.MustCompile(string(found[1]))
}
