package metric

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The record is one line of JSON with the members at its top where CloudWatch's specification wants them.
func TestCountIsEmbeddedMetricFormat(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil)).With(slog.String("messageId", "1"))
	log.Info("callback dropped", Count("CallbacksDropped", "Reason", "key", time.UnixMilli(1772600767123)))
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%s", &out)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{
		"level": "INFO", "msg": "callback dropped", "messageId": "1", "Reason": "key", "CallbacksDropped": 1.0,
		"_aws": map[string]any{
			"Timestamp": 1772600767123.0,
			"CloudWatchMetrics": []any{map[string]any{
				"Namespace": "Rolecall", "Dimensions": []any{[]any{"Reason"}},
				"Metrics": []any{map[string]any{"Name": "CallbacksDropped", "Unit": "Count"}},
			}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
