package store

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"rolecall/shared/connect"
)

// scoped is the condition that a connection has such a scope. DynamoDB cannot ask for any element of a list whose member is
// so, hence for each place there may be: 79 operators at most, of the 300 that an expression may have.
func scoped(in *dynamodb.QueryInput, f connect.ScopeFilter) string {
	in.ExpressionAttributeNames["#scopes"], in.ExpressionAttributeNames["#level"] = "scopes", "level"
	in.ExpressionAttributeValues[":level"] = text(string(f.Level))
	format := "#scopes[%[1]d].#level = :level"
	if f.ID != "" {
		in.ExpressionAttributeNames["#id"] = "id"
		in.ExpressionAttributeValues[":id"] = text(f.ID)
		format += " AND #scopes[%[1]d].#id = :id"
	}
	places := make([]string, connect.MaxScopes)
	for i := range places {
		places[i] = fmt.Sprintf(format, i)
	}
	return "(" + strings.Join(places, " OR ") + ")"
}
