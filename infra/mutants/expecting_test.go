package mutants_test

// expecting: the account that a connection is for.
var expecting = []mutant{
	{"a stack of another account is bound", "shared/connect/expected.go", "c.s.ExpectedAccountID, serving}", "serving}", "connect.TestOnlyTheExpectedAccountConnects"},
	{"a connection that serves moves to another account", "shared/connect/expected.go", "c.s.ExpectedAccountID, serving}", "c.s.ExpectedAccountID, serving[:0]}", "connect.TestAnAccountThatIsExpectedOtherwise"},
	{"an enrolment's connection moves to another account", "shared/connect/expected.go", "c.s.enrolledAccount(), c.s.ExpectedAccountID", "c.s.ExpectedAccountID", "connect.TestAnAccountThatIsExpectedOtherwise"},
	{"a role of another account is taken", "shared/connect/callback.go", "return c.mayBeAccount(arn.Account())", "return nil", "connect.TestOnlyTheExpectedAccountConnects"},
	{"a page is told of each refused stack", "shared/connect/expected.go", " || c.s.StatusReason.Code == e.Code {", " {", "connect.TestARefusedStackIsToldOfOnce"},
	{"the expected account is forgotten", "shared/connect/connections.go", "if n.AccountID, err = u.account(r.AccountID); err != nil {", "if _, err = u.account(r.AccountID); err != nil {", "connect.TestTheExpectedAccountIsKept"},
}
