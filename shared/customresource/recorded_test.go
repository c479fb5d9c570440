package customresource

import (
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A recording is an address of the file of recorded ones.
type recording struct {
	want string // "admitted", or the reason why not
	url  string
}

func recorded(t testing.TB) (out []recording) {
	t.Helper()
	text, err := os.ReadFile("testdata/recorded_urls.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if want, address, ok := strings.Cut(strings.TrimSpace(line), " "); ok && want != "#" {
			out = append(out, recording{want, address})
		}
	}
	return out
}

// namesOf reads from an address itself what it answers; it is nothing to rely on.
func namesOf(t testing.TB, address string) names {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	parts := append(strings.Split(strings.TrimPrefix(u.Path, "/"), "|"), "", "")
	n, err := readNames(parts[0], parts[1], parts[2])
	if err != nil { // a wait condition's key names no request
		return namesIn(t, "aws", "us-west-2")
	}
	return n
}

// Addresses that CloudFormation made in nine years, of eleven Regions and two partitions: those of today's form are
// admitted, each for its own request alone.
func TestRecordedAddresses(t *testing.T) {
	all, admitted := recorded(t), 0
	for _, r := range all {
		n := namesOf(t, r.url)
		u, err := url.Parse(r.url)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := time.Parse(signedForm, u.Query().Get("X-Amz-Date"))
		_, err = admit(r.url, n, at.Add(time.Second), at.Add(time.Minute))
		if r.want != "admitted" {
			if string(reasonOf(err)) != r.want {
				t.Errorf("%s: %v, want %s", r.url, err, r.want)
			}
			continue
		}
		admitted++
		if err != nil {
			t.Errorf("%s: %v", r.url, err)
		}
		n.requestID = "another"
		if _, err = admit(r.url, n, at, at); reasonOf(err) != DropKey {
			t.Errorf("%s: for another request: %v", r.url, err)
		}
	}
	if len(all) < 40 || admitted < 30 {
		t.Errorf("%d addresses, %d of them admitted", len(all), admitted)
	}
}

// FuzzKeyEquality holds admission to what it promises: what is admitted is an address of CloudFormation's bucket whose key,
// however it is written, is that of the request.
func FuzzKeyEquality(f *testing.F) {
	for _, r := range recorded(f) {
		n := namesOf(f, r.url)
		f.Add(r.url, n.stack.String(), n.logicalID, n.requestID)
		f.Add(r.url, n.stack.String(), n.requestID, n.logicalID)
	}
	for _, tt := range refusedAddresses(f) {
		f.Add(tt.url, stackARN("aws", "eu-west-1"), "Connection", "9f8e7d6c-0000")
	}
	f.Fuzz(func(t *testing.T, raw, stack, logical, request string) {
		n, err := readNames(stack, logical, request)
		if err != nil {
			return
		}
		_, date, _ := strings.Cut(raw, "X-Amz-Date=")
		at, _ := time.Parse(signedForm, date[:min(len(date), len(signedForm))])
		s, err := admit(raw, n, at, at)
		if err != nil {
			return
		}
		// This is read in another way than admission reads it.
		u, err := url.Parse(raw)
		if err != nil || u.Path != "/"+stack+"|"+logical+"|"+request || strings.Contains(u.Path, "//") || strings.ContainsAny(u.Path, "+%") {
			t.Fatalf("%q is admitted for %s, %s, %s: %v", raw, stack, logical, request, err)
		}
		if u.Scheme != "https" || !slices.Contains(hosts(n.stack), u.Host) || strings.Count(raw, "X-Amz-Signature=") != 1 {
			t.Fatalf("%q is admitted", raw)
		}
		if life := s.ends.Sub(s.at); !s.at.Equal(at) || life <= 0 || life > 2*time.Hour {
			t.Fatalf("%q: from %v to %v", raw, s.at, s.ends)
		}
	})
}
