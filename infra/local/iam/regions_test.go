package iam_test

import (
	"net/http"
	"testing"

	"rolecall/infra/local/iam"
)

// optIns has one Region that must be opted in to, and the accounts that have.
type optIns map[string]bool

func (optIns) MustOptIn(region string) bool       { return region == "eu-south-1" }
func (o optIns) IsOptedIn(account, _ string) bool { return o[account] }

// STS makes no session of an account that has switched it off for the Region. A Region that must be opted in to is off for
// every account that has not, the asking one included; in us-east-1 it is always on.
func TestWhereSTSIsOff(t *testing.T) {
	for name, test := range map[string]struct {
		region string
		off    string // the account that has switched STS off there
		opted  optIns
		code   string
	}{
		"on by default":               {region: "eu-west-1"},
		"off for the role's account":  {region: "eu-west-1", off: customer, code: "RegionDisabledException"},
		"off for who asks":            {region: "eu-west-1", off: platform},
		"off where it cannot be":      {region: "us-east-1", off: customer},
		"opted in to by both":         {region: "eu-south-1", opted: optIns{customer: true, platform: true}},
		"opted in to by who asks":     {region: "eu-south-1", opted: optIns{platform: true}, code: "RegionDisabledException"},
		"opted in to by the customer": {region: "eu-south-1", opted: optIns{customer: true}, code: "RegionDisabledException"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			broker := w.function("broker", mayAssume)
			w.role(customer, iam.RoleSpec{Name: "vendor", Trust: document(trusting(`"*"`, `"sts:AssumeRole"`, ""))})
			w.iam.KnowRegions(test.opted)
			if test.off != "" {
				w.iam.SwitchSTS(test.off, test.region, false)
			}
			w.region = test.region
			_, err := w.call(broker, "sts:AssumeRole", assume()...)
			if test.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantError(t, err, test.code, http.StatusForbidden)
			w.iam.SwitchSTS(customer, test.region, true)
		})
	}
}
