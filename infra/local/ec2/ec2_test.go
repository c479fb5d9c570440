package ec2_test

import (
	"context"
	"encoding/xml"
	"errors"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolecall/infra/local/ec2"
	"rolecall/infra/local/wire"
)

type region struct {
	Name     string `xml:"regionName"`
	Endpoint string `xml:"regionEndpoint"`
	OptIn    string `xml:"optInStatus"`
}

func describe(t *testing.T, s *ec2.Service, account string, form url.Values) ([]region, error) {
	t.Helper()
	call := &wire.Call{
		Service: "ec2", Operation: "DescribeRegions", Region: "eu-west-1", Form: form,
		Principal: wire.Principal{Account: account},
	}
	resp, err := s.Serve(context.Background(), call)
	if err != nil {
		return nil, err
	}
	text, err := xml.Marshal(resp.Value)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Items []region `xml:"regionInfo>item"`
	}
	if err := xml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	return got.Items, nil
}

func names(regions []region) []string {
	var out []string
	for _, r := range regions {
		out = append(out, r.Name)
	}
	return out
}

func TestOnlyEnabledRegionsUnlessAllAreAsked(t *testing.T) {
	s := ec2.New()
	s.OptIn("222222222222", "eu-south-1", true)
	find := func(account, name string, form url.Values) string {
		regions, err := describe(t, s, account, form)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(regions, func(r region) bool { return r.Name == name })
		if i < 0 {
			return ""
		}
		return regions[i].OptIn
	}
	cases := []struct {
		account, region string
		all             bool
		want            string
	}{
		{"111111111111", "eu-west-1", false, "opt-in-not-required"},
		{"111111111111", "eu-south-1", false, ""},
		{"111111111111", "eu-south-1", true, "not-opted-in"},
		{"222222222222", "eu-south-1", false, "opted-in"},
		{"222222222222", "af-south-1", false, ""},
	}
	for _, c := range cases {
		form := url.Values{}
		if c.all {
			form.Set("AllRegions", "true")
		}
		if got := find(c.account, c.region, form); got != c.want {
			t.Errorf("%s in %s, all=%v: %q, want %q", c.region, c.account, c.all, got, c.want)
		}
	}
	s.OptIn("222222222222", "eu-south-1", false)
	if got := find("222222222222", "eu-south-1", nil); got != "" {
		t.Errorf("opted out, still %q", got)
	}
}

func TestNamesAndFilters(t *testing.T) {
	cases := map[string]struct {
		form url.Values
		want []string
	}{
		"names":           {url.Values{"RegionName.1": {"us-east-1"}, "RegionName.2": {"eu-west-1"}}, []string{"eu-west-1", "us-east-1"}},
		"name not on":     {url.Values{"RegionName.1": {"af-south-1"}}, nil},
		"filter":          {url.Values{"Filter.1.Name": {"region-name"}, "Filter.1.Value.1": {"eu-west-*"}}, []string{"eu-west-1", "eu-west-2", "eu-west-3"}},
		"two filters":     {url.Values{"Filter.1.Name": {"region-name"}, "Filter.1.Value.1": {"eu-*"}, "Filter.2.Name": {"endpoint"}, "Filter.2.Value.1": {"*west-2*"}}, []string{"eu-west-2"}},
		"two values":      {url.Values{"Filter.1.Name": {"region-name"}, "Filter.1.Value.1": {"us-east-1"}, "Filter.1.Value.2": {"us-east-2"}}, []string{"us-east-1", "us-east-2"}},
		"status, all on?": {url.Values{"Filter.1.Name": {"opt-in-status"}, "Filter.1.Value.1": {"not-opted-in"}}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := describe(t, ec2.New(), "111111111111", c.form)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, names(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	cases := map[string]struct {
		form url.Values
		code string
	}{
		"unknown Region": {url.Values{"RegionName.1": {"eu-moon-1"}}, "InvalidParameterValue"},
		"unknown filter": {url.Values{"Filter.1.Name": {"colour"}}, "InvalidParameterValue"},
		"dry run":        {url.Values{"DryRun": {"true"}}, "DryRunOperation"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := describe(t, ec2.New(), "111111111111", c.form)
			e, ok := errors.AsType[*wire.Error](err)
			if !ok || e.Code != c.code {
				t.Errorf("error %v, want %s", err, c.code)
			}
		})
	}
}

func TestOneOperation(t *testing.T) {
	s := ec2.New()
	needs, err := s.Needs(&wire.Call{Operation: "DescribeRegions", Region: "eu-west-1"})
	if err != nil || len(needs) != 1 || needs[0].Action != "ec2:DescribeRegions" || needs[0].Resource != "*" {
		t.Errorf("needs %+v, %v", needs, err)
	}
	other := &wire.Call{Operation: "RunInstances"}
	_, errNeeds := s.Needs(other)
	_, errServe := s.Serve(context.Background(), other)
	for _, err := range []error{errNeeds, errServe} {
		if e, ok := errors.AsType[*wire.Error](err); !ok || e.Code != "InvalidAction" {
			t.Errorf("error %v, want InvalidAction", err)
		}
	}
}
