// Package ec2 is the pocket AWS's EC2: the Regions of an account, and nothing else.
//
// A caller without ec2:DescribeRegions hears UnauthorizedOperation, with status 403; the front door puts refusals into
// EC2's words.
package ec2

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"rolecall/infra/local/wire"
)

// The opt-in status of a Region.
const (
	NotRequired = "opt-in-not-required"
	OptedIn     = "opted-in"
	NotOptedIn  = "not-opted-in"
)

// A Service answers EC2's Query API. Safe for concurrent use.
type Service struct {
	mu    sync.RWMutex
	opted map[string]map[string]bool // account → Region → opted in
}

var _ wire.Service = (*Service)(nil)

// New makes the service; no account has opted in to any Region that needs it.
func New() *Service { return &Service{opted: map[string]map[string]bool{}} }

// OptIn switches a Region that needs opting in on or off for an account.
func (s *Service) OptIn(account, region string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opted[account] == nil {
		s.opted[account] = map[string]bool{}
	}
	s.opted[account][region] = on
}

// MustOptIn says that the Region is off for every account that has not opted in to it.
func (s *Service) MustOptIn(region string) bool { return slices.Contains(closedRegions(), region) }

// IsOptedIn says that the account has opted in to the Region.
func (s *Service) IsOptedIn(account, region string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.opted[account][region]
}

const describeRegions = "DescribeRegions"

// Needs says that DescribeRegions takes ec2:DescribeRegions, which knows no resources. In a Region that is not on for the
// account, nobody's credentials are known.
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	if call.Operation != describeRegions {
		return nil, unknownOperation(call)
	}
	if s.MustOptIn(call.Region) && !s.IsOptedIn(call.Principal.Account, call.Region) {
		return nil, &wire.Error{
			Code: "AuthFailure", Status: http.StatusUnauthorized,
			Message: "AWS was not able to validate the provided access credentials",
		}
	}
	return []wire.Need{{
		Action: "ec2:DescribeRegions", Resource: "*",
		Context: map[string][]string{"ec2:Region": {call.Region}, "aws:RequestedRegion": {call.Region}},
	}}, nil
}

// Serve performs DescribeRegions: RegionName.N, AllRegions, Filter.N (region-name, endpoint, opt-in-status) and DryRun.
func (s *Service) Serve(_ context.Context, call *wire.Call) (wire.Response, error) {
	if call.Operation != describeRegions {
		return wire.Response{}, unknownOperation(call)
	}
	if call.Form.Get("DryRun") == "true" {
		return wire.Response{}, &wire.Error{
			Code: "DryRunOperation", Status: http.StatusPreconditionFailed,
			Message: "Request would have succeeded, but DryRun flag is set.",
		}
	}
	regions, err := s.describe(call)
	if err != nil {
		return wire.Response{}, err
	}
	return wire.Response{Value: describeRegionsResult{regions}}, nil
}

func unknownOperation(call *wire.Call) error {
	return &wire.Error{Code: "InvalidAction", Message: "The pocket AWS has no operation " + call.Operation + " of ec2."}
}

type describeRegionsResult struct {
	Regions []regionXML `xml:"regionInfo>item"`
}

type regionXML struct {
	Name     string `xml:"regionName"`
	Endpoint string `xml:"regionEndpoint"`
	OptIn    string `xml:"optInStatus"`
}

// describe lists the Regions that are on for the account, or all with AllRegions, less what the request filters out.
func (s *Service) describe(call *wire.Call) ([]regionXML, error) {
	names := numbered(call, "RegionName.")
	if err := known(names); err != nil {
		return nil, err
	}
	filters, err := filtersOf(call)
	if err != nil {
		return nil, err
	}
	all := call.Form.Get("AllRegions") == "true"
	var out []regionXML
	for _, r := range s.regions(call.Principal.Account) {
		if !all && r.OptIn == NotOptedIn {
			continue
		}
		if len(names) > 0 && !slices.Contains(names, r.Name) || !r.passes(filters) {
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

func (s *Service) regions(account string) []regionXML {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []regionXML
	for _, name := range openRegions() {
		out = append(out, regionXML{name, endpoint(name), NotRequired})
	}
	for _, name := range closedRegions() {
		status := NotOptedIn
		if s.opted[account][name] {
			status = OptedIn
		}
		out = append(out, regionXML{name, endpoint(name), status})
	}
	return out
}

func endpoint(region string) string { return "ec2." + region + ".amazonaws.com" }

// openRegions are on in every account; closedRegions must be opted in to.
func openRegions() []string {
	return strings.Fields(`ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1
		eu-central-1 eu-north-1 eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2`)
}

func closedRegions() []string {
	return strings.Fields(`af-south-1 ap-east-1 ap-east-2 ap-south-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6
		ap-southeast-7 ca-west-1 eu-central-2 eu-south-1 eu-south-2 il-central-1 me-central-1 me-south-1 mx-central-1`)
}

func known(names []string) error {
	for _, name := range names {
		if !slices.Contains(openRegions(), name) && !slices.Contains(closedRegions(), name) {
			return invalidValue("Invalid region names: " + name)
		}
	}
	return nil
}

func invalidValue(message string) error {
	return &wire.Error{Code: "InvalidParameterValue", Message: message, Status: http.StatusBadRequest}
}

// numbered reads prefix1, prefix2, …
func numbered(call *wire.Call, prefix string) []string {
	var out []string
	for i := 1; call.Form.Has(prefix + strconv.Itoa(i)); i++ {
		out = append(out, call.Form.Get(prefix+strconv.Itoa(i)))
	}
	return out
}

// filtersOf reads Filter.N.Name and Filter.N.Value.M.
func filtersOf(call *wire.Call) (map[string][]string, error) {
	filters := map[string][]string{}
	for i := 1; ; i++ {
		prefix := "Filter." + strconv.Itoa(i) + "."
		name := call.Form.Get(prefix + "Name")
		if name == "" {
			return filters, nil
		}
		if _, ok := (regionXML{}).field(name); !ok {
			return nil, invalidValue("The filter '" + name + "' is invalid")
		}
		filters[name] = append(filters[name], numbered(call, prefix+"Value.")...)
	}
}

func (r regionXML) field(filter string) (value string, ok bool) {
	switch filter {
	case "region-name":
		return r.Name, true
	case "endpoint":
		return r.Endpoint, true
	case "opt-in-status":
		return r.OptIn, true
	}
	return "", false
}

func (r regionXML) passes(filters map[string][]string) bool {
	for name, wanted := range filters {
		value, _ := r.field(name)
		matches := func(pattern string) bool {
			ok, err := path.Match(pattern, value) // EC2's filters take * and ?, as path.Match does
			return ok && err == nil
		}
		if !slices.ContainsFunc(wanted, matches) {
			return false
		}
	}
	return true
}
