package laptop_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// temporary is a session of the key's.
func (k keyPair) temporary(t testing.TB) keyPair {
	t.Helper()
	out, err := sts.NewFromConfig(awsConfig(k.AccessKeyID, k.SecretAccessKey, "", "eu-west-1")).GetSessionToken(
		context.Background(), &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(3600)})
	if err != nil {
		t.Fatal(err)
	}
	c := out.Credentials
	return keyPair{*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken, c.Expiration.UTC().Format(time.RFC3339)}
}

// deactivated is a key of the user's that IAM does not take any more.
func deactivated(t testing.TB, account, name string) keyPair {
	t.Helper()
	k := newKey(t, account, name)
	_, err := iam.NewFromConfig(awsConfig(account, "any", "", "us-east-1")).UpdateAccessKey(context.Background(), &iam.UpdateAccessKeyInput{
		UserName: &name, AccessKeyId: &k.AccessKeyID, Status: types.StatusTypeInactive,
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A keyRow is one way in which an access key is given, and what becomes of it.
type keyRow struct {
	name    string
	account string
	keys    keyPair
	status  int
	code    string
}

// keyRows are the ways, with keys of users made for them in two accounts. The first is as it should be.
func keyRows(t testing.TB, account, other string) []keyRow {
	t.Helper()
	good := user(t, account, "good", `"ec2:DescribeRegions","sts:GetFederationToken"`)
	blind := user(t, account, "blind", `"s3:ListAllMyBuckets"`)
	wrong, forged := good, good.temporary(t)
	wrong.SecretAccessKey = strings.Repeat("W", 39) + "x"
	forged.SessionToken = "forged" + forged.SessionToken
	unknown := keyPair{AccessKeyID: "AKIA2222222222222222", SecretAccessKey: "unknownunknownunknownunknownunknown00001"}
	return []keyRow{
		{"long-lived", account, good, http.StatusCreated, ""},
		{"temporary", account, good.temporary(t), http.StatusCreated, ""},
		{"wrong secret", account, wrong, http.StatusBadRequest, "KEYS_INVALID"},
		{"unknown key", account, unknown, http.StatusBadRequest, "KEYS_INVALID"},
		{"deactivated key", account, deactivated(t, account, "good"), http.StatusBadRequest, "KEYS_INVALID"},
		{"forged session token", account, forged, http.StatusBadRequest, "KEYS_INVALID"},
		{"temporary, token missing", account, keyPair{AccessKeyID: forged.AccessKeyID, SecretAccessKey: forged.SecretAccessKey}, http.StatusBadRequest, "KEYS_INVALID"},
		{"key of another account", other, good, http.StatusBadRequest, "KEYS_ACCOUNT_MISMATCH"},
		{"root's key", other, newKey(t, other, ""), http.StatusBadRequest, "ROOT_KEYS_REFUSED"},
		{"Regions denied", account, blind, http.StatusBadRequest, "REGIONS_DENIED"},
		{"eleven digits", account[:11], good, http.StatusBadRequest, "ACCOUNT_INVALID"},
		{"the platform's account", "111111111111", good, http.StatusBadRequest, "PLATFORM_ACCOUNT"},
	}
}

// verdict gives the key to a new connection, as a line of the table of methods.
func (r keyRow) verdict(t *testing.T, acme tenant) verdict {
	t.Helper()
	a := acme.call("POST", "/v1/connections", byKeys(t, r.name, r.account, r.keys))
	var p struct{ Status, Code, Fix string }
	_ = json.Unmarshal(a.body, &p) // the status of a problem is a number, which does not matter here
	v := verdict{method: "access key", outcome: r.name, status: p.Status, code: p.Code, fix: p.Fix}
	if v.code != "" {
		v.status = "refused"
	}
	if a.status != r.status || v.code != r.code || (v.code == "" && v.status != "enabled") {
		t.Errorf("%s: %d %s", r.name, a.status, a.body)
	}
	return v
}

// Each way of giving an access key, through the real flow: what is proven is enabled, all else is refused with a code and a
// fix and stores nothing. No secret of any of them is seen afterwards, anywhere.
func TestAccessKeyTable(t *testing.T) {
	t.Parallel()
	const account, other = "055555555502", "055555555503"
	acme := as(t, "acme-key-table")
	journal := pocket.Journal.Mark()
	rows := keyRows(t, account, other)
	good := rows[0].keys
	var table, seen strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ACCESS KEY\tANSWER\tCODE\tFIX")
	for i, row := range rows {
		name := fmt.Sprintf("Key %d", i)
		a := acme.call("POST", "/v1/connections", byKeys(t, name, row.account, row.keys))
		_, _ = seen.Write(a.body)
		var p struct{ Code, Fix, Status string }
		_ = json.Unmarshal(a.body, &p) // the status of a problem is a number, which does not matter here
		if a.status != row.status || p.Code != row.code || (row.code != "" && p.Code != "ACCOUNT_INVALID" && p.Fix == "") {
			t.Errorf("%s: %d %s", row.name, a.status, a.body)
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%.60s\n", row.name, a.status, p.Code, p.Fix)
		if row.status != http.StatusCreated { // the name is not used up
			acme.want(http.StatusCreated, "POST", "/v1/connections", `{"name":"`+name+`"}`)
		}
	}
	_ = w.Flush()
	t.Logf("%d ways\n%s", len(rows), table.String())
	keyed := acme.call("POST", "/v1/connections", byKeys(t, "Twice", account, good), "Idempotency-Key", "1")
	if keyed.status != http.StatusBadRequest || !strings.Contains(string(keyed.body), "IDEMPOTENCY_KEY_REFUSED") {
		t.Errorf("%d %s", keyed.status, keyed.body)
	}
	_, _ = seen.Write(keyed.body)
	_, _ = seen.Write(acme.want(http.StatusOK, "GET", "/v1/connections", "").body)
	var page struct{ Items []connection }
	acme.want(http.StatusOK, "GET", "/v1/connections", "").into(t, &page)
	for _, c := range page.Items {
		_, _ = seen.Write(acme.want(http.StatusOK, "GET", "/v1/connections/"+c.ID+"/events", "").body)
	}
	_, _ = seen.WriteString(scan(t) + strings.Join(logs.all(), "\n") + fmt.Sprint(pocket.Journal.Entries(journal)))
	for _, row := range rows {
		for _, secret := range []string{row.keys.SecretAccessKey, row.keys.SessionToken} {
			unseen(t, row.name, seen.String(), secret)
		}
	}
}

// unseen looks for a secret in every spelling.
func unseen(t *testing.T, whose, text, secret string) {
	t.Helper()
	if secret == "" {
		return
	}
	for how, spelling := range map[string]string{
		"raw": secret, "base64": base64.StdEncoding.EncodeToString([]byte(secret)), "URL-encoded": url.QueryEscape(secret), "a part": secret[2 : len(secret)-2],
	} {
		if strings.Contains(text, spelling) {
			t.Errorf("a secret of %s is seen, %s", whose, how)
		}
	}
}

// Rotation and upgrade: the key serves until what replaces it has been proven.
func TestAccessKeysAreReplaced(t *testing.T) {
	t.Parallel()
	const account = "055555555504"
	acme := as(t, "acme-key-change")
	first := user(t, account, "rolecall", `"ec2:DescribeRegions"`)
	var c keyConnection
	acme.want(http.StatusCreated, "POST", "/v1/connections", byKeys(t, "Changing", account, first)).into(t, &c)
	path := "/v1/connections/" + c.ID
	bad := first
	bad.SecretAccessKey = strings.Repeat("W", 40)
	acme.want(http.StatusBadRequest, "PUT", path+"/access-key", bad.json(t))
	acme.want(http.StatusPreconditionFailed, "PUT", path+"/access-key", first.json(t), "If-Match", `"1"`)
	acme.want(http.StatusOK, "GET", path+"/credentials", "")
	second := newKey(t, account, "rolecall")
	acme.want(http.StatusOK, "PUT", path+"/access-key", second.json(t), "If-Match", fmt.Sprintf("%q", fmt.Sprint(c.Version))).into(t, &c)
	if c.AccessKey.AccessKeyID != second.AccessKeyID || c.Status != "enabled" {
		t.Errorf("%+v", c)
	}
	narrowed := acme.want(http.StatusForbidden, "POST", path+"/credentials", `{"readOnly":true}`)
	if !strings.Contains(string(narrowed.body), "KEYS_FEDERATION_DENIED") {
		t.Errorf("%s", narrowed.body)
	}

	if !keepsKey(t, c.ID) {
		t.Error("no sealed key is kept")
	}
	acme.want(http.StatusCreated, "POST", path+"/launch", "").into(t, &c)
	if c.Status != "enabled" || c.Launch == nil || c.AccessKey == nil {
		t.Fatalf("%+v", c)
	}
	acme.want(http.StatusOK, "GET", path+"/credentials", "")
	theirs := customer{t, account, c.Launch.Region}
	theirs.launch(c.connection, nil)
	eventually(t, 30*time.Second, "a role", func() bool { return acme.get(c.ID).RoleARN != "" })
	c = keyConnection{}
	acme.want(http.StatusOK, "GET", path, "").into(t, &c)
	if c.Method != "role" || c.Status != "enabled" || c.AccessKey != nil || c.Name != "Changing" {
		t.Errorf("%+v", c)
	}
	if keepsKey(t, c.ID) {
		t.Error("the sealed key is still there")
	}
	var kinds []string
	for _, e := range acme.timeline(c.ID) {
		kinds = append(kinds, e.Type)
	}
	if all := strings.Join(kinds, " "); !strings.Contains(all, "connection.upgraded") || !strings.Contains(all, "connection.keys_rotated") {
		t.Errorf("%v", kinds)
	}
}

// keepsKey says that the connection's record holds a sealed access key.
func keepsKey(t *testing.T, id string) bool {
	t.Helper()
	for line := range strings.Lines(scan(t)) {
		if strings.Contains(line, "PK:CONN#"+id) && strings.Contains(line, "SK:META") {
			return strings.Contains(line, "sealed:")
		}
	}
	t.Fatalf("no record of %s", id)
	return false
}
