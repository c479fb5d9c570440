package connect_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

type federation struct{ asked int }

func (f *federation) SigninToken(context.Context, connect.Credentials) (connect.Secret, error) {
	f.asked++
	return connect.NewSecret("canary-token"), nil
}

func signingIn(t *testing.T) (connect.SignIns, *federation, *asker, *storetest.Memory, connect.Connection) {
	t.Helper()
	issue, sts, store, c := narrowing(t)
	f := &federation{}
	return connect.SignIns{
		Issuing: issue, Federation: f, Partition: connect.PartitionAWS,
		Maker: connect.SessionMaker{Store: store, Assumer: sts, Clock: func() time.Time { return noon }, EventID: func() string { return "evt_2" }},
	}, f, sts, store, c
}

func TestSignIn(t *testing.T) {
	u, f, sts, store, c := signingIn(t)
	link, err := u.Link(context.Background(), connect.SignInRequest{
		Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Caller: "ada", Issuer: "https://app.example.com/x", Reason: "ticket 9",
		Destination: "https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1#/x",
	})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := url.Parse(link.URL.Reveal())
	if err != nil || parsed.Scheme+"://"+parsed.Host+parsed.Path != "https://signin.aws.amazon.com/federation" {
		t.Fatal(link.URL.Reveal(), err)
	}
	q := parsed.Query()
	if q.Get("Action") != "login" || q.Get("SigninToken") != "canary-token" || q.Get("Issuer") != "https://app.example.com/x" ||
		q.Get("Destination") != "https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1#/x" || q.Has("SessionDuration") {
		t.Errorf("%v", q)
	}
	if sts.asks[0].Duration != 0 {
		t.Error("DurationSeconds is sent under role chaining")
	}
	if d := store.Log()[0].Data; d["purpose"] != "console" || d["reason"] != "ticket 9" {
		t.Errorf("record %v", d)
	}
	for _, bad := range []string{
		"http://console.aws.amazon.com/", "https://console.aws.amazon.com.evil.example/", "https://evil.example/console.aws.amazon.com",
		"https://user@console.aws.amazon.com/", "https://console.aws.amazon.com:444/", "https://evilconsole.aws.amazon.com/", "//console.aws.amazon.com",
		"https://console.amazonaws.cn/", `https://evil.example\.console.aws.amazon.com/`, "https://console.aws.amazon.com\n", "https://", "x", "https://consolé.aws.amazon.com/",
	} {
		_, err := u.Link(context.Background(), connect.SignInRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Caller: "ada", Destination: bad})
		if !errors.Is(err, &connect.Error{Code: connect.CodeDestinationInvalid}) {
			t.Errorf("destination %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"http://app.example.com", "javascript:alert(1)", "https://u:p@app.example.com", strings.Repeat("https://a", 200)} {
		_, err := u.Link(context.Background(), connect.SignInRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Caller: "ada", Issuer: bad})
		if !errors.Is(err, &connect.Error{Code: connect.CodeIssuerInvalid}) {
			t.Errorf("issuer %q: %v", bad, err)
		}
	}
	if f.asked != 1 || len(sts.asks) != 1 {
		t.Errorf("STS was asked %d times, the endpoint %d times", len(sts.asks), f.asked)
	}
	for p, host := range map[connect.Partition]string{connect.PartitionGov: "signin.amazonaws-us-gov.com", connect.PartitionChina: "signin.amazonaws.cn"} {
		if p.FederationEndpoint() != "https://"+host+"/federation" {
			t.Errorf("%s: %s", p, p.FederationEndpoint())
		}
	}
}

// A link is a session: what restricts a caller's credentials restricts its links, and what narrows a session narrows a link's.
func TestSignInIsRestricted(t *testing.T) {
	u, f, sts, _, c := signingIn(t)
	id := string(c.ID())
	link := func(r connect.SignInRequest) error {
		r.Tenant, r.ID, r.Caller = "acme", id, "ada"
		_, err := u.Link(context.Background(), r)
		return err
	}
	t.Run("callers", func(t *testing.T) {
		for _, allowed := range [][]string{nil, {}, {"organization"}, {"*"}, {"conn_x"}, {id[:len(id)-1]}} {
			if err := link(connect.SignInRequest{Filter: connect.RestrictedTo(allowed...)}); !errors.Is(err, &connect.Error{Code: connect.CodeConnectionNotAllowed}) {
				t.Errorf("%v: %v", allowed, err)
			}
		}
		if len(sts.asks) != 0 || f.asked != 0 {
			t.Errorf("STS was asked %d times, the endpoint %d times", len(sts.asks), f.asked)
		}
		if err := link(connect.SignInRequest{Filter: connect.RestrictedTo("conn_x", id)}); err != nil {
			t.Error(err)
		}
	})
	t.Run("sessions", func(t *testing.T) {
		sts.asks = nil
		for _, r := range []connect.Restriction{{ReadOnly: true}, {Policy: listOnly}, {}} {
			if err := link(connect.SignInRequest{Filter: connect.Unrestricted(), Restriction: r}); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(sts.asks[0].PolicyARNs, []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}) || sts.asks[1].Policy == "" || sts.asks[2].Policy != "" || sts.asks[2].PolicyARNs != nil {
			t.Errorf("%+v", sts.asks)
		}
	})
}
