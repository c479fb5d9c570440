package mutants_test

// revoking: sessions that were revoked.
var revoking = []mutant{
	{"the revocation has the name of IAM's own", "shared/connect/revocation.go", `const RevocationPolicy = "RolecallRevokedSessions"`, `const RevocationPolicy = "AWSRevokeOlderSessions"`, "connect.TestTheCustomersRevocationIsNeverTouched"},
	{"the customer's revocation is removed", "shared/customer/revoker.go", "err != nil || text != formerText(cutoff) {", `err != nil || text == "" {`, "customer.TestOnlyWhatAnEarlierVersionWroteIsRemoved"},
	{"a policy that is declared is removed", "shared/customer/revoker.go", "\tif declared {", "\tif false {", "customer.TestARevocationOverwritesAndRestores"},
	{"a former revocation stays", "shared/connect/revoking.go", "if err != nil || r.Former.IsZero() {", "if true {", "connect.TestAFormerRevocationIsLifted"},
	{"a refusal within the minute is final", "shared/connect/revoking.go", "case isDenied(err) && !c.justRevoked(u.Clock()):", "case isDenied(err):", "connect.TestARefusalIsFinalAfterAMinute"},
	{"a refusal is never final", "shared/connect/revoking.go", "case isDenied(err) && !c.justRevoked(u.Clock()):", "case false:", "connect.TestARefusalIsFinalAfterAMinute"},
	{"a stack's Delete fails by the policy", "shared/connect/revocation.go", "r.LiftAt, r.Undone = now, false", "_ = now", "connect.TestAStacksDeleteLifts"},
	{"a role that outlives its stack denies nothing", "shared/connect/revocation.go", "r.LiftAt, r.Undone = r.Cutoff.Add(revocationLife), true", "_ = role", "connect.TestARoleThatOutlivesItsStackDeniesAgain"},
	{"a session made before the cutoff lifts", "shared/connect/revoking.go", "if session.made().Before(r.Cutoff) {", "if false {", "connect.TestALiftWithinTheCutoffsSecondIsTriedAgain"},
	{"the declared text denies", "templates/revocation.go", "time.Unix(0, 0)", "time.Unix(1, 0)", "templates.TestTemplatesDeclareTheInertRevocation"},
}
