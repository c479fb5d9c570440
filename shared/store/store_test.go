package store_test

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	pocketdb "rolecall/infra/local/dynamodb"
	"rolecall/infra/local/iam"
	"rolecall/infra/local/wire"
	"rolecall/shared/connect"
	"rolecall/shared/store"
	"rolecall/shared/storetest"
)

const roleOne = "arn:aws:iam::222222222222:role/One"

var noon = storetest.Noon

// TestStore is the suite of what every store must do. It runs against the laptop's table by default, and against any
// endpoint that ROLECALL_TEST_DYNAMODB names: DynamoDB itself (then with the environment's credentials), or another
// emulator. Each case makes a table of its own and deletes it.
func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Store { return newStore(t) })
}

func client(t testing.TB) *dynamodb.Client {
	t.Helper()
	endpoint := os.Getenv("ROLECALL_TEST_DYNAMODB")
	if endpoint == "" {
		accounts := iam.New(time.Now)
		door := wire.NewServer(wire.Config{Authenticator: accounts, Authorizer: accounts, Clock: time.Now})
		door.Register("dynamodb", pocketdb.New(time.Now))
		server := httptest.NewServer(door)
		t.Cleanup(server.Close)
		endpoint = server.URL
	}
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if id == "" {
		id, secret = "111111111111", "any"
	}
	return dynamodb.NewFromConfig(aws.Config{
		Region: "eu-west-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, os.Getenv("AWS_SESSION_TOKEN")),
	}, func(o *dynamodb.Options) { o.HTTPClient = &replica{HTTPClient: o.HTTPClient, told: map[string]told{}} })
}

func newStore(t testing.TB) *store.Store {
	t.Helper()
	s := &store.Store{Client: client(t), Table: fmt.Sprintf("rolecall-test-%d", rand.Uint64())}
	ctx := context.Background()
	text := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: types.ScalarAttributeTypeS}
	}
	keys := func(hash, rangeKey string) []types.KeySchemaElement {
		return []types.KeySchemaElement{
			{AttributeName: &hash, KeyType: types.KeyTypeHash}, {AttributeName: &rangeKey, KeyType: types.KeyTypeRange},
		}
	}
	in := &dynamodb.CreateTableInput{TableName: &s.Table, BillingMode: types.BillingModePayPerRequest, KeySchema: keys("PK", "SK")}
	in.AttributeDefinitions = []types.AttributeDefinition{text("PK"), text("SK")}
	for name, projection := range map[string]types.ProjectionType{
		"tenant": types.ProjectionTypeAll, "slot": types.ProjectionTypeKeysOnly, "due": types.ProjectionTypeKeysOnly,
	} {
		in.AttributeDefinitions = append(in.AttributeDefinitions, text(name+"PK"), text(name+"SK"))
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: aws.String(name), KeySchema: keys(name+"PK", name+"SK"), Projection: &types.Projection{ProjectionType: projection},
		})
	}
	if _, err := s.Client.CreateTable(ctx, in); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = s.Client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &s.Table}) })
	if err := dynamodb.NewTableExistsWaiter(s.Client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &s.Table}, time.Minute); err != nil {
		t.Fatal(err)
	}
	return s
}

// deaf loses the answer to the first request that DynamoDB has carried out.
type deaf struct {
	dynamodb.HTTPClient
	lost bool
}

func (d *deaf) Do(r *http.Request) (*http.Response, error) {
	out, err := d.HTTPClient.Do(r)
	if err == nil && !d.lost {
		d.lost = true
		_ = out.Body.Close()
		return nil, &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	}
	return out, err
}

// A sweep whose acknowledgement is lost goes on; it does not take its own move for somebody else's.
func TestTheCursorsLostAcknowledgement(t *testing.T) {
	s, ctx := newStore(t), context.Background()
	for i, from := range []time.Time{{}, noon} {
		d := &deaf{HTTPClient: s.Client.Options().HTTPClient}
		lossy := &store.Store{Table: s.Table, Client: dynamodb.New(s.Client.Options(), func(o *dynamodb.Options) { o.HTTPClient = d })}
		to := noon.Add(time.Duration(i) * time.Minute)
		if err := lossy.Advance(ctx, from, to); err != nil || !d.lost {
			t.Errorf("move %d: %v, lost %v", i, err, d.lost)
		}
		if cursor, err := s.Cursor(ctx); err != nil || !cursor.Equal(to) {
			t.Errorf("cursor %s, %v", cursor, err)
		}
	}
}

// A revocation that a version before 1.4.0 wrote down knew neither the policy's name nor any of a version before it.
func TestARevocationOfAnEarlierVersion(t *testing.T) {
	s := newStore(t)
	c := storetest.Enabled(t, s, "acme", "one", roleOne)
	full := c.Snapshot()
	full.Revocation = &connect.Revocation{At: noon, RoleARN: full.RoleARN, Cutoff: noon.Add(time.Second), LiftAt: noon.Add(time.Hour)}
	restored, err := connect.Restore(full)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := restored.Delete(noon.Add(time.Hour), "ada")
	storetest.Commit(t, s, ch, err)
	_, err = s.Client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &s.Table, UpdateExpression: aws.String("REMOVE revocation.#policy, revocation.formerCutoff"),
		ExpressionAttributeNames: map[string]string{"#policy": "policy"},
		Key: map[string]types.AttributeValue{
			"PK": &types.AttributeValueMemberS{Value: "CONN#" + string(c.ID())}, "SK": &types.AttributeValueMemberS{Value: "META"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := s.Connection(t.Context(), c.ID())
	if err != nil || !kept.Snapshot().Revocation.Former.Equal(noon.Add(time.Second)) {
		t.Errorf("%+v, %v", kept.Snapshot().Revocation, err)
	}
}

// between has something happen once, after the first request.
type between struct {
	dynamodb.HTTPClient
	requests  int
	meanwhile func()
}

func (b *between) Do(r *http.Request) (*http.Response, error) {
	out, err := b.HTTPClient.Do(r)
	if b.requests++; b.requests == 1 {
		b.meanwhile()
	}
	return out, err
}

// A stack's Delete is acted upon by somebody else while a copy of it is looked up: the copy changes nothing, and above all
// does not find the connection as it has become with the fence as it was.
func TestAFenceIsReadAfterItsConnection(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	stack, err := connect.ParseStackID("arn:aws:cloudformation:eu-west-1:222222222222:stack/one/11111111-aaaa")
	if err != nil {
		t.Fatal(err)
	}
	c := storetest.Commit(t, s, storetest.Create(t, "acme", "one"), nil)
	request := connect.Callback{
		Type: connect.RequestCreate, Resource: connect.ResourceStackStarted, StackID: stack, LogicalID: "StackStarted", RequestID: "r1", ConnectionID: c.ID(),
		TokenValid: true, Launch: 1, SignedAt: noon, SentAt: noon,
	}
	settle := func(s *store.Store) {
		t.Helper()
		u := connect.Settling{Store: s, Jobs: idle{}, Random: crand.Reader, Clock: func() time.Time { return noon }}
		if err := u.Settle(ctx, request, nil); err != nil {
			t.Fatal(err)
		}
	}
	settle(s)
	request.Type, request.RequestID, request.SignedAt = connect.RequestDelete, "r2", noon.Add(time.Second)
	b := &between{HTTPClient: s.Client.Options().HTTPClient, meanwhile: func() { settle(s) }}
	slow := &store.Store{Table: s.Table, Client: dynamodb.New(s.Client.Options(), func(o *dynamodb.Options) { o.HTTPClient = b })}
	settle(slow)
	if page, err := s.Events(ctx, c.ID(), connect.EventQuery{Limit: 10}); err != nil || len(page.Items) != 3 {
		t.Errorf("%d events, %v", len(page.Items), err)
	}
}
