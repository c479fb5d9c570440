package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"rolecall/shared/app"
	"rolecall/shared/config"
	"rolecall/templates"
)

// policies reads the platform's own policies where they are published, beside the templates: an object that anybody may
// read, and that never changes. What was read is kept.
type policies struct {
	client *http.Client
	config config.Config

	mu   sync.Mutex
	kept map[string]string // by digest
}

const (
	// policyTime bounds the reading of one: whoever asks for a connection waits for it.
	policyTime = 2 * time.Second
	// maxPolicy is more than IAM takes of a role's inline policies.
	maxPolicy = 16 << 10
	// maxPolicies bounds how many are kept; digests are customers' words.
	maxPolicies = 32
)

func newPolicies(c config.Config) *policies {
	return &policies{client: app.PlainClient(), config: c, kept: map[string]string{}}
}

// beside is the URL of what is published beside the template.
func beside(c config.Config, key string) string {
	bucket, _, _ := strings.Cut(c.TemplateURL, "/connection/")
	return bucket + "/" + key
}

// moduleURL is the Terraform module's.
func moduleURL(c config.Config) string { return beside(c, templates.ModuleKey(c.ModuleSHA256)) }

// policyURL is where the policy of that digest is published; "" for none.
func policyURL(c config.Config, digest string) string {
	if digest == "" {
		return ""
	}
	return beside(c, templates.PolicyKey(digest))
}

var errPolicyUnread = errors.New("the published policy could not be read")

// published reads the policy of a digest.
func (p *policies) published(ctx context.Context, digest string) (string, error) {
	p.mu.Lock()
	text, ok := p.kept[digest]
	p.mu.Unlock()
	if ok {
		return text, nil
	}
	text, err := p.read(ctx, digest)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept) >= maxPolicies {
		clear(p.kept)
	}
	p.kept[digest] = text
	return text, nil
}

// read takes the object only if it is what its name says.
func (p *policies) read(ctx context.Context, digest string) (string, error) {
	ctx, done := context.WithTimeout(ctx, policyTime)
	defer done()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.address(digest), nil)
	if err != nil {
		return "", err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errPolicyUnread, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPolicy))
	if err != nil || resp.StatusCode != http.StatusOK || templates.PolicyDigest(string(body)) != digest {
		return "", errPolicyUnread
	}
	return string(body), nil
}

// address is the policy's URL; on a laptop the one at which the pocket AWS has that bucket.
func (p *policies) address(digest string) string {
	address := policyURL(p.config, digest)
	u, err := url.Parse(address)
	if p.config.Endpoint == "" || err != nil {
		return address
	}
	bucket, _, _ := strings.Cut(u.Host, ".s3.")
	return p.config.Endpoint + "/" + bucket + u.Path
}
