package sqs

import (
	"errors"
	"regexp"

	"rolecall/infra/local/wire"
)

// failure is one entry of a batch that did not succeed.
type failure struct {
	ID          string `json:"Id"`
	SenderFault bool
	Code        string
	Message     string
}

// outcome is the answer of every batch operation.
type outcome struct {
	Successful []any
	Failed     []failure
}

var entryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// batch runs each entry by itself after it checked what SQS checks of a batch as a whole.
func batch[E any](entries []E, id func(E) string, each func(E) (any, error)) (outcome, error) {
	if len(entries) == 0 {
		return outcome{}, fail("EmptyBatchRequest", "There should be at least one entry in the request.")
	}
	if len(entries) > maxBatch {
		return outcome{}, fail("TooManyEntriesInBatchRequest",
			"Maximum number of entries per request are 10. You have sent %d.", len(entries))
	}
	seen := map[string]bool{}
	for _, e := range entries {
		name := id(e)
		if !entryID.MatchString(name) {
			return outcome{}, fail("InvalidBatchEntryId",
				"A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		if seen[name] {
			return outcome{}, fail("BatchEntryIdsNotDistinct", "Id %s repeated.", name)
		}
		seen[name] = true
	}
	result := outcome{Successful: []any{}, Failed: []failure{}}
	for _, e := range entries {
		value, err := each(e)
		if err != nil {
			result.Failed = append(result.Failed, failed(id(e), err))
			continue
		}
		result.Successful = append(result.Successful, value)
	}
	return result, nil
}

func failed(id string, err error) failure {
	var known *wire.Error
	if errors.As(err, &known) {
		return failure{ID: id, SenderFault: true, Code: known.Code, Message: known.Message}
	}
	return failure{ID: id, Code: "InternalError", Message: err.Error()}
}
