package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"rolecall/cmd/rolecall/printable"
	"rolecall/cmd/rolecall/settings"
)

// maxSettings is more than a platform has to say of itself.
const maxSettings = 64 << 10

// Located is the client with its issuer: where none is set, the one that the platform's own address names. A token goes to
// that issuer and to no other. An HTTP API says it itself, by the metadata of RFC 9728; the console's address, behind which the
// API is too, by what it tells the console.
func (c Client) Located(ctx context.Context, api string) (Client, error) {
	if c.Issuer != "" {
		return c, nil
	}
	issuer, resourceErr := c.resourceIssuer(ctx, api)
	if resourceErr == nil {
		c.Issuer = issuer
		return c, nil
	}
	issuer, consoleErr := c.consoleIssuer(ctx, api)
	if consoleErr == nil {
		c.Issuer = issuer
		return c, nil
	}
	return c, fmt.Errorf("which identity provider? %s does not tell:\n%w\n%w\nName its issuer with --issuer, %s or rolecall configure",
		api, printable.Error(resourceErr), printable.Error(consoleErr), settings.Variable(settings.Issuer))
}

func (c Client) resourceIssuer(ctx context.Context, api string) (string, error) {
	address, err := wellKnown(api)
	if err != nil {
		return "", err
	}
	var told struct {
		Resource string   `json:"resource"`
		Issuers  []string `json:"authorization_servers"`
	}
	if err := c.ask(ctx, address, &told); err != nil {
		return "", err
	}
	if told.Resource != api { // as section 3.3 asks: it may be another one's
		return "", fmt.Errorf("%s is of %q", address, told.Resource)
	}
	if len(told.Issuers) == 0 {
		return "", fmt.Errorf("%s names none", address)
	}
	return sendable(address, told.Issuers[0])
}

func (c Client) consoleIssuer(ctx context.Context, api string) (string, error) {
	address := api + "/config.json"
	var told struct {
		Issuer string `json:"issuer"`
	}
	if err := c.ask(ctx, address, &told); err != nil {
		return "", err
	}
	return sendable(address, told.Issuer)
}

// wellKnown is where a resource's metadata is: its path goes behind the well-known one (section 3.1).
func wellKnown(resource string) (string, error) {
	u, err := url.Parse(resource)
	if err != nil {
		return "", err
	}
	u.Path, u.RawPath = "/.well-known/oauth-protected-resource"+u.Path, ""
	return u.String(), nil
}

func sendable(address, issuer string) (string, error) {
	switch {
	case issuer == "":
		return "", fmt.Errorf("%s names none", address)
	case !settings.MaySend(issuer):
		return "", fmt.Errorf("%s names %s, which is not https", address, issuer)
	}
	return issuer, nil
}

// ask reads a JSON document that needs no token.
func (c Client) ask(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return errors.New(address + " answers " + resp.Status)
	}
	if json.NewDecoder(io.LimitReader(resp.Body, maxSettings)).Decode(into) != nil {
		return errors.New(address + " answers no JSON")
	}
	return nil
}
