// Package metric counts in the log: CloudWatch reads what is written in its Embedded Metric Format out of the log group of
// a function, so a count costs no call and fails nobody.
package metric

import (
	"log/slog"
	"time"
)

// Namespace is where CloudWatch keeps the metrics.
const Namespace = "Rolecall"

// directive says which members of a log record are a metric. Its form is CloudWatch's.
type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []definition
}

type definition struct {
	Name string
	Unit string
}

// Count makes the record that it is added to count as one of a metric, by one dimension. The record must be at the top of
// a JSON log: CloudWatch looks into no group. The dimension's values must be few, for each one is a metric that costs.
func Count(name, dimension, value string, at time.Time) slog.Attr {
	d := directive{Namespace: Namespace, Dimensions: [][]string{{dimension}}, Metrics: []definition{{Name: name, Unit: "Count"}}}
	return slog.Group("", // stands for its members
		slog.Group("_aws", slog.Int64("Timestamp", at.UnixMilli()), slog.Any("CloudWatchMetrics", []directive{d})), //nolint:sloglint // CloudWatch's names
		slog.String(dimension, value), slog.Int(name, 1))
}
