package customer_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rolecall/shared/connect"
	"rolecall/shared/customer"
)

// BenchmarkIssuingUnderLoad is a closed loop: 64 callers ask, each as soon as it has its answer, for credentials of 32
// connections, through the cache and the SDK, of the pocket STS that answers after a while. It reports what the callers
// waited, and how many requests reached STS.
func BenchmarkIssuingUnderLoad(b *testing.B) {
	for _, latency := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond} {
		b.Run(latency.String(), func(b *testing.B) { load(b, latency) })
	}
}

const (
	loadCallers     = 64
	loadConnections = 32
	loadRounds      = 20_000 // at least, however long they take: percentiles of a few would mean nothing
)

func load(b *testing.B, latency time.Duration) {
	b.Helper()
	issuing, ids, upstream := loaded(b, latency)
	waits := make([][]time.Duration, loadCallers)
	var left atomic.Int64
	rounds := max(b.N, loadRounds)
	left.Store(int64(rounds))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	var wg sync.WaitGroup
	for caller := range loadCallers {
		wg.Go(func() {
			for n := caller; left.Add(-1) >= 0; n++ {
				began := time.Now()
				_, err := issuing.Issue(context.Background(), connect.IssueRequest{Filter: connect.Unrestricted(), Tenant: "acme", ID: ids[n%loadConnections], Caller: "svc"})
				if err != nil {
					b.Error(err)
					return
				}
				waits[caller] = append(waits[caller], time.Since(began))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	all := slices.Concat(waits...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(elapsed.Nanoseconds())/float64(rounds), "ns/op")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(rounds), "allocs/op")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(rounds), "B/op")
	b.ReportMetric(float64(upstream.Load()), "sts-requests")
}

// A shelf is a store of enabled connections that keeps no records.
type shelf map[connect.ConnectionID]connect.Connection

func (s shelf) Bare(_ context.Context, id connect.ConnectionID) (connect.Connection, error) {
	return s[id], nil
}

func (shelf) Note(context.Context, connect.Event) error { return nil }

func loaded(b *testing.B, latency time.Duration) (connect.Issuing, []string, *atomic.Int64) {
	b.Helper()
	w := newWorld(b)
	role := w.role("Loaded", trust(externalID, allActions), lookAtSelf)
	var upstream atomic.Int64
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		upstream.Add(1)
		if latency > 0 {
			<-time.After(latency)
		}
		w.server.Config.Handler.ServeHTTP(rw, r)
	}))
	b.Cleanup(slow.Close)
	session, err := w.iam.RoleSession("arn:aws:iam::"+platformAccount+":role/rolecall/broker", "broker", time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	assume := customer.Assumer{Client: sts.New(sts.Options{
		Region: "eu-west-1", BaseEndpoint: &slow.URL,
		Credentials: credentials.NewStaticCredentialsProvider(session.AccessKeyID, session.SecretAccessKey, session.Token),
	})}
	held, ids := shelf{}, make([]string, loadConnections)
	for i := range ids {
		id := connect.ConnectionID(fmt.Sprintf("conn_%026d", i))
		c, err := connect.Restore(connect.Snapshot{
			ID: id, TenantID: "acme", ExternalID: externalID, Version: 3, Status: connect.StatusEnabled, RoleARN: role,
			AccountID: customerAccount, Partition: connect.PartitionAWS, DefaultRegion: "eu-west-1", SessionTags: true, Checks: provenChecks(),
		})
		if err != nil {
			b.Fatal(err)
		}
		held[id], ids[i] = c, string(id)
	}
	maker := connect.SessionMaker{Store: held, Assumer: assume, Clock: time.Now, EventID: func() string { return "evt_1" }}
	cache := connect.NewSessionCache(maker, connect.DefaultCacheSize, time.Now)
	return connect.Issuing{Store: held, Sessions: cache, Clock: time.Now}, ids, &upstream
}

func provenChecks() []connect.Check {
	var out []connect.Check
	for _, name := range []connect.CheckName{
		connect.CheckAssumeRole, connect.CheckExternalIDRequired, connect.CheckExternalIDMatched, connect.CheckRegions,
	} {
		out = append(out, connect.Check{Name: name, Verdict: connect.Passed})
	}
	return out
}
