// Package httpapi is the HTTP API: it reads requests, asks the domain, and words what it answers.
//
// [Routes] says which routes there are. [NewAPI] and [NewBroker] serve those of one function each. An operation names the
// types it reads and answers with; the OpenAPI document (openapi.json, embedded) is rendered from the same types by the
// package's tests, which fail while it is out of date: go test ./shared/httpapi -run TestDocument -update renders it anew.
// It is not rendered at run time because the library that does so costs a function a millisecond of its start.
//
// Every error is an RFC 9457 problem with a stable code. [Codes] lists them.
package httpapi
