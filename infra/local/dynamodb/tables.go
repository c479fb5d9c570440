package dynamodb

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"rolecall/infra/local/wire"
)

// A Description is what DescribeTable tells of a table; its JSON form is the protocol's.
type Description struct {
	AttributeDefinitions      []AttributeDefinition
	TableName                 string
	KeySchema                 []KeyElement
	TableStatus               string
	CreationDateTime          float64 // Unix seconds
	ProvisionedThroughput     throughputDescription
	TableSizeBytes            int64
	ItemCount                 int
	TableArn                  string
	TableId                   string               //nolint:revive // the protocol's name
	BillingModeSummary        *billingSummary      `json:",omitempty"`
	GlobalSecondaryIndexes    []IndexDescription   `json:",omitempty"`
	StreamSpecification       *StreamSpecification `json:",omitempty"`
	LatestStreamLabel         string               `json:",omitempty"`
	LatestStreamArn           string               `json:",omitempty"`
	SSEDescription            *sseDescription      `json:",omitempty"`
	TableClassSummary         *tableClassSummary   `json:",omitempty"`
	DeletionProtectionEnabled bool
}

// An IndexDescription is what DescribeTable tells of an index.
type IndexDescription struct {
	IndexName             string
	KeySchema             []KeyElement
	Projection            Projection
	IndexStatus           string
	ProvisionedThroughput throughputDescription
	IndexSizeBytes        int64
	ItemCount             int
	IndexArn              string
}

type throughputDescription struct {
	NumberOfDecreasesToday int64
	ReadCapacityUnits      int64
	WriteCapacityUnits     int64
}

type billingSummary struct {
	BillingMode string
}

type sseDescription struct {
	Status          string
	SSEType         string
	KMSMasterKeyArn string `json:",omitempty"`
}

type tableClassSummary struct {
	TableClass string
}

func describeThroughput(t *Throughput) throughputDescription {
	if t == nil {
		return throughputDescription{}
	}
	return throughputDescription{ReadCapacityUnits: t.ReadCapacityUnits, WriteCapacityUnits: t.WriteCapacityUnits}
}

func (t *table) describe() Description {
	d := t.definition
	result := Description{
		AttributeDefinitions: d.AttributeDefinitions, TableName: d.TableName, KeySchema: d.KeySchema, TableStatus: "ACTIVE",
		CreationDateTime: unixSeconds(t.created), ProvisionedThroughput: describeThroughput(d.ProvisionedThroughput),
		TableSizeBytes: t.size, ItemCount: t.items.count, TableArn: t.arn, TableId: t.uuid,
		LatestStreamLabel: t.lastLabel, DeletionProtectionEnabled: d.DeletionProtectionEnabled,
	}
	if d.BillingMode != "" {
		result.BillingModeSummary = &billingSummary{d.BillingMode}
	}
	if t.lastLabel != "" {
		result.LatestStreamArn = t.arn + "/stream/" + t.lastLabel
	}
	if t.stream != nil {
		result.StreamSpecification = &StreamSpecification{StreamEnabled: true, StreamViewType: t.stream.view}
	}
	if d.TableClass != "" {
		result.TableClassSummary = &tableClassSummary{d.TableClass}
	}
	if e := d.SSESpecification; e != nil && (e.Enabled || e.SSEEnabled) {
		result.SSEDescription = &sseDescription{Status: "ENABLED", SSEType: "KMS", KMSMasterKeyArn: e.KMSMasterKeyID}
	}
	for _, ix := range t.indexes {
		result.GlobalSecondaryIndexes = append(result.GlobalSecondaryIndexes, ix.describe())
	}
	return result
}

func (ix *index) describe() IndexDescription {
	return IndexDescription{
		IndexName: ix.definition.IndexName, KeySchema: ix.definition.KeySchema, Projection: ix.definition.Projection,
		IndexStatus: "ACTIVE", ProvisionedThroughput: describeThroughput(ix.definition.ProvisionedThroughput),
		IndexSizeBytes: ix.size, ItemCount: ix.entries.count, IndexArn: ix.arn,
	}
}

func unixSeconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

func newUUID() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	text := hex.EncodeToString(raw)
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

// CreateTable makes a table, with time to live and point-in-time recovery as the definition says. A StreamSpecification with a
// view type turns the stream on, as it does in CloudFormation. Errors are a *wire.Error in DynamoDB's words, such as
// ResourceInUseException for a table that exists.
func (s *Service) CreateTable(account, region string, d Definition) (Description, error) {
	if d.StreamSpecification != nil && d.StreamSpecification.StreamViewType != "" {
		d.StreamSpecification.StreamEnabled = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.create(tableID{account, region, d.TableName}, d)
	if err != nil {
		return Description{}, err
	}
	if ttl := d.TimeToLiveSpecification; ttl != nil && ttl.Enabled {
		t.startExpiry(ttl.AttributeName)
	}
	if pitr := d.PointInTimeRecoverySpecification; pitr != nil {
		t.setRecovery(pitr.PointInTimeRecoveryEnabled, s.clock())
	}
	return t.describe(), nil
}

func (s *Service) create(id tableID, d Definition) (*table, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if _, exists := s.tables[id]; exists {
		return nil, failure("ResourceInUseException", "Table already exists: "+id.name)
	}
	types, err := d.types()
	if err != nil {
		return nil, err
	}
	t := &table{
		id: id, definition: d, arn: id.arn(), uuid: newUUID(), created: s.clock(), keys: readKeySchema(d.KeySchema, types),
	}
	for _, ix := range d.GlobalSecondaryIndexes {
		t.indexes = append(t.indexes, newIndex(ix, types, t.keys, t.arn))
	}
	if d.StreamSpecification != nil && d.StreamSpecification.StreamEnabled {
		t.openStream(d.StreamSpecification.StreamViewType, t.created)
	}
	s.tables[id] = t
	return t, nil
}

// DeleteTable removes a table and ends its stream; force does so in spite of deletion protection. A table that does not exist
// is a ResourceNotFoundException.
func (s *Service) DeleteTable(account, region, name string, force bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.drop(tableID{account, region, name}, force)
	return err
}

func (s *Service) drop(id tableID, force bool) (Description, error) {
	t, ok := s.tables[id]
	if !ok {
		return Description{}, tableNotFound(id.name)
	}
	if t.definition.DeletionProtectionEnabled && !force {
		return Description{}, invalid("Resource cannot be deleted as it is currently protected against deletion. " +
			"Disable deletion protection first.")
	}
	t.closeStream()
	delete(s.tables, id)
	result := t.describe()
	result.TableStatus = "DELETING"
	return result, nil
}

// DescribeTable describes a table, its ARNs among the rest. A table that does not exist is a ResourceNotFoundException.
func (s *Service) DescribeTable(account, region, name string) (Description, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id := tableID{account, region, name}
	t, ok := s.tables[id]
	if !ok {
		return Description{}, tableNotFound(name)
	}
	return t.describe(), nil
}

// TableARN is the ARN that a table of this name has, whether it exists or not.
func TableARN(account, region, name string) string { return tableID{account, region, name}.arn() }

// Stream finds the open stream of a table by the ARN of the stream or of the table; nil where there is none.
func (s *Service) Stream(arn string) *Stream {
	tableARN, _, _ := strings.Cut(arn, "/stream/")
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.tables[scope{}.table(tableARN)]
	if !ok || t.stream == nil || (tableARN != arn && t.stream.arn != arn) {
		return nil
	}
	return t.stream
}

func (s *Service) createTable(at scope, d *Definition) (any, error) {
	d.TimeToLiveSpecification, d.PointInTimeRecoverySpecification = nil, nil // CloudFormation's alone
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.create(at.table(d.TableName), *d)
	if err != nil {
		return nil, err
	}
	result := t.describe()
	result.TableStatus = "CREATING" // it is ACTIVE in the next breath
	return map[string]any{"TableDescription": result}, nil
}

type tableInput struct {
	TableName string
}

func (s *Service) describeTable(at scope, input *tableInput) (any, error) {
	id := at.table(input.TableName)
	d, err := s.DescribeTable(id.account, id.region, id.name)
	if err != nil {
		return nil, err
	}
	return map[string]any{"Table": d}, nil
}

func (s *Service) deleteTable(at scope, input *tableInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.drop(at.table(input.TableName), false)
	if err != nil {
		return nil, err
	}
	return map[string]any{"TableDescription": d}, nil
}

type listTablesInput struct {
	ExclusiveStartTableName string
	Limit                   int
}

func (s *Service) listTables(at scope, input *listTablesInput) (any, error) {
	limit := input.Limit
	if limit < 0 || limit > 100 {
		return nil, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: "+
			"Member must have value less than or equal to 100", limit)
	}
	if limit == 0 {
		limit = 100
	}
	found := s.names(at, input.ExclusiveStartTableName)
	result := map[string]any{"TableNames": found}
	if len(found) > limit {
		result["TableNames"], result["LastEvaluatedTableName"] = found[:limit], found[limit-1]
	}
	return result, nil
}

func (s *Service) names(at scope, after string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := []string{}
	for id := range s.tables {
		if id.account == at.account && id.region == at.region && id.name > after {
			found = append(found, id.name)
		}
	}
	slices.Sort(found)
	return found
}

// A TableUpdate is an UpdateTable request; what is not set stays as it is.
type TableUpdate struct {
	TableName                   string
	AttributeDefinitions        []AttributeDefinition
	BillingMode                 string
	ProvisionedThroughput       *Throughput
	StreamSpecification         *StreamSpecification
	GlobalSecondaryIndexUpdates []IndexUpdate
	DeletionProtectionEnabled   *bool
	SSESpecification            *SSESpecification
	TableClass                  string
}

// An IndexUpdate creates or deletes one index, or changes its throughput.
type IndexUpdate struct {
	Create *Index
	Delete *struct{ IndexName string }
	Update *struct {
		IndexName             string
		ProvisionedThroughput *Throughput
	}
}

// UpdateTable changes a table; new indexes are filled at once. The errors are those of the operation UpdateTable.
func (s *Service) UpdateTable(account, region string, u TableUpdate) (Description, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tables[tableID{account, region, u.TableName}]
	if !ok {
		return Description{}, tableNotFound(u.TableName)
	}
	d, err := t.updated(u)
	if err != nil {
		return Description{}, err
	}
	if err := t.updateStream(u.StreamSpecification, s.clock()); err != nil {
		return Description{}, err
	}
	return t.describe(), t.redefine(d)
}

func (s *Service) updateTable(at scope, u *TableUpdate) (any, error) {
	id := at.table(u.TableName)
	u.TableName = id.name
	d, err := s.UpdateTable(id.account, id.region, *u)
	if err != nil {
		return nil, err
	}
	d.TableStatus = "UPDATING"
	return map[string]any{"TableDescription": d}, nil
}

// updated is the table's definition after the update, checked.
func (t *table) updated(u TableUpdate) (Definition, error) {
	d := t.definition
	d.GlobalSecondaryIndexes = slices.Clone(d.GlobalSecondaryIndexes)
	d.AttributeDefinitions = mergeAttributes(d.AttributeDefinitions, u.AttributeDefinitions)
	if u.BillingMode != "" {
		d.BillingMode = u.BillingMode
	}
	if d.BillingMode == "PAY_PER_REQUEST" && u.BillingMode != "" {
		d.ProvisionedThroughput = nil
	}
	if u.ProvisionedThroughput != nil {
		d.ProvisionedThroughput = u.ProvisionedThroughput
	}
	if u.DeletionProtectionEnabled != nil {
		d.DeletionProtectionEnabled = *u.DeletionProtectionEnabled
	}
	if u.SSESpecification != nil {
		d.SSESpecification = u.SSESpecification
	}
	if u.TableClass != "" {
		d.TableClass = u.TableClass
	}
	for _, change := range u.GlobalSecondaryIndexUpdates {
		if err := d.updateIndex(change); err != nil {
			return d, err
		}
	}
	d.AttributeDefinitions = usedAttributes(d)
	return d, d.check()
}

func mergeAttributes(old, added []AttributeDefinition) []AttributeDefinition {
	merged := slices.Clone(old)
	for _, a := range added {
		if !slices.Contains(merged, a) {
			merged = append(merged, a)
		}
	}
	return merged
}

// usedAttributes keeps the definitions that some key still uses.
func usedAttributes(d Definition) []AttributeDefinition {
	return slices.DeleteFunc(slices.Clone(d.AttributeDefinitions), func(a AttributeDefinition) bool {
		isIt := func(k KeyElement) bool { return k.AttributeName == a.AttributeName }
		return !slices.ContainsFunc(d.KeySchema, isIt) &&
			!slices.ContainsFunc(d.GlobalSecondaryIndexes, func(ix Index) bool { return slices.ContainsFunc(ix.KeySchema, isIt) })
	})
}

func (d *Definition) updateIndex(change IndexUpdate) error {
	find := func(name string) int {
		return slices.IndexFunc(d.GlobalSecondaryIndexes, func(ix Index) bool { return ix.IndexName == name })
	}
	switch {
	case change.Create != nil:
		d.GlobalSecondaryIndexes = append(d.GlobalSecondaryIndexes, *change.Create)
	case change.Delete != nil:
		at := find(change.Delete.IndexName)
		if at < 0 {
			return failure("ResourceNotFoundException", "Requested resource not found")
		}
		d.GlobalSecondaryIndexes = slices.Delete(d.GlobalSecondaryIndexes, at, at+1)
	case change.Update != nil:
		at := find(change.Update.IndexName)
		if at < 0 {
			return failure("ResourceNotFoundException", "Requested resource not found")
		}
		d.GlobalSecondaryIndexes[at].ProvisionedThroughput = change.Update.ProvisionedThroughput
	}
	return nil
}

func (t *table) updateStream(spec *StreamSpecification, now time.Time) error {
	switch {
	case spec == nil:
		return nil
	case spec.StreamEnabled && t.stream != nil:
		return invalid("Table already has an enabled stream: TableName: %s", t.id.name)
	case !spec.StreamEnabled && t.stream == nil:
		return invalid("Table already has a disabled stream: TableName: %s", t.id.name)
	}
	if err := spec.check(); err != nil {
		return err
	}
	t.closeStream()
	if spec.StreamEnabled {
		t.openStream(spec.StreamViewType, now)
	}
	return nil
}

// redefine takes on a checked definition: indexes that are new are filled, those that are no more are dropped.
func (t *table) redefine(d Definition) error {
	types, err := d.types()
	if err != nil {
		return err
	}
	var indexes []*index
	for _, definition := range d.GlobalSecondaryIndexes {
		ix := t.index(definition.IndexName)
		if ix == nil {
			ix = newIndex(definition, types, t.keys, t.arn)
			t.fill(ix)
		}
		ix.definition.ProvisionedThroughput = definition.ProvisionedThroughput
		indexes = append(indexes, ix)
	}
	t.indexes, t.definition = indexes, d
	return nil
}

type ttlInput struct {
	TableName               string
	TimeToLiveSpecification TimeToLiveSpecification
}

// SetTimeToLive turns a table's time to live on or off.
func (s *Service) SetTimeToLive(account, region, name string, spec TimeToLiveSpecification) error {
	if spec.AttributeName == "" {
		return constraint("", "timeToLiveSpecification.attributeName", "Member must have length greater than or equal to 1")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tables[tableID{account, region, name}]
	switch {
	case !ok:
		return tableNotFound(name)
	case spec.Enabled && t.ttl != "":
		return invalid("TimeToLive is already enabled")
	case !spec.Enabled && t.ttl == "":
		return invalid("TimeToLive is already disabled")
	case !spec.Enabled && t.ttl != spec.AttributeName:
		return invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", t.ttl)
	}
	if spec.Enabled {
		t.startExpiry(spec.AttributeName)
	} else {
		t.stopExpiry()
	}
	return nil
}

func (s *Service) updateTimeToLive(at scope, input *ttlInput) (any, error) {
	id := at.table(input.TableName)
	if err := s.SetTimeToLive(id.account, id.region, id.name, input.TimeToLiveSpecification); err != nil {
		return nil, err
	}
	return map[string]any{"TimeToLiveSpecification": input.TimeToLiveSpecification}, nil
}

func (s *Service) describeTimeToLive(at scope, input *tableInput) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id := at.table(input.TableName)
	t, ok := s.tables[id]
	if !ok {
		return nil, tableNotFound(id.name)
	}
	description := map[string]any{"TimeToLiveStatus": "DISABLED"}
	if t.ttl != "" {
		description = map[string]any{"TimeToLiveStatus": "ENABLED", "AttributeName": t.ttl}
	}
	return map[string]any{"TimeToLiveDescription": description}, nil
}

func (t *table) setRecovery(on bool, now time.Time) {
	if on && !t.recovery {
		t.recoverySince = now
	}
	t.recovery = on
}

// SetPointInTimeRecovery turns a table's continuous backups on or off; only the setting exists here.
func (s *Service) SetPointInTimeRecovery(account, region, name string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tables[tableID{account, region, name}]
	if !ok {
		return failure("TableNotFoundException", "Table not found: "+name)
	}
	t.setRecovery(on, s.clock())
	return nil
}

type backupsInput struct {
	TableName                        string
	PointInTimeRecoverySpecification PointInTimeRecoverySpecification
}

func (s *Service) updateContinuousBackups(at scope, input *backupsInput) (any, error) {
	id := at.table(input.TableName)
	on := input.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled
	if err := s.SetPointInTimeRecovery(id.account, id.region, id.name, on); err != nil {
		return nil, err
	}
	return s.describeContinuousBackups(at, &tableInput{input.TableName})
}

func (s *Service) describeContinuousBackups(at scope, input *tableInput) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id := at.table(input.TableName)
	t, ok := s.tables[id]
	if !ok {
		return nil, failure("TableNotFoundException", "Table not found: "+id.name)
	}
	recovery := map[string]any{"PointInTimeRecoveryStatus": "DISABLED"}
	if t.recovery {
		recovery = map[string]any{
			"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": 35,
			"EarliestRestorableDateTime": unixSeconds(t.recoverySince), "LatestRestorableDateTime": unixSeconds(s.clock()),
		}
	}
	return map[string]any{"ContinuousBackupsDescription": map[string]any{
		"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery,
	}}, nil
}

// IsNotFound tells whether an error of this package says that a table does not exist.
func IsNotFound(err error) bool {
	var api *wire.Error
	return errors.As(err, &api) && (api.Code == "ResourceNotFoundException" || api.Code == "TableNotFoundException")
}
