package dynamodb

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Projection types of indexes.
const (
	projectAll      = "ALL"
	projectKeys     = "KEYS_ONLY"
	projectIncluded = "INCLUDE"
)

// A Definition is what a table is made from. Its JSON form is the CreateTable request's, and also that of CloudFormation's
// AWS::DynamoDB::Table where the two agree.
type Definition struct {
	TableName                        string
	AttributeDefinitions             []AttributeDefinition
	KeySchema                        []KeyElement
	BillingMode                      string                            `json:",omitempty"` // PROVISIONED where empty
	ProvisionedThroughput            *Throughput                       `json:",omitempty"`
	GlobalSecondaryIndexes           []Index                           `json:",omitempty"`
	LocalSecondaryIndexes            []Index                           `json:",omitempty"` // refused: see Service
	StreamSpecification              *StreamSpecification              `json:",omitempty"`
	TimeToLiveSpecification          *TimeToLiveSpecification          `json:",omitempty"` // CloudFormation only
	PointInTimeRecoverySpecification *PointInTimeRecoverySpecification `json:",omitempty"` // CloudFormation only
	DeletionProtectionEnabled        bool                              `json:",omitempty"`
	SSESpecification                 *SSESpecification                 `json:",omitempty"`
	TableClass                       string                            `json:",omitempty"`
	Tags                             []Tag                             `json:",omitempty"`
}

// An AttributeDefinition gives a key attribute its type: S, N or B.
type AttributeDefinition struct {
	AttributeName string
	AttributeType string
}

// A KeyElement is one attribute of a key; KeyType is HASH or RANGE.
type KeyElement struct {
	AttributeName string
	KeyType       string
}

// A Throughput is the capacity of a provisioned table; it is kept, not enforced.
type Throughput struct {
	ReadCapacityUnits  int64
	WriteCapacityUnits int64
}

// An Index is a secondary index.
type Index struct {
	IndexName             string
	KeySchema             []KeyElement
	Projection            Projection
	ProvisionedThroughput *Throughput `json:",omitempty"`
}

// A Projection says which attributes an index holds: ALL, KEYS_ONLY or INCLUDE.
type Projection struct {
	ProjectionType   string
	NonKeyAttributes []string `json:",omitempty"`
}

// A StreamSpecification turns a table's stream on. CloudFormation leaves StreamEnabled out.
type StreamSpecification struct {
	StreamEnabled  bool
	StreamViewType string `json:",omitempty"` // KEYS_ONLY, NEW_IMAGE, OLD_IMAGE or NEW_AND_OLD_IMAGES
}

// A TimeToLiveSpecification names the attribute that holds an item's time of expiry in Unix seconds.
type TimeToLiveSpecification struct {
	AttributeName string
	Enabled       bool
}

// A PointInTimeRecoverySpecification turns continuous backups on.
type PointInTimeRecoverySpecification struct {
	PointInTimeRecoveryEnabled bool
}

// An SSESpecification is kept and shown; nothing here is encrypted.
type SSESpecification struct {
	Enabled        bool   `json:",omitempty"`
	SSEEnabled     bool   `json:",omitempty"` // CloudFormation's name
	SSEType        string `json:",omitempty"`
	KMSMasterKeyID string `json:"KMSMasterKeyId,omitempty"`
}

// A Tag is a key and its value.
type Tag struct {
	Key   string
	Value string
}

var nameFormat = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

// check refuses a definition in DynamoDB's words.
func (d *Definition) check() error {
	if len(d.TableName) < 3 || len(d.TableName) > 255 {
		return invalid("TableName must be at least 3 characters long and at most 255 characters long")
	}
	if err := checkName("tableName", d.TableName); err != nil {
		return err
	}
	if len(d.LocalSecondaryIndexes) > 0 {
		return invalid("LocalSecondaryIndexes are not supported by this emulator")
	}
	if err := d.checkBilling(); err != nil {
		return err
	}
	types, err := d.types()
	if err != nil {
		return err
	}
	if err := checkKeySchema(d.KeySchema, types, d.AttributeDefinitions); err != nil {
		return err
	}
	if err := d.checkIndexes(types); err != nil {
		return err
	}
	if err := d.checkUse(); err != nil {
		return err
	}
	return d.StreamSpecification.check()
}

func checkName(parameter, name string) error {
	if !nameFormat.MatchString(name) {
		return constraint(name, parameter, "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
	}
	return nil
}

// constraint is the error of a parameter that breaks a rule of the API's model.
func constraint(value, parameter, rule string) error {
	return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, parameter, rule)
}

// checkEnum refuses a parameter that is none of the allowed words; empty means that it was not given.
func checkEnum(parameter, value string, allowed ...string) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return constraint(value, parameter, "Member must satisfy enum value set: ["+strings.Join(allowed, ", ")+"]")
}

func (d *Definition) checkBilling() error {
	if err := checkEnum("billingMode", d.BillingMode, "PROVISIONED", "PAY_PER_REQUEST"); err != nil {
		return err
	}
	t := d.ProvisionedThroughput
	if d.BillingMode == "PAY_PER_REQUEST" {
		if t != nil {
			return invalidParameter("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
		}
		return nil
	}
	if t == nil || t.ReadCapacityUnits < 1 || t.WriteCapacityUnits < 1 {
		return invalidParameter("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	}
	return nil
}

func (d *Definition) types() (map[string]kind, error) {
	types := make(map[string]kind, len(d.AttributeDefinitions))
	for i, a := range d.AttributeDefinitions {
		k := kindOf(a.AttributeType)
		if !k.ordered() {
			return nil, constraint(a.AttributeType, fmt.Sprintf("attributeDefinitions.%d.member.attributeType", i+1),
				"Member must satisfy enum value set: [B, N, S]")
		}
		types[a.AttributeName] = k
	}
	return types, nil
}

func checkKeySchema(schema []KeyElement, types map[string]kind, definitions []AttributeDefinition) error {
	if len(schema) < 1 || len(schema) > 2 {
		return constraint(fmt.Sprint(schema), "keySchema", "Member must have length less than or equal to 2 and greater than or equal to 1")
	}
	var keys, defined []string
	undefined := false
	for _, k := range schema {
		keys = append(keys, k.AttributeName)
		undefined = undefined || types[k.AttributeName] == kindInvalid
	}
	for _, a := range definitions {
		defined = append(defined, a.AttributeName)
	}
	switch {
	case undefined:
		return invalidParameter("Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: [%s]",
			strings.Join(keys, ", "), strings.Join(defined, ", "))
	case len(keys) == 2 && keys[0] == keys[1]:
		return invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	case schema[0].KeyType != "HASH":
		return invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case len(keys) == 2 && schema[1].KeyType != "RANGE":
		return invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	}
	return nil
}

func (d *Definition) checkIndexes(types map[string]kind) error {
	if len(d.GlobalSecondaryIndexes) > 20 {
		return invalidParameter("GlobalSecondaryIndex count exceeds the per-table limit of 20")
	}
	seen := make(map[string]bool)
	for _, ix := range d.GlobalSecondaryIndexes {
		if err := d.checkIndex(ix, types); err != nil {
			return err
		}
		if seen[ix.IndexName] {
			return invalidParameter("Duplicate index name: %s", ix.IndexName)
		}
		seen[ix.IndexName] = true
	}
	return nil
}

func (d *Definition) checkIndex(ix Index, types map[string]kind) error {
	if len(ix.IndexName) < 3 || len(ix.IndexName) > 255 {
		return constraint(ix.IndexName, "globalSecondaryIndexes.1.member.indexName",
			"Member must have length greater than or equal to 3")
	}
	if err := checkName("indexName", ix.IndexName); err != nil {
		return err
	}
	if err := checkKeySchema(ix.KeySchema, types, d.AttributeDefinitions); err != nil {
		return err
	}
	projection := ix.Projection
	switch projection.ProjectionType {
	case projectAll, projectKeys:
		if len(projection.NonKeyAttributes) > 0 {
			return invalidParameter("ProjectionType is %s, but NonKeyAttributes is specified", projection.ProjectionType)
		}
	case projectIncluded:
		if len(projection.NonKeyAttributes) == 0 {
			return invalidParameter("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
		}
	default:
		return invalidParameter("Unknown ProjectionType: %s", projection.ProjectionType)
	}
	if d.BillingMode == "PAY_PER_REQUEST" && ix.ProvisionedThroughput != nil {
		return invalidParameter("ProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", ix.IndexName)
	}
	return nil
}

// checkUse refuses attribute definitions that no key uses.
func (d *Definition) checkUse() error {
	used := make(map[string]bool)
	for _, k := range d.KeySchema {
		used[k.AttributeName] = true
	}
	if len(d.GlobalSecondaryIndexes) == 0 && len(d.AttributeDefinitions) != len(d.KeySchema) {
		return invalidParameter("Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	for _, ix := range d.GlobalSecondaryIndexes {
		for _, k := range ix.KeySchema {
			used[k.AttributeName] = true
		}
	}
	for _, a := range d.AttributeDefinitions {
		if !used[a.AttributeName] {
			return invalidParameter("Some AttributeDefinitions are not used. AttributeDefinitions: [%s], keys used: [%s]",
				a.AttributeName, strings.Join(sortedKeys(used), ", "))
		}
	}
	return nil
}

func (s *StreamSpecification) check() error {
	if s == nil {
		return nil
	}
	if s.StreamEnabled && s.StreamViewType == "" {
		return invalidParameter("StreamViewType is required when StreamEnabled is true")
	}
	return checkEnum("streamSpecification.streamViewType", s.StreamViewType,
		viewKeys, viewNew, viewOld, viewBoth)
}

func readKeySchema(schema []KeyElement, types map[string]kind) keySchema {
	k := keySchema{partition: schema[0].AttributeName, partitionKind: types[schema[0].AttributeName]}
	if len(schema) == 2 {
		k.sort, k.sortKind = schema[1].AttributeName, types[schema[1].AttributeName]
	}
	return k
}
