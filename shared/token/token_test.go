package token_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"rolecall/infra/local/iam"
	"rolecall/infra/local/kms"
	"rolecall/infra/local/wire"
	"rolecall/shared/connect"
	"rolecall/shared/token"
)

const (
	account = "111111111111"
	region  = "eu-west-1"
	one     = connect.ConnectionID("conn_01k0000000000000000000000a")
	two     = connect.ConnectionID("conn_01k0000000000000000000000b")
)

// A key is a MAC key in the pocket AWS, and what was asked of it.
type key struct {
	token.MAC
	kms     *kms.Service
	journal *wire.Journal
	url     string
}

func newKey(t *testing.T) key {
	t.Helper()
	accounts, k := iam.New(time.Now), kms.New(time.Now)
	arn, err := k.CreateKey(account, region, kms.KeyInput{Spec: kms.HMAC256, Usage: kms.GenerateVerifyMac})
	if err != nil {
		t.Fatal(err)
	}
	door := wire.NewServer(wire.Config{Authenticator: accounts, Authorizer: accounts, Clock: time.Now})
	door.Register("kms", k)
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	return key{MAC: at(server.URL, 1, map[int]string{1: arn}), kms: k, journal: door.Journal(), url: server.URL}
}

// rotated is the same with a further key as its current one.
func (k key) rotated(t *testing.T, number int) key {
	t.Helper()
	arn, err := k.kms.CreateKey(account, region, kms.KeyInput{Spec: kms.HMAC256, Usage: kms.GenerateVerifyMac})
	if err != nil {
		t.Fatal(err)
	}
	keys := maps.Clone(k.Keys)
	keys[number] = arn
	k.MAC = at(k.url, number, keys)
	return k
}

// without is the same when it admits tokens of the current key only.
func (k key) without() key {
	k.MAC = at(k.url, k.Current, map[int]string{k.Current: k.Keys[k.Current]})
	return k
}

func at(url string, current int, keys map[int]string) token.MAC {
	return token.MAC{Current: current, Keys: keys, Client: awskms.New(awskms.Options{
		Region: region, BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(account, "any", ""),
	})}
}

func (k key) token(t *testing.T, id connect.ConnectionID, launch int) string {
	t.Helper()
	s, err := k.Token(t.Context(), id, launch)
	if err != nil {
		t.Fatal(err)
	}
	return s.Reveal()
}

// calls counts the requests to KMS that f makes.
func (k key) calls(f func()) int {
	mark := k.journal.Mark()
	f()
	return len(k.journal.Entries(mark))
}

func TestALaunchAlwaysHasTheSameToken(t *testing.T) {
	k := newKey(t)
	seen := map[string]string{}
	for _, id := range []connect.ConnectionID{one, two} {
		for _, launch := range []int{1, 2, 10, 11} {
			first, again := k.token(t, id, launch), k.token(t, id, launch)
			if first != again {
				t.Errorf("%s launch %d: two tokens", id, launch)
			}
			name := fmt.Sprintf("%s/%d", id, launch)
			if other, ok := seen[first]; ok {
				t.Errorf("%s has the token of %s", name, other)
			}
			seen[first] = name
			got, err := k.Launch(t.Context(), id, connect.NewSecret(first))
			if err != nil || got != launch {
				t.Errorf("%s: launch %d, error %v", name, got, err)
			}
		}
	}
}

// Templates that are published admit no other callback tokens, nor does a link admit more without escaping.
func TestATokenFitsTheTemplate(t *testing.T) {
	published := regexp.MustCompile(`^[A-Za-z0-9._~+/=:-]{16,1000}$`)
	plain := regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	first := newKey(t)
	for name, k := range map[string]key{"the first key's": first, "another key's": first.rotated(t, 999_999)} {
		s := k.token(t, one, 1<<31)
		if !published.MatchString(s) || !plain.MatchString(s) {
			t.Errorf("%s: %q", name, s)
		}
		if launch, err := k.Launch(t.Context(), one, connect.NewSecret(s)); err != nil || launch != 1<<31 {
			t.Errorf("%s: launch %d, %v", name, launch, err)
		}
	}
}

// Links from before a rotation stay good until their key is taken away, and nothing else goes with it.
func TestRotation(t *testing.T) {
	before := newKey(t)
	both := before.rotated(t, 2)
	after := both.without()
	older, newer := before.token(t, one, 3), both.token(t, one, 3)
	if !regexp.MustCompile(`^3\.[A-Za-z0-9_-]{43}$`).MatchString(older) || !regexp.MustCompile(`^3\.2\.[A-Za-z0-9_-]{43}$`).MatchString(newer) {
		t.Errorf("tokens %q and %q do not name their keys", older, newer)
	}
	if after.token(t, one, 3) != newer {
		t.Error("the current key's token changes when an older key goes")
	}
	for name, tt := range map[string]struct {
		keys  key
		token string
		valid bool
		asked int
	}{
		"an older link after the rotation":         {both, older, true, 1},
		"a newer link after the rotation":          {both, newer, true, 1},
		"a newer link without the older key":       {after, newer, true, 1},
		"an older link without the older key":      {after, older, false, 0},
		"a newer link before the rotation":         {before, newer, false, 0},
		"the older MAC under the newer key's name": {both, "3.2" + older[1:], false, 1},
		"the newer MAC under the older key's name": {both, "3." + newer[4:], false, 1},
		"a key that never was":                     {both, "3.3" + newer[3:], false, 0},
		"the first key by its number":              {both, "3.1" + older[1:], false, 0},
		"another spelling of the number":           {both, "3.02" + newer[3:], false, 0},
		"a fourth part":                            {both, "3.2" + newer[1:], false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var launch int
			var err error
			asked := tt.keys.calls(func() { launch, err = tt.keys.Launch(t.Context(), one, connect.NewSecret(tt.token)) })
			if asked != tt.asked {
				t.Errorf("KMS was asked %d times, want %d", asked, tt.asked)
			}
			var e *connect.Error
			if tt.valid && (err != nil || launch != 3) || !tt.valid && (!errors.As(err, &e) || e.Code != connect.CodeTokenInvalid) {
				t.Errorf("launch %d, %v", launch, err)
			}
		})
	}
}

func TestOnlyTheTokenItselfIsValid(t *testing.T) {
	k := newKey(t)
	good := k.token(t, one, 1)
	mac := strings.TrimPrefix(good, "1.")
	raw, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil {
		t.Fatal(err)
	}
	// last has the two bits set that the MAC's last character has to spare.
	last := mac[:len(mac)-1] + string(rune(mac[len(mac)-1]+1))
	flipped := append([]byte{raw[0] ^ 1}, raw[1:]...)
	tests := map[string]struct {
		token string
		asked int // requests to KMS
	}{
		"another connection's": {k.token(t, two, 1), 1},
		"another launch's":     {k.token(t, one, 2)[:2] + mac, 1},
		"one bit changed":      {"1." + base64.RawURLEncoding.EncodeToString(flipped), 1},
		"of zeros":             {"1." + base64.RawURLEncoding.EncodeToString(make([]byte, 32)), 1},
		"the largest number":   {"9223372036854775807." + mac, 1},

		"empty":                   {"", 0},
		"no MAC":                  {"1.", 0},
		"no number":               {"." + mac, 0},
		"no dot":                  {"1" + mac, 0},
		"only the MAC":            {mac, 0},
		"two dots":                {"1.." + mac, 0},
		"a third part":            {good + ".", 0},
		"cut short":               {good[:len(good)-1], 0},
		"longer":                  {good + "A", 0},
		"padded":                  {good + "=", 0},
		"16 bytes":                {"1." + base64.RawURLEncoding.EncodeToString(raw[:16]), 0},
		"33 bytes":                {"1." + base64.RawURLEncoding.EncodeToString(append(raw[:32:32], 0)), 0},
		"spare bits set":          {"1." + last, 0},
		"other alphabet":          {"1." + base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\xff\xef", 16))), 0},
		"in hex":                  {fmt.Sprintf("1.%x", raw), 0},
		"line end inside":         {good[:10] + "\n" + good[10:], 0},
		"line end behind":         {good + "\r\n", 0},
		"space before":            {" " + good, 0},
		"NUL":                     {good + "\x00", 0},
		"number with a zero":      {"01." + mac, 0},
		"number with a sign":      {"+1." + mac, 0},
		"negative":                {"-1." + mac, 0},
		"launch zero":             {"0." + mac, 0},
		"a fraction":              {"1.0." + mac, 0},
		"hex number":              {"0x1." + mac, 0},
		"underscores":             {"1_0." + mac, 0},
		"Unicode digit":           {"\u0661." + mac, 0},
		"a number beyond numbers": {"9223372036854775808." + mac, 0},
		"very long":               {strings.Repeat("1", 1<<16) + "." + mac, 0},
		"redacted":                {connect.NewSecret(good).String(), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			asked := k.calls(func() {
				launch, err := k.Launch(t.Context(), one, connect.NewSecret(tt.token))
				var e *connect.Error
				if !errors.As(err, &e) || e.Code != connect.CodeTokenInvalid || e.Kind != connect.KindInvalid || launch != 0 {
					t.Errorf("launch %d, error %v, want %s", launch, err, connect.CodeTokenInvalid)
				}
				if len(tt.token) > 20 && strings.Contains(fmt.Sprintf("%v %#v", err, err), tt.token) {
					t.Errorf("the error tells the token: %v", err)
				}
			})
			if asked != tt.asked {
				t.Errorf("KMS was asked %d times, want %d", asked, tt.asked)
			}
		})
	}
	if asked := k.calls(func() { _, err = k.Launch(t.Context(), one, connect.NewSecret(good)) }); err != nil || asked != 1 {
		t.Errorf("the token itself: error %v, KMS asked %d times", err, asked)
	}
}

// A key that cannot be asked says nothing about a token: the stack must wait and not fail.
func TestAKeyThatDoesNotAnswerProvesNothing(t *testing.T) {
	k := newKey(t)
	good := connect.NewSecret(k.token(t, one, 1))
	says := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	for name, h := range map[string]http.Handler{
		"500":            says(500, `{"__type":"KMSInternalException","message":"oh"}`),
		"503":            says(503, ``),
		"throttled":      says(400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`),
		"timeout":        says(500, `{"__type":"DependencyTimeoutException"}`),
		"denied":         says(400, `{"__type":"AccessDeniedException","message":"no"}`),
		"disabled":       says(400, `{"__type":"DisabledException","message":"off"}`),
		"no such key":    says(400, `{"__type":"NotFoundException","message":"gone"}`),
		"HTML":           says(200, `<html>`),
		"cut off":        says(200, `{"MacValid":tr`),
		"nothing":        says(200, ``),
		"empty":          says(200, `{}`),
		"not valid":      says(200, `{"MacValid":false}`),
		"an empty MAC":   says(200, `{"Mac":""}`),
		"half a MAC":     says(200, `{"Mac":"AAAA"}`),
		"broken off":     http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"invalid in 5xx": says(500, `{"message":"KMSInvalidMacException"}`),
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(h)
			defer server.Close()
			m := at(server.URL, k.Current, k.Keys)
			launch, err := m.Launch(t.Context(), one, good)
			mustBeUnavailable(t, err, good)
			if launch != 0 {
				t.Errorf("launch %d", launch)
			}
			s, err := m.Token(t.Context(), one, 1)
			mustBeUnavailable(t, err, good)
			if !s.IsZero() {
				t.Error("a token without a MAC")
			}
		})
	}
	if err := k.kms.SetEnabled(k.Keys[1], false); err != nil {
		t.Fatal(err)
	}
	_, err := k.Launch(t.Context(), one, good)
	mustBeUnavailable(t, err, good)
}

func mustBeUnavailable(t *testing.T, err error, secret connect.Secret) {
	t.Helper()
	var e *connect.Error
	if !errors.As(err, &e) || e.Kind != connect.KindUnavailable {
		t.Errorf("error %v, want unavailable", err)
	}
	if strings.Contains(fmt.Sprintf("%v %#v", err, err), secret.Reveal()) {
		t.Errorf("the error tells the token: %v", err)
	}
}
