package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

const (
	keysKept = 2 * time.Hour // as long as API Gateway keeps them
	// keysRest is the least time between two fetches for unknown key ids, so that made-up ids cannot flood the issuer.
	keysRest     = 10 * time.Second
	maxDiscovery = 1 << 20
)

// A keySource has an issuer's public keys, found through OpenID Connect discovery and kept in memory.
type keySource struct {
	issuer string
	client *http.Client
	clock  func() time.Time

	mu      sync.Mutex // held while fetching: everybody else would fetch the same
	set     jwk.Set
	fetched time.Time
}

func newKeySource(issuer string, client *http.Client, clock func() time.Time) *keySource {
	return &keySource{issuer: issuer, client: client, clock: clock}
}

// find answers the key with an id. An unknown id has the keys fetched again, once.
func (k *keySource) find(ctx context.Context, kid string) (jwk.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	age := k.clock().Sub(k.fetched)
	if k.set != nil && age < keysKept {
		if key, ok := k.set.LookupKeyID(kid); ok {
			return key, nil
		}
		if age < keysRest {
			return nil, refuse("the token has an unknown key id")
		}
	}
	set, err := k.fetch(ctx)
	if err != nil {
		return nil, err
	}
	k.set, k.fetched = set, k.clock()
	key, ok := set.LookupKeyID(kid)
	if !ok {
		return nil, refuse("the token has an unknown key id")
	}
	return key, nil
}

func (k *keySource) fetch(ctx context.Context) (jwk.Set, error) {
	text, err := k.get(ctx, strings.TrimSuffix(k.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &discovery); err != nil {
		return nil, fmt.Errorf("gateway: discovery document of %s: %w", k.issuer, err)
	}
	if discovery.Issuer != k.issuer {
		return nil, fmt.Errorf("gateway: the discovery document of %s is of issuer %q", k.issuer, discovery.Issuer)
	}
	text, err = k.get(ctx, discovery.Keys)
	if err != nil {
		return nil, err
	}
	set, err := jwk.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("gateway: keys of %s: %w", k.issuer, err)
	}
	return set, nil
}

func (k *keySource) get(ctx context.Context, url string) ([]byte, error) {
	// A client that hangs up must not spoil the fetch that others wait for; the http client has its own timeout.
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("gateway: issuer %s: %w", k.issuer, err)
	}
	response, err := k.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("gateway: issuer %s: %w", k.issuer, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("gateway: issuer %s: %s answers %s", k.issuer, url, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxDiscovery))
	if err != nil {
		return nil, fmt.Errorf("gateway: issuer %s: %w", k.issuer, err)
	}
	return text, nil
}
