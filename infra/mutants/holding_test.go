package mutants_test

// holding: customers' access keys.
var holding = []mutant{
	{"keys that AWS refuses pass", "shared/connect/keyverifier.go", "c.Verdict, c.Reason = Failed, keyRefusal(err)", "c.Reason = keyRefusal(err)", "connect.TestOnlyProvenKeysMakeAConnection"},
	{"STS's failure passes keys", "shared/connect/keyverifier.go", "Unknown, unanswered(err)", "Passed, unanswered(err)", "connect.TestOnlyProvenKeysMakeAConnection"},
	{"root's keys pass", "shared/connect/keyverifier.go", "case who.Root:", "case false:", "connect.TestOnlyProvenKeysMakeAConnection"},
	{"another account's keys pass", "shared/connect/keyverifier.go", "case who.Account != s.Account:", "case false:", "connect.TestOnlyProvenKeysMakeAConnection"},
	{"keys that may not list Regions pass", "shared/connect/keyverifier.go", "Failed, Reason{\n\t\t\tCode: CodeRegionsDenied", "Passed, Reason{\n\t\t\tCode: CodeRegionsDenied", "connect.TestOnlyProvenKeysMakeAConnection"},
	{"EC2's failure passes keys", "shared/connect/keyverifier.go", `Unknown, unavailable("EC2")`, `Passed, unavailable("EC2")`, "connect.TestOnlyProvenKeysMakeAConnection"},
	{"keys that have ended are asked about", "shared/connect/keyverifier.go", "if temporary(s.Keys.AccessKeyID) && !o.At.Before(s.Keys.Expires) {", "if false {", "connect.TestKeysThatHaveEndedAreNotAskedAbout"},
	{"keys of every kind are taken", "shared/connect/accesskey.go", "`^(AKIA|ASIA)[A-Z0-9]+$`", "`^[A-Z0-9]+$`", "connect.TestKeysAreReadByTheirForm"},
	{"a temporary key needs no token", "shared/connect/accesskey.go", `case temporary(keys.AccessKeyID) && token == "":`, "case false:", "connect.TestKeysAreReadByTheirForm"},
	{"a long-lived key may have a token", "shared/connect/accesskey.go", `case !temporary(keys.AccessKeyID) && (token != "" || in.ExpiresAt != ""):`, "case false:", "connect.TestKeysAreReadByTheirForm"},
	{"a temporary key is handed out after its end", "shared/connect/keysessions.go", "if !k.Clock().Before(c.s.AccessKey.ExpiresAt) {", "if false {", "connect.TestATemporaryKeysEnd"},
	{"a temporary key is narrowed", "shared/connect/keysessions.go", "if r.narrowed() {\n\t\treturn Session{}, &Error{", "if false {\n\t\treturn Session{}, &Error{", "connect.TestATemporaryKeyDoesNotSignIn"},
	{"the long-lived key is handed out", "shared/connect/keysessions.go", "if temporary(c.s.AccessKey.ID) {", "if true {", "connect.TestAnUpgradeThatIsWithdrawn"},
	{"a federated session of another account passes", "shared/connect/keysessions.go", "if s.Account != c.s.AccountID {", "if false {", "connect.TestSessionsOfALongLivedKey"},
	{"a role may go back to keys", "shared/connect/accesskey.go", "if c.s.Method != MethodAccessKey {", "if false {", "connect.TestInvariantsOfKeys"},
	{"an upgrade keeps the key", "shared/connect/accesskey.go", "{ s.Method, s.AccessKey = MethodRole, nil }", "{ s.Method = MethodRole }", "connect.TestAnUpgradeThatIsWithdrawn"},
	{"a key's end is told from its beginning", "shared/connect/accesskey.go", "!now.Before(ending) && now.Before(k.ExpiresAt)", "now.Before(k.ExpiresAt)", "connect.TestATemporaryKeysEndIsToldAhead"},
	{"a key's end is told again and again", "shared/connect/accesskey.go", " || !k.EndingAt.IsZero() {", " {", "connect.TestATemporaryKeysEndIsToldAhead"},
	{"nobody looks before a key ends", "shared/connect/connection.go", "if k.EndingAt.IsZero() {\n\t\tend", "if false {\n\t\tend", "connect.TestATemporaryKeysEndIsToldAhead"},
}
