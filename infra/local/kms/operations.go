package kms

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"rolecall/infra/local/wire"
)

// operation is one API operation. Its IAM action is its name, as everywhere in KMS.
type operation func(*wire.Call) (any, error)

func (s *Service) table() map[string]operation {
	return map[string]operation{
		"CreateKey":                       s.createKey,
		"DescribeKey":                     s.describeKey,
		"ListKeys":                        s.listKeys,
		"EnableKey":                       s.enableKey,
		"DisableKey":                      s.disableKey,
		"ScheduleKeyDeletion":             s.scheduleKeyDeletion,
		"CancelKeyDeletion":               s.cancelKeyDeletion,
		"GetKeyPolicy":                    s.getKeyPolicy,
		"PutKeyPolicy":                    s.putKeyPolicy,
		"EnableKeyRotation":               s.enableKeyRotation,
		"DisableKeyRotation":              s.disableKeyRotation,
		"GetKeyRotationStatus":            s.getKeyRotationStatus,
		"CreateAlias":                     s.createAlias,
		"DeleteAlias":                     s.deleteAlias,
		"ListAliases":                     s.listAliases,
		"Encrypt":                         s.encrypt,
		"Decrypt":                         s.decrypt,
		"GenerateDataKey":                 s.generateDataKey,
		"GenerateDataKeyWithoutPlaintext": s.generateDataKeyWithoutPlaintext,
		"GenerateMac":                     s.generateMac,
		"VerifyMac":                       s.verifyMac,
	}
}

// input holds the members that several operations share and Needs reads.
type input struct {
	KeyID               string `json:"KeyId"`
	TargetKeyID         string `json:"TargetKeyId"`
	AliasName           string
	EncryptionContext   map[string]string
	EncryptionAlgorithm string
	MacAlgorithm        string
	CiphertextBlob      []byte
}

// Needs implements [wire.Service]; the package comment says how key policies decide.
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	if _, known := s.operations[call.Operation]; !known {
		return nil, unknown(call)
	}
	var in input
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	action := "kms:" + call.Operation
	switch call.Operation {
	case "CreateKey", "ListKeys", "ListAliases":
		return []wire.Need{{Action: action, Resource: "*"}}, nil
	case "CreateAlias", "DeleteAlias":
		return s.needsOfAlias(call, in)
	}
	k, err := s.keyOf(call, in)
	if err != nil {
		return nil, err
	}
	return []wire.Need{k.need(action, s.conditions(call, k, in))}, nil
}

// needsOfAlias: changing an alias takes the permission on the alias and, by the key's policy, on the key.
func (s *Service) needsOfAlias(call *wire.Call, in input) ([]wire.Need, error) {
	action, alias := "kms:"+call.Operation, aliasARN(call.Principal.Account, call.Region, in.AliasName)
	id := in.TargetKeyID
	if call.Operation == "DeleteAlias" {
		id = alias
	}
	k, err := s.resolve(call, id)
	if err != nil {
		return nil, err
	}
	return []wire.Need{{Action: action, Resource: alias}, k.need(action, s.conditions(call, k, in))}, nil
}

// keyOf finds the key that a call uses: the one it names, or else the one its ciphertext names.
func (s *Service) keyOf(call *wire.Call, in input) (*key, error) {
	if in.KeyID != "" || call.Operation != "Decrypt" {
		return s.resolve(call, in.KeyID)
	}
	arn, _, _, err := sealedBy(in.CiphertextBlob)
	if err != nil {
		return nil, err
	}
	k, err := s.resolve(call, arn)
	if err != nil {
		return nil, badCiphertext()
	}
	return k, nil
}

func (k *key) need(action string, conditions map[string][]string) wire.Need {
	document := k.policy
	return wire.Need{
		Action: action, Resource: k.arn(), Context: conditions,
		ResourcePolicy: &document, ResourceAccount: k.account, PolicyDecides: true,
	}
}

// conditions are KMS's own condition keys for a call on a key.
func (s *Service) conditions(call *wire.Call, k *key, in input) map[string][]string {
	all := map[string][]string{
		"kms:CallerAccount": {call.Principal.Account},
		"kms:KeySpec":       {k.spec},
		"kms:KeyUsage":      {k.usage},
		"kms:KeyOrigin":     {"AWS_KMS"},
	}
	if names := s.aliasesOf(k.arn()); len(names) > 0 {
		all["kms:ResourceAliases"] = names
	}
	if at := strings.Index(in.KeyID, "alias/"); at >= 0 {
		all["kms:RequestAlias"] = []string{in.KeyID[at:]}
	}
	switch call.Operation {
	case "GenerateMac", "VerifyMac":
		all["kms:MacAlgorithm"] = []string{in.MacAlgorithm}
	case "Encrypt", "Decrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext":
		all["kms:EncryptionAlgorithm"] = []string{Symmetric}
	}
	for name, value := range in.EncryptionContext {
		all["kms:EncryptionContext:"+name] = []string{value}
	}
	if len(in.EncryptionContext) > 0 {
		all["kms:EncryptionContextKeys"] = slices.Sorted(maps.Keys(in.EncryptionContext))
	}
	return all
}

// Serve implements [wire.Service].
func (s *Service) Serve(_ context.Context, call *wire.Call) (wire.Response, error) {
	run, known := s.operations[call.Operation]
	if !known {
		return wire.Response{}, unknown(call)
	}
	value, err := run(call)
	if err != nil {
		return wire.Response{}, err
	}
	return wire.Response{Value: value}, nil
}

func unknown(call *wire.Call) error {
	return &wire.Error{
		Code: "InvalidAction", Status: http.StatusBadRequest,
		Message: fmt.Sprintf("The action %s is not part of the pocket AWS's KMS.", call.Operation),
	}
}

// with decodes the call into in, finds the key that id points at once decoded, and answers a copy of it.
func (s *Service) with(call *wire.Call, in any, id *string) (key, error) {
	if err := call.Decode(in); err != nil {
		return key{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.resolve(call, *id)
	if err != nil {
		return key{}, err
	}
	return *k, nil
}

func (s *Service) createKey(call *wire.Call) (any, error) {
	var in struct {
		KeySpec, CustomerMasterKeySpec, KeyUsage, Policy, Description, Origin string
		MultiRegion                                                           bool
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	if in.MultiRegion || in.Origin != "" && in.Origin != "AWS_KMS" {
		return nil, fail("UnsupportedOperationException", "Multi-Region keys and imported material are not part of the pocket AWS.")
	}
	if in.KeySpec == "" {
		in.KeySpec = in.CustomerMasterKeySpec // the older name
	}
	arn, err := s.CreateKey(call.Principal.Account, call.Region, KeyInput{
		Spec: in.KeySpec, Usage: in.KeyUsage, Policy: in.Policy, Description: in.Description,
	})
	if err != nil {
		return nil, err
	}
	return s.metadata(arn)
}

// metadata is how KMS describes a key.
type metadata struct {
	AWSAccountID          string   `json:"AWSAccountId"`
	Arn                   string   `json:"Arn"`
	KeyID                 string   `json:"KeyId"`
	CreationDate          float64  // seconds since 1970
	DeletionDate          *float64 `json:",omitempty"`
	CustomerMasterKeySpec string
	KeySpec               string
	KeyUsage              string
	KeyState              string
	KeyManager            string
	Origin                string
	Description           string
	Enabled               bool
	MultiRegion           bool
	EncryptionAlgorithms  []string `json:",omitempty"`
	MacAlgorithms         []string `json:",omitempty"`
}

func (s *Service) metadata(arn string) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.find(arn)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": k.metadata()}, nil
}

func (k *key) metadata() metadata {
	m := metadata{
		AWSAccountID: k.account, Arn: k.arn(), KeyID: k.id, CreationDate: unix(k.created), Description: k.description,
		CustomerMasterKeySpec: k.spec, KeySpec: k.spec, KeyUsage: k.usage, KeyManager: "CUSTOMER", Origin: "AWS_KMS",
		KeyState: k.state(), Enabled: k.state() == "Enabled",
	}
	if !k.deletion.IsZero() {
		when := unix(k.deletion)
		m.DeletionDate = &when
	}
	if k.spec == HMAC256 {
		m.MacAlgorithms = []string{macAlgorithm}
	} else {
		m.EncryptionAlgorithms = []string{Symmetric}
	}
	return m
}

func (k *key) state() string {
	switch {
	case !k.deletion.IsZero():
		return "PendingDeletion"
	case k.disabled:
		return "Disabled"
	}
	return "Enabled"
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (s *Service) describeKey(call *wire.Call) (any, error) {
	var in input
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": k.metadata()}, nil
}

func (s *Service) listKeys(call *wire.Call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []map[string]string{}
	for _, arn := range slices.Sorted(maps.Keys(s.keys)) {
		if k := s.keys[arn]; k.account == call.Principal.Account && k.region == call.Region {
			items = append(items, map[string]string{"KeyId": k.id, "KeyArn": arn})
		}
	}
	return map[string]any{"Keys": items, "Truncated": false}, nil
}

func (s *Service) enableKey(call *wire.Call) (any, error) { return s.setEnabled(call, true) }

func (s *Service) disableKey(call *wire.Call) (any, error) { return s.setEnabled(call, false) }

func (s *Service) setEnabled(call *wire.Call, on bool) (any, error) {
	var in input
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return nil, err
	}
	return nil, s.SetEnabled(k.arn(), on)
}

func (s *Service) scheduleKeyDeletion(call *wire.Call) (any, error) {
	var in struct {
		input
		PendingWindowInDays *int
	}
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return nil, err
	}
	days := 30
	if in.PendingWindowInDays != nil {
		days = *in.PendingWindowInDays
	}
	when, err := s.ScheduleDeletion(k.arn(), days)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"KeyId": k.arn(), "DeletionDate": unix(when), "KeyState": "PendingDeletion", "PendingWindowInDays": days,
	}, nil
}

func (s *Service) cancelKeyDeletion(call *wire.Call) (any, error) {
	var in input
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return nil, err
	}
	err = s.change(k.arn(), func(k *key) error {
		if k.deletion.IsZero() {
			return fail("KMSInvalidStateException", "%s is not pending deletion.", k.arn())
		}
		k.deletion, k.disabled = time.Time{}, true // as in KMS, it has to be enabled again
		return nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]string{"KeyId": k.arn()}, nil
}

func (s *Service) getKeyPolicy(call *wire.Call) (any, error) {
	var in input
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return nil, err
	}
	return map[string]string{"Policy": k.policyText, "PolicyName": "default"}, nil
}

func (s *Service) putKeyPolicy(call *wire.Call) (any, error) {
	var in struct {
		input
		Policy string
	}
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return nil, err
	}
	return nil, s.SetPolicy(k.arn(), in.Policy)
}

func (s *Service) enableKeyRotation(call *wire.Call) (any, error) {
	var in struct {
		input
		RotationPeriodInDays *int
	}
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return nil, err
	}
	days := 365
	if in.RotationPeriodInDays != nil {
		days = *in.RotationPeriodInDays
	}
	if days < 90 || days > 2560 {
		return nil, fail("ValidationException", "The rotation period must be between 90 and 2560 days, not %d.", days)
	}
	return nil, s.change(k.arn(), func(k *key) error { return k.rotate(days) })
}

func (s *Service) disableKeyRotation(call *wire.Call) (any, error) {
	var in input
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return nil, err
	}
	return nil, s.SetRotation(k.arn(), false)
}

func (s *Service) getKeyRotationStatus(call *wire.Call) (any, error) {
	var in input
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"KeyId": k.arn(), "KeyRotationEnabled": k.rotation > 0}
	if k.rotation > 0 {
		out["RotationPeriodInDays"] = k.rotation
	}
	return out, nil
}

func (s *Service) createAlias(call *wire.Call) (any, error) {
	var in input
	k, err := s.with(call, &in, &in.TargetKeyID)
	if err != nil {
		return nil, err
	}
	if k.account != call.Principal.Account {
		return nil, fail("NotFoundException", "Key '%s' is not of account %s", k.arn(), call.Principal.Account)
	}
	return nil, s.CreateAlias(in.AliasName, k.arn())
}

func (s *Service) deleteAlias(call *wire.Call) (any, error) {
	var in input
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	return nil, s.DeleteAlias(call.Principal.Account, call.Region, in.AliasName)
}

func (s *Service) listAliases(call *wire.Call) (any, error) {
	var in input
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	prefix := aliasARN(call.Principal.Account, call.Region, "alias/")
	items := []map[string]string{}
	for _, arn := range slices.Sorted(maps.Keys(s.aliases)) {
		target := s.aliases[arn]
		id := target[strings.LastIndexByte(target, '/')+1:]
		if strings.HasPrefix(arn, prefix) && (in.KeyID == "" || in.KeyID == target || in.KeyID == id) {
			items = append(items, map[string]string{
				"AliasArn": arn, "AliasName": "alias/" + strings.TrimPrefix(arn, prefix), "TargetKeyId": id,
			})
		}
	}
	return map[string]any{"Aliases": items, "Truncated": false}, nil
}

func (s *Service) encrypt(call *wire.Call) (any, error) {
	var in struct {
		input
		Plaintext []byte
	}
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return nil, err
	}
	if err := checkLength("plaintext", in.Plaintext, 4096); err != nil {
		return nil, err
	}
	if err := checkAlgorithm(in.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	material, err := k.materialFor(EncryptDecrypt, "Encrypt")
	if err != nil {
		return nil, err
	}
	blob, err := seal(k.arn(), material, in.Plaintext, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyId": k.arn(), "CiphertextBlob": blob, "EncryptionAlgorithm": Symmetric}, nil
}

func checkLength(name string, value []byte, most int) error {
	if len(value) < 1 || len(value) > most {
		return fail("ValidationException", "1 validation error detected: Value at '%s' failed to satisfy constraint: "+
			"Member must have length between 1 and %d", name, most)
	}
	return nil
}

func checkAlgorithm(name string) error {
	if name != "" && name != Symmetric {
		return fail("InvalidKeyUsageException", "The algorithm %s is not one of the pocket AWS's keys: they are symmetric.", name)
	}
	return nil
}

func (s *Service) decrypt(call *wire.Call) (any, error) {
	var in input
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	if err := checkAlgorithm(in.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	arn, header, rest, err := sealedBy(in.CiphertextBlob)
	if err != nil {
		return nil, err
	}
	k, err := s.decrypter(call, in)
	if err != nil {
		return nil, err
	}
	material, err := k.materialFor(EncryptDecrypt, "Decrypt")
	if err != nil {
		return nil, err
	}
	if k.arn() != arn {
		return nil, fail("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
	}
	plaintext, err := open(material, header, rest, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyId": k.arn(), "Plaintext": plaintext, "EncryptionAlgorithm": Symmetric}, nil
}

func (s *Service) decrypter(call *wire.Call, in input) (key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.keyOf(call, in)
	if err != nil {
		return key{}, err
	}
	return *k, nil
}

// dataKey is GenerateDataKey's answer.
type dataKey struct {
	KeyID          string `json:"KeyId"`
	CiphertextBlob []byte
	Plaintext      []byte `json:",omitempty"`
}

func (s *Service) generateDataKey(call *wire.Call) (any, error) { return s.dataKey(call) }

func (s *Service) generateDataKeyWithoutPlaintext(call *wire.Call) (any, error) {
	made, err := s.dataKey(call)
	made.Plaintext = nil
	return made, err
}

func (s *Service) dataKey(call *wire.Call) (dataKey, error) {
	var in struct {
		input
		KeySpec       string
		NumberOfBytes *int
	}
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return dataKey{}, err
	}
	size, err := dataKeySize(in.KeySpec, in.NumberOfBytes)
	if err != nil {
		return dataKey{}, err
	}
	material, err := k.materialFor(EncryptDecrypt, call.Operation)
	if err != nil {
		return dataKey{}, err
	}
	plaintext := make([]byte, size)
	_, _ = rand.Read(plaintext) // never fails: crypto/rand ends the program instead
	blob, err := seal(k.arn(), material, plaintext, in.EncryptionContext)
	return dataKey{k.arn(), blob, plaintext}, err
}

func dataKeySize(spec string, bytes *int) (int, error) {
	switch {
	case spec == "AES_256" && bytes == nil:
		return 32, nil
	case spec == "AES_128" && bytes == nil:
		return 16, nil
	case spec == "" && bytes != nil && *bytes >= 1 && *bytes <= 1024:
		return *bytes, nil
	}
	return 0, fail("ValidationException", "Please specify either number of bytes, from 1 to 1024, or key spec, AES_256 or AES_128.")
}

const macAlgorithm = "HMAC_SHA_256"

type macInput struct {
	input
	Message []byte
	Mac     []byte
}

// mac computes the MAC that a call asks about.
func (s *Service) mac(call *wire.Call) (in macInput, keyARN string, sum []byte, err error) {
	k, err := s.with(call, &in, &in.KeyID)
	if err != nil {
		return in, "", nil, err
	}
	if err := checkLength("message", in.Message, 4096); err != nil {
		return in, "", nil, err
	}
	material, err := k.materialFor(GenerateVerifyMac, call.Operation)
	if err != nil {
		return in, "", nil, err
	}
	if in.MacAlgorithm != macAlgorithm {
		return in, "", nil, fail("InvalidKeyUsageException", "Algorithm %s is incompatible with key spec %s.", in.MacAlgorithm, k.spec)
	}
	return in, k.arn(), mac(material, in.Message), nil
}

func (s *Service) generateMac(call *wire.Call) (any, error) {
	_, arn, sum, err := s.mac(call)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyId": arn, "Mac": sum, "MacAlgorithm": macAlgorithm}, nil
}

func (s *Service) verifyMac(call *wire.Call) (any, error) {
	in, arn, sum, err := s.mac(call)
	if err != nil {
		return nil, err
	}
	if err := checkLength("mac", in.Mac, 6144); err != nil {
		return nil, err
	}
	if !hmac.Equal(in.Mac, sum) {
		return nil, fail("KMSInvalidMacException", "")
	}
	return map[string]any{"KeyId": arn, "MacValid": true, "MacAlgorithm": macAlgorithm}, nil
}
