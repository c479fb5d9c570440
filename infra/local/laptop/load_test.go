package laptop_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rolecall/infra/local/faults"
	"rolecall/infra/local/wire"
)

// Closed loops against the whole laptop: so many callers, each of which begins anew as soon as it is served. A benchmark
// makes the same number of rounds however long one takes, so that percentiles mean something.
const (
	onboardingCallers, onboardings = 4, 40
	issuingCallers, issues         = 4, 400
)

// BenchmarkOnboarding is the path of a new customer: create, launch the stack, its callbacks, verification, enabled.
func BenchmarkOnboarding(b *testing.B) {
	for _, latency := range []time.Duration{0, 100 * time.Millisecond} {
		b.Run("sts="+latency.String(), func(b *testing.B) {
			acme := as(b, fmt.Sprint("acme-load-", latency.Milliseconds()))
			loop(b, latency, onboardingCallers, onboardings, func() {
				n := counted.Add(1)
				c := acme.create(fmt.Sprint("Onboarded ", n))
				theirs := customer{b, fmt.Sprintf("3%011d", n), c.Launch.Region}
				theirs.launch(c, nil)
				eventually(b, time.Minute, "enabled", func() bool { return acme.get(c.ID).Status == "enabled" })
			})
		})
	}
}

// counted tells rounds apart, over all benchmarks.
var counted atomic.Int64

// BenchmarkIssuing is a hand-out over HTTP: of a session that function broker holds, and of one that it has to make.
func BenchmarkIssuing(b *testing.B) {
	acme := as(b, "acme-load-issuing")
	c := acme.create("Issued from")
	role := pastedRole(b, "300000000000", "Issued", c.ExternalID, `"ec2:DescribeRegions","iam:GetRole"`)
	acme.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/role", `{"roleArn":"`+role+`"}`)
	path := "/v1/connections/" + c.ID + "/credentials"
	for _, latency := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond} {
		b.Run("held/sts="+latency.String(), func(b *testing.B) {
			loop(b, latency, issuingCallers, issues, func() { acme.want(http.StatusOK, "GET", path, "") })
		})
		b.Run("made/sts="+latency.String(), func(b *testing.B) {
			loop(b, latency, issuingCallers, issues, func() {
				body := fmt.Sprintf(`{"policy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b%d/*"}]}}`, counted.Add(1))
				acme.want(http.StatusOK, "POST", path, body)
			})
		})
	}
}

// loop reports, of each round: its time and percentiles, what the functions asked AWS for, and their processors' time.
func loop(b *testing.B, latency time.Duration, callers, rounds int, round func()) {
	b.Helper()
	if latency > 0 {
		rule, err := pocket.Faults.Add(faults.Rule{Service: "sts", Operation: "AssumeRole", Kind: wire.FaultSlow, Rate: 1, Delay: latency})
		if err != nil {
			b.Fatal(err)
		}
		defer pocket.Faults.Remove(rule.ID)
	}
	rounds = max(rounds, b.N)
	var left atomic.Int64
	left.Store(int64(rounds))
	took := make([][]time.Duration, callers)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	mark, cpu, began := pocket.Journal.Mark(), functionsCPU(b), time.Now()
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				start := time.Now()
				round()
				took[caller] = append(took[caller], time.Since(start))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	runtime.ReadMemStats(&after)
	all := slices.Concat(took...)
	slices.Sort(all)
	asked, sts := 0, 0
	for _, e := range pocket.Journal.Entries(mark) {
		if strings.Contains(e.Caller, "/rolecall-") { // a function, or its session in the customer's account
			asked++
		}
		if e.Operation == "AssumeRole" && strings.Contains(e.Caller, "/rolecall-") {
			sts++
		}
	}
	per := func(n float64) float64 { return n / float64(rounds) }
	b.ReportMetric(per(float64(elapsed.Nanoseconds())), "ns/op")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(per((functionsCPU(b)-cpu).Seconds()*1000), "functions-cpu-ms/op")
	b.ReportMetric(per(float64(asked)), "aws-requests/op")
	b.ReportMetric(per(float64(sts)), "sts-requests/op")
	b.ReportMetric(per(float64(after.Mallocs-before.Mallocs)), "allocs/op") // the pocket AWS's and the caller's
	b.ReportMetric(per(float64(after.TotalAlloc-before.TotalAlloc)), "B/op")
}

// functionsCPU is what the processes of functions that run now have used of all processors; 0 where the system does not
// tell. They are this process's children, and go on between two calls of it.
func functionsCPU(b *testing.B) (total time.Duration) {
	b.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 14 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		for _, ticks := range fields[11:13] { // in user mode, in the kernel; hundredths of a second
			n, err := strconv.Atoi(ticks)
			if err != nil {
				b.Fatal(err)
			}
			total += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return total
}
