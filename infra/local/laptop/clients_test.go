package laptop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rolecall/infra/local/faults"
	"rolecall/infra/local/wire"
)

// A desk is where an unmodified AWS client finds a connection: a URL and a token file, and nothing else. What it asks
// passes a counter on the way; while aged is set, answers say that they end at once, as if half an hour had gone by, and
// the first one of all ends after first, where that is set.
type desk struct {
	t        *testing.T
	env      map[string]string
	handOuts atomic.Int64
	aged     atomic.Bool
	first    time.Duration
}

func newDesk(t *testing.T, name, account string) *desk {
	t.Helper()
	acme := as(t, name)
	c := acme.create("Used by SDKs")
	theirs := customer{t, account, c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	target, err := url.Parse(pocket.APIURL)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			life := d.first
			if n := d.handOuts.Add(1); !d.aged.Load() && (life == 0 || n > 1) {
				return nil
			}
			var body map[string]any
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				return err
			}
			body["Expiration"] = time.Now().Add(life).UTC().Format(time.RFC3339)
			text, err := json.Marshal(body)
			r.Body, r.ContentLength = readCloser{strings.NewReader(string(text))}, int64(len(text))
			r.Header.Del("Content-Length")
			return err
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("Bearer "+acme.token), 0o600); err != nil {
		t.Fatal(err)
	}
	d.env = map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI":     server.URL + "/v1/connections/" + c.ID + "/credentials",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file,
		"AWS_ENDPOINT_URL":                       pocket.AWSURL, "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	}
	return d
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// The SDK for Go, by its own configuration, uses a connection and renews its session when that ends.
func TestTheSDKForGo(t *testing.T) {
	d := newDesk(t, "acme-go", "222222222281")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	for name, value := range d.env {
		t.Setenv(name, value)
	}
	ask := func(client *sts.Client) {
		t.Helper()
		out, err := client.GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
		if err != nil || aws.ToString(out.Account) != "222222222281" {
			t.Fatal(out, err)
		}
	}
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		ask(sts.NewFromConfig(cfg))
	}
	if _, err := iam.NewFromConfig(cfg).ListRoles(context.Background(), &iam.ListRolesInput{}); err != nil {
		t.Errorf("IAM: %v", err)
	}
	if n := d.handOuts.Load(); n != 1 {
		t.Errorf("%d hand-outs for 11 calls", n)
	}
	d.aged.Store(true) // from now on each session ends at once, and the SDK has to renew it
	cfg, err = config.LoadDefaultConfig(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	client := sts.NewFromConfig(cfg)
	before := d.handOuts.Load()
	for range 3 {
		ask(client)
	}
	if n := d.handOuts.Load() - before; n != 3 {
		t.Errorf("%d hand-outs for 3 calls with sessions that end at once", n)
	}
	d.aged.Store(false)
	ask(client)
	before = d.handOuts.Load()
	ask(client)
	if d.handOuts.Load() != before {
		t.Error("a session that lasts was not kept")
	}
}

// The worst that an SDK meets: a function that starts, and a session that is not there yet, with STS 100 ms away. SDKs give
// up after a second or two. ROLECALL_LONG asks for as many as the 99th percentile needs.
func TestAColdMiss(t *testing.T) {
	rule, err := pocket.Faults.Add(faults.Rule{Service: "sts", Operation: "AssumeRole", Kind: wire.FaultSlow, Rate: 1, Delay: 100 * time.Millisecond, Caller: "rolecall-broker"})
	if err != nil {
		t.Fatal(err)
	}
	defer pocket.Faults.Remove(rule.ID)
	tenants, times := 1, 20
	if os.Getenv("ROLECALL_LONG") != "" {
		tenants, times = 4, 400 // each new process takes a block of its tenant's minute
	}
	var took []time.Duration
	for i := range tenants {
		acme := as(t, fmt.Sprint("acme-cold-", i))
		c := acme.create("Cold")
		theirs := customer{t, "222222222283", c.Launch.Region}
		theirs.launch(c, nil)
		theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
		for range times / tenants {
			took = append(took, acme.coldMiss(c.ID))
		}
	}
	slices.Sort(took)
	p99 := took[(times*99+99)/100-1] // of 20 the worst
	t.Logf("%d cold misses: p50 %s, p99 %s, worst %s", times, took[times/2], p99, took[times-1])
	if p99 > time.Second {
		t.Errorf("a cold miss takes %s at the 99th percentile", p99)
	}
}

// coldMiss is how long credentials take where no function runs.
func (x tenant) coldMiss(id string) time.Duration {
	x.t.Helper()
	f, err := pocket.Lambda.Function("arn:aws:lambda:eu-west-1:111111111111:function:rolecall-broker")
	if err != nil {
		x.t.Fatal(err)
	}
	if err := pocket.Lambda.Update(f); err != nil { // which makes every environment anew
		x.t.Fatal(err)
	}
	mark, began := pocket.Journal.Mark(), time.Now()
	x.want(http.StatusOK, "GET", "/v1/connections/"+id+"/credentials", "")
	took := time.Since(began)
	if asked(mark, "broker")["sts:AssumeRole"] != 1 {
		x.t.Fatal("this was no miss")
	}
	return took
}
