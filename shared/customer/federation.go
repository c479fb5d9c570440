package customer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"rolecall/shared/connect"
)

// A Federation asks AWS's federation endpoint. The request's URL has the session in it, as AWS wants it, so that no error
// of the client's is passed on: it would repeat it.
type Federation struct {
	HTTP     *http.Client
	Endpoint string
}

// maxToken bounds what is read of the endpoint's answer.
const maxToken = 64 << 10

// SigninToken implements connect.Federation.
func (f Federation) SigninToken(ctx context.Context, c connect.Credentials) (connect.Secret, error) {
	session, err := json.Marshal(map[string]string{
		"sessionId": c.AccessKeyID, "sessionKey": c.SecretAccessKey.Reveal(), "sessionToken": c.SessionToken.Reveal(),
	})
	if err != nil {
		return connect.Secret{}, err
	}
	q := url.Values{"Action": {"getSigninToken"}, "Session": {string(session)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Endpoint+"?"+q.Encode(), http.NoBody)
	if err != nil {
		return connect.Secret{}, federationFailed("a request that cannot be made")
	}
	resp, err := f.HTTP.Do(req)
	if err != nil {
		return connect.Secret{}, federationFailed("no answer")
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct{ SigninToken string }
	if resp.StatusCode != http.StatusOK {
		return connect.Secret{}, federationFailed(fmt.Sprintf("status %d", resp.StatusCode))
	}
	if json.NewDecoder(io.LimitReader(resp.Body, maxToken)).Decode(&answer) != nil || answer.SigninToken == "" {
		return connect.Secret{}, federationFailed("an answer without a token")
	}
	return connect.NewSecret(answer.SigninToken), nil
}

func federationFailed(why string) error {
	return unavailable("getSigninToken", errors.New(why))
}
