package iam

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"rolecall/infra/local/wire"
)

// An operation is one entry of the IAM API. target answers, under the lock, what the permission is asked for: the ARN
// and the condition keys; serve takes the lock itself.
type operation struct {
	target func(s *Service, call *wire.Call) (resource string, about map[string][]string)
	serve  func(s *Service, call *wire.Call) (any, error)
}

func operations() map[string]operation {
	all := map[string]operation{
		"ListRoles":               {anything, listRoles},
		"ListUsers":               {anything, listUsers},
		"SimulatePrincipalPolicy": {onSource, simulatePrincipalPolicy},
	}
	maps.Copy(all, roleOperations())
	maps.Copy(all, userOperations())
	maps.Copy(all, policyOperations())
	return all
}

func roleOperations() map[string]operation {
	return map[string]operation{
		"CreateRole":                    {onRole, createRole},
		"GetRole":                       {onRole, getRole},
		"UpdateRole":                    {onRole, updateRole},
		"DeleteRole":                    {onRole, deleteRole},
		"UpdateAssumeRolePolicy":        {onRole, updateAssumeRolePolicy},
		"PutRolePolicy":                 {onRole, putRolePolicy},
		"GetRolePolicy":                 {onRole, getRolePolicy},
		"ListRolePolicies":              {onRole, listRolePolicies},
		"DeleteRolePolicy":              {onRole, deleteRolePolicy},
		"AttachRolePolicy":              {onRole, attachRolePolicy},
		"DetachRolePolicy":              {onRole, detachRolePolicy},
		"ListAttachedRolePolicies":      {onRole, listAttachedRolePolicies},
		"PutRolePermissionsBoundary":    {onRole, putRolePermissionsBoundary},
		"DeleteRolePermissionsBoundary": {onRole, deleteRolePermissionsBoundary},
		"TagRole":                       {onRole, tagRole},
		"UntagRole":                     {onRole, untagRole},
		"ListRoleTags":                  {onRole, listRoleTags},
		"ListInstanceProfilesForRole":   {onRole, listInstanceProfilesForRole},
	}
}

func userOperations() map[string]operation {
	return map[string]operation{
		"CreateUser":               {onUser, createUser},
		"GetUser":                  {onUser, getUser},
		"DeleteUser":               {onUser, deleteUser},
		"CreateAccessKey":          {onUser, createAccessKey},
		"ListAccessKeys":           {onUser, listAccessKeys},
		"UpdateAccessKey":          {onUser, updateAccessKey},
		"DeleteAccessKey":          {onUser, deleteAccessKey},
		"AttachUserPolicy":         {onUser, attachUserPolicy},
		"DetachUserPolicy":         {onUser, detachUserPolicy},
		"ListAttachedUserPolicies": {onUser, listAttachedUserPolicies},
		"PutUserPolicy":            {onUser, putUserPolicy},
		"GetUserPolicy":            {onUser, getUserPolicy},
		"ListUserPolicies":         {onUser, listUserPolicies},
		"DeleteUserPolicy":         {onUser, deleteUserPolicy},
	}
}

func policyOperations() map[string]operation {
	return map[string]operation{
		"CreatePolicy":     {onNewPolicy, createPolicy},
		"GetPolicy":        {onPolicy, getPolicy},
		"GetPolicyVersion": {onPolicy, getPolicyVersion},
		"DeletePolicy":     {onPolicy, deletePolicy},
	}
}

func anything(_ *Service, call *wire.Call) (resource string, about map[string][]string) {
	return "*", requestContext(call)
}

// requestContext is what the condition keys of IAM say of a request.
func requestContext(call *wire.Call) map[string][]string {
	tags, err := tagsOf(call.Form)
	if err != nil { // refused when the call is served
		tags = nil
	}
	about := tagContext(tags)
	if keys := members(call.Form, "TagKeys", ""); len(keys) > 0 {
		about["aws:TagKeys"] = keys
	}
	if arn := call.Form.Get("PolicyArn"); arn != "" {
		about["iam:PolicyARN"] = []string{arn}
	}
	if arn := call.Form.Get("PermissionsBoundary"); arn != "" {
		about["iam:PermissionsBoundary"] = []string{arn}
	}
	return about
}

func (e *entity) addTo(about map[string][]string) {
	for key, value := range e.tags {
		about["aws:ResourceTag/"+key] = []string{value}
		about["iam:ResourceTag/"+key] = []string{value}
	}
	if _, asked := about["iam:PermissionsBoundary"]; !asked && e.grants.latest().boundary != "" {
		about["iam:PermissionsBoundary"] = []string{e.grants.latest().boundary}
	}
}

func onRole(s *Service, call *wire.Call) (resource string, about map[string][]string) {
	about = requestContext(call)
	name := call.Form.Get("RoleName")
	if r := s.look(call.Principal.Account).role(name); r != nil {
		r.addTo(about)
		return r.arn, about
	}
	return newARN(call, "role", name), about
}

func onUser(s *Service, call *wire.Call) (resource string, about map[string][]string) {
	about = requestContext(call)
	name := call.Form.Get("UserName")
	if name == "" && call.Operation != "CreateUser" {
		name = ownName(call)
		if name == "" {
			return call.Principal.ARN, about
		}
	}
	if u := s.look(call.Principal.Account).user(name); u != nil {
		u.addTo(about)
		return u.arn, about
	}
	return newARN(call, "user", name), about
}

// newARN is the ARN of what does not exist (yet).
func newARN(call *wire.Call, kind, name string) string {
	path := call.Form.Get("Path")
	if path == "" {
		path = "/"
	}
	return arnPrefix + "iam::" + call.Principal.Account + ":" + kind + path + name
}

func onNewPolicy(_ *Service, call *wire.Call) (resource string, about map[string][]string) {
	return newARN(call, "policy", call.Form.Get("PolicyName")), requestContext(call)
}

func onPolicy(_ *Service, call *wire.Call) (resource string, about map[string][]string) {
	return call.Form.Get("PolicyArn"), requestContext(call)
}

// ownName is the name of the user who calls; "" for anybody else.
func ownName(call *wire.Call) string {
	_, _, name, ok := fromARN(call.Principal.ARN, ":user/")
	if !ok {
		return ""
	}
	return name
}

// named is the user an operation on access keys is about: the one named, the caller, or "" for root.
func named(call *wire.Call) (string, error) {
	if name := call.Form.Get("UserName"); name != "" {
		return name, nil
	}
	if name := ownName(call); name != "" || strings.HasSuffix(call.Principal.ARN, ":root") {
		return name, nil
	}
	return "", invalid("Must specify userName when calling with non-User credentials")
}

// page cuts a list as Marker and MaxItems ask.
func page[T any](call *wire.Call, all []T) (listed[T], error) {
	start, size := 0, 100
	if text := call.Form.Get("MaxItems"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return listed[T]{}, invalid("1 validation error detected: Value '%s' at 'maxItems' failed to satisfy constraint: "+
				"Member must be between 1 and 1000", text)
		}
		size = n
	}
	if marker := call.Form.Get("Marker"); marker != "" {
		text, err := base64.RawURLEncoding.DecodeString(marker)
		if start, _ = strconv.Atoi(string(text)); err != nil || start < 1 {
			return listed[T]{}, invalid("Invalid Marker")
		}
	}
	start = min(start, len(all))
	end := min(start+size, len(all))
	out := listed[T]{items: items[T]{all[start:end]}, truncated: end < len(all)}
	if out.truncated {
		out.marker = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end)))
	}
	return out, nil
}

type listed[T any] struct {
	items     items[T]
	truncated bool
	marker    string
}

func createRole(s *Service, call *wire.Call) (any, error) {
	tags, err := tagsOf(call.Form)
	if err != nil {
		return nil, err
	}
	longest, err := seconds(call.Form, "MaxSessionDuration", minMaxSession)
	if err != nil {
		return nil, err
	}
	if err := between("maxSessionDuration", longest, minMaxSession, maxMaxSession); err != nil {
		return nil, err
	}
	f := call.Form
	r, err := s.CreateRole(call.Principal.Account, RoleSpec{
		Name: f.Get("RoleName"), Path: f.Get("Path"), Description: f.Get("Description"), Trust: f.Get("AssumeRolePolicyDocument"),
		MaxSession: longest, Boundary: f.Get("PermissionsBoundary"), Tags: tags,
	})
	return struct{ Role roleXML }{r.xml()}, err
}

func getRole(s *Service, call *wire.Call) (any, error) {
	r, err := s.Role(call.Principal.Account, call.Form.Get("RoleName"))
	return struct{ Role roleXML }{r.xml()}, err
}

func listRoles(s *Service, call *wire.Call) (any, error) {
	prefix := call.Form.Get("PathPrefix")
	var all []roleXML
	for _, r := range s.Roles(call.Principal.Account) {
		if !strings.HasPrefix(r.Path, prefix) {
			continue
		}
		x := r.xml()
		x.Tags, x.PermissionsBoundary = items[tagXML]{}, nil // lists leave them out, as in AWS
		all = append(all, x)
	}
	p, err := page(call, all)
	return struct {
		Roles       items[roleXML]
		IsTruncated bool
		Marker      string `xml:",omitempty"`
	}{p.items, p.truncated, p.marker}, err
}

func updateRole(s *Service, call *wire.Call) (any, error) {
	var description *string
	if call.Form.Has("Description") {
		text := call.Form.Get("Description")
		description = &text
	}
	var longest *time.Duration
	if call.Form.Has("MaxSessionDuration") {
		d, err := seconds(call.Form, "MaxSessionDuration", 0)
		if err != nil {
			return nil, err
		}
		longest = &d
	}
	return nil, s.describeRole(call.Principal.Account, call.Form.Get("RoleName"), description, longest)
}

func deleteRole(s *Service, call *wire.Call) (any, error) {
	return nil, s.DeleteRole(call.Principal.Account, call.Form.Get("RoleName"))
}

func updateAssumeRolePolicy(s *Service, call *wire.Call) (any, error) {
	return nil, s.SetTrust(call.Principal.Account, call.Form.Get("RoleName"), call.Form.Get("PolicyDocument"))
}

func putRolePolicy(s *Service, call *wire.Call) (any, error) {
	f := call.Form
	return nil, s.PutRolePolicy(call.Principal.Account, f.Get("RoleName"), f.Get("PolicyName"), f.Get("PolicyDocument"))
}

func getRolePolicy(s *Service, call *wire.Call) (any, error) {
	name, policy := call.Form.Get("RoleName"), call.Form.Get("PolicyName")
	r, err := s.Role(call.Principal.Account, name)
	if err != nil {
		return nil, err
	}
	text, ok := r.Inline[policy]
	if !ok {
		return nil, noSuchEntity("The role policy with name %s cannot be found.", policy)
	}
	return struct{ RoleName, PolicyName, PolicyDocument string }{name, policy, urlEncoded(text)}, nil
}

type policyNames struct {
	PolicyNames items[string]
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func listRolePolicies(s *Service, call *wire.Call) (any, error) {
	r, err := s.Role(call.Principal.Account, call.Form.Get("RoleName"))
	if err != nil {
		return nil, err
	}
	p, err := page(call, slices.Sorted(maps.Keys(r.Inline)))
	return policyNames{p.items, p.truncated, p.marker}, err
}

func deleteRolePolicy(s *Service, call *wire.Call) (any, error) {
	return nil, s.DeleteRolePolicy(call.Principal.Account, call.Form.Get("RoleName"), call.Form.Get("PolicyName"))
}

func attachRolePolicy(s *Service, call *wire.Call) (any, error) {
	return nil, s.AttachRolePolicy(call.Principal.Account, call.Form.Get("RoleName"), call.Form.Get("PolicyArn"))
}

func detachRolePolicy(s *Service, call *wire.Call) (any, error) {
	return nil, s.DetachRolePolicy(call.Principal.Account, call.Form.Get("RoleName"), call.Form.Get("PolicyArn"))
}

type attachedPolicies struct {
	AttachedPolicies items[attachedXML]
	IsTruncated      bool
	Marker           string `xml:",omitempty"`
}

func attachedPage(call *wire.Call, arns []string) (any, error) {
	all := make([]attachedXML, 0, len(arns))
	for _, arn := range arns {
		all = append(all, attachedXML{PolicyName: arn[strings.LastIndexByte(arn, '/')+1:], PolicyArn: arn})
	}
	p, err := page(call, all)
	return attachedPolicies{p.items, p.truncated, p.marker}, err
}

func listAttachedRolePolicies(s *Service, call *wire.Call) (any, error) {
	r, err := s.Role(call.Principal.Account, call.Form.Get("RoleName"))
	if err != nil {
		return nil, err
	}
	return attachedPage(call, r.Attached)
}

func putRolePermissionsBoundary(s *Service, call *wire.Call) (any, error) {
	arn := call.Form.Get("PermissionsBoundary")
	if err := checkPolicyARN(arn); err != nil {
		return nil, err
	}
	return nil, s.SetRoleBoundary(call.Principal.Account, call.Form.Get("RoleName"), arn)
}

func deleteRolePermissionsBoundary(s *Service, call *wire.Call) (any, error) {
	return nil, s.SetRoleBoundary(call.Principal.Account, call.Form.Get("RoleName"), "")
}

func tagRole(s *Service, call *wire.Call) (any, error) {
	tags, err := tagsOf(call.Form)
	if err != nil {
		return nil, err
	}
	return nil, s.TagRole(call.Principal.Account, call.Form.Get("RoleName"), tags, nil)
}

func untagRole(s *Service, call *wire.Call) (any, error) {
	return nil, s.TagRole(call.Principal.Account, call.Form.Get("RoleName"), nil, members(call.Form, "TagKeys", ""))
}

func listRoleTags(s *Service, call *wire.Call) (any, error) {
	r, err := s.Role(call.Principal.Account, call.Form.Get("RoleName"))
	if err != nil {
		return nil, err
	}
	p, err := page(call, tagsXML(r.Tags).Members)
	return struct {
		Tags        items[tagXML]
		IsTruncated bool
		Marker      string `xml:",omitempty"`
	}{p.items, p.truncated, p.marker}, err
}

// listInstanceProfilesForRole lists none: nothing here makes instance profiles. Terraform asks before it deletes a role.
func listInstanceProfilesForRole(s *Service, call *wire.Call) (any, error) {
	_, err := s.Role(call.Principal.Account, call.Form.Get("RoleName"))
	return struct {
		InstanceProfiles items[struct{}]
		IsTruncated      bool
	}{}, err
}

func createUser(s *Service, call *wire.Call) (any, error) {
	tags, err := tagsOf(call.Form)
	if err != nil {
		return nil, err
	}
	u, err := s.CreateUser(call.Principal.Account, UserSpec{
		Name: call.Form.Get("UserName"), Path: call.Form.Get("Path"), Boundary: call.Form.Get("PermissionsBoundary"), Tags: tags,
	})
	return struct{ User userXML }{u.xml()}, err
}

// getUser shows the user that is named, or the caller; for root AWS answers an account's ARN and id without a name.
func getUser(s *Service, call *wire.Call) (any, error) {
	name, err := named(call)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return struct{ User userXML }{userXML{Arn: call.Principal.ARN, UserID: call.Principal.Account, CreateDate: stamp(s.clock())}}, nil
	}
	u, err := s.findUser(call.Principal.Account, name)
	return struct{ User userXML }{u.xml()}, err
}

func listUsers(s *Service, call *wire.Call) (any, error) {
	prefix := call.Form.Get("PathPrefix")
	var all []userXML
	for _, u := range s.users(call.Principal.Account) {
		if strings.HasPrefix(u.Path, prefix) {
			x := u.xml()
			x.Tags, x.PermissionsBoundary = items[tagXML]{}, nil
			all = append(all, x)
		}
	}
	p, err := page(call, all)
	return struct {
		Users       items[userXML]
		IsTruncated bool
		Marker      string `xml:",omitempty"`
	}{p.items, p.truncated, p.marker}, err
}

func deleteUser(s *Service, call *wire.Call) (any, error) {
	return nil, s.DeleteUser(call.Principal.Account, call.Form.Get("UserName"))
}

func createAccessKey(s *Service, call *wire.Call) (any, error) {
	name, err := named(call)
	if err != nil {
		return nil, err
	}
	k, err := s.createAccessKey(call.Principal.Account, name)
	x := k.xml()
	x.SecretAccessKey = k.secret
	return struct{ AccessKey accessKeyXML }{x}, err
}

func listAccessKeys(s *Service, call *wire.Call) (any, error) {
	name, err := named(call)
	if err != nil {
		return nil, err
	}
	keys, err := s.accessKeys(call.Principal.Account, name)
	if err != nil {
		return nil, err
	}
	all := make([]accessKeyXML, 0, len(keys))
	for _, k := range keys {
		all = append(all, k.xml())
	}
	p, err := page(call, all)
	return struct {
		AccessKeyMetadata items[accessKeyXML]
		IsTruncated       bool
		Marker            string `xml:",omitempty"`
	}{p.items, p.truncated, p.marker}, err
}

func updateAccessKey(s *Service, call *wire.Call) (any, error) {
	name, err := named(call)
	if err != nil {
		return nil, err
	}
	status := call.Form.Get("Status")
	if status != statusActive && status != statusInactive {
		return nil, invalid("1 validation error detected: Value '%s' at 'status' failed to satisfy constraint: "+
			"Member must satisfy enum value set: [Active, Inactive]", status)
	}
	return nil, s.changeAccessKey(call.Principal.Account, name, call.Form.Get("AccessKeyId"), func(k *accessKey) {
		k.active = status == statusActive
	})
}

func deleteAccessKey(s *Service, call *wire.Call) (any, error) {
	name, err := named(call)
	if err != nil {
		return nil, err
	}
	return nil, s.changeAccessKey(call.Principal.Account, name, call.Form.Get("AccessKeyId"), func(k *accessKey) {
		delete(s.keys, k.id)
	})
}

func attachUserPolicy(s *Service, call *wire.Call) (any, error) {
	return nil, s.AttachUserPolicy(call.Principal.Account, call.Form.Get("UserName"), call.Form.Get("PolicyArn"))
}

func detachUserPolicy(s *Service, call *wire.Call) (any, error) {
	return nil, s.changeUserGrants(call.Principal.Account, call.Form.Get("UserName"), func(_ *accountState, _ *user, g *grants) error {
		return detach(g, call.Form.Get("PolicyArn"))
	})
}

func putUserPolicy(s *Service, call *wire.Call) (any, error) {
	f := call.Form
	return nil, s.PutUserPolicy(call.Principal.Account, f.Get("UserName"), f.Get("PolicyName"), f.Get("PolicyDocument"))
}

func deleteUserPolicy(s *Service, call *wire.Call) (any, error) {
	return nil, s.changeUserGrants(call.Principal.Account, call.Form.Get("UserName"), func(_ *accountState, u *user, g *grants) error {
		return u.removeInline(g, call.Form.Get("PolicyName"))
	})
}

// userGrants answers a copy of a user's policies.
func (s *Service) userGrants(account, name string) (grants, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, err := s.look(account).needUser(name)
	if err != nil {
		return grants{}, err
	}
	return u.grants.latest(), nil // values in a history never change
}

func getUserPolicy(s *Service, call *wire.Call) (any, error) {
	name, policy := call.Form.Get("UserName"), call.Form.Get("PolicyName")
	g, err := s.userGrants(call.Principal.Account, name)
	if err != nil {
		return nil, err
	}
	doc, ok := g.inline[policy]
	if !ok {
		return nil, noSuchEntity("The user policy with name %s cannot be found.", policy)
	}
	return struct{ UserName, PolicyName, PolicyDocument string }{name, policy, urlEncoded(doc.text)}, nil
}

func listUserPolicies(s *Service, call *wire.Call) (any, error) {
	g, err := s.userGrants(call.Principal.Account, call.Form.Get("UserName"))
	if err != nil {
		return nil, err
	}
	p, err := page(call, slices.Sorted(maps.Keys(g.inline)))
	return policyNames{p.items, p.truncated, p.marker}, err
}

func listAttachedUserPolicies(s *Service, call *wire.Call) (any, error) {
	g, err := s.userGrants(call.Principal.Account, call.Form.Get("UserName"))
	if err != nil {
		return nil, err
	}
	return attachedPage(call, g.attached)
}

func createPolicy(s *Service, call *wire.Call) (any, error) {
	tags, err := tagsOf(call.Form)
	if err != nil {
		return nil, err
	}
	f := call.Form
	p, err := s.createPolicy(call.Principal.Account, PolicySpec{
		Name: f.Get("PolicyName"), Path: f.Get("Path"), Description: f.Get("Description"), Document: f.Get("PolicyDocument"), Tags: tags,
	})
	return struct{ Policy policyXML }{p.xml(0, 0)}, err
}

func getPolicy(s *Service, call *wire.Call) (any, error) {
	p, attached, bounding, err := s.policyOf(call.Principal.Account, call.Form.Get("PolicyArn"))
	return struct{ Policy policyXML }{p.xml(attached, bounding)}, err
}

func getPolicyVersion(s *Service, call *wire.Call) (any, error) {
	p, _, _, err := s.policyOf(call.Principal.Account, call.Form.Get("PolicyArn"))
	if err != nil {
		return nil, err
	}
	if id := call.Form.Get("VersionId"); id != p.versionID() { // only the default version is kept
		return nil, fail("NoSuchEntity", http.StatusNotFound, "Policy %s version %s does not exist or is not attachable.", p.arn, id)
	}
	text, err := p.text()
	return struct{ PolicyVersion versionXML }{versionXML{
		Document: urlEncoded(text), VersionID: p.versionID(), IsDefaultVersion: true, CreateDate: stamp(p.updated),
	}}, err
}

func deletePolicy(s *Service, call *wire.Call) (any, error) {
	return nil, s.DeletePolicy(call.Principal.Account, call.Form.Get("PolicyArn"))
}
