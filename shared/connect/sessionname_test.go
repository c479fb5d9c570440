package connect_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"rolecall/shared/connect"
)

// namings are the names that a caller gets, and how long they may be.
var namings = map[string]struct {
	name    func(connect.Actor) string
	longest int
}{
	"role session":   {connect.SessionName, 64},
	"federated user": {connect.FederationName, 32},
}

// A million callers, and what a caller could call itself to pass for another one, have different names; each of them is
// one that STS takes.
func TestCallersHaveDifferentNames(t *testing.T) {
	for kind, n := range namings {
		t.Run(kind, func(t *testing.T) {
			many := 1_000_000
			if raced { // nothing is concurrent here, and the detector makes it twenty times as slow
				many = 50_000
			}
			named := map[string]connect.Actor{"rolecall-verify": "Rolecall's own verifications"}
			give := func(caller connect.Actor) string {
				name := n.name(caller)
				if other, taken := named[name]; taken && other != caller {
					t.Fatalf("%q and %q are both %q", caller, other, name)
				}
				named[name] = caller
				return name
			}
			for caller := range population(many) {
				give(caller)
			}
			for _, caller := range look(n.longest) {
				// who calls itself as another one is called, with and without what stands before it, gets a third name
				name := give(caller)
				for range 3 {
					give(connect.Actor(name))
					name = give(connect.Actor(strings.TrimPrefix(name, "rolecall-")))
				}
			}
			if len(named) < many {
				t.Errorf("%d names", len(named))
			}
			for name := range named {
				if len(name) < 2 || len(name) > n.longest || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(nameCharacters, r) }) {
					t.Fatalf("STS does not take %q", name)
				}
			}
		})
	}
}

const nameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-"

// Names that fit are not changed, so that a customer's records and conditions keep them.
func TestNamesThatFitStay(t *testing.T) {
	for caller, want := range map[connect.Actor]string{
		"svc":                                   "rolecall-svc",
		"ada@acme.example":                      "rolecall-ada@acme.example",
		"a=b":                                   "rolecall-a=b",
		connect.Actor(strings.Repeat("a", 55)):  "rolecall-" + strings.Repeat("a", 55),
		connect.Actor(strings.Repeat("=a", 20)): "rolecall-" + strings.Repeat("=a", 20),
	} {
		if got := connect.SessionName(caller); got != want {
			t.Errorf("%q is called %q", caller, got)
		}
	}
	if got := connect.FederationName("ada@acme.example"); got != "rolecall-ada@acme.example" {
		t.Error(got)
	}
	if got := connect.SessionName("auth0|ada"); !strings.HasPrefix(got, "rolecall-auth0-ada=") {
		t.Error(got)
	}
}

// population makes n callers as identity providers write them, all different.
func population(n int) func(yield func(connect.Actor) bool) {
	long := strings.Repeat("service-of-the-platform-", 8)
	forms := []func(i int, random string) string{
		func(i int, r string) string { return fmt.Sprintf("%s%d@example.com", r, i) },
		func(i int, r string) string { return fmt.Sprintf("auth0|%s%d", r, i) },
		func(i int, _ string) string { return fmt.Sprintf("arn:aws:iam::%012d:user/ada", i) },
		func(i int, _ string) string { return fmt.Sprintf("%s%d", long, i) },
		func(i int, _ string) string { return fmt.Sprintf("%d%s", i, long) },
		func(i int, _ string) string { return fmt.Sprintf("%s%d%s", long, i, long) },
		func(i int, r string) string { return fmt.Sprintf("%d=%s", i, r) },
		func(i int, r string) string { return fmt.Sprintf("%d\x00%s ä雪", i, r) },
	}
	return func(yield func(connect.Actor) bool) {
		random := rand.New(rand.NewPCG(7, 11))
		for i := range n {
			letters := make([]byte, 1+random.IntN(40))
			for j := range letters {
				letters[j] = nameCharacters[random.IntN(len(nameCharacters))]
			}
			if !yield(connect.Actor(forms[i%len(forms)](i, string(letters)))) {
				return
			}
		}
	}
}

// look are callers that look like one another, around the length at which names are cut.
func look(longest int) []connect.Actor {
	fits := longest - len("rolecall-")
	out := []connect.Actor{
		"", "-", "=", "verify", "Verify", "ada", "Ada", "ADA", "ada ", " ada", "ada\n", "a|b", "a/b", "a b", "a-b", "a--b", "a:b", "a;b", "a\x00b", "a\xffb", "a\ufffdb",
		"é", "e\u0301", "å", "\u212b", "K", "k", "ſ", "s", "ﬁ", "fi", "ａda", "аda", "a\u200dda",
		"rolecall-ada", "rolecall-rolecall-ada", "ada=0000000000000000", "=0000000000000000", "ada=000000000000000", "ada==000000000000000",
	}
	for _, at := range []int{fits - 18, fits - 17, fits - 16, fits - 1, fits, fits + 1, fits + 2, 200} {
		same := strings.Repeat("x", max(0, at-1))
		for _, c := range []string{"a", "b", "A", "|", "/", "-", "="} {
			out = append(out, connect.Actor(same+c), connect.Actor(c+same))
		}
	}
	return out
}

func FuzzSessionName(f *testing.F) {
	for _, s := range []string{"", "ada@acme.example", "x y/z:ä", "aws:root", "ada=0000000000000000", string(make([]byte, 300))} {
		f.Add(s, s+"-")
	}
	f.Add("auth0|ada", "auth0/ada")
	f.Fuzz(func(t *testing.T, one, other string) {
		for kind, n := range namings {
			name := n.name(connect.Actor(one))
			if len(name) < 2 || len(name) > n.longest || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(nameCharacters, r) }) {
				t.Fatalf("STS does not take %q", name)
			}
			if one != other && name == n.name(connect.Actor(other)) {
				t.Fatalf("%s: %q and %q are both %q", kind, one, other, name)
			}
		}
	})
}
