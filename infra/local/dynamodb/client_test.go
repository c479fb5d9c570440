package dynamodb_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"rolecall/infra/local/dynamodb"
	"rolecall/infra/local/wire"
)

// serve answers the JSON protocol as the wire package does, without signatures.
func serve(service *dynamodb.Service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		response, err := service.Serve(r.Context(), &wire.Call{
			Operation: operation, Region: region, Principal: wire.Principal{Account: account}, Body: body,
		})
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		value := response.Value
		var api *wire.Error
		if errors.As(err, &api) {
			members := map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + api.Code, "message": api.Message}
			for name, field := range api.Fields {
				members[name] = field
			}
			value = members
			w.WriteHeader(api.Status)
		}
		_ = json.NewEncoder(w).Encode(value)
	}
}

func newClient(t *testing.T) *sdk.Client {
	server := httptest.NewServer(serve(dynamodb.New(time.Now)))
	t.Cleanup(server.Close)
	return sdk.New(sdk.Options{
		Region: region, BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider(account, "x", ""),
	})
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func TestTheRealClient(t *testing.T) {
	t.Parallel()
	client, ctx := newClient(t), context.Background()
	name := aws.String("tab")
	_, err := client.CreateTable(ctx, &sdk.CreateTableInput{
		TableName: name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("PK"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("PK"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := sdk.NewTableExistsWaiter(client).Wait(ctx, &sdk.DescribeTableInput{TableName: name}, time.Second); err != nil {
		t.Fatal(err)
	}
	item := map[string]types.AttributeValue{
		"PK": text("1"), "b": &types.AttributeValueMemberB{Value: []byte{0, 1, 255}}, "n": &types.AttributeValueMemberN{Value: "1.50"},
		"m": &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"l": &types.AttributeValueMemberL{Value: []types.AttributeValue{
			&types.AttributeValueMemberBOOL{Value: true}, &types.AttributeValueMemberNULL{Value: true},
		}}}},
		"ns": &types.AttributeValueMemberNS{Value: []string{"2", "1"}}, "t": text("<&>\u2028\"é"),
	}
	if _, err := client.PutItem(ctx, &sdk.PutItemInput{TableName: name, Item: item}); err != nil {
		t.Fatal(err)
	}
	got, err := client.GetItem(ctx, &sdk.GetItemInput{TableName: name, Key: map[string]types.AttributeValue{"PK": text("1")}})
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := got.Item["t"].(*types.AttributeValueMemberS); !ok || v.Value != "<&>\u2028\"é" || len(got.Item) != len(item) {
		t.Errorf("%#v", got.Item)
	}
	_, err = client.PutItem(ctx, &sdk.PutItemInput{
		TableName: name, Item: item, ConditionExpression: aws.String("attribute_not_exists(PK)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) || failed.Item["PK"] == nil {
		t.Errorf("%v", err)
	}
	_, err = client.TransactWriteItems(ctx, &sdk.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: name, Item: map[string]types.AttributeValue{"PK": text("2")}}},
		{Put: &types.Put{
			TableName: name, Item: item, ConditionExpression: aws.String("attribute_not_exists(PK)"),
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}},
	}})
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) || len(cancelled.CancellationReasons) != 2 || cancelled.CancellationReasons[1].Item["PK"] == nil ||
		!strings.HasSuffix(cancelled.ErrorMessage(), "[None, ConditionalCheckFailed]") {
		t.Errorf("%v", err)
	}
	_, err = client.DescribeTable(ctx, &sdk.DescribeTableInput{TableName: aws.String("none")})
	var absent *types.ResourceNotFoundException
	if !errors.As(err, &absent) {
		t.Errorf("%v", err)
	}
	pages := sdk.NewQueryPaginator(client, &sdk.QueryInput{
		TableName: name, KeyConditionExpression: aws.String("PK = :p"), ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": text("1")},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil || page.Count != 1 || *page.ConsumedCapacity.CapacityUnits != 0.5 {
			t.Fatalf("%+v %v", page, err)
		}
	}
}
