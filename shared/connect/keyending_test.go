package connect_test

import (
	"context"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// A temporary key's end is told ahead, once, at the hour that its time is worth; the connection is looked at for that, and
// then for the end itself.
func TestATemporaryKeysEndIsToldAhead(t *testing.T) {
	for name, tt := range map[string]struct{ lasts, ahead time.Duration }{
		"an hour":      {time.Hour, 15 * time.Minute},
		"four minutes": {4 * time.Minute, time.Minute},
		"36 hours":     {36 * time.Hour, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			b := newKeyBench()
			in := keyInput(session)
			end := noon.Add(tt.lasts)
			in.ExpiresAt = end.Format(time.RFC3339)
			c, err := b.create(in)
			if err != nil {
				t.Fatal(err)
			}
			told := end.Add(-tt.ahead)
			if due := c.DueAt(); !due.Equal(told) {
				t.Fatalf("looked at %s, want %s", due, told)
			}
			b.now = told.Add(-time.Second)
			if s := b.look(t, c); !s.AccessKey.EndingAt.IsZero() || s.AccessKey.Warning(b.now) != (connect.Reason{}) {
				t.Fatal("told too soon")
			}
			before := len(b.store.Log())
			for range 3 {
				b.now = b.now.Add(time.Second)
				s := b.look(t, c)
				why := s.AccessKey.Warning(b.now)
				if s.Status != connect.StatusEnabled || !s.AccessKey.EndingAt.Equal(told) || why.Code != connect.CodeKeysEnding || why.Fix == "" {
					t.Fatalf("%s, told at %s: %+v", s.Status, s.AccessKey.EndingAt, why)
				}
			}
			news := b.store.Log()[before:]
			if len(news) != 1 || news[0].Type != connect.EventKeysEnding || news[0].Data["expiresAt"] != in.ExpiresAt || news[0].Data["accessKeyId"] != session {
				t.Fatalf("%+v", news)
			}
			if due := b.store.Get(c.ID()).DueAt(); !due.Equal(end) {
				t.Errorf("then looked at %s, want %s", due, end)
			}
			b.now = end
			if s := b.look(t, c); s.Status != connect.StatusDegraded || s.AccessKey.Warning(b.now).Code == connect.CodeKeysEnding {
				t.Errorf("%s at the end", s.Status)
			}
		})
	}
}

// A new temporary key has its own warning; one that does not end has none; whatever STS says of a key meanwhile, its end is
// told.
func TestEachTemporaryKeyIsToldOf(t *testing.T) {
	b := newKeyBench()
	c := b.made(t, session)
	b.now = noon.Add(50 * time.Minute)
	b.aws.whoErr = context.DeadlineExceeded
	if s := b.look(t, c); s.AccessKey.EndingAt.IsZero() {
		t.Fatal("not told while STS is down")
	}
	b.aws.whoErr = nil
	target := connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), By: "ada"}
	in := keyInput(session)
	again, err := b.keys.SetKeys(context.Background(), target, in)
	if s := again.Snapshot(); err != nil || !s.AccessKey.EndingAt.IsZero() || !s.AccessKey.ExpiresAt.Equal(b.now.Add(time.Hour)) {
		t.Fatalf("%+v %v", s.AccessKey, err)
	}
	if again, err = b.keys.SetKeys(context.Background(), target, keyInput(longLived)); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(48 * time.Hour)
	if s := b.look(t, again); !s.AccessKey.EndingAt.IsZero() || s.AccessKey.Warning(b.now).Code == connect.CodeKeysEnding {
		t.Errorf("a key that does not end: %+v", s.AccessKey)
	}
}

// A long-lived key that was reported as old says so itself.
func TestAnOldKeySaysSo(t *testing.T) {
	k := connect.AccessKey{ID: longLived, SetAt: noon}
	if k.Warning(noon.Add(1000*time.Hour)) != (connect.Reason{}) {
		t.Error("nobody has called it old")
	}
	k.OldAt = noon
	if why := k.Warning(noon); why.Code != connect.CodeKeysOld || why.Message == "" || why.Fix == "" {
		t.Errorf("%+v", why)
	}
}

// Temporary keys that have ended are refused by the clock, whatever AWS says of them.
func TestKeysThatHaveEndedAreNotAskedAbout(t *testing.T) {
	aws := &keyAccount{who: connect.Identity{Account: customerAccount}}
	v := connect.KeyVerifier{Identifier: aws, Regions: aws, Clock: func() time.Time { return noon }}
	keys := connect.Credentials{AccessKeyID: "ASIAEXAMPLE000000000", Expires: noon}
	o := v.Verify(context.Background(), connect.KeySubject{Keys: keys, Account: customerAccount, Region: "eu-west-1"})
	if o.Proven() || o.Checks[0].Verdict != connect.Failed || o.Checks[0].Reason.Code != connect.CodeKeysExpired || aws.asked != 0 {
		t.Errorf("%+v after %d questions", o.Checks, aws.asked)
	}
}
