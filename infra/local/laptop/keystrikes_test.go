package laptop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// setBack writes a member of a connection's record, as it would be had time passed, or the platform changed.
func setBack(t *testing.T, id, member, value string) {
	t.Helper()
	client := dynamodb.NewFromConfig(awsConfig("111111111111", "any", "", "eu-west-1"))
	tables, err := client.ListTables(t.Context(), &dynamodb.ListTablesInput{})
	if err != nil || len(tables.TableNames) != 1 {
		t.Fatal(tables, err)
	}
	_, err = client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &tables.TableNames[0], UpdateExpression: aws.String("SET " + member + " = :v"),
		Key:                       map[string]ddbtypes.AttributeValue{"PK": &ddbtypes.AttributeValueMemberS{Value: "CONN#" + id}, "SK": &ddbtypes.AttributeValueMemberS{Value: "META"}},
		ExpressionAttributeValues: map[string]ddbtypes.AttributeValue{":v": &ddbtypes.AttributeValueMemberS{Value: value}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339Nano) }

// swept has the schedule's function look at a connection now, and waits until it has said what.
func (x tenant) swept(id, event string, times int) {
	x.t.Helper()
	if _, err := pocket.SQS.Send("arn:aws:sqs:eu-west-1:111111111111:rolecall-verify-sweep", fmt.Sprintf(`{"connectionIds":[%q]}`, id), nil); err != nil {
		x.t.Fatal(err)
	}
	eventually(x.t, 30*time.Second, fmt.Sprintf("%d times %s", times, event), func() bool { return x.count(id, event) == times })
}

func (x tenant) count(id, event string) (n int) {
	x.t.Helper()
	for _, e := range x.timeline(id) {
		if e.Type == event {
			n++
		}
	}
	return n
}

func (k keyPair) setActive(t *testing.T, account, user string, active iamtypes.StatusType) {
	t.Helper()
	_, err := iam.NewFromConfig(awsConfig(account, "any", "", "us-east-1")).UpdateAccessKey(context.Background(), &iam.UpdateAccessKeyInput{
		AccessKeyId: &k.AccessKeyID, UserName: &user, Status: active,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A customer deactivates the key: three denials, five minutes apart, degrade the connection and say why. A key that works
// again serves again by itself; another one, given by PUT, serves at once.
func TestADeactivatedKey(t *testing.T) {
	t.Parallel()
	const account = "055555555508"
	acme := as(t, "acme-key-strikes")
	first := user(t, account, "rolecall", `"ec2:DescribeRegions"`)
	var c keyConnection
	acme.want(http.StatusCreated, "POST", "/v1/connections", byKeys(t, "Struck", account, first)).into(t, &c)
	path := "/v1/connections/" + c.ID
	acme.keys(c.ID)

	strikeOut := func(k keyPair, already int) {
		t.Helper()
		k.setActive(t, account, "rolecall", iamtypes.StatusTypeInactive)
		acme.swept(c.ID, "connection.denied", 2*already+1)
		got := acme.get(c.ID)
		if got.Status != "enabled" || got.StatusReason == nil || got.StatusReason.Code != "KEYS_INVALID" || got.StatusReason.Fix == "" {
			t.Fatalf("one denial: %s %+v", got.Status, got.StatusReason)
		}
		acme.want(http.StatusOK, "POST", path+"/verify", "") // less than five minutes later
		if n := acme.count(c.ID, "connection.denied"); n != 2*already+1 {
			t.Fatalf("%d strikes, and no five minutes have passed", n)
		}
		setBack(t, c.ID, "lastStrikeAt", ago(6*time.Minute))
		acme.want(http.StatusOK, "POST", path+"/verify", "")
		if n := acme.count(c.ID, "connection.denied"); n != 2*already+2 {
			t.Fatalf("%d strikes", n)
		}
		setBack(t, c.ID, "lastStrikeAt", ago(6*time.Minute))
		acme.swept(c.ID, "connection.degraded", already+1)
		got = acme.get(c.ID)
		if got.Status != "degraded" || got.StatusReason == nil || got.StatusReason.Code != "KEYS_INVALID" || !strings.Contains(got.StatusReason.Fix, "active") {
			t.Fatalf("three denials: %s %+v", got.Status, got.StatusReason)
		}
		a := acme.want(http.StatusConflict, "GET", path+"/credentials", "")
		if !strings.Contains(string(a.body), "CONNECTION_NOT_ENABLED") {
			t.Errorf("%s", a.body)
		}
	}
	strikeOut(first, 0)
	first.setActive(t, account, "rolecall", iamtypes.StatusTypeActive)
	acme.swept(c.ID, "connection.recovered", 1)
	if got := acme.get(c.ID); got.Status != "enabled" || got.StatusReason != nil {
		t.Fatalf("active again: %s %+v", got.Status, got.StatusReason)
	}
	acme.keys(c.ID)

	strikeOut(first, 1)
	second := newKey(t, account, "rolecall")
	acme.want(http.StatusOK, "PUT", path+"/access-key", second.json(t)).into(t, &c)
	if c.Status != "enabled" || c.AccessKey.AccessKeyID != second.AccessKeyID || acme.get(c.ID).StatusReason != nil {
		t.Errorf("rotated: %s with %+v", c.Status, c.AccessKey)
	}
	s := acme.keys(c.ID)
	if who := aws.ToString(identity(t, s.AccessKeyID, s.SecretAccessKey, s.Token).Arn); who != "arn:aws:iam::"+account+":user/rolecall" {
		t.Errorf("its session is %s", who)
	}
}

// Before a temporary key ends the key itself says so, the timeline does once, and with the end the connection degrades.
func TestATemporaryKeyIsAboutToEnd(t *testing.T) {
	t.Parallel()
	const account = "055555555509"
	acme := as(t, "acme-key-ending")
	pair := user(t, account, "rolecall", `"ec2:DescribeRegions"`).temporary(t)
	end := time.Now().Add(20 * time.Minute).UTC().Truncate(time.Second)
	pair.ExpiresAt = end.Format(time.RFC3339)
	var c connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", byKeys(t, "Ending", account, pair)).into(t, &c)
	type key struct {
		AccessKey struct {
			ExpiresAt time.Time
			Warning   *struct{ Code, Message, Fix string }
		}
	}
	shown := func() (k key) {
		t.Helper()
		acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID, "").into(t, &k)
		return k
	}
	if k := shown(); k.AccessKey.Warning != nil || !k.AccessKey.ExpiresAt.Equal(end) {
		t.Fatalf("%+v", k)
	}
	setBack(t, c.ID, "accessKey.setAt", ago(10*time.Hour))
	if k := shown(); k.AccessKey.Warning == nil || k.AccessKey.Warning.Code != "KEYS_ENDING" || !strings.Contains(k.AccessKey.Warning.Message, pair.ExpiresAt) {
		t.Fatalf("%+v", k.AccessKey)
	}
	acme.swept(c.ID, "connection.keys_ending", 1)
	e := acme.timeline(c.ID)[0]
	text, err := json.Marshal(e.Data)
	if err != nil || e.Data["expiresAt"] != pair.ExpiresAt || e.Data["code"] != "KEYS_ENDING" || e.Data["fix"] == "" {
		t.Errorf("%s %v", text, err)
	}
	for _, secret := range []string{pair.SecretAccessKey, pair.SessionToken} {
		unseen(t, "the temporary key", string(text), secret)
	}
	if got := acme.get(c.ID); got.Status != "enabled" {
		t.Errorf("%s before its end", got.Status)
	}
	setBack(t, c.ID, "accessKey.expiresAt", ago(time.Second))
	acme.swept(c.ID, "connection.degraded", 1)
	got := acme.get(c.ID)
	if got.StatusReason == nil || got.StatusReason.Code != "KEYS_EXPIRED" || acme.count(c.ID, "connection.keys_ending") != 1 {
		t.Errorf("%s %+v", got.Status, got.StatusReason)
	}
}

// While KMS fails no key is taken, changed or used, nothing of one is left behind or shown, and what served before serves
// afterwards.
func TestKMSIsDown(t *testing.T) {
	const account = "055555555510"
	acme := as(t, "acme-kms-down")
	first := user(t, account, "rolecall", `"ec2:DescribeRegions"`)
	second := newKey(t, account, "rolecall")
	began, mark := len(logs.all()), pocket.Journal.Mark()
	var c keyConnection
	acme.want(http.StatusCreated, "POST", "/v1/connections", byKeys(t, "Sealed", account, first)).into(t, &c)
	path := "/v1/connections/" + c.ID
	var seen strings.Builder
	var writing sync.Mutex
	refused := func(what, method, path, body string) {
		a := acme.call(method, path, body)
		writing.Lock()
		defer writing.Unlock()
		_, _ = seen.Write(a.body)
		var p problem
		a.into(t, &p)
		if a.status != http.StatusServiceUnavailable || p.Code != "SEALING_UNAVAILABLE" || p.Fix == "" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	before := acme.get(c.ID)
	kinds := [][2]string{{`"kind":"error500"`, `"kind":"truncated"`}} // each takes the SDK's retries to show
	if os.Getenv("ROLECALL_LONG") != "" {
		kinds = append(kinds, [2]string{`"kind":"truncated"`, `"kind":"error500"`}, [2]string{`"kind":"reset"`, `"kind":"reset","when":"after"`}, [2]string{`"kind":"throttle429"`, `"kind":"throttle429"`})
	}
	for _, kind := range kinds {
		inject(t, `{"service":"kms","operation":"Encrypt","caller":"api",`+kind[0]+`}`)
		inject(t, `{"service":"kms","operation":"Decrypt","caller":"broker",`+kind[1]+`}`)
		var all sync.WaitGroup
		all.Go(func() {
			refused("a new connection, "+kind[0], "POST", "/v1/connections", byKeys(t, "Unsealed", account, second))
		})
		all.Go(func() { refused("a rotation, "+kind[0], "PUT", path+"/access-key", second.json(t)) })
		all.Go(func() { refused("credentials, "+kind[1], "GET", path+"/credentials", "") })
		all.Wait()
		if hits() < 3 {
			t.Errorf("%s struck %d times", kind, hits())
		}
		pocket.Faults.Clear()
	}
	var after keyConnection
	acme.want(http.StatusOK, "GET", path, "").into(t, &after)
	if after.Version != before.Version || after.Status != "enabled" || after.AccessKey.AccessKeyID != first.AccessKeyID {
		t.Errorf("the connection has changed: %+v", after)
	}
	acme.keys(c.ID)
	var page struct{ Items []connection }
	acme.want(http.StatusOK, "GET", "/v1/connections", "").into(t, &page)
	if len(page.Items) != 1 {
		t.Errorf("%d connections", len(page.Items))
	}
	acme.want(http.StatusCreated, "POST", "/v1/connections", byKeys(t, "Unsealed", account, second)) // its name is free
	acme.want(http.StatusOK, "PUT", path+"/access-key", second.json(t))
	_, _ = seen.WriteString(scan(t) + strings.Join(logs.all()[began:], "\n") + fmt.Sprint(pocket.Journal.Entries(mark)))
	for whose, k := range map[string]keyPair{"the first key": first, "the second key": second} {
		unseen(t, whose, seen.String(), k.SecretAccessKey)
	}
}
