package iam

import "net/http"

// Regions says which Regions an account must have opted in to, and whether it has.
type Regions interface {
	// MustOptIn says that the Region is off for every account that has not opted in to it.
	MustOptIn(region string) bool
	IsOptedIn(account, region string) bool
}

// KnowRegions tells STS of the Regions; without, all are on for every account. It is called once, before use.
func (s *Service) KnowRegions(r Regions) { s.regions = r }

// SwitchSTS switches STS on or off for an account in a Region, as its administrator does in IAM's account settings. It is on
// by default, and in us-east-1 it cannot be switched off.
func (s *Service) SwitchSTS(account, region string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stsOff[account+" "+region] = !on && region != "us-east-1"
}

// mayIssue refuses to make a session of an account in a Region where STS is off for it. Where a Region must be opted in to, the
// account that asks must have done so as well. AWS does not say whether it looks at this before permissions or after; here
// it is after, so that nobody learns of the settings of an account that does not trust him. The caller holds the lock.
func (s *Service) mayIssue(of, asking, region string) error {
	off := func(account string) bool {
		return s.regions != nil && s.regions.MustOptIn(region) && !s.regions.IsOptedIn(account, region)
	}
	switch {
	case s.stsOff[of+" "+region], off(of):
		return regionDisabled(of)
	case off(asking):
		return regionDisabled(asking)
	}
	return nil
}

func regionDisabled(account string) error {
	return fail("RegionDisabledException", http.StatusForbidden, "STS is not activated in this region for account:%s. "+
		"Your account administrator can activate STS in this region using the IAM Console.", account)
}
