package laptop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A multiCloud is a client as it was written for Multi-Cloud Manager: two routes, JSON, and nothing known of connections.
// Only its bearer token is ours.
type multiCloud struct {
	t     *testing.T
	token string
}

func (m multiCloud) do(method, path string, in, out any) int {
	m.t.Helper()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			m.t.Error(err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, pocket.APIURL+path, body)
	if err != nil {
		m.t.Error(err)
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+m.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Error(err)
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		m.t.Errorf("%s %s: %d, %v", method, path, resp.StatusCode, err)
	}
	return resp.StatusCode
}

func (m multiCloud) config() (account, externalID string) {
	m.t.Helper()
	var got map[string]string
	for status := http.StatusServiceUnavailable; status == http.StatusServiceUnavailable; { // throttled by the gateway
		got = nil
		status = m.do("GET", "/api/account/aws/config", nil, &got)
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			m.t.Errorf("config: %d %v", status, got)
		}
	}
	if len(got) != 2 {
		m.t.Errorf("config: %v", got)
	}
	return got["awsAccountId"], got["externalId"]
}

func (m multiCloud) add(body map[string]string, status int, answer string) {
	m.t.Helper()
	var got json.RawMessage
	if s := m.do("POST", "/api/account/aws/add", body, &got); s != status || string(got) != answer {
		m.t.Errorf("add %v: %d %s, want %d %s", body, s, got, status, answer)
	}
}

func TestMultiCloudManagersClient(t *testing.T) {
	t.Parallel()
	acme := as(t, "acme-multicloud")
	client := multiCloud{t, acme.token}
	const account = "222222222310"

	ids := make([]string, 20) // all who ask first get the same one
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() { _, ids[i] = client.config() })
	}
	wg.Wait()
	platform, first := client.config()
	for _, id := range ids {
		if id != first || id == "" {
			t.Errorf("external ID %q, then %q", id, first)
		}
	}
	if platform != "111111111111" {
		t.Errorf("platform %s", platform)
	}
	client.add(map[string]string{}, 400, `{"error":"Missing 'roleArn' in request body"}`)
	client.add(map[string]string{"roleArn": "nonsense"}, 403, `{"error":"Access denied. Check role ARN, account ID, and ExternalId."}`)

	role := pastedRole(t, account, "MultiCloud", first, `"ec2:DescribeRegions"`)
	const added = `{"message":"AWS account ` + account + ` successfully added."}`
	client.add(map[string]string{"roleArn": role}, 201, added)
	client.add(map[string]string{"roleArn": role}, 201, added)
	_, second := client.config()
	if second == first {
		t.Error("the external ID is given again after it was used")
	}
	client.add(map[string]string{"roleArn": pastedRole(t, account, "Again", second, `"ec2:DescribeRegions"`)}, 201, added)

	var page struct{ Items []connection }
	acme.want(http.StatusOK, "GET", "/v1/connections", "").into(t, &page)
	var names []string
	for _, c := range page.Items {
		names = append(names, c.Name+" "+c.Status)
	}
	if got := strings.Join(names, ", "); got != "AWS Account ("+account+") 2 enabled, AWS Account ("+account+") enabled" {
		t.Errorf("connections: %s", got)
	}
	var issued struct{ AccountID string }
	acme.want(http.StatusOK, "GET", "/v1/connections/"+page.Items[0].ID+"/credentials", "").into(t, &issued)
	if issued.AccountID != account {
		t.Errorf("credentials of %q", issued.AccountID)
	}

	// A role that asks for an external ID which another account has used is refused, within the 20 seconds.
	client.add(map[string]string{"roleArn": pastedRole(t, "222222222311", "MultiCloud", first, `"ec2:DescribeRegions"`)}, 403,
		`{"error":"Access denied. Check role ARN, account ID, and ExternalId."}`)
	// What the gateway itself refuses is in the gateway's words, here as in AWS.
	var refused json.RawMessage
	if s := (multiCloud{t, "nonsense"}).do("GET", "/api/account/aws/config", nil, &refused); s != 401 || string(refused) != `{"message":"Unauthorized"}` {
		t.Errorf("%d %s", s, refused)
	}
}
