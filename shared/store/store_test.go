package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	pocketdb "rolecall/infra/local/dynamodb"
	"rolecall/infra/local/iam"
	"rolecall/infra/local/wire"
	"rolecall/shared/connect"
	"rolecall/shared/store"
)

// The suite says what a store of connections must do. It runs against the laptop's table by default, and against any
// endpoint that ROLECALL_TEST_DYNAMODB names: DynamoDB itself (then with the environment's credentials), or another
// emulator. It makes a table of its own and deletes it.

const (
	roleOne = "arn:aws:iam::222222222222:role/One"
	roleTwo = "arn:aws:iam::222222222222:role/Two"
	stackID = "arn:aws:cloudformation:eu-west-1:222222222222:stack/one/11111111-aaaa"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

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
	})
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

func create(t testing.TB, tenant connect.TenantID, name string) connect.Change {
	t.Helper()
	var seed [32]byte // all of it: with fewer seeds two connections of a race would now and then be one
	for i := range seed {
		seed[i] = byte(rand.Int())
	}
	id, err := connect.NewConnectionID(noon.Add(time.Duration(rand.IntN(1e9))), rand.NewChaCha8(seed))
	if err != nil {
		t.Fatal(err)
	}
	n, err := connect.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return connect.Create(connect.NewConnection{
		TenantID: tenant, Name: n, Partition: "aws", DefaultRegion: "eu-west-1", Permissions: "read-only", By: "ada",
	}, id, connect.NewExternalID(), noon)
}

func role(t testing.TB, s string) connect.RoleARN {
	t.Helper()
	a, err := connect.ParseRoleARN(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func commit(t testing.TB, s *store.Store, ch connect.Change, err error) connect.Connection {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(context.Background(), ch); err != nil {
		t.Fatal(err)
	}
	return ch.Connection()
}

func good(at time.Time) connect.Outcome {
	o := connect.Outcome{Account: "222222222222", At: at, Regions: []connect.Region{"eu-west-1", "us-east-1"}, SessionTags: true}
	for _, n := range []connect.CheckName{
		connect.CheckAssumeRole, connect.CheckExternalIDRequired, connect.CheckExternalIDMatched, connect.CheckRegions, connect.CheckTrustPolicy,
	} {
		o.Checks = append(o.Checks, connect.Check{Name: n, Verdict: connect.Passed, At: at})
	}
	o.Checks[4].Reason = connect.Reason{Code: connect.CodeTrustExtraPrincipal, Message: "wide", Fix: "narrow it"}
	return o
}

// enabled commits a connection's whole way to enabled.
func enabled(t testing.TB, s *store.Store, tenant connect.TenantID, name, arn string) connect.Connection {
	t.Helper()
	c := commit(t, s, create(t, tenant, name), nil)
	ch, err := c.ReportRole(role(t, arn), noon, "ada")
	c = commit(t, s, ch, err)
	v, _ := c.Trial()
	ch, err = c.Tried(v.Run, v.Attempt, good(noon), 0, noon)
	return commit(t, s, ch, err)
}

func TestWhatIsCommittedIsRead(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	compare := func(want connect.Connection) {
		t.Helper()
		got, err := s.Connection(ctx, want.ID())
		if err != nil {
			t.Fatal(err)
		}
		text := cmp.Transformer("text", func(v fmt.Stringer) string { return v.String() })
		arn := cmp.FilterValues(func(_, _ connect.RoleARN) bool { return true }, text)
		stack := cmp.FilterValues(func(_, _ connect.StackID) bool { return true }, text)
		unexported := cmp.FilterPath(func(p cmp.Path) bool { return strings.HasSuffix(p.String(), "settling") }, cmp.Ignore())
		if d := cmp.Diff(want.Snapshot(), got.Snapshot(), arn, stack, unexported, cmp.AllowUnexported(connect.Check{})); d != "" {
			t.Errorf("%s: read back (-committed +read):\n%s", want.Status(), d)
		}
	}
	c := commit(t, s, create(t, "acme", "Production"), nil)
	compare(c)
	ch, err := c.ReportRole(role(t, roleOne), noon.Add(time.Second), "ada")
	c = commit(t, s, ch, err)
	compare(c)
	v, _ := c.Trial()
	unknown := good(noon)
	unknown.Checks[0].Verdict, unknown.Checks[0].Reason = connect.Unknown, connect.Reason{Code: connect.CodeSTSUnavailable, Message: "down"}
	ch, err = c.Tried(v.Run, 0, unknown, 0.5, noon.Add(2*time.Second))
	c = commit(t, s, ch, err)
	compare(c)
	ch, err = c.Tried(v.Run, 1, good(noon), 0, noon.Add(5*time.Second))
	c = commit(t, s, ch, err)
	compare(c)
	ch, err = c.ReportRole(role(t, roleTwo), noon.Add(time.Hour), "ada") // a candidate
	c = commit(t, s, ch, err)
	compare(c)
	stack, err := connect.ParseStackID(stackID)
	if err != nil {
		t.Fatal(err)
	}
	again := create(t, "acme", "Of a stack")
	d := commit(t, s, again, nil).Receive(connect.Fence{}, connect.Callback{
		Type: connect.RequestCreate, Resource: connect.ResourceConnection, StackID: stack, LogicalID: "Connection", RequestID: "r1",
		Launch: 1, RoleARN: role(t, "arn:aws:iam::222222222222:role/Three"), TemplateVersion: "1.2.0", SentAt: noon,
		Grant: connect.Grant{Permissions: "custom", PolicyDigest: "0123456789abcdef", BoundaryARN: "arn:aws:iam::222222222222:policy/Boundary"},
	}, noon.Add(time.Minute))
	compare(commit(t, s, *d.Change, nil))
	ch, err = c.Delete(noon.Add(2*time.Hour), "ada")
	compare(commit(t, s, ch, err))
	id, err := connect.NewConnectionID(noon, rand.NewChaCha8([32]byte{9}))
	if err != nil {
		t.Fatal(err)
	}
	compare(commit(t, s, connect.Create(connect.NewConnection{
		TenantID: "acme", Name: "Of one account", Partition: "aws", AccountID: "022222222222", DefaultRegion: "eu-west-1", Permissions: "read-only", By: "ada",
	}, id, connect.NewExternalID(), noon), nil))
}

func TestNobodysConnection(t *testing.T) {
	s := newStore(t)
	if _, err := s.Connection(context.Background(), "conn_00000000000000000000000000"); !errors.Is(err, connect.ErrNotFound) {
		t.Error(err)
	}
	if _, _, err := s.ConnectionAndFence(context.Background(), "conn_00000000000000000000000000", connect.StackID{}); !errors.Is(err, connect.ErrNotFound) {
		t.Error(err)
	}
}

// Of two changes decided upon the same version one is committed, and nothing of the other.
func TestConflict(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	c := commit(t, s, create(t, "acme", "Production"), nil)
	first, err := c.ReportRole(role(t, roleOne), noon, "ada")
	second, err2 := c.ReportRole(role(t, roleTwo), noon, "bob")
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	commit(t, s, first, nil)
	if err := s.Commit(ctx, second); !errors.Is(err, connect.ErrConflict) {
		t.Fatalf("the second: %v", err)
	}
	if err := s.Commit(ctx, first); !errors.Is(err, connect.ErrConflict) {
		t.Fatalf("the first once more: %v", err)
	}
	events, err := s.Events(ctx, c.ID(), connect.EventQuery{Limit: 10})
	if err != nil || len(events.Items) != 2 || events.Items[0].Actor != "ada" {
		t.Errorf("%d events, %v", len(events.Items), err)
	}
	other := commit(t, s, create(t, "acme", "Other"), nil)
	ch, err := other.ReportRole(role(t, roleTwo), noon, "bob") // the loser reserved nothing
	commit(t, s, ch, err)
}

func TestNamesAreReservedForEver(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	c := commit(t, s, create(t, "acme", "Straße ①"), nil)
	for _, same := range []string{"Straße ①", "STRASSE 1", "strasse 1", "Straße 1"} {
		if err := s.Commit(ctx, create(t, "acme", same)); !errors.Is(err, connect.ErrNameTaken) {
			t.Errorf("%q: %v", same, err)
		}
	}
	ch, err := c.Delete(noon, "ada")
	commit(t, s, ch, err)
	if err := s.Commit(ctx, create(t, "acme", "straße 1")); !errors.Is(err, connect.ErrNameTaken) {
		t.Errorf("after deletion: %v", err)
	}
	commit(t, s, create(t, "other", "Straße ①"), nil)
	commit(t, s, create(t, "acme", "Strasse 2"), nil)
}

func renamed(t testing.TB, c connect.Connection, name string) connect.Change {
	t.Helper()
	ch, ok, err := c.Update(connect.Update{Name: new(connect.Name(name))}, noon, "ada")
	if !ok {
		t.Fatalf("renaming %s to %s: %v", c.Snapshot().Name, name, err)
	}
	return ch
}

// A rename reserves the new name and keeps the old one: nobody else ever gets either, and the connection may go back.
func TestRenaming(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	c := commit(t, s, create(t, "acme", "First"), nil)
	d := commit(t, s, create(t, "acme", "Other"), nil)
	c = commit(t, s, renamed(t, c, "Second"), nil)
	for _, name := range []string{"First", "FIRST", "second"} {
		if err := s.Commit(ctx, create(t, "acme", name)); !errors.Is(err, connect.ErrNameTaken) {
			t.Errorf("a new connection named %s: %v", name, err)
		}
		if err := s.Commit(ctx, renamed(t, d, name)); !errors.Is(err, connect.ErrNameTaken) {
			t.Errorf("another one renamed to %s: %v", name, err)
		}
	}
	if err := s.Commit(ctx, renamed(t, c, "other")); !errors.Is(err, connect.ErrNameTaken) {
		t.Errorf("renamed to another one's name: %v", err)
	}
	read, err := s.Connection(ctx, c.ID())
	if err != nil || read.Snapshot().Name != "Second" || read.Version() != 2 {
		t.Errorf("%s, version %d, %v: what was refused changed something", read.Snapshot().Name, read.Version(), err)
	}
	c = commit(t, s, renamed(t, c, "SECOND"), nil) // its own in other letters
	c = commit(t, s, renamed(t, c, "First"), nil)  // and back
	page, err := s.Connections(ctx, "acme", connect.ListQuery{Limit: 10, Contains: "first"})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID() != c.ID() {
		t.Errorf("found by its name now: %d, %v", len(page.Items), err)
	}
	ch, err := c.Delete(noon, "ada")
	commit(t, s, ch, err)
	for _, name := range []string{"First", "Second"} {
		if err := s.Commit(ctx, create(t, "acme", name)); !errors.Is(err, connect.ErrNameTaken) {
			t.Errorf("%s after deletion: %v", name, err)
		}
	}
	commit(t, s, renamed(t, commit(t, s, create(t, "other", "Third"), nil), "First"), nil)
}

func TestARoleIsOneConnectionsWithinItsTenant(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	c := enabled(t, s, "acme", "one", roleOne)
	d := commit(t, s, create(t, "acme", "two"), nil)
	take, err := d.ReportRole(role(t, roleOne), noon, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, take); !errors.Is(err, connect.ErrRoleInUse) {
		t.Fatalf("taken twice: %v", err)
	}
	enabled(t, s, "other", "one", roleOne) // another tenant proves it by an external ID of its own
	ch, err := c.Delete(noon, "ada")
	commit(t, s, ch, err)
	commit(t, s, take, nil) // free again
}

// A hundred callers want the same name, and a hundred the same role: one gets it, and the others know why they did not.
func TestRaces(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	const racers = 100
	race := func(changes []connect.Change, lost error) {
		t.Helper()
		errs := make([]error, len(changes))
		var wg sync.WaitGroup
		for i, ch := range changes {
			wg.Go(func() {
				for {
					if errs[i] = s.Commit(ctx, ch); !errors.Is(errs[i], connect.ErrConflict) {
						return
					}
				}
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, lost):
				t.Errorf("lost by %v", err)
			}
		}
		if won != 1 {
			t.Errorf("%d won", won)
		}
	}
	names, roles, renames := make([]connect.Change, racers), make([]connect.Change, racers), make([]connect.Change, racers)
	for i := range racers {
		names[i] = create(t, "acme", "wanted")
		c := commit(t, s, create(t, "acme", fmt.Sprint("racer ", i)), nil)
		ch, err := c.ReportRole(role(t, roleOne), noon, "ada")
		if err != nil {
			t.Fatal(err)
		}
		roles[i] = ch
		renames[i] = renamed(t, commit(t, s, create(t, "acme", fmt.Sprint("runner ", i)), nil), "finisher")
	}
	race(names, connect.ErrNameTaken)
	race(renames, connect.ErrNameTaken)
	race(roles, connect.ErrRoleInUse)
}

func TestIdempotencyKeys(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	key := func(request string) *connect.Idempotency {
		return &connect.Idempotency{Key: "k1", Request: request, ExpiresAt: noon.Add(24 * time.Hour)}
	}
	c := commit(t, s, create(t, "acme", "one").Idempotent(key("a")), nil)
	var done *connect.AlreadyDone
	if err := s.Commit(ctx, create(t, "acme", "one").Idempotent(key("a"))); !errors.As(err, &done) || done.ID != c.ID() {
		t.Errorf("repeated: %v", err)
	}
	if err := s.Commit(ctx, create(t, "acme", "two").Idempotent(key("b"))); !errors.Is(err, connect.ErrIdempotencyReused) {
		t.Errorf("used for something else: %v", err)
	}
	commit(t, s, create(t, "other", "one").Idempotent(key("b")), nil)
}

func TestFences(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	c := commit(t, s, create(t, "acme", "one"), nil)
	id, err := connect.ParseStackID(stackID)
	if err != nil {
		t.Fatal(err)
	}
	cb := connect.Callback{
		Type: connect.RequestDelete, Resource: connect.ResourceConnection, StackID: id, LogicalID: "Connection", RequestID: "r1",
		Launch: 1, SentAt: noon.Add(time.Minute + 123*time.Millisecond),
	}
	_, f, err := s.ConnectionAndFence(ctx, c.ID(), id)
	if err != nil || f.Deleted || len(f.Seen) != 0 {
		t.Fatalf("before: %+v %v", f, err)
	}
	d := c.Receive(f, cb, noon)
	commit(t, s, *d.Change, nil)
	got, f, err := s.ConnectionAndFence(ctx, c.ID(), id)
	if err != nil || !f.Deleted || f.Seen["Connection"].RequestID != "r1" || !f.Seen["Connection"].SentAt.Equal(cb.SentAt) || f.StackID != id {
		t.Errorf("after: %+v %v", f, err)
	}
	if got.Status() != connect.StatusDisconnected {
		t.Error(got.Status())
	}
}

func TestList(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	var ids []connect.ConnectionID
	for i := range 25 {
		ch := create(t, "acme", fmt.Sprintf("Account %02d", i))
		ids = append(ids, commit(t, s, ch, nil).ID())
	}
	gone := commit(t, s, create(t, "acme", "Gone"), nil)
	ch, err := gone.Delete(noon, "ada")
	commit(t, s, ch, err)
	commit(t, s, create(t, "other", "Account 99"), nil)
	slices.Sort(ids)
	slices.Reverse(ids)
	all := func(q connect.ListQuery) (got []connect.ConnectionID) {
		t.Helper()
		for {
			page, err := s.Connections(ctx, "acme", q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Items) > q.Limit {
				t.Fatalf("%d on a page of %d", len(page.Items), q.Limit)
			}
			for _, c := range page.Items {
				got = append(got, c.ID())
			}
			if page.Next == "" {
				return got
			}
			q.Cursor = page.Next
		}
	}
	for _, limit := range []int{1, 7, 25, 100} {
		if got := all(connect.ListQuery{Limit: limit}); !slices.Equal(got, ids) {
			t.Errorf("by %d: %d connections, or not newest first", limit, len(got))
		}
	}
	if got := all(connect.ListQuery{Limit: 3, Contains: "ACCOUNT 1"}); len(got) != 10 {
		t.Errorf("%d contain it", len(got))
	}
	if got := all(connect.ListQuery{Limit: 10, Status: connect.StatusDeleted}); !slices.Equal(got, []connect.ConnectionID{gone.ID()}) {
		t.Errorf("deleted: %v", got)
	}
	page, err := s.Connections(ctx, "acme", connect.ListQuery{Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := s.Connections(ctx, "other", connect.ListQuery{Limit: 5, Cursor: page.Next})
	if err == nil && slices.ContainsFunc(foreign.Items, func(c connect.Connection) bool { return c.TenantID() != "other" }) {
		t.Error("a cursor led to another tenant")
	}
	for _, bad := range []string{"anything", "!", strings.Repeat("A", 1000)} {
		if _, err := s.Connections(ctx, "acme", connect.ListQuery{Limit: 5, Cursor: bad}); !errors.Is(err, &connect.Error{Code: connect.CodeCursorInvalid}) {
			t.Errorf("cursor %.10q: %v", bad, err)
		}
	}
}

func TestLeasesAreShared(t *testing.T) {
	s := newStore(t)
	var granted atomic.Int64
	race(40, func(int) {
		ok, err := s.Lease(context.Background(), "acme", connect.RationedCredentials, noon, 50, 500)
		if err != nil {
			t.Error(err)
		}
		if ok {
			granted.Add(1)
		}
	})
	if granted.Load() != 10 {
		t.Errorf("%d leases of 50 were granted of 500", granted.Load())
	}
	if ok, err := s.Lease(context.Background(), "acme", connect.RationedCredentials, noon.Add(time.Minute), 50, 500); err != nil || !ok {
		t.Errorf("the next minute: %v %v", ok, err)
	}
	if ok, err := s.Lease(context.Background(), "other", connect.RationedCredentials, noon, 50, 500); err != nil || !ok {
		t.Errorf("another tenant: %v %v", ok, err)
	}
}

func TestARevocationIsKept(t *testing.T) {
	s := newStore(t)
	c := enabled(t, s, "acme", "one", roleOne)
	ch, err := c.Revoke(noon.Add(time.Hour), "ada")
	commit(t, s, ch, err)
	kept, err := s.Connection(context.Background(), c.ID())
	if err != nil {
		t.Fatal(err)
	}
	want := connect.Revocation{At: noon.Add(time.Hour), RoleARN: c.Snapshot().RoleARN, LiftAt: noon.Add(2*time.Hour + 5*time.Minute)}
	if got := kept.Snapshot().Revocation; got == nil || *got != want {
		t.Errorf("kept %v, want %v", got, want)
	}

	full := kept.Snapshot()
	want = connect.Revocation{
		At: noon, RoleARN: want.RoleARN, Cutoff: noon.Add(time.Second), LiftAt: noon.Add(time.Hour), Undone: true, Former: noon.Add(-time.Minute),
	}
	full.Revocation = &want
	restored, err := connect.Restore(full)
	if err != nil {
		t.Fatal(err)
	}
	ch, err = restored.Delete(noon.Add(2*time.Hour), "ada")
	commit(t, s, ch, err)
	if kept, err = s.Connection(context.Background(), c.ID()); err != nil || *kept.Snapshot().Revocation != want {
		t.Errorf("kept %v, %v, want %v", kept.Snapshot().Revocation, err, want)
	}

	// A version before this one knew neither the policy's name nor any of a version before it.
	_, err = s.Client.UpdateItem(context.Background(), &dynamodb.UpdateItemInput{
		TableName: &s.Table, UpdateExpression: aws.String("REMOVE revocation.#policy, revocation.formerCutoff"),
		ExpressionAttributeNames: map[string]string{"#policy": "policy"},
		Key: map[string]types.AttributeValue{
			"PK": &types.AttributeValueMemberS{Value: "CONN#" + string(c.ID())}, "SK": &types.AttributeValueMemberS{Value: "META"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if kept, err = s.Connection(context.Background(), c.ID()); err != nil || !kept.Snapshot().Revocation.Former.Equal(want.Cutoff) {
		t.Errorf("of an earlier version: %v %v", kept.Snapshot().Revocation, err)
	}
}

func TestTimeline(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	c := enabled(t, s, "acme", "one", roleOne)
	note := connect.Event{
		ID: "evt_note", ConnectionID: c.ID(), TenantID: "acme", Sequence: c.Version(), Type: connect.EventCredentialsIssued,
		At: noon.Add(time.Hour), Actor: "svc", Data: map[string]any{"durationSeconds": 1800.0, "nested": map[string]any{"a": "b"}},
	}
	if err := s.Note(ctx, note); err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"evt_z", "evt_a", "evt_m"} { // later ones, whose ids sort anyhow
		later := note
		later.ID, later.At = id, note.At.Add(time.Duration(i+1)*time.Second)
		if err := s.Note(ctx, later); err != nil {
			t.Fatal(err)
		}
	}
	ch, err := c.Delete(noon.Add(2*time.Hour), "ada")
	commit(t, s, ch, err)
	var got []connect.Event
	q := connect.EventQuery{Limit: 2}
	for {
		page, err := s.Events(ctx, c.ID(), q)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.Items...)
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	var types []connect.EventType
	for i, e := range got {
		types = append(types, e.Type)
		if i > 0 && e.At.After(got[i-1].At) {
			t.Errorf("%s at %s is older than %s at %s", got[i-1].ID, got[i-1].At, e.ID, e.At)
		}
	}
	issued := connect.EventCredentialsIssued
	want := []connect.EventType{
		connect.EventDeleted, issued, issued, issued, issued, connect.EventEnabled, connect.EventRoleReported, connect.EventCreated,
	}
	if !slices.Equal(types, want) {
		t.Fatalf("timeline %v, want %v", types, want)
	}
	for about, n := range map[string]int{"credentials": 4, "connection": 4} {
		page, err := s.Events(ctx, c.ID(), connect.EventQuery{About: about, Limit: 10})
		if err != nil || len(page.Items) != n || !strings.HasPrefix(string(page.Items[0].Type), about) {
			t.Errorf("%s: %d events (%v), want %d", about, len(page.Items), err, n)
		}
	}
	if d := cmp.Diff(note, got[4]); d != "" {
		t.Error(d)
	}
	after, err := s.Connection(ctx, c.ID())
	if err != nil || after.Version() != c.Version()+1 {
		t.Errorf("a note changed the version: %d, %v", after.Version(), err)
	}
	if _, err := s.Events(ctx, c.ID(), connect.EventQuery{Limit: 2, Cursor: "TUVUQQ"}); !errors.Is(err, &connect.Error{Code: connect.CodeCursorInvalid}) {
		t.Errorf("a cursor that leads to the connection itself: %v", err)
	}
}

func TestTimeOfCheck(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	c := enabled(t, s, "acme", "one", roleOne)
	at := noon.Add(24 * time.Hour)
	if err := s.RecordCheck(ctx, c.ID(), at); err != nil {
		t.Fatal(err)
	}
	got, err := s.Connection(ctx, c.ID())
	if err != nil || !got.Snapshot().LastVerifiedAt.Equal(at) || got.Version() != c.Version() {
		t.Errorf("%s, version %d, %v", got.Snapshot().LastVerifiedAt, got.Version(), err)
	}
}

func TestSweepIndexes(t *testing.T) {
	s := newStore(t)
	ctx := context.Background()
	pending := commit(t, s, create(t, "acme", "pending"), nil)
	c := enabled(t, s, "acme", "enabled", roleOne)
	inSlot := func(id connect.ConnectionID) bool {
		page, err := s.InSlot(ctx, connect.Slot(id), "")
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(page.Items, id)
	}
	if inSlot(pending.ID()) || !inSlot(c.ID()) {
		t.Error("slots hold enabled connections, and no others")
	}
	due, err := s.Due(ctx, noon.Add(connect.LaunchLife), "")
	if err != nil || !slices.Contains(due.Items, pending.ID()) {
		t.Errorf("due: %v, %v", due.Items, err)
	}
	denied := good(noon)
	denied.Checks[0].Verdict, denied.Checks[0].Reason = connect.Failed, connect.Reason{Code: connect.CodeRoleNotAssumable}
	for i := range 3 {
		ch, ok := c.Rechecked(denied, "ada", noon.Add(time.Duration(6*i)*time.Minute))
		if !ok {
			t.Fatal("a denial changed nothing")
		}
		c = commit(t, s, ch, nil)
	}
	if c.Status() != connect.StatusDegraded || !inSlot(c.ID()) {
		t.Errorf("a %s connection has no slot to be found in, should it be missed when it is due", c.Status())
	}
	due, err = s.Due(ctx, noon.Add(27*time.Minute), "")
	if err != nil || !slices.Contains(due.Items, c.ID()) {
		t.Errorf("a quarter of an hour after it degraded is due: %v, %v", due.Items, err)
	}
	bare, err := s.Bare(ctx, c.ID())
	if err != nil || bare.Version() != c.Version() {
		t.Errorf("bare: version %d, %v", bare.Version(), err)
	}
	ch, err := c.Delete(noon, "ada")
	commit(t, s, ch, err)
	if inSlot(c.ID()) {
		t.Error("a deleted connection is still in its slot")
	}
	cursor, err := s.Cursor(ctx)
	if err != nil || !cursor.IsZero() {
		t.Fatalf("cursor before the first sweep: %s, %v", cursor, err)
	}
	if err := s.Advance(ctx, time.Time{}, noon); err != nil {
		t.Fatal(err)
	}
	if err := s.Advance(ctx, time.Time{}, noon); !errors.Is(err, connect.ErrConflict) {
		t.Errorf("advanced twice: %v", err)
	}
	if err := s.Advance(ctx, noon, noon.Add(time.Minute)); err != nil {
		t.Error(err)
	}
	if cursor, err = s.Cursor(ctx); err != nil || !cursor.Equal(noon.Add(time.Minute)) {
		t.Errorf("cursor %s, %v", cursor, err)
	}
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
