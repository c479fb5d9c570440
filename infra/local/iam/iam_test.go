package iam_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/iam"
	"rolecall/infra/local/policy"
)

var trustPlatform = document(trusting(rootOf(platform), `"sts:AssumeRole"`, ""))

func TestRoleLifeCycle(t *testing.T) {
	w := newWorld(t)
	p := w.root(customer)
	created := w.must(p, "iam:CreateRole", "RoleName", "Reader", "Path", "/vendor/", "AssumeRolePolicyDocument", trustPlatform,
		"Description", "for a <vendor>", "MaxSessionDuration", "7200", "Tags.member.1.Key", "team", "Tags.member.1.Value", "blue",
		"PermissionsBoundary", "arn:aws:iam::aws:policy/PowerUserAccess")
	if got, want := field(t, created, "Arn"), "arn:aws:iam::222222222222:role/vendor/Reader"; got != want {
		t.Errorf("Arn %s, want %s", got, want)
	}
	if id := field(t, created, "RoleId"); !strings.HasPrefix(id, "AROA") || len(id) != 21 {
		t.Errorf("RoleId %q", id)
	}
	w.must(p, "iam:PutRolePolicy", "RoleName", "Reader", "PolicyName", "inline", "PolicyDocument", document(allow("ec2:*", "*")))
	w.must(p, "iam:AttachRolePolicy", "RoleName", "Reader", "PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess")
	w.must(p, "iam:AttachRolePolicy", "RoleName", "Reader", "PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess")

	got := w.must(p, "iam:GetRole", "RoleName", "Reader")
	trust := field(t, got, "AssumeRolePolicyDocument")
	if strings.ContainsAny(trust, ` +{"`) {
		t.Errorf("trust policy is not percent-encoded: %s", trust)
	}
	if plain, err := url.PathUnescape(trust); err != nil || plain != trustPlatform {
		t.Errorf("trust policy %q, %v", plain, err)
	}
	for name, want := range map[string]string{
		"MaxSessionDuration": "7200", "Path": "/vendor/", "CreateDate": "2026-03-01T12:00:00Z", "Key": "team", "Value": "blue",
		"PermissionsBoundaryArn": "arn:aws:iam::aws:policy/PowerUserAccess", "Description": "for a &lt;vendor&gt;",
	} {
		if v := field(t, got, name); v != want {
			t.Errorf("%s %q, want %q", name, v, want)
		}
	}
	inline := w.must(p, "iam:GetRolePolicy", "RoleName", "Reader", "PolicyName", "inline")
	if plain, _ := url.PathUnescape(field(t, inline, "PolicyDocument")); plain != document(allow("ec2:*", "*")) {
		t.Errorf("inline policy %q", plain)
	}
	if names := w.must(p, "iam:ListRolePolicies", "RoleName", "Reader"); field(t, names, "member") != "inline" {
		t.Errorf("inline policies %s", names)
	}
	attached := w.must(p, "iam:ListAttachedRolePolicies", "RoleName", "Reader")
	if strings.Count(attached, "<member>") != 1 || field(t, attached, "PolicyName") != "ReadOnlyAccess" {
		t.Errorf("attached policies %s", attached)
	}

	w.must(p, "iam:UpdateRole", "RoleName", "Reader", "Description", "", "MaxSessionDuration", "3600")
	if got := w.must(p, "iam:GetRole", "RoleName", "Reader"); has(got, "Description") || field(t, got, "MaxSessionDuration") != "3600" {
		t.Errorf("after UpdateRole: %s", got)
	}

	w.refused(p, "DeleteConflict", http.StatusConflict, "iam:DeleteRole", "RoleName", "Reader")
	w.must(p, "iam:DetachRolePolicy", "RoleName", "Reader", "PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess")
	w.refused(p, "DeleteConflict", http.StatusConflict, "iam:DeleteRole", "RoleName", "Reader")
	w.must(p, "iam:DeleteRolePolicy", "RoleName", "Reader", "PolicyName", "inline")
	if empty := w.must(p, "iam:ListAttachedRolePolicies", "RoleName", "Reader"); !has(empty, "AttachedPolicies") {
		t.Errorf("an empty list is missing from %s", empty)
	}
	w.must(p, "iam:DeleteRole", "RoleName", "Reader")
	w.refused(p, "NoSuchEntity", http.StatusNotFound, "iam:GetRole", "RoleName", "Reader")
}

func TestRoleTags(t *testing.T) {
	w := newWorld(t)
	p := w.root(customer)
	w.must(p, "iam:CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trustPlatform)
	w.must(p, "iam:TagRole", "RoleName", "r", "Tags.member.1.Key", "a", "Tags.member.1.Value", "1", "Tags.member.2.Key", "b", "Tags.member.2.Value", "")
	w.must(p, "iam:TagRole", "RoleName", "r", "Tags.member.1.Key", "A", "Tags.member.1.Value", "2")
	w.must(p, "iam:UntagRole", "RoleName", "r", "TagKeys.member.1", "B")
	if got := w.must(p, "iam:ListRoleTags", "RoleName", "r"); strings.Count(got, "<member>") != 1 || field(t, got, "Key") != "A" || field(t, got, "Value") != "2" {
		t.Errorf("tags %s", got)
	}
	w.refused(p, "InvalidInput", http.StatusBadRequest, "iam:TagRole", "RoleName", "r", "Tags.member.1.Key", "aws:x", "Tags.member.1.Value", "")

	if got := w.must(p, "iam:ListInstanceProfilesForRole", "RoleName", "r"); strings.Contains(got, "<member>") || field(t, got, "IsTruncated") != "false" {
		t.Errorf("instance profiles %s", got)
	}
	w.refused(p, "NoSuchEntity", http.StatusNotFound, "iam:ListInstanceProfilesForRole", "RoleName", "nobody")
}

func TestRoleRefusals(t *testing.T) {
	w := newWorld(t)
	p := w.root(customer)
	w.must(p, "iam:CreateRole", "RoleName", "Taken", "AssumeRolePolicyDocument", trustPlatform)
	long := strings.Repeat("x", 65)
	trust := func(principal string) string { return document(trusting(principal, `"sts:AssumeRole"`, "")) }
	cases := map[string]struct {
		code   string
		status int
		pairs  []string
	}{
		"name taken":             {"EntityAlreadyExists", 409, []string{"RoleName", "Taken"}},
		"taken in other case":    {"EntityAlreadyExists", 409, []string{"RoleName", "tAKEN"}},
		"no name":                {"ValidationError", 400, []string{"RoleName", ""}},
		"name too long":          {"ValidationError", 400, []string{"RoleName", long}},
		"name with a space":      {"ValidationError", 400, []string{"RoleName", "a b"}},
		"path without slash":     {"ValidationError", 400, []string{"RoleName", "r", "Path", "vendor"}},
		"path not closed":        {"ValidationError", 400, []string{"RoleName", "r", "Path", "/vendor"}},
		"session too short":      {"ValidationError", 400, []string{"RoleName", "r", "MaxSessionDuration", "3599"}},
		"session too long":       {"ValidationError", 400, []string{"RoleName", "r", "MaxSessionDuration", "43201"}},
		"session of zero":        {"ValidationError", 400, []string{"RoleName", "r", "MaxSessionDuration", "0"}},
		"session is a word":      {"MalformedInput", 400, []string{"RoleName", "r", "MaxSessionDuration", "hour"}},
		"no trust":               {"ValidationError", 400, []string{"RoleName", "r", "AssumeRolePolicyDocument", ""}},
		"trust is no JSON":       {"MalformedPolicyDocument", 400, []string{"RoleName", "r", "AssumeRolePolicyDocument", "{"}},
		"trust with resource":    {"MalformedPolicyDocument", 400, []string{"RoleName", "r", "AssumeRolePolicyDocument", document(allow("sts:AssumeRole", "*"))}},
		"trust in missing role":  {"MalformedPolicyDocument", 400, []string{"RoleName", "r", "AssumeRolePolicyDocument", trust(`{"AWS":"arn:aws:iam::111111111111:role/none"}`)}},
		"trust in missing user":  {"MalformedPolicyDocument", 400, []string{"RoleName", "r", "AssumeRolePolicyDocument", trust(`{"AWS":"arn:aws:iam::111111111111:user/none"}`)}},
		"role with another path": {"MalformedPolicyDocument", 400, []string{"RoleName", "r", "AssumeRolePolicyDocument", trust(`{"AWS":"arn:aws:iam::222222222222:role/x/Taken"}`)}},
		"principal's partition":  {"MalformedPolicyDocument", 400, []string{"RoleName", "r", "AssumeRolePolicyDocument", trust(`{"AWS":"arn:aws-cn:iam::222222222222:root"}`)}},
		"trust too long": {"LimitExceeded", 409, []string{
			"RoleName", "r", "AssumeRolePolicyDocument",
			document(trusting(`"*"`, `"sts:AssumeRole"`, `{"StringEquals":{"sts:ExternalId":"`+strings.Repeat("x", 2048)+`"}}`)),
		}},
		"missing boundary":    {"NoSuchEntity", 404, []string{"RoleName", "r", "PermissionsBoundary", "arn:aws:iam::222222222222:policy/none"}},
		"same tag twice":      {"InvalidInput", 400, []string{"RoleName", "r", "Tags.member.1.Key", "a", "Tags.member.2.Key", "a"}},
		"tag twice by case":   {"InvalidInput", 400, []string{"RoleName", "r", "Tags.member.1.Key", "a", "Tags.member.2.Key", "A"}},
		"description too big": {"ValidationError", 400, []string{"RoleName", "r", "Description", strings.Repeat("x", 1001)}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			pairs := append([]string{"AssumeRolePolicyDocument", trustPlatform}, c.pairs...)
			_, err := w.call(p, "iam:CreateRole", pairs...)
			wantError(t, err, c.code, c.status)
			if n := len(w.iam.Roles(customer)); n != 1 {
				t.Errorf("%d roles, want the one from before", n)
			}
		})
	}
	for _, ok := range []string{rootOf("999999999999"), `{"AWS":"999999999999"}`, `"*"`, `{"AWS":"arn:aws:iam::222222222222:role/Taken"}`, lambda} {
		w.must(p, "iam:UpdateAssumeRolePolicy", "RoleName", "Taken", "PolicyDocument", trust(ok))
	}
	for op, pairs := range map[string][]string{
		"iam:DeleteRole":             {"RoleName", "none"},
		"iam:UpdateAssumeRolePolicy": {"RoleName", "none", "PolicyDocument", trustPlatform},
		"iam:GetRolePolicy":          {"RoleName", "Taken", "PolicyName", "none"},
		"iam:DeleteRolePolicy":       {"RoleName", "Taken", "PolicyName", "none"},
		"iam:DetachRolePolicy":       {"RoleName", "Taken", "PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess"},
		"iam:AttachRolePolicy":       {"RoleName", "Taken", "PolicyArn", "arn:aws:iam::aws:policy/NoSuchAccess"},
		"iam:GetRole":                {"RoleName", "taken"}, // looked up with its exact name
	} {
		w.refused(p, "NoSuchEntity", http.StatusNotFound, op, pairs...)
	}
	w.refused(p, "MalformedPolicyDocument", 400, "iam:PutRolePolicy", "RoleName", "Taken", "PolicyName", "x", "PolicyDocument", trustPlatform)
	w.refused(p, "LimitExceeded", 409, "iam:PutRolePolicy", "RoleName", "Taken", "PolicyName", "x",
		"PolicyDocument", document(allow("s3:*", "arn:aws:s3:::"+strings.Repeat("x", 10240))))
	w.refused(p, "InvalidAction", 400, "iam:CreateGroup")
	w.refused(p, "InvalidInput", 400, "iam:AttachRolePolicy", "RoleName", "Taken", "PolicyArn", "arn:aws:iam::aws:role/ReadOnlyAccess")
}

func TestListRolesInPages(t *testing.T) {
	w := newWorld(t)
	p := w.root(customer)
	for _, name := range []string{"c", "a", "B"} {
		w.must(p, "iam:CreateRole", "RoleName", name, "AssumeRolePolicyDocument", trustPlatform)
	}
	w.must(p, "iam:CreateRole", "RoleName", "d", "Path", "/x/", "AssumeRolePolicyDocument", trustPlatform)
	var names []string
	marker := []string{"MaxItems", "2"}
	for {
		out := w.must(p, "iam:ListRoles", marker...)
		for rest := out; has(rest, "RoleName"); {
			name := field(t, rest, "RoleName")
			names = append(names, name)
			rest = rest[strings.Index(rest, "<RoleName>"+name)+len("<RoleName>"):]
		}
		if field(t, out, "IsTruncated") == "false" {
			break
		}
		marker = []string{"MaxItems", "2", "Marker", field(t, out, "Marker")}
	}
	if diff := cmp.Diff([]string{"a", "B", "c", "d"}, names); diff != "" {
		t.Error(diff)
	}
	if out := w.must(p, "iam:ListRoles", "PathPrefix", "/x/"); strings.Count(out, "<RoleName>") != 1 {
		t.Errorf("with a path prefix: %s", out)
	}
	if out := w.must(w.root("333333333333"), "iam:ListRoles"); has(out, "member") || !has(out, "Roles") {
		t.Errorf("in another account: %s", out)
	}
	w.refused(p, "ValidationError", 400, "iam:ListRoles", "Marker", "!")
	w.refused(p, "ValidationError", 400, "iam:ListRoles", "MaxItems", "0")
}

func TestCustomerManagedPolicies(t *testing.T) {
	w := newWorld(t)
	p := w.root(customer)
	doc := document(allow("s3:Get*", "*"))
	created := w.must(p, "iam:CreatePolicy", "PolicyName", "gets", "Path", "/v/", "PolicyDocument", doc)
	arn := field(t, created, "Arn")
	if arn != "arn:aws:iam::222222222222:policy/v/gets" {
		t.Fatalf("Arn %s", arn)
	}
	w.refused(p, "EntityAlreadyExists", 409, "iam:CreatePolicy", "PolicyName", "GETS", "PolicyDocument", doc)
	w.refused(p, "MalformedPolicyDocument", 400, "iam:CreatePolicy", "PolicyName", "bad", "PolicyDocument", `{"Statement":[{}]}`)
	w.must(p, "iam:CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trustPlatform)
	w.must(p, "iam:AttachRolePolicy", "RoleName", "r", "PolicyArn", arn)
	if got := w.must(p, "iam:GetPolicy", "PolicyArn", arn); field(t, got, "AttachmentCount") != "1" || field(t, got, "DefaultVersionId") != "v1" {
		t.Errorf("GetPolicy %s", got)
	}
	version := w.must(p, "iam:GetPolicyVersion", "PolicyArn", arn, "VersionId", "v1")
	if plain, _ := url.PathUnescape(field(t, version, "Document")); plain != doc {
		t.Errorf("document %q", plain)
	}
	w.refused(p, "NoSuchEntity", 404, "iam:GetPolicyVersion", "PolicyArn", arn, "VersionId", "v2")
	w.refused(p, "DeleteConflict", 409, "iam:DeletePolicy", "PolicyArn", arn)
	w.must(p, "iam:DetachRolePolicy", "RoleName", "r", "PolicyArn", arn)
	w.must(p, "iam:PutRolePermissionsBoundary", "RoleName", "r", "PermissionsBoundary", arn)
	w.refused(p, "DeleteConflict", 409, "iam:DeletePolicy", "PolicyArn", arn)
	w.must(p, "iam:DeleteRolePermissionsBoundary", "RoleName", "r")
	w.must(p, "iam:DeletePolicy", "PolicyArn", arn)
	w.refused(p, "NoSuchEntity", 404, "iam:GetPolicy", "PolicyArn", arn)
	foreign, err := w.iam.CreatePolicy(platform, iam.PolicySpec{Name: "theirs", Document: doc})
	if err != nil {
		t.Fatal(err)
	}
	w.refused(p, "NoSuchEntity", 404, "iam:AttachRolePolicy", "RoleName", "r", "PolicyArn", foreign)
}

func TestAWSManagedPolicies(t *testing.T) {
	w := newWorld(t)
	names := map[string]map[string]bool{ // action → allowed
		"AdministratorAccess":                      {"iam:CreateRole": true, "s3:GetObject": true},
		"PowerUserAccess":                          {"iam:CreateRole": false, "iam:GetRole": false, "iam:SimulatePrincipalPolicy": false, "s3:PutObject": true, "iam:ListRoles": true, "organizations:LeaveOrganization": false},
		"ReadOnlyAccess":                           {"iam:GetRole": true, "iam:SimulatePrincipalPolicy": true, "ec2:DescribeRegions": true, "s3:GetObject": true, "s3:PutObject": false, "sqs:SendMessage": false, "dynamodb:Query": true, "secretsmanager:GetSecretValue": false, "sts:AssumeRole": false},
		"SecurityAudit":                            {"iam:GetRole": true, "ec2:DescribeRegions": true, "s3:GetObject": false, "ec2:RunInstances": false},
		"job-function/ViewOnlyAccess":              {"ec2:DescribeRegions": true, "iam:ListRoles": true, "iam:GetRole": false, "s3:GetObject": false},
		"service-role/AWSLambdaBasicExecutionRole": {"logs:PutLogEvents": true, "logs:GetLogEvents": false},
	}
	for name, actions := range names {
		arn := "arn:aws:iam::aws:policy/" + name
		got := w.must(w.root(customer), "iam:GetPolicyVersion", "PolicyArn", arn, "VersionId", "v1")
		plain, err := url.PathUnescape(field(t, got, "Document"))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := policy.Parse([]byte(plain))
		if err == nil {
			err = doc.CheckIdentity()
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for action, want := range actions {
			got := doc.Evaluate(policy.Request{Action: action, Resource: "arn:aws:x:::y"}) == policy.Allow
			if got != want {
				t.Errorf("%s on %s: %v, want %v", name, action, got, want)
			}
		}
	}
}

func TestUsersAndTheirKeys(t *testing.T) {
	w := newWorld(t)
	p := w.root(customer)
	created := w.must(p, "iam:CreateUser", "UserName", "ann", "Path", "/staff/")
	if field(t, created, "Arn") != "arn:aws:iam::222222222222:user/staff/ann" {
		t.Errorf("CreateUser %s", created)
	}
	w.refused(p, "EntityAlreadyExists", 409, "iam:CreateUser", "UserName", "Ann")
	first := w.must(p, "iam:CreateAccessKey", "UserName", "ann")
	key := iam.Credentials{AccessKeyID: field(t, first, "AccessKeyId"), SecretAccessKey: field(t, first, "SecretAccessKey")}
	if !strings.HasPrefix(key.AccessKeyID, "AKIA") || len(key.AccessKeyID) != 20 || len(key.SecretAccessKey) != 40 {
		t.Errorf("key %s", first)
	}
	if secret, ok := w.iam.Secret(key.AccessKeyID); !ok || secret != key.SecretAccessKey {
		t.Errorf("Secret %q, %v", secret, ok)
	}
	ann := w.as(key)
	if id := w.must(ann, "sts:GetCallerIdentity"); field(t, id, "Arn") != "arn:aws:iam::222222222222:user/staff/ann" || field(t, id, "Account") != customer {
		t.Errorf("identity %s", id)
	}
	w.refused(ann, "AccessDenied", 403, "iam:GetUser")
	w.must(p, "iam:PutUserPolicy", "UserName", "ann", "PolicyName", "self", "PolicyDocument",
		document(allow("iam:*", "arn:aws:iam::*:user/*/${aws:username}")))
	if got := w.must(ann, "iam:GetUser"); field(t, got, "UserName") != "ann" {
		t.Errorf("GetUser of oneself %s", got)
	}
	second := field(t, w.must(ann, "iam:CreateAccessKey"), "AccessKeyId")
	w.refused(ann, "LimitExceeded", 409, "iam:CreateAccessKey")
	w.must(ann, "iam:DeleteAccessKey", "AccessKeyId", second)
	listed := w.must(ann, "iam:ListAccessKeys")
	if strings.Count(listed, "<member>") != 1 || has(listed, "SecretAccessKey") {
		t.Errorf("keys %s", listed)
	}

	w.must(p, "iam:UpdateAccessKey", "UserName", "ann", "AccessKeyId", key.AccessKeyID, "Status", "Inactive")
	if _, err := w.iam.Authenticate(key.AccessKeyID, ""); err == nil {
		t.Error("an inactive key is accepted")
	}
	w.must(p, "iam:AttachUserPolicy", "UserName", "ann", "PolicyArn", "arn:aws:iam::aws:policy/SecurityAudit")
	w.refused(p, "DeleteConflict", 409, "iam:DeleteUser", "UserName", "ann")
	w.must(p, "iam:DeleteAccessKey", "UserName", "ann", "AccessKeyId", key.AccessKeyID)
	w.refused(p, "NoSuchEntity", 404, "iam:DeleteAccessKey", "UserName", "ann", "AccessKeyId", key.AccessKeyID)
	w.refused(p, "DeleteConflict", 409, "iam:DeleteUser", "UserName", "ann")
	w.must(p, "iam:DetachUserPolicy", "UserName", "ann", "PolicyArn", "arn:aws:iam::aws:policy/SecurityAudit")
	w.must(p, "iam:DeleteUserPolicy", "UserName", "ann", "PolicyName", "self")
	w.must(p, "iam:DeleteUser", "UserName", "ann")
	w.refused(p, "NoSuchEntity", 404, "iam:GetUser", "UserName", "ann")
}

func TestRootKey(t *testing.T) {
	w := newWorld(t)
	out := w.must(w.root(customer), "iam:CreateAccessKey")
	who := w.as(iam.Credentials{AccessKeyID: field(t, out, "AccessKeyId")})
	if who.ARN != "arn:aws:iam::222222222222:root" {
		t.Errorf("a key made by root for itself belongs to %s", who.ARN)
	}
	if _, err := w.iam.Authenticate(field(t, out, "AccessKeyId"), "token"); err == nil {
		t.Error("a long-lived key with a session token is accepted")
	}
}

func TestCloudFormationsWayWithRoles(t *testing.T) {
	w := newWorld(t)
	from := iam.RoleSpec{
		Name: "r", Trust: trustPlatform, Tags: map[string]string{"old": "1", "same": "1"},
		Inline:   map[string]string{"a": document(allow("s3:*", "*")), "b": document(allow("sqs:*", "*"))},
		Attached: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"},
	}
	made := w.role(customer, from)
	if err := w.iam.PutRolePolicy(customer, "r", "elsewhere", document(allow("ec2:*", "*"))); err != nil {
		t.Fatal(err)
	}
	to := iam.RoleSpec{
		Name: "r", Trust: document(trusting(rootOf("333333333333"), `"sts:AssumeRole"`, "")), MaxSession: 2 * time.Hour,
		Description: "new", Tags: map[string]string{"same": "2"}, Boundary: "arn:aws:iam::aws:policy/PowerUserAccess",
		Inline: map[string]string{"b": document(allow("sns:*", "*"))}, Attached: []string{"arn:aws:iam::aws:policy/SecurityAudit"},
	}
	bad := to
	bad.Attached = []string{"arn:aws:iam::aws:policy/Nothing"}
	if _, err := w.iam.UpdateRole(customer, from, bad); err == nil {
		t.Fatal("an update to a missing policy succeeded")
	}
	if now, err := w.iam.Role(customer, "r"); err != nil || now.Description != "" || now.Tags["old"] != "1" || now.Trust != trustPlatform {
		t.Errorf("a failed update left %+v, %v", now, err)
	}
	got, err := w.iam.UpdateRole(customer, from, to)
	if err != nil {
		t.Fatal(err)
	}
	want := iam.Role{RoleSpec: to, ID: made.ID, ARN: made.ARN, Created: made.Created}
	want.Path = "/"
	want.Inline = map[string]string{"b": to.Inline["b"], "elsewhere": document(allow("ec2:*", "*"))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantError(t, w.iam.RemoveRole(customer, to), "DeleteConflict", http.StatusConflict)
	if err := w.iam.DeleteRolePolicy(customer, "r", "elsewhere"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is gone already
		if err := w.iam.RemoveRole(customer, to); err != nil {
			t.Fatal(err)
		}
	}
}
