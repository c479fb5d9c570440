package connect_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/storetest"
)

// A link leads to the federation endpoint and the console of the connection's own partition, and to no other's.
func TestSignInInEveryPartition(t *testing.T) {
	for _, tt := range []struct {
		partition connect.Partition
		region    connect.Region
		endpoint  string
		console   string
	}{
		{connect.PartitionAWS, "eu-west-1", "https://signin.aws.amazon.com/federation", "https://console.aws.amazon.com/"},
		{connect.PartitionGov, "us-gov-west-1", "https://signin.amazonaws-us-gov.com/federation", "https://console.amazonaws-us-gov.com/"},
		{connect.PartitionChina, "cn-north-1", "https://signin.amazonaws.cn/federation", "https://console.amazonaws.cn/"},
	} {
		issue, sts, _, c := narrowing(t)
		s := c.Snapshot()
		s.Partition, s.DefaultRegion, s.RoleARN = tt.partition, tt.region, role(t, "arn:"+string(tt.partition)+":iam::222222222222:role/R")
		here, err := connect.Restore(s)
		if err != nil {
			t.Fatal(err)
		}
		store := storetest.New(here)
		issue.Store = store
		u := connect.SignIns{
			Issuing: issue, Federation: &federation{}, Partition: tt.partition,
			Maker: connect.SessionMaker{Store: store, Assumer: sts, Clock: func() time.Time { return noon }, EventID: func() string { return "evt_2" }},
		}
		ask := connect.SignInRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: string(c.ID()), Caller: "ada"}
		link, err := u.Link(context.Background(), ask)
		if err != nil {
			t.Fatal(err)
		}
		endpoint, query, _ := strings.Cut(link.URL.Reveal(), "?")
		q, err := url.ParseQuery(query)
		if err != nil || endpoint != tt.endpoint || q.Get("Destination") != tt.console+"console/home?region="+string(tt.region) || q.Has("SessionDuration") {
			t.Errorf("%s: %s %v", tt.partition, link.URL.Reveal(), err)
		}
		if len(sts.asks) != 1 || sts.asks[0].Duration != 0 || sts.asks[0].RoleARN != s.RoleARN {
			t.Errorf("%s: STS was asked %+v", tt.partition, sts.asks)
		}
		for _, other := range []string{"https://console.aws.amazon.com/", "https://console.amazonaws-us-gov.com/", "https://console.amazonaws.cn/"} {
			ask.Destination = other
			if _, err := u.Link(context.Background(), ask); (err == nil) != (other == tt.console) {
				t.Errorf("%s, to %s: %v", tt.partition, other, err)
			}
		}
	}
}
