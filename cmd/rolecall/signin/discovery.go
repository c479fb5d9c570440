package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"rolecall/cmd/rolecall/settings"
)

// maxSettings is more than the console's settings have.
const maxSettings = 64 << 10

// Located is the client with its issuer: where none is set, the one by which the console beside the API signs in. The
// platform's address serves both, so it is all that a newcomer needs. A token goes to the issuer that the platform's own
// address names, and to no other.
func (c Client) Located(ctx context.Context, api string) (Client, error) {
	if c.Issuer != "" {
		return c, nil
	}
	unnamed := func(why string) (Client, error) {
		return c, fmt.Errorf("which identity provider? %s/config.json does not tell: %s\nName its issuer with --issuer, %s or rolecall configure",
			api, why, settings.Variable(settings.Issuer))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/config.json", nil)
	if err != nil {
		return c, err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return unnamed(err.Error())
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return unnamed("it answers " + resp.Status)
	}
	var told struct {
		Issuer string `json:"issuer"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxSettings)).Decode(&told); err != nil || told.Issuer == "" {
		return unnamed("it names none")
	}
	if !settings.MaySend(told.Issuer) {
		return unnamed(told.Issuer + " is not https")
	}
	c.Issuer = told.Issuer
	return c, nil
}
