package kms_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/kms"
	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

const (
	account = "111111111111"
	other   = "222222222222"
	region  = "eu-west-1"
)

// fixture is a service with a key of each kind.
type fixture struct {
	*testing.T
	*kms.Service
	now *time.Time
	key string // symmetric
	mac string // HMAC
}

func start(t *testing.T) fixture {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := fixture{T: t, now: &now}
	f.Service = kms.New(func() time.Time { return *f.now })
	f.key = f.create(kms.KeyInput{Description: "access keys"})
	f.mac = f.create(kms.KeyInput{Spec: kms.HMAC256, Usage: kms.GenerateVerifyMac})
	return f
}

func (f fixture) create(in kms.KeyInput) string {
	f.Helper()
	arn, err := f.CreateKey(account, region, in)
	if err != nil {
		f.Fatal(err)
	}
	return arn
}

// object is JSON.
type object = map[string]any

func (f fixture) callAs(caller, at, operation string, input object) (object, error) {
	f.Helper()
	body, err := json.Marshal(input)
	if err != nil {
		f.Fatal(err)
	}
	c := &wire.Call{Service: "kms", Operation: operation, Region: at, Body: body, Principal: wire.Principal{Account: caller}}
	if _, err := f.Needs(c); err != nil {
		return nil, err
	}
	resp, err := f.Serve(f.Context(), c)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(resp.Value)
	if err != nil {
		f.Fatal(err)
	}
	out := object{}
	if err := json.Unmarshal(raw, &out); err != nil {
		f.Fatal(err)
	}
	return out, nil
}

func (f fixture) call(operation string, input object) (object, error) {
	f.Helper()
	return f.callAs(account, region, operation, input)
}

func (f fixture) must(operation string, input object) object {
	f.Helper()
	out, err := f.call(operation, input)
	if err != nil {
		f.Fatalf("%s: %v", operation, err)
	}
	return out
}

func code(err error) string {
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e.Code
	}
	return fmt.Sprint(err)
}

func id(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func TestDecryptNeedsTheKeyAndTheContext(t *testing.T) {
	f := start(t)
	context := object{"tenant": "acme", "connection": "conn_1"}
	sealed := f.must("Encrypt", object{"KeyId": f.key, "Plaintext": []byte("secret"), "EncryptionContext": context})
	blob := sealed["CiphertextBlob"]
	second := f.create(kms.KeyInput{})

	tests := []struct {
		name   string
		input  object
		region string
		want   string
	}{
		{"the context", object{"EncryptionContext": context}, region, "<nil>"},
		{"the key named", object{"EncryptionContext": context, "KeyId": f.key}, region, "<nil>"},
		{"no context", object{}, region, "InvalidCiphertextException"},
		{"another tenant", object{"EncryptionContext": object{"tenant": "zeta", "connection": "conn_1"}}, region, "InvalidCiphertextException"},
		{"part of the context", object{"EncryptionContext": object{"tenant": "acme"}}, region, "InvalidCiphertextException"},
		{"names and values shifted", object{"EncryptionContext": object{"tenan": "tacme", "connection": "conn_1"}}, region, "InvalidCiphertextException"},
		{"another key", object{"EncryptionContext": context, "KeyId": second}, region, "IncorrectKeyException"},
		{"a MAC key", object{"EncryptionContext": context, "KeyId": f.mac}, region, "InvalidKeyUsageException"},
		{"an asymmetric algorithm", object{"EncryptionContext": context, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}, region, "InvalidKeyUsageException"},
		{"another Region", object{"EncryptionContext": context}, "us-east-1", "InvalidCiphertextException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.input["CiphertextBlob"] = blob
			out, err := f.callAs(account, test.region, "Decrypt", test.input)
			if code(err) != test.want {
				t.Fatalf("error %v", err)
			}
			if err == nil && (out["Plaintext"] != "c2VjcmV0" || out["KeyId"] != f.key) {
				t.Errorf("answer %v", out)
			}
		})
	}
}

func TestADamagedCiphertextIsRefused(t *testing.T) {
	f := start(t)
	out := f.must("Encrypt", object{"KeyId": f.key, "Plaintext": []byte("secret")})
	var blob []byte
	if err := json.Unmarshal(fmt.Appendf(nil, "%q", out["CiphertextBlob"]), &blob); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(blob, []byte("secret")) {
		t.Error("the ciphertext holds the plaintext")
	}
	for at := range blob {
		damaged := bytes.Clone(blob)
		damaged[at] ^= 1
		if _, err := f.call("Decrypt", object{"CiphertextBlob": damaged}); code(err) != "InvalidCiphertextException" {
			t.Fatalf("byte %d: %v", at, err)
		}
		if _, err := f.call("Decrypt", object{"CiphertextBlob": blob[:at]}); code(err) != "InvalidCiphertextException" {
			t.Fatalf("cut at %d: %v", at, err)
		}
	}
	again := f.must("Encrypt", object{"KeyId": f.key, "Plaintext": []byte("secret")})
	if again["CiphertextBlob"] == out["CiphertextBlob"] {
		t.Error("two encryptions are alike")
	}
}

func TestMACs(t *testing.T) {
	f := start(t)
	second := f.create(kms.KeyInput{Spec: kms.HMAC256, Usage: kms.GenerateVerifyMac})
	ask := func(key, algorithm, message string) object {
		return object{"KeyId": key, "MacAlgorithm": algorithm, "Message": []byte(message)}
	}
	mac := f.must("GenerateMac", ask(f.mac, "HMAC_SHA_256", "conn_1/1"))["Mac"]
	if mac != f.must("GenerateMac", ask(f.mac, "HMAC_SHA_256", "conn_1/1"))["Mac"] {
		t.Error("two MACs of one message differ")
	}
	tests := []struct {
		name  string
		input object
		mac   any
		want  string
	}{
		{"its own", ask(f.mac, "HMAC_SHA_256", "conn_1/1"), mac, "<nil>"},
		{"another message", ask(f.mac, "HMAC_SHA_256", "conn_1/2"), mac, "KMSInvalidMacException"},
		{"another key", ask(second, "HMAC_SHA_256", "conn_1/1"), mac, "KMSInvalidMacException"},
		{"another MAC", ask(f.mac, "HMAC_SHA_256", "conn_1/1"), []byte("short"), "KMSInvalidMacException"},
		{"no MAC", ask(f.mac, "HMAC_SHA_256", "conn_1/1"), []byte{}, "ValidationException"},
		{"another algorithm", ask(f.mac, "HMAC_SHA_512", "conn_1/1"), mac, "InvalidKeyUsageException"},
		{"an encryption key", ask(f.key, "HMAC_SHA_256", "conn_1/1"), mac, "InvalidKeyUsageException"},
		{"no message", ask(f.mac, "HMAC_SHA_256", ""), mac, "ValidationException"},
		{"4,097 bytes", ask(f.mac, "HMAC_SHA_256", strings.Repeat("x", 4097)), mac, "ValidationException"},
		{"no such key", ask(f.mac+"0", "HMAC_SHA_256", "conn_1/1"), mac, "NotFoundException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.input["Mac"] = test.mac
			out, err := f.call("VerifyMac", test.input)
			if code(err) != test.want {
				t.Fatalf("error %v", err)
			}
			if err == nil && out["MacValid"] != true {
				t.Errorf("answer %v", out)
			}
		})
	}
}

func TestEncryptRefuses(t *testing.T) {
	f := start(t)
	tests := []struct {
		name  string
		input object
		want  string
	}{
		{"a MAC key", object{"KeyId": f.mac, "Plaintext": []byte("x")}, "InvalidKeyUsageException"},
		{"no key", object{"Plaintext": []byte("x")}, "ValidationException"},
		{"no such key", object{"KeyId": "00000000-0000-0000-0000-000000000000", "Plaintext": []byte("x")}, "NotFoundException"},
		{"no such alias", object{"KeyId": "alias/nope", "Plaintext": []byte("x")}, "NotFoundException"},
		{"a key of another service", object{"KeyId": "arn:aws:s3:::x", "Plaintext": []byte("x")}, "NotFoundException"},
		{"nothing", object{"KeyId": f.key, "Plaintext": []byte{}}, "ValidationException"},
		{"4,097 bytes", object{"KeyId": f.key, "Plaintext": make([]byte, 4097)}, "ValidationException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := f.call("Encrypt", test.input); code(err) != test.want {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := f.call("Encrypt", object{"KeyId": f.key, "Plaintext": make([]byte, 4096)}); err != nil {
		t.Errorf("4,096 bytes: %v", err)
	}
}

func TestKeysRefused(t *testing.T) {
	f := start(t)
	tests := []struct {
		name  string
		input object
		want  string
	}{
		{"RSA", object{"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}, "UnsupportedOperationException"},
		{"a MAC key without its usage", object{"KeySpec": "HMAC_256"}, "ValidationException"},
		{"a symmetric key for MACs", object{"KeyUsage": "GENERATE_VERIFY_MAC"}, "ValidationException"},
		{"multi-Region", object{"MultiRegion": true}, "UnsupportedOperationException"},
		{"a policy that is none", object{"Policy": "{}"}, "MalformedPolicyDocumentException"},
		{"a policy for nobody", object{"Policy": `{"Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`}, "MalformedPolicyDocumentException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := f.call("CreateKey", test.input); code(err) != test.want {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestDataKeys(t *testing.T) {
	f := start(t)
	context := object{"a": "b"}
	out := f.must("GenerateDataKey", object{"KeyId": f.key, "KeySpec": "AES_256", "EncryptionContext": context})
	opened := f.must("Decrypt", object{"CiphertextBlob": out["CiphertextBlob"], "EncryptionContext": context})
	if out["Plaintext"] != opened["Plaintext"] || len(out["Plaintext"].(string)) != 44 {
		t.Errorf("data key %v opens to %v", out, opened)
	}
	out = f.must("GenerateDataKeyWithoutPlaintext", object{"KeyId": f.key, "NumberOfBytes": 7})
	if _, there := out["Plaintext"]; there {
		t.Errorf("answer %v", out)
	}
	if _, err := f.call("GenerateDataKey", object{"KeyId": f.key}); code(err) != "ValidationException" {
		t.Errorf("error %v", err)
	}
}

func TestAKeyHasManyNames(t *testing.T) {
	f := start(t)
	f.must("CreateAlias", object{"AliasName": "alias/rolecall/keys", "TargetKeyId": f.key})
	for _, name := range []string{f.key, id(f.key), "alias/rolecall/keys", "arn:aws:kms:eu-west-1:111111111111:alias/rolecall/keys"} {
		out := f.must("DescribeKey", object{"KeyId": name})
		if arn := out["KeyMetadata"].(object)["Arn"]; arn != f.key {
			t.Errorf("%s is %v", name, arn)
		}
	}
	if _, err := f.callAs(other, region, "DescribeKey", object{"KeyId": "alias/rolecall/keys"}); code(err) != "NotFoundException" {
		t.Errorf("another account's alias: %v", err)
	}
	if _, err := f.call("CreateAlias", object{"AliasName": "alias/rolecall/keys", "TargetKeyId": f.mac}); code(err) != "AlreadyExistsException" {
		t.Errorf("the same alias again: %v", err)
	}
	if _, err := f.call("CreateAlias", object{"AliasName": "rolecall", "TargetKeyId": f.mac}); code(err) != "InvalidAliasNameException" {
		t.Errorf("a bad name: %v", err)
	}
	out := f.must("ListAliases", object{})
	want := object{"Truncated": false, "Aliases": []any{object{
		"AliasArn": "arn:aws:kms:eu-west-1:111111111111:alias/rolecall/keys", "AliasName": "alias/rolecall/keys", "TargetKeyId": id(f.key),
	}}}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	f.must("DeleteAlias", object{"AliasName": "alias/rolecall/keys"})
	if _, err := f.call("DescribeKey", object{"KeyId": "alias/rolecall/keys"}); code(err) != "NotFoundException" {
		t.Errorf("a deleted alias: %v", err)
	}
}

func TestAKeyOnItsWayOut(t *testing.T) {
	f := start(t)
	blob := f.must("Encrypt", object{"KeyId": f.key, "Plaintext": []byte("x")})["CiphertextBlob"]
	use := func(want string) {
		t.Helper()
		if _, err := f.call("Decrypt", object{"CiphertextBlob": blob}); code(err) != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	f.must("DisableKey", object{"KeyId": f.key})
	use("DisabledException")
	f.must("EnableKey", object{"KeyId": f.key})
	use("<nil>")
	out := f.must("ScheduleKeyDeletion", object{"KeyId": f.key, "PendingWindowInDays": 7})
	if out["DeletionDate"] != float64(f.now.AddDate(0, 0, 7).Unix()) || out["KeyState"] != "PendingDeletion" {
		t.Errorf("answer %v", out)
	}
	use("KMSInvalidStateException")
	if _, err := f.call("EnableKey", object{"KeyId": f.key}); code(err) != "KMSInvalidStateException" {
		t.Errorf("enabled: %v", err)
	}
	f.must("CancelKeyDeletion", object{"KeyId": f.key})
	use("DisabledException")
	f.must("EnableKey", object{"KeyId": f.key})
	use("<nil>")
	f.must("ScheduleKeyDeletion", object{"KeyId": f.key, "PendingWindowInDays": 7})
	*f.now = f.now.AddDate(0, 0, 7)
	use("InvalidCiphertextException")
	if _, err := f.call("DescribeKey", object{"KeyId": f.key}); code(err) != "NotFoundException" {
		t.Errorf("a key that is gone: %v", err)
	}
	if _, err := f.call("ScheduleKeyDeletion", object{"KeyId": f.mac, "PendingWindowInDays": 6}); code(err) != "ValidationException" {
		t.Errorf("six days: %v", err)
	}
}

func TestRotation(t *testing.T) {
	f := start(t)
	if out := f.must("GetKeyRotationStatus", object{"KeyId": f.key}); out["KeyRotationEnabled"] != false {
		t.Errorf("at first: %v", out)
	}
	f.must("EnableKeyRotation", object{"KeyId": f.key})
	if out := f.must("GetKeyRotationStatus", object{"KeyId": f.key}); out["KeyRotationEnabled"] != true || out["RotationPeriodInDays"] != 365.0 {
		t.Errorf("enabled: %v", out)
	}
	if _, err := f.call("EnableKeyRotation", object{"KeyId": f.mac}); code(err) != "UnsupportedOperationException" {
		t.Errorf("a MAC key: %v", err)
	}
}

func TestNeeds(t *testing.T) {
	f := start(t)
	if err := f.CreateAlias("alias/keys", f.key); err != nil {
		t.Fatal(err)
	}
	f.must("PutKeyPolicy", object{"KeyId": f.key, "Policy": `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:role/r"},` +
		`"Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:tenant":"acme"}}}]}`})
	blob := f.must("Encrypt", object{"KeyId": f.key, "Plaintext": []byte("x"), "EncryptionContext": object{"tenant": "acme"}})["CiphertextBlob"]
	needs := func(operation string, input object) []wire.Need {
		t.Helper()
		body, _ := json.Marshal(input)
		got, err := f.Needs(&wire.Call{Operation: operation, Region: region, Body: body, Principal: wire.Principal{Account: account}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	t.Run("Decrypt without a key id", func(t *testing.T) {
		got := needs("Decrypt", object{"CiphertextBlob": blob, "EncryptionContext": object{"tenant": "acme"}})
		if len(got) != 1 {
			t.Fatalf("needs %+v", got)
		}
		n := got[0]
		if n.Action != "kms:Decrypt" || n.Resource != f.key || n.ResourceAccount != account || !n.PolicyDecides {
			t.Errorf("needs %+v", n)
		}
		want := map[string][]string{
			"kms:CallerAccount": {account}, "kms:KeySpec": {"SYMMETRIC_DEFAULT"}, "kms:KeyUsage": {"ENCRYPT_DECRYPT"}, "kms:KeyOrigin": {"AWS_KMS"},
			"kms:ResourceAliases": {"alias/keys"}, "kms:EncryptionAlgorithm": {"SYMMETRIC_DEFAULT"},
			"kms:EncryptionContext:tenant": {"acme"}, "kms:EncryptionContextKeys": {"tenant"},
		}
		if diff := cmp.Diff(want, n.Context); diff != "" {
			t.Error(diff)
		}
		asked := policy.Request{Action: n.Action, Resource: n.Resource, Context: n.Context, Principal: policy.Principal{
			Account: other, ARN: "arn:aws:sts::222222222222:assumed-role/r/s", RoleARN: "arn:aws:iam::222222222222:role/r",
		}}
		if got := n.ResourcePolicy.Evaluate(asked); got != policy.Allow {
			t.Errorf("the role's request: %v", got)
		}
		asked.Context = map[string][]string{"kms:EncryptionContext:tenant": {"zeta"}}
		if got := n.ResourcePolicy.Evaluate(asked); got != policy.NoMatch {
			t.Errorf("with another tenant: %v", got)
		}
	})
	t.Run("VerifyMac", func(t *testing.T) {
		n := needs("VerifyMac", object{"KeyId": id(f.mac), "MacAlgorithm": "HMAC_SHA_256"})[0]
		if n.Action != "kms:VerifyMac" || n.Resource != f.mac || n.Context["kms:MacAlgorithm"][0] != "HMAC_SHA_256" {
			t.Errorf("needs %+v", n)
		}
		grade := policy.Request{Action: n.Action, Resource: n.Resource, Principal: policy.Principal{Account: account, ARN: "arn:aws:iam::111111111111:role/x"}}
		if decision, how := n.ResourcePolicy.Grants(grade); decision != policy.Allow || how != policy.ByAccount {
			t.Errorf("the default policy: %v, %v", decision, how)
		}
	})
	t.Run("by alias", func(t *testing.T) {
		n := needs("Encrypt", object{"KeyId": "alias/keys"})[0]
		if n.Resource != f.key || n.Context["kms:RequestAlias"][0] != "alias/keys" {
			t.Errorf("needs %+v", n)
		}
	})
	t.Run("DeleteAlias", func(t *testing.T) {
		got := needs("DeleteAlias", object{"AliasName": "alias/keys"})
		if len(got) != 2 || got[0].Resource != "arn:aws:kms:eu-west-1:111111111111:alias/keys" || got[0].PolicyDecides ||
			got[1].Resource != f.key || !got[1].PolicyDecides {
			t.Errorf("needs %+v", got)
		}
	})
	t.Run("CreateKey", func(t *testing.T) {
		if got := needs("CreateKey", object{}); len(got) != 1 || got[0].Resource != "*" || got[0].PolicyDecides {
			t.Errorf("needs %+v", got)
		}
	})
	if _, err := f.Needs(&wire.Call{Operation: "Sign"}); code(err) != "InvalidAction" || !strings.Contains(err.Error(), "Sign") {
		t.Errorf("unknown operation: %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	f := start(t)
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			message := object{"KeyId": f.mac, "MacAlgorithm": "HMAC_SHA_256", "Message": fmt.Append(nil, i)}
			out, err := f.call("GenerateMac", message)
			if err != nil {
				t.Error(err)
				return
			}
			message["Mac"] = out["Mac"]
			if _, err := f.call("VerifyMac", message); err != nil {
				t.Error(err)
			}
			if err := f.SetRotation(f.key, i%2 == 0); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// everybody knows every access key as an account's root and lets it do everything.
type everybody struct{}

func (everybody) Authenticate(key, _ string) (wire.Principal, error) {
	return wire.Principal{Account: key, ARN: "arn:aws:iam::" + key + ":root", UserID: key}, nil
}

func (everybody) Authorize(wire.Principal, wire.Need) error { return nil }

func TestTheGoSDKUsesKeys(t *testing.T) {
	f := start(t)
	door := wire.NewServer(wire.Config{Authenticator: everybody{}, Authorizer: everybody{}, Clock: time.Now})
	door.Register("kms", f.Service)
	server := httptest.NewServer(door)
	defer server.Close()
	client := awskms.New(awskms.Options{
		Region: region, BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(account, "any", ""),
	})
	ctx := t.Context()
	made, err := client.CreateKey(ctx, &awskms.CreateKeyInput{KeySpec: kmstypes.KeySpecHmac256, KeyUsage: kmstypes.KeyUsageTypeGenerateVerifyMac})
	if err != nil {
		t.Fatal(err)
	}
	if m := made.KeyMetadata; m.KeyState != kmstypes.KeyStateEnabled || !m.CreationDate.Equal(*f.now) || m.MacAlgorithms[0] != kmstypes.MacAlgorithmSpecHmacSha256 {
		t.Errorf("metadata %+v", m)
	}
	mac, err := client.GenerateMac(ctx, &awskms.GenerateMacInput{
		KeyId: made.KeyMetadata.Arn, Message: []byte("conn_1"), MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256,
	})
	if err != nil {
		t.Fatal(err)
	}
	verify := &awskms.VerifyMacInput{
		KeyId: made.KeyMetadata.Arn, Message: []byte("conn_1"), Mac: mac.Mac, MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256,
	}
	if got, err := client.VerifyMac(ctx, verify); err != nil || !got.MacValid {
		t.Errorf("verified %+v, error %v", got, err)
	}
	verify.Message = []byte("conn_2")
	_, err = client.VerifyMac(ctx, verify)
	if wrong := (*kmstypes.KMSInvalidMacException)(nil); !errors.As(err, &wrong) {
		t.Errorf("error %v", err)
	}
	sealed, err := client.Encrypt(ctx, &awskms.EncryptInput{
		KeyId: &f.key, Plaintext: []byte("secret"), EncryptionContext: map[string]string{"tenant": "acme"},
	})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := client.Decrypt(ctx, &awskms.DecryptInput{
		CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: map[string]string{"tenant": "acme"},
	})
	if err != nil || string(opened.Plaintext) != "secret" {
		t.Errorf("opened %+v, error %v", opened, err)
	}
	_, err = client.Decrypt(ctx, &awskms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob})
	if wrong := (*kmstypes.InvalidCiphertextException)(nil); !errors.As(err, &wrong) {
		t.Errorf("error %v", err)
	}
	_, err = client.DescribeKey(ctx, &awskms.DescribeKeyInput{KeyId: aws.String("alias/nope")})
	if missing := (*kmstypes.NotFoundException)(nil); !errors.As(err, &missing) {
		t.Errorf("error %v", err)
	}
}
