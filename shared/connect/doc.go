// Package connect is Rolecall's domain: what a connection to a customer's AWS account is, how it comes to be trusted,
// and who may use it. It decides; it talks to nothing itself. The outside world stands behind small interfaces declared
// beside the code that needs them.
//
// A [Connection] is changed only by its own methods. Each answers with a [Change]: what the connection becomes and the
// one [Event] that tells of it, to be committed together. A transition that the status machine does not know cannot be
// written down outside this package.
package connect
