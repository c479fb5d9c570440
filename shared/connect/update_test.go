package connect_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

func TestUpdate(t *testing.T) {
	name := func(s string) *connect.Name { n := connect.Name(s); return &n }
	region := func(s string) *connect.Region { r := connect.Region(s); return &r }
	for _, test := range []struct {
		what string
		up   connect.Update
		data map[string]any // of the event, without the status; nil where nothing changes
	}{
		{"nothing", connect.Update{}, nil},
		{"what it is", connect.Update{Name: name("Production"), DefaultRegion: region("eu-west-1")}, nil},
		{"a name", connect.Update{Name: name("Live")}, map[string]any{"name": "Live", "previousName": "Production"}},
		{"other letters", connect.Update{Name: name("PRODUCTION")}, map[string]any{"name": "PRODUCTION", "previousName": "Production"}},
		{"a Region", connect.Update{DefaultRegion: region("us-east-1")}, map[string]any{"defaultRegion": "us-east-1", "previousDefaultRegion": "eu-west-1"}},
		{"one of two", connect.Update{Name: name("Production"), DefaultRegion: region("us-east-1")}, map[string]any{"defaultRegion": "us-east-1", "previousDefaultRegion": "eu-west-1"}},
		{"both", connect.Update{Name: name("Live"), DefaultRegion: region("us-east-1")}, map[string]any{
			"name": "Live", "previousName": "Production", "defaultRegion": "us-east-1", "previousDefaultRegion": "eu-west-1",
		}},
	} {
		for _, status := range connect.Statuses() {
			c := in(t, status)
			ch, ok, err := c.Update(test.up, noon.Add(time.Hour), "bob")
			if status == connect.StatusDeleted {
				if !errors.Is(err, &connect.Error{Code: connect.CodeStatus}) {
					t.Errorf("%s of a deleted connection: %v", test.what, err)
				}
				continue
			}
			if err != nil || ok != (test.data != nil) {
				t.Errorf("%s, %s: changed %t, %v", status, test.what, ok, err)
				continue
			}
			if !ok {
				continue
			}
			e, after := ch.Event(), ch.Connection().Snapshot()
			want := maps.Clone(test.data)
			want["status"] = string(status)
			if e.Type != connect.EventUpdated || e.Actor != "bob" || !maps.Equal(e.Data, want) {
				t.Errorf("%s, %s: %+v", status, test.what, e)
			}
			_, renamed := want["name"]
			if ch.ReservesName() != renamed || after.Version != c.Version()+1 || after.Status != status || after.ExternalID != c.Snapshot().ExternalID {
				t.Errorf("%s, %s: reserves %t, %+v", status, test.what, ch.ReservesName(), after)
			}
		}
	}
}

func TestUpdateOnRequest(t *testing.T) {
	c := in(t, connect.StatusEnabled)
	m := storetest.New(c)
	u := connect.Connections{
		Store: m, Clock: func() time.Time { return noon }, Deployment: connect.Deployment{Platform: platform()},
	}
	ask := func(name, region string, version int64) (connect.Connection, error) {
		r := connect.UpdateRequest{Target: connect.Target{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), By: "bob", IfMatch: version}}
		if name != "" {
			r.Name = &name
		}
		if region != "" {
			r.DefaultRegion = &region
		}
		return u.Update(context.Background(), r)
	}
	for _, bad := range []struct {
		name, region string
		version      int64
		code         connect.Code
	}{
		{" Live", "", 0, connect.CodeNameInvalid},
		{"Live", "moon", 0, connect.CodeRegionInvalid},
		{"Live", "cn-north-1", 0, connect.CodePartitionMismatch},
		{"Live", "", c.Version() + 1, connect.CodeVersion},
	} {
		if _, err := ask(bad.name, bad.region, bad.version); !errors.Is(err, &connect.Error{Code: bad.code}) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if len(m.Log()) != 0 {
		t.Fatalf("refused and written: %+v", m.Log())
	}
	m.Once("Commit", func() { // somebody else is quicker: decided anew, upon what they left
		ch, _, err := c.Update(connect.Update{Name: new(connect.Name("Theirs"))}, noon, "eve")
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Commit(context.Background(), ch); err != nil {
			t.Fatal(err)
		}
	})
	got, err := ask("Live", "us-east-1", 0)
	if s := got.Snapshot(); err != nil || s.Name != "Live" || s.DefaultRegion != "us-east-1" || s.Version != c.Version()+2 {
		t.Errorf("%+v, %v", s, err)
	}
	if e := m.Log()[len(m.Log())-1]; e.Data["previousName"] != "Theirs" {
		t.Errorf("%+v", e)
	}
	again, err := ask("Live", "us-east-1", 0)
	if err != nil || again.Version() != got.Version() || len(m.Log()) != 2 {
		t.Errorf("the same once more: version %d, %d events, %v", again.Version(), len(m.Log()), err)
	}
}
