// Package webhook posts published events to one HTTPS endpoint of the platform's choice, signed, so that the receiver can
// tell them from anybody else's. docs/webhooks.md tells receivers how.
package webhook
