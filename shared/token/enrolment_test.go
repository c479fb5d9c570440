package token_test

import (
	"errors"
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
		"another enrolment's": other.Reveal(), "a callback token": launch, "a callback token's MAC": "e." + launch[2:], "empty": "",
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

func TestAKeyThatDoesNotAnswerRefusesNoEnrolment(t *testing.T) {
	k := newKey(t)
	s, err := k.EnrolmentToken(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	silent := at("http://127.0.0.1:1", k.KeyARN)
	var e *connect.Error
	if err := silent.ProveEnrolment(t.Context(), first, s); !errors.As(err, &e) || e.Kind != connect.KindUnavailable {
		t.Errorf("proved: %v", err)
	}
	if _, err := silent.EnrolmentToken(t.Context(), first); !errors.As(err, &e) || e.Kind != connect.KindUnavailable {
		t.Errorf("made: %v", err)
	}
}
