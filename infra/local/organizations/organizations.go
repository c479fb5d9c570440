// Package organizations is AWS Organizations on the pocket AWS, as far as connecting whole organizations needs it: accounts
// in a tree of units, trusted access for StackSets, delegated administrators and service control policies. Organizations
// are made by [Service.Create], and for people by the laptop's local API; AWS's own way takes invitations and e-mail.
package organizations

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"rolecall/infra/local/policy"
	"rolecall/infra/local/wire"
)

// An Organization is what organizations are made of.
type Organization struct {
	ID         string            `json:"id"`
	Management string            `json:"managementAccount"`
	Root       string            `json:"root"`
	Units      map[string]string `json:"units"`    // unit → its parent unit, or the root
	Accounts   map[string]string `json:"accounts"` // account → its unit, or the root; the management account is one of them
}

type organization struct {
	Organization
	trusted   bool     // trusted access for StackSets is active
	delegates []string // accounts that may administer StackSets for the management account
}

// Service answers the Organizations API and keeps all organizations, in memory. Safe for concurrent use.
type Service struct {
	mu       sync.RWMutex
	all      map[string]*organization
	controls map[string][]policy.Document // service control policies by account
	watch    func(account string, joined bool)
}

// New makes a service without organizations.
func New() *Service {
	return &Service{all: map[string]*organization{}, controls: map[string][]policy.Document{}, watch: func(string, bool) {}}
}

var _ wire.Service = (*Service)(nil)

// Watch has f called after an account has joined an organization, and after one has left. It is called once, before use.
func (s *Service) Watch(f func(account string, joined bool)) { s.watch = f }

var (
	idRE      = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
	rootRE    = regexp.MustCompile(`^r-[0-9a-z]{4,32}$`)
	unitRE    = regexp.MustCompile(`^ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}$`)
	accountRE = regexp.MustCompile(`^[0-9]{12}$`)
)

// Create makes an organization. Accounts without a unit are in the root.
func (s *Service) Create(o Organization) error {
	if !idRE.MatchString(o.ID) || !rootRE.MatchString(o.Root) || !accountRE.MatchString(o.Management) {
		return fault("InvalidInputException", "id %q, root %q and management account %q are not as AWS writes them", o.ID, o.Root, o.Management)
	}
	made := &organization{Organization: Organization{
		ID: o.ID, Management: o.Management, Root: o.Root, Units: map[string]string{}, Accounts: map[string]string{o.Management: o.Root},
	}}
	for unit, parent := range o.Units {
		if !unitRE.MatchString(unit) || (parent != o.Root && !unitRE.MatchString(parent)) {
			return fault("InvalidInputException", "unit %q in %q is not as AWS writes it", unit, parent)
		}
		made.Units[unit] = parent
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for account, unit := range o.Accounts {
		if unit == "" {
			unit = o.Root
		}
		if !accountRE.MatchString(account) || (unit != o.Root && made.Units[unit] == "") {
			return fault("InvalidInputException", "account %q in %q cannot be", account, unit)
		}
		made.Accounts[account] = unit
	}
	for account := range made.Accounts {
		if s.of(account) != nil {
			return fault("DuplicateAccountException", "account %s is in an organization", account)
		}
	}
	s.all[o.ID] = made
	return nil
}

// Join takes an account into an organization's unit, or its root.
func (s *Service) Join(id, account, unit string) error {
	s.mu.Lock()
	o := s.all[id]
	if o == nil || s.of(account) != nil || (unit != o.Root && o.Units[unit] == "") {
		s.mu.Unlock()
		return fault("InvalidInputException", "account %s cannot join %s of %s", account, unit, id)
	}
	o.Accounts[account] = unit
	s.mu.Unlock()
	s.watch(account, true)
	return nil
}

// Leave takes an account out of its organization.
func (s *Service) Leave(account string) {
	s.mu.Lock()
	if o := s.of(account); o != nil && o.Management != account {
		delete(o.Accounts, account)
	}
	s.mu.Unlock()
	s.watch(account, false)
}

// of finds an account's organization; nil where it is in none. The caller holds the lock.
func (s *Service) of(account string) *organization {
	for _, o := range s.all {
		if _, ok := o.Accounts[account]; ok {
			return o
		}
	}
	return nil
}

// Control attaches a service control policy to one account; "" takes all of the account's away.
func (s *Service) Control(account, document string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if document == "" {
		delete(s.controls, account)
		return nil
	}
	d, err := policy.Parse([]byte(document))
	if err != nil {
		return fault("MalformedPolicyDocumentException", "%v", err)
	}
	s.controls[account] = append(s.controls[account], d)
	return nil
}

// Forbids tells whether a service control policy denies a principal what it needs. Such policies bind all principals of
// an account, its root among them, but neither the management account's nor AWS's own services.
func (s *Service) Forbids(p wire.Principal, need wire.Need) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.of(p.Account)
	if o == nil || o.Management == p.Account || p.Service != "" {
		return nil
	}
	for _, d := range s.controls[p.Account] {
		r := policy.Request{
			Action: need.Action, Resource: need.Resource, Context: need.Context,
			Principal: policy.Principal{Account: p.Account, ARN: p.ARN, RoleARN: p.RoleARN},
		}
		if d.Evaluate(r) == policy.Deny {
			return &wire.Error{Code: "AccessDenied", Status: http.StatusForbidden, Message: "User: " + p.ARN + " is not authorized to perform: " +
				need.Action + " on resource: " + need.Resource + " with an explicit deny in a service control policy"}
		}
	}
	return nil
}

// Trust activates trusted access for StackSets, as the management account alone can.
func (s *Service) Trust(account string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.of(account)
	if o == nil || o.Management != account {
		return fault("InvalidOperationException", "Only the management account can activate organizations access")
	}
	o.trusted = true
	return nil
}

// Targets are an organization's accounts under some units, as StackSets sees them: without the management account, to
// which service-managed stack sets do not deploy. admin must be allowed to administer StackSets: as the management account,
// or as a delegated administrator of it.
func (s *Service) Targets(admin string, delegated bool, units []string) ([]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.of(admin)
	switch {
	case o == nil || !o.trusted:
		return nil, fault("ValidationError", "You must enable organizations access to operate a service managed stack set")
	case !delegated && o.Management != admin:
		return nil, fault("ValidationError", "Account used is not the organization's management account")
	case delegated && !slices.Contains(o.delegates, admin):
		return nil, fault("ValidationError", "Account used is not a delegated administrator")
	}
	var out []string
	for account := range o.Accounts {
		if account != o.Management && slices.ContainsFunc(units, func(u string) bool { return o.under(o.Accounts[account], u) }) {
			out = append(out, account)
		}
	}
	slices.Sort(out)
	return out, nil
}

// under tells whether a unit is another one, or lies below it.
func (o *organization) under(unit, above string) bool {
	for unit != "" {
		if unit == above {
			return true
		}
		unit = o.Units[unit]
	}
	return false
}

// Needs asks for organizations:<operation> on everything; the operations here know no finer resource.
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	return []wire.Need{{
		Action: "organizations:" + call.Operation, Resource: "*", Context: map[string][]string{"aws:RequestedRegion": {"us-east-1"}},
	}}, nil
}

// Serve performs a call.
func (s *Service) Serve(_ context.Context, call *wire.Call) (wire.Response, error) {
	serve, ok := map[string]func(*organization, *wire.Call) (any, error){
		"DescribeOrganization": describe, "ListAccounts": listAccounts, "ListRoots": listRoots,
		"RegisterDelegatedAdministrator": delegate,
	}[call.Operation]
	if !ok {
		return wire.Response{}, &wire.Error{Code: "InvalidAction", Message: "The pocket AWS's Organizations has no operation " + call.Operation + "."}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.of(call.Principal.Account)
	if o == nil {
		return wire.Response{}, fault("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
	}
	if call.Operation != "DescribeOrganization" && call.Principal.Account != o.Management {
		return wire.Response{}, &wire.Error{
			Code: "AccessDeniedException", Message: "You don't have permissions to access this resource.", Status: http.StatusBadRequest,
		}
	}
	value, err := serve(o, call)
	return wire.Response{Value: value}, err
}

func fault(code, format string, args ...any) error {
	return &wire.Error{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

func (o *organization) arn(kind, id string) string {
	return fmt.Sprintf("arn:aws:organizations::%s:%s/%s%s", o.Management, kind, o.ID, id)
}

// The shapes are AWS's, letter for letter.

type organizationAnswer struct {
	Arn, FeatureSet, MasterAccountArn, MasterAccountEmail string
	MasterAccountID                                       string `json:"MasterAccountId"`
	ID                                                    string `json:"Id"`
}

func describe(o *organization, _ *wire.Call) (any, error) {
	return map[string]any{"Organization": organizationAnswer{
		ID: o.ID, Arn: o.arn("organization", ""), FeatureSet: "ALL", MasterAccountID: o.Management,
		MasterAccountArn: o.arn("account", "/"+o.Management), MasterAccountEmail: "management@example.com",
	}}, nil
}

type accountAnswer struct {
	ID                              string `json:"Id"`
	Arn, Email, Name, Status, State string
	JoinedMethod                    string
}

// accountsPage is the most that ListAccounts answers with.
const accountsPage = 20

func listAccounts(o *organization, call *wire.Call) (any, error) {
	var in struct {
		MaxResults int
		NextToken  string
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(o.Accounts))
	for id := range o.Accounts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	start, _ := strconv.Atoi(in.NextToken)
	size := accountsPage
	if in.MaxResults > 0 {
		size = min(size, in.MaxResults)
	}
	start = max(0, min(start, len(ids)))
	end := min(start+size, len(ids))
	out := map[string]any{}
	page := make([]accountAnswer, 0, end-start)
	for _, id := range ids[start:end] {
		page = append(page, accountAnswer{
			ID: id, Arn: o.arn("account", "/"+id), Email: id + "@example.com", Name: id, Status: "ACTIVE", State: "ACTIVE", JoinedMethod: "CREATED",
		})
	}
	out["Accounts"] = page
	if end < len(ids) {
		out["NextToken"] = strconv.Itoa(end)
	}
	return out, nil
}

func listRoots(o *organization, _ *wire.Call) (any, error) {
	return map[string]any{"Roots": []map[string]any{{
		"Id": o.Root, "Arn": o.arn("root", "/"+o.Root), "Name": "Root", "PolicyTypes": []any{},
	}}}, nil
}

// stackSets is the service that an account can be made a delegated administrator of, here.
const stackSets = "member.org.stacksets.cloudformation.amazonaws.com"

func delegate(o *organization, call *wire.Call) (any, error) {
	var in struct {
		AccountID        string `json:"AccountId"`
		ServicePrincipal string
	}
	if err := call.Decode(&in); err != nil {
		return nil, err
	}
	if _, ok := o.Accounts[in.AccountID]; !ok || in.AccountID == o.Management || in.ServicePrincipal != stackSets {
		return nil, fault("InvalidInputException", "%s cannot be a delegated administrator of %s", in.AccountID, in.ServicePrincipal)
	}
	if slices.Contains(o.delegates, in.AccountID) {
		return nil, fault("AccountAlreadyRegisteredException", "The account is registered already")
	}
	o.delegates = append(o.delegates, in.AccountID)
	return nil, nil //nolint:nilnil // the operation has no answer
}
