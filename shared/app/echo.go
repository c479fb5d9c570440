package app

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// withholdEcho keeps what AWS says of a wrong signature out of errors, and so out of logs: it repeats the request's
// headers, and the session token is one of them. The code stays.
func withholdEcho(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("WithholdEcho",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
			middleware.InitializeOutput, middleware.Metadata, error,
		) {
			out, metadata, err := next.HandleInitialize(ctx, in)
			return out, metadata, withoutEcho(err)
		}), middleware.Before)
}

func withoutEcho(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) || !strings.Contains(api.ErrorCode(), "Signature") {
		return err
	}
	return &smithy.GenericAPIError{Code: api.ErrorCode(), Message: "AWS refuses the signature", Fault: api.ErrorFault()}
}
