package dynamodb

import (
	"fmt"
	"net/http"

	"rolecall/infra/local/wire"
)

// failure makes an error as DynamoDB answers it.
func failure(code, message string) *wire.Error {
	return &wire.Error{Code: code, Message: message, Status: http.StatusBadRequest}
}

func invalid(format string, args ...any) error {
	return failure("ValidationException", fmt.Sprintf(format, args...))
}

// invalidParameter is a ValidationException of the kind that starts so in DynamoDB.
func invalidParameter(format string, args ...any) error {
	return invalid("One or more parameter values were invalid: "+format, args...)
}

func notFound() error {
	return failure("ResourceNotFoundException", "Requested resource not found")
}

func tableNotFound(name string) error {
	return failure("ResourceNotFoundException", "Requested resource not found: Table: "+name+" not found")
}

const conditionFailedMessage = "The conditional request failed"

// A conditionFailed says that a write's condition did not hold for the item, which may be nil.
type conditionFailed struct{ item Item }

func (c *conditionFailed) Error() string { return conditionFailedMessage }
