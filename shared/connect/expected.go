package connect

import "time"

// mayBeAccount refuses an account that the connection can never be, or not while it serves another one: it is its
// enrolment's, the one that it was created for, or the one that it serves.
func (c Connection) mayBeAccount(a AccountID) *Error {
	serving := AccountID("")
	if c.s.Status == StatusEnabled || c.s.Status == StatusDegraded {
		serving = c.s.AccountID
	}
	for _, want := range []AccountID{c.s.enrolledAccount(), c.s.ExpectedAccountID, serving} {
		if want != "" && a != want {
			return &Error{
				Kind: KindInvalid, Code: CodeAccountMismatch,
				Message: "this is account " + string(a) + ", but the connection is for account " + string(want),
				Fix:     "Use account " + string(want) + "; account " + string(a) + " needs a connection of its own.",
			}
		}
	}
	return nil
}

// stackRefused keeps that a stack was refused before anything was bound to it, because it is of another account than the
// connection is for. A connection that waits says so on its page, once, whoever else comes; its launch stays open for the
// right account.
func (c Connection) stackRefused(r Callback, e *Error, now time.Time) effect {
	if c.s.Status != StatusPending || c.s.StatusReason.Code == e.Code {
		return effect{}
	}
	data := stackData(r)
	data["code"], data["message"], data["fix"] = string(e.Code), e.Message, e.Fix
	return changes(c.change(EventStackRefused, ActorStack, now, data, func(s *Snapshot) { s.StatusReason = e.Reason() }))
}
