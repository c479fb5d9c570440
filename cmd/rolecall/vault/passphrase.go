package vault

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	leastCharacters = 12
	leastDistinct   = 6
	// leastUnguessed is how many characters must follow from nothing that stands before them, nor be a word that everybody takes.
	leastUnguessed = 8
)

// sequences are what fingers and people follow.
var sequences = []string{
	"abcdefghijklmnopqrstuvwxyz", "0123456789", "1234567890", "`1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./",
	"!@#$%^&*()", "qwertzuiop", "azertyuiop", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/", "1q2w3e4r5t6y7u8i9o0p",
}

// common are words that lists of passwords begin with, and this program's own, spelt in letters; each counts as one character,
// the longer before what it begins with.
var common = []string{
	"password", "passwort", "passphrase", "passcode", "secret", "letmein", "welcome", "administrator", "admin", "root", "login", "master", "default",
	"iloveyou", "monkey", "dragon", "sunshine", "princess", "football", "baseball", "superman", "batman", "starwars", "shadow", "michael", "charlie",
	"jordan", "trustnoi", "whatever", "freedom", "hunter", "ninja", "killer", "pokemon", "computer", "internet", "changeme", "test", "guest", "hello",
	"qazwsx", "zaqxsw", "company", "rolecall", "amazon", "aws", "cloud", "summer", "winter", "spring", "autumn", "monday", "january", "december",
}

// CheckPassphrase refuses a passphrase that is guessed at once, and says why and what to do.
func CheckPassphrase(passphrase string) error {
	switch {
	case utf8.RuneCountInString(passphrase) < leastCharacters:
		return weak("it has fewer than 12 characters")
	case distinct(passphrase) < leastDistinct:
		return weak("it has fewer than 6 different characters")
	case unguessed(passphrase) < leastUnguessed:
		return weak("it is made of words that everybody takes, of repetitions, or of letters in the alphabet's or a keyboard's order")
	}
	return nil
}

// ErrWeak is what every error of [CheckPassphrase] is.
var ErrWeak = errors.New("the passphrase is guessed too easily")

type weakError struct{ why string }

func weak(why string) error { return weakError{why} }

func (e weakError) Error() string {
	return ErrWeak.Error() + ": " + e.why + "\nTake 12 characters or more, such as four words or more that do not belong together."
}

// Is says that it is [ErrWeak].
func (weakError) Is(target error) bool { return target == ErrWeak }

func distinct(text string) int {
	characters := []rune(strings.ToLower(text))
	slices.Sort(characters)
	return len(slices.Compact(characters))
}

// unguessed counts the characters that do not follow from those before: as part of a common word, of a sequence or of
// something that was there already.
func unguessed(text string) int {
	spelt := []rune(shortened(strings.ToLower(text)))
	n := 0
	for i := range spelt {
		if i < 2 || !follows(spelt[i-2:i+1]) && !strings.Contains(string(spelt[:i]), string(spelt[i-2:i+1])) {
			n++
		}
	}
	return n
}

// shortened has one character in each common word's place, also where digits and signs stand for letters.
func shortened(text string) string {
	spelt := strings.Map(letter, text) // as long as the text: only ASCII is changed, and to ASCII
	for _, word := range common {
		for at := strings.Index(spelt, word); at >= 0; at = strings.Index(spelt, word) {
			text, spelt = text[:at]+"\x00"+text[at+len(word):], spelt[:at]+"\x00"+spelt[at+len(word):]
		}
	}
	return text
}

// letter is the one that a digit or sign stands for in passwords.
func letter(r rune) rune {
	if at := strings.IndexRune("@4301!5$7", r); at >= 0 {
		return rune("aaeoiisst"[at])
	}
	return r
}

// follows says that three characters are the same one, or go along a sequence in one direction.
func follows(three []rune) bool {
	if three[0] == three[1] && three[1] == three[2] {
		return true
	}
	back := slices.Clone(three)
	slices.Reverse(back)
	return slices.ContainsFunc(sequences, func(s string) bool {
		return strings.Contains(s, string(three)) || strings.Contains(s, string(back))
	})
}
