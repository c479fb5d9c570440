package mutants_test

// verifying: what is proven of a role.
var verifying = []mutant{
	{"a trust policy may name anybody", "shared/connect/trust.go", "\tif who.wildcard {\n", "\tif false {\n", "connect.TestTrustPolicyRead"},
	{"a trust policy may ask for no external ID", "shared/connect/trust.go", "\t\tif !exact {", "\t\tif false {", "connect.TestTrustPolicyRead"},
	{"a pattern is an external ID", "shared/connect/trust.go", ` || (like && strings.ContainsAny(id, "*?"))`, "", "connect.TestTrustPolicyRead"},
	{"a finding names no statement", "shared/connect/trust.go", `f.broad = statement + " " + broad`, "f.broad = broad", "connect.TestATrustPolicysStatementIsNamed"},
	{"probes differ by their names", "shared/connect/verifier.go", "SessionName: verifySession, Duration: verifyDuration", "SessionName: verifySession + string(external)[:min(len(external), 2)], Duration: verifyDuration", "connect.TestProbesDifferOnlyByTheExternalID"},
	{"enabled is read without checks", "shared/connect/connection.go", "case s.Status == StatusEnabled && (!s.hasAccess() || !proven(s.Method, s.Checks)):", "case false:", "connect.TestRestoreRefusesWhatWasNeverWritten"},
	{"a throttled answer is a denial", "shared/customer/customer.go", `return code == "AccessDenied" || `, `return code == "Throttling" || code == "AccessDenied" || `, "customer.TestOnlyDefiniteDenialsAreDenials"},
	{"half of the keys is taken", "shared/customer/keys.go", " || c.SecretAccessKey.IsZero() || c.SessionToken.IsZero()", "", "customer.TestHostileAnswersAboutKeys"},
	{"a role that still answers is proven gone", "shared/connect/offboarding.go", "\t\tc.Verdict, c.Reason = Failed, Reason{\n\t\t\tCode: CodeRoleStillAnswers", "\t\tc.Verdict, c.Reason = Passed, Reason{\n\t\t\tCode: CodeRoleStillAnswers", "connect.TestReconnectAfterDisconnect"},
	{"a launch ends the offboarding", "shared/connect/connection.go", "s.SessionTags, s.Checks = false, nil // but", "s.SessionTags, s.Checks, s.Offboarding = false, nil, nil // but", "connect.TestALaunchKeepsTheOffboarding"},
	{"a lost run is lost", "shared/connect/verifications.go", "\tif c.lostRun(now) {", "\tif false {", "connect.TestALostRunIsLookedAtAgain"},
	{"who is due in an outage is forgotten", "shared/connect/verifications.go", "\treturn u.Sweeps.Sweep(ctx, []ConnectionID{c.s.ID}, degradedInterval)\n}\n\n// look makes", "\treturn nil\n}\n\n// look makes", "connect.TestAnOutageForgetsNobodyWhoIsDue"},
	{"a sweep moves on before it has queued", "shared/connect/sweep.go", "\t\tif err := t.minute(ctx, minute); err != nil {", "\t\tif err := t.minute(ctx, minute); err != nil && t.queued == 0 {", "app.TestASweepKilledAnywhereResumes"},
	{"a tenant's role is anybody's", "shared/store/commit.go", "b.own(roleKey(tenant, r), id, connect.ErrRoleInUse)", "_ = r", "storetest.TestRaces"},
	{"who has a role is not known", "shared/store/intake.go", "return s.owner(ctx, roleKey(tenant, role))", `return "", nil`, "storetest.TestRoleHolder"},
	{"a fence is not written", "shared/store/commit.go", `b.put(toFence(id, *f), "", nil, nil)`, "_ = f", "storetest.TestFences"},
	{"a stack that is not bound has no fence", "shared/store/store.go", `return s.put(ctx, "fence", r)`, "return nil", "storetest.TestAFenceOfAStackThatIsNotBound"},
	{"a stack that is gone joins", "shared/store/enrolment.go", `"attribute_not_exists(PK) OR deleted = :no", no,`, `"", nil,`, "storetest.TestAStackThatIsGoneConnectsNothing"},
	{"an account is everybody's", "shared/store/enrolment.go", `b.put(r, mineOrNobodys, item{":id": text(string(id))}, func(old item) error {`, `b.put(r, "", nil, func(old item) error {`, "storetest.TestEnrolmentsRaceForAccounts"},
	{"a name is given twice", "shared/store/commit.go", "b.own(nameKey(tenant, c.Snapshot().Name), id, connect.ErrNameTaken)", "_ = tenant", "storetest.TestNamesAreReservedForEver"},
	{"a lease goes beyond the limit", "shared/store/leases.go", `:most": number(int64(limit - n))`, `:most": number(int64(limit))`, "storetest.TestLeasesAreShared"},
	{"an event is not of the transaction", "shared/store/commit.go", "\t\tb.putNew(e, connect.ErrConflict)\n\t}\n\tif ch.ReservesName", "\t\t_ = e\n\t}\n\tif ch.ReservesName", "storetest.TestWhatIsCommittedIsRead"},
	{"a change of another version is written", "shared/store/commit.go", `b.put(r, "version = :version", item{":version": number(ch.Expect())}`, `b.put(r, "version >= :version", item{":version": number(0)}`, "store.TestHistoryOfIssuing"},
	{"an account has two connections", "shared/store/enrolment.go", "b.put(toMember(m), notItsOwn, nil, refusedWith(connect.ErrConflict))\n\t} else {", "b.put(toMember(m), \"\", nil, nil)\n\t} else {", "storetest.TestOneConnectionForAnAccount"},
}
