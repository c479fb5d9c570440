// Package storetest says what a store of Rolecall must do, and has one in memory that does it.
//
// [Run] is the conformance suite: package store passes it against DynamoDB, [Memory] against itself. Tests of everything
// above the stores use a Memory: what it does is what DynamoDB does, and it shows what was written, counts what it was
// asked, and fails, dies or lets somebody else be quicker where a test says so.
package storetest

import "rolecall/shared/connect"

// A Store is all that the use cases need of one.
type Store interface {
	connect.ConnectionStore
	connect.CallbackStore
	connect.VerificationStore
	connect.IssuingStore
	connect.NoteStore
	connect.Replays
	connect.ScopeStore
	connect.IntakeStore
	connect.EnrolmentStore
	connect.MemberStore
	connect.ContestStore
	connect.PlaceStore
	connect.LeaseStore
	connect.SweepStore
}
