package verify

import (
	"testing"
	"time"

	"rolecall/shared/connect"
	"rolecall/shared/customer"
	"rolecall/templates"
)

// Revoking overwrites the very policy that the templates declare, and lifting puts the very text of it back.
func TestRevokingWritesTheTemplatesPolicy(t *testing.T) {
	if connect.RevocationPolicy != templates.RevocationPolicy {
		t.Errorf("revoking writes %s, the templates declare %s", connect.RevocationPolicy, templates.RevocationPolicy)
	}
	r, now := revoker(customer.Inspector{}), time.Now()
	if r.Text(now) != templates.Revocation(now) || !r.Inert.Equal(templates.InertCutoff()) {
		t.Errorf("revoking writes %s, inert before %s", r.Text(now), r.Inert)
	}
}
