package events_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"rolecall/events"
)

// Every function has a sample of what Lambda gives it, for `make invoke` and for tests; shared/app runs them.
func TestEveryFunctionHasASample(t *testing.T) {
	mains, err := filepath.Glob("../functions/*/main.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("no functions: %v", err)
	}
	for _, m := range mains {
		name := filepath.Base(filepath.Dir(m))
		if _, err := os.Stat(sample(name)); err != nil {
			t.Error(err)
		}
	}
}

func sample(function string) string { return filepath.Join("samples", function+".json") }

// decode reads a sample strictly: a member that the event's type does not know is a slip of the pen.
func decode[E any](t *testing.T, function string) E {
	t.Helper()
	text, err := os.ReadFile(sample(function))
	if err != nil {
		t.Fatal(err)
	}
	var e E
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatalf("%s: %v", sample(function), err)
	}
	if d.More() {
		t.Errorf("%s holds more than one event", sample(function))
	}
	return e
}

func TestHTTPSamplesAreConsistent(t *testing.T) {
	for _, function := range []string{"api", "broker"} {
		t.Run(function, func(t *testing.T) {
			e := decode[lambdaevents.APIGatewayV2HTTPRequest](t, function)
			h := e.RequestContext.HTTP
			route := e.RouteKey
			for name, value := range e.PathParameters {
				route = strings.ReplaceAll(route, "{"+name+"}", value)
			}
			if e.Version != "2.0" || route != h.Method+" "+e.RawPath || h.Path != e.RawPath || e.RequestContext.RouteKey != e.RouteKey {
				t.Errorf("version %s, route %q, path %q", e.Version, e.RouteKey, e.RawPath)
			}
			if strings.Contains(e.RouteKey, "{") && len(e.PathParameters) == 0 {
				t.Error("no path parameters")
			}
			at := time.UnixMilli(e.RequestContext.TimeEpoch).UTC()
			if got := at.Format("02/Jan/2006:15:04:05 +0000"); got != e.RequestContext.Time {
				t.Errorf("time %s, epoch %s", e.RequestContext.Time, got)
			}
			jwt := e.RequestContext.Authorizer.JWT
			if jwt == nil || jwt.Claims["tenant_id"] == "" || len(jwt.Scopes) != 1 || !slices.Contains(strings.Fields(jwt.Claims["scope"]), jwt.Scopes[0]) {
				t.Errorf("the authorizer let this through: %+v", jwt)
			}
		})
	}
}

func TestQueueSamplesAreConsistent(t *testing.T) {
	for _, function := range []string{"callback", "verify", "webhook"} {
		t.Run(function, func(t *testing.T) {
			e := decode[lambdaevents.SQSEvent](t, function)
			if len(e.Records) != 1 {
				t.Fatalf("%d records", len(e.Records))
			}
			r := e.Records[0]
			sum := md5.Sum([]byte(r.Body))
			if r.Md5OfBody != hex.EncodeToString(sum[:]) || r.EventSource != "aws:sqs" || r.Attributes["ApproximateReceiveCount"] != "1" {
				t.Errorf("record %+v", r)
			}
		})
	}
	var notification lambdaevents.SNSEntity
	d := json.NewDecoder(strings.NewReader(decode[lambdaevents.SQSEvent](t, "callback").Records[0].Body))
	if err := d.Decode(&notification); err != nil {
		t.Fatal(err)
	}
	var request struct{ RequestType, ServiceToken, StackId string } //nolint:revive // CloudFormation's own spelling
	if err := json.Unmarshal([]byte(notification.Message), &request); err != nil {
		t.Fatal(err)
	}
	if request.RequestType != "Create" || request.ServiceToken != notification.TopicArn || request.StackId == "" {
		t.Errorf("request %+v from topic %s", request, notification.TopicArn)
	}
}

func TestUploadSampleIsOneOfCloudFormation(t *testing.T) {
	text, err := os.ReadFile(sample("upload"))
	if err != nil {
		t.Fatal(err)
	}
	var e cfn.Event // which leaves the ServiceToken out
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	if e.RequestType != cfn.RequestCreate || !strings.Contains(e.ResponseURL, url.QueryEscape(e.StackID[:strings.Index(e.StackID, "/")])) ||
		!strings.HasSuffix(e.ResourceProperties["ServiceToken"].(string), ":function:rolecall-upload") {
		t.Errorf("event %+v", e)
	}
}

func TestScheduleSampleIsOneOfTheScheduler(t *testing.T) {
	e := decode[lambdaevents.EventBridgeEvent](t, "refresh")
	if e.Source != "aws.scheduler" || e.DetailType != "Scheduled Event" || len(e.Resources) != 1 || string(e.Detail) != `"{}"` {
		t.Errorf("event %+v", e)
	}
}

func TestStreamSampleIsWhatTheFilterAdmits(t *testing.T) {
	e := decode[lambdaevents.DynamoDBEvent](t, "publish")
	last := ""
	for _, r := range e.Records {
		if r.EventName != "INSERT" || !strings.HasPrefix(r.Change.Keys["SK"].String(), "EVENT#") || r.Change.StreamViewType != "NEW_IMAGE" {
			t.Errorf("record %+v", r)
		}
		for name, value := range r.Change.Keys {
			if !reflect.DeepEqual(value, r.Change.NewImage[name]) {
				t.Errorf("the image has another %s than the keys", name)
			}
		}
		if r.Change.SequenceNumber <= last {
			t.Errorf("sequence number %s after %s", r.Change.SequenceNumber, last)
		}
		last = r.Change.SequenceNumber
	}
	if len(e.Records) < 2 {
		t.Errorf("%d records: order needs two", len(e.Records))
	}
}

func TestTheSchemaIsTheContract(t *testing.T) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile("connection-event.v1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if s.DraftVersion != 2020 {
		t.Errorf("draft %d, want 2020-12", s.DraftVersion)
	}
	good := func() map[string]any {
		text, err := json.Marshal(events.Detail{
			ID: "evt_01ka000000000000000000demx_9", Type: "connection.deleted", Version: events.Version, TenantID: "acme",
			ConnectionID: "conn_01ka000000000000000000demx", Sequence: 9, At: "2026-11-21T12:00:00.5Z", Actor: "ada@example.com",
			Data: map[string]any{"from": "enabled", "status": "deleted"},
		})
		if err != nil {
			t.Fatal(err)
		}
		var d map[string]any
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if err := s.Validate(good()); err != nil {
		t.Fatal(err)
	}
	for member := range good() {
		without := good()
		delete(without, member)
		if s.Validate(without) == nil {
			t.Errorf("valid without %s", member)
		}
	}
	for name, change := range map[string]func(map[string]any){
		"data null":               func(d map[string]any) { d["data"] = nil },
		"data without its type's": func(d map[string]any) { d["data"] = map[string]any{"status": "deleted"} },
		"data without a status":   func(d map[string]any) { d["data"] = map[string]any{"from": "enabled"} },
		"a status that is none":   func(d map[string]any) { d["data"] = map[string]any{"from": "enabled", "status": "gone"} },
		"another version":         func(d map[string]any) { d["version"] = "2" },
		"version as a number":     func(d map[string]any) { d["version"] = 1 },
		"a type that is none":     func(d map[string]any) { d["type"] = "connection.exploded" },
		"sequence zero":           func(d map[string]any) { d["sequence"] = 0 },
		"sequence as text":        func(d map[string]any) { d["sequence"] = "9" },
		"time of another zone":    func(d map[string]any) { d["at"] = "2026-11-21T12:00:00+01:00" },
		"time without a zone":     func(d map[string]any) { d["at"] = "2026-11-21T12:00:00" },
		"no connection's id":      func(d map[string]any) { d["connectionId"] = "conn_1" },
		"a tenant in brackets":    func(d map[string]any) { d["tenantId"] = "[acme other]" },
		"nobody":                  func(d map[string]any) { d["actor"] = "" },
	} {
		t.Run(name, func(t *testing.T) {
			d := good()
			change(d)
			if s.Validate(d) == nil {
				t.Errorf("valid: %v", d)
			}
		})
	}
	// Consumers must ignore what they do not know, or nothing could ever be added.
	more := good()
	more["region"] = "eu-west-1"
	if err := s.Validate(more); err != nil {
		t.Errorf("a new member: %v", err)
	}
}

// Every type of the schema says in words what it is about and has a sample that is as the schema says.
func TestEveryTypeIsDocumentedAndHasASample(t *testing.T) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile("connection-event.v1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("connection-event.v1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Properties struct{ Type struct{ Enum []string } }
		AllOf      []struct {
			If struct {
				Properties struct{ Type struct{ Const string } }
			}
			Then struct {
				Properties struct {
					Data struct {
						Title, Description string
						Required           []string
					}
				}
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var shapes []string
	for _, rule := range doc.AllOf {
		kind, data := rule.If.Properties.Type.Const, rule.Then.Properties.Data
		shapes = append(shapes, kind)
		if data.Title == "" || data.Description == "" || len(data.Required) == 0 {
			t.Errorf("%s: title %q, description %q, required %v", kind, data.Title, data.Description, data.Required)
		}
	}
	if !slices.Equal(shapes, doc.Properties.Type.Enum) {
		t.Errorf("types %v\nwith data %v", doc.Properties.Type.Enum, shapes)
	}
	// A type has one sample, and further ones where it can look different: <type>-<which>.json.
	files, err := filepath.Glob("samples/published/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var samples, sampled []string
	for _, f := range files {
		samples = append(samples, strings.TrimSuffix(filepath.Base(f), ".json"))
		kind, _, further := strings.Cut(samples[len(samples)-1], "-")
		if !further {
			sampled = append(sampled, kind)
		}
	}
	slices.Sort(sampled)
	if want := slices.Sorted(slices.Values(shapes)); !slices.Equal(sampled, want) {
		t.Errorf("samples of %v\nfor types %v", sampled, want)
	}
	for _, name := range samples {
		kind, _, _ := strings.Cut(name, "-")
		text, err := os.ReadFile(filepath.Join("samples/published", name+".json"))
		if err != nil {
			t.Error(err)
			continue
		}
		var e struct {
			DetailType string `json:"detail-type"`
			Source     string
			Detail     map[string]any
		}
		if err := json.Unmarshal(text, &e); err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if e.DetailType != kind || e.Detail["type"] != kind || e.Source != events.Source {
			t.Errorf("sample of %s: source %s, detail-type %s, type %v", kind, e.Source, e.DetailType, e.Detail["type"])
		}
		if err := s.Validate(e.Detail); err != nil {
			t.Errorf("sample of %s: %v", kind, err)
		}
	}
}
