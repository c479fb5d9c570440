package wire_test

import (
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/wire"
)

// What clients in other languages than Go rely on, and Go's do not look at.
func TestJSONAnswersCarryHeaders(t *testing.T) {
	ask := func(t *testing.T, svc wire.Service) (status int, header http.Header, body []byte) {
		p := newPocket(t, everywhere(svc))
		r := request(t, http.MethodPost, p.url+"/", strings.NewReader(`{"TableName":"t"}`))
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810.DescribeTable")
		sign(r, "dynamodb", goodKey)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if body, err = io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"Content-Type":   "application/x-amz-json-1.0",
			"X-Amz-Crc32":    strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10),
			"Content-Length": strconv.Itoa(len(body)),
		}
		for name, value := range want {
			if got := resp.Header.Get(name); got != value {
				t.Errorf("%s = %q, want %q", name, got, value)
			}
		}
		if id := resp.Header.Get("X-Amzn-Requestid"); len(id) != 36 {
			t.Errorf("request id %q", id)
		}
		return resp.StatusCode, resp.Header, body
	}
	t.Run("success", func(t *testing.T) {
		if status, _, body := ask(t, answering(nil)); status != http.StatusOK || string(body) != "{}" {
			t.Errorf("%d %s", status, body)
		}
	})
	t.Run("error", func(t *testing.T) {
		_, header, body := ask(t, failing(&wire.Error{
			Code: "ResourceNotFoundException", Message: "no table",
			Fields: map[string]any{"Item": "i", "__type": "not the service's to say"},
		}))
		if got := header.Get("X-Amzn-Errortype"); got != "ResourceNotFoundException" {
			t.Errorf("X-Amzn-Errortype = %q", got)
		}
		var got map[string]string
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"__type": "ResourceNotFoundException", "message": "no table", "Message": "no table", "Item": "i"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("error with a member that JSON cannot hold", func(t *testing.T) {
		_, _, body := ask(t, failing(&wire.Error{Code: "Odd", Message: "m", Fields: map[string]any{"c": make(chan int)}}))
		if string(body) != `{"__type":"Odd","message":"m"}` {
			t.Errorf("%s", body)
		}
	})
}

// Families and refusals that the clients of the other tests do not meet.
func TestDialects(t *testing.T) {
	unknown := failing(&wire.Error{Code: "InvalidAction", Message: "no such operation"})
	tests := []struct {
		name    string
		service string
		answers fake
		key     string
		code    string
		status  int
	}{
		{"ec2, expired", "ec2", answering(nil), expiredKey, "<Code>RequestExpired</Code>", 400},
		{"ec2, unknown key", "ec2", answering(nil), strangeKey, "<Code>AuthFailure</Code>", 401},
		{"ec2, unknown operation", "ec2", unknown, goodKey, "<Code>InvalidAction</Code>", 400},
		{"ec2, no members", "ec2", answering(nil), goodKey, "<GetThingResponse ", 200},
		{"rest, denied", "scheduler", forbidden("scheduler:GetSchedule"), goodKey, `"__type":"AccessDeniedException"`, 403},
		{"rest, expired", "scheduler", answering(nil), expiredKey, `"__type":"ExpiredTokenException"`, 403},
		{"rest, unknown operation", "scheduler", unknown, goodKey, `"__type":"UnknownOperationException"`, 404},
		{"rest, nothing to say", "scheduler", answering(nil), goodKey, "", 200},
		{"s3, unknown operation", "s3", unknown, goodKey, "<Code>NotImplemented</Code>", 501},
		{"s3, a document", "s3", answering(&struct {
			XMLName struct{} `xml:"ListBucketResult"`
			Name    string
		}{Name: "b"}), goodKey, "<ListBucketResult><Name>b</Name></ListBucketResult>", 200},
		{"query, what XML cannot hold", "sts", answering(map[string]string{}), goodKey, "<Code>InternalFailure</Code>", 500},
		{"ec2, what XML cannot hold", "ec2", answering(map[string]string{}), goodKey, "<Code>InternalFailure</Code>", 500},
		{"an authenticator's defect", "sts", answering(nil), "AKIADEFECT", "<Code>InternalFailure</Code>", 500},
		{"a refusal that is none", "sts", answering(nil), "AKIASLOW", "<Code>Throttling</Code>", 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPocket(t, everywhere(tt.answers))
			r := request(t, http.MethodGet, p.url+"/thing", nil)
			if tt.service == "ec2" || tt.service == "sts" {
				r = signed(t, p, tt.service, url.Values{"Action": {"GetThing"}})
			}
			sign(r, tt.service, tt.key)
			status, body := send(t, r)
			if status != tt.status || !strings.Contains(body, tt.code) || tt.code == "" && body != "" {
				t.Errorf("%d %s, want %d %s", status, body, tt.status, tt.code)
			}
		})
	}
}

func TestFormsJoinURLAndBody(t *testing.T) {
	var got url.Values
	p := newPocket(t, map[string]wire.Service{"sns": fake{serve: func(c *wire.Call) (wire.Response, error) {
		got = c.Form
		return wire.Response{}, nil
	}}})
	r := signed(t, p, "sns", url.Values{"Action": {"Publish"}, "Message": {"body"}})
	r.URL.RawQuery = "Message=url&Version=1"
	send(t, r)
	want := url.Values{"Action": {"Publish"}, "Message": {"body", "url"}, "Version": {"1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecode(t *testing.T) {
	var in struct{ Name string }
	if err := (&wire.Call{}).Decode(&in); err != nil {
		t.Errorf("an empty body: %v", err)
	}
	if err := (&wire.Call{Body: []byte(`{"Name":"n"}`)}).Decode(&in); err != nil || in.Name != "n" {
		t.Errorf("%v, %+v", err, in)
	}
	var e *wire.Error
	err := (&wire.Call{Body: []byte(`{"Name":1}`)}).Decode(&in)
	if !errors.As(err, &e) || e.Code != "SerializationException" || !strings.HasPrefix(err.Error(), "SerializationException: ") {
		t.Errorf("a bad body: %v", err)
	}
}
