package storetest

import "testing"

// Run is the conformance suite: what every store of Rolecall must do. Each case has a store of its own, without anything in it.
func Run(t *testing.T, open func(t testing.TB) Store) {
	for _, one := range []struct {
		name string
		test func(*testing.T, Store)
	}{
		{"TestWhatIsCommittedIsRead", TestWhatIsCommittedIsRead},
		{"TestAKeyConnectionIsReadAsCommitted", TestAKeyConnectionIsReadAsCommitted},
		{"TestARevocationIsKept", TestARevocationIsKept},
		{"TestNobodysConnection", TestNobodysConnection},
		{"TestConflict", TestConflict},
		{"TestARefusedChangeChangesNothing", TestARefusedChangeChangesNothing},
		{"TestACanceledCaller", TestACanceledCaller},
		{"TestTimeOfCheck", TestTimeOfCheck},
		{"TestFences", TestFences},
		{"TestAFenceOfAStackThatIsNotBound", TestAFenceOfAStackThatIsNotBound},
		{"TestIdempotencyKeys", TestIdempotencyKeys},

		{"TestNamesAreReservedForEver", TestNamesAreReservedForEver},
		{"TestRenaming", TestRenaming},
		{"TestARoleIsOneConnectionsWithinItsTenant", TestARoleIsOneConnectionsWithinItsTenant},
		{"TestRoleHolder", TestRoleHolder},
		{"TestRaces", TestRaces},

		{"TestList", TestList},
		{"TestAListByScope", TestAListByScope},
		{"TestTimeline", TestTimeline},

		{"TestScopes", TestScopes},
		{"TestTakeover", TestTakeover},
		{"TestScopeRace", TestScopeRace},

		{"TestOneIntake", TestOneIntake},
		{"TestNamesOfAccounts", TestNamesOfAccounts},

		{"TestLeasesAreShared", TestLeasesAreShared},
		{"TestLeasesOfDifferentThings", TestLeasesOfDifferentThings},
		{"TestPlacesAreShared", TestPlacesAreShared},
		{"TestSweepIndexes", TestSweepIndexes},
		{"TestSweepPages", TestSweepPages},
		{"TestCursor", TestCursor},

		{"TestEnrolmentsAreKept", TestEnrolmentsAreKept},
		{"TestEnrolmentsAreListedApart", TestEnrolmentsAreListedApart},
		{"TestAnAccountsLineFollowsItsConnection", TestAnAccountsLineFollowsItsConnection},
		{"TestAccountsAreListed", TestAccountsAreListed},
		{"TestOneConnectionForAnAccount", TestOneConnectionForAnAccount},
		{"TestAStackThatIsGoneConnectsNothing", TestAStackThatIsGoneConnectsNothing},
		{"TestALinkGivesWayToNothingElse", TestALinkGivesWayToNothingElse},
		{"TestWhoComesTooLateHasALine", TestWhoComesTooLateHasALine},
		{"TestAnAccountIsHeldByOneEnrolment", TestAnAccountIsHeldByOneEnrolment},
		{"TestWhoServesAnAccount", TestWhoServesAnAccount},
		{"TestEnrolmentsRaceForAccounts", TestEnrolmentsRaceForAccounts},
		{"TestTheStackThatIsThereWinsTheRace", TestTheStackThatIsThereWinsTheRace},
		{"TestARoleIsProvenWhileItsStackGoes", TestARoleIsProvenWhileItsStackGoes},
	} {
		t.Run(one.name, func(t *testing.T) { one.test(t, open(t)) })
	}
}
