package laptop_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"rolecall/infra/local/faults"
)

// shapesOfSecrets are all ways to be handed something secret. ROLE is a connection by role, KEYED one by access key; SECONDS are
// others for each shape and failure, so that no session that is held will do.
var shapesOfSecrets = []struct{ name, method, path, body string }{
	{"container", "GET", "/v1/connections/ROLE/credentials?durationSeconds=SECONDS", ""},
	{"process", "GET", "/v1/connections/ROLE/credentials?format=process&durationSeconds=SECONDS", ""},
	{"env", "GET", "/v1/connections/ROLE/credentials?format=env&durationSeconds=SECONDS", ""},
	{"by scope", "GET", "/v1/effective-connection/credentials?project=canary&durationSeconds=SECONDS", ""},
	{"read only", "POST", "/v1/connections/ROLE/credentials", `{"readOnly":true,"durationSeconds":SECONDS}`},
	{"narrowed", "POST", "/v1/connections/ROLE/credentials", `{"policy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]},"durationSeconds":SECONDS}`},
	{"sign-in", "POST", "/v1/connections/ROLE/sign-in", `{"reason":"canary SECONDS"}`},
	{"by access key", "GET", "/v1/connections/KEYED/credentials?durationSeconds=SECONDS", ""},
	{"federation", "POST", "/v1/connections/KEYED/credentials", `{"readOnly":true,"durationSeconds":SECONDS}`},
	{"sign-in by access key", "POST", "/v1/connections/KEYED/sign-in", `{"reason":"canary SECONDS"}`},
}

// failuresOfSecrets are ways in which handing it out goes wrong, before the secret is made and after. Each takes the SDK's
// retries to show, some seconds; so in the short run several strike together.
func failuresOfSecrets() [][]string {
	if os.Getenv("ROLECALL_LONG") == "" {
		return [][]string{nil, {
			`{"service":"sts","kind":"error500","rate":0.2,"caller":"broker"}`,
			`{"service":"sts","kind":"throttle429","rate":0.2,"caller":"broker"}`,
			`{"service":"sts","kind":"reset","when":"after","rate":0.4,"caller":"broker"}`,
			`{"service":"sts","kind":"truncated","rate":0.6,"caller":"broker"}`,
			`{"service":"dynamodb","operation":"PutItem","kind":"truncated","caller":"broker"}`,
		}}
	}
	return [][]string{
		nil,
		{`{"service":"sts","kind":"error500","caller":"broker"}`},
		{`{"service":"sts","kind":"throttle429","caller":"broker"}`},
		{`{"service":"sts","kind":"reset","when":"after","caller":"broker"}`},
		{`{"service":"sts","kind":"truncated","caller":"broker"}`},
		{`{"service":"sts","kind":"hang","when":"after","delay":"50ms","caller":"broker"}`},
		{`{"service":"sts","kind":"hang","when":"after","caller":"broker"}`}, // until the client gives up
		{`{"service":"dynamodb","operation":"PutItem","kind":"error500","caller":"broker"}`},
		{`{"service":"dynamodb","operation":"PutItem","kind":"truncated","caller":"broker"}`},
		{`{"service":"kms","operation":"Decrypt","kind":"truncated","caller":"broker"}`},
	}
}

// No secret of any shape, handed out or lost on the way, shows in what functions write, in the table, on the timeline, in
// the journal or in an error: raw, in base64, in hex or URL-encoded.
func TestNoSecretOfAnyShapeShows(t *testing.T) {
	const roleAccount, keyAccount = "222222222218", "055555555518"
	acme := as(t, "acme-canaries")
	began, mark := len(logs.all()), pocket.Journal.Mark()
	c := acme.create("Canaries")
	theirs := customer{t, roleAccount, c.Launch.Region}
	theirs.launch(c, nil)
	theirs.await(c.Launch.StackName, types.StackStatusCreateComplete, 30*time.Second)
	acme.want(http.StatusOK, "PUT", "/v1/connections/"+c.ID+"/scopes", `{"scopes":[{"level":"project","id":"canary"}]}`)
	pair := user(t, keyAccount, "canary", `"ec2:DescribeRegions","sts:GetFederationToken"`)
	var keyed connection
	acme.want(http.StatusCreated, "POST", "/v1/connections", byKeys(t, "Canary keys", keyAccount, pair)).into(t, &keyed)

	handed, errs := handOutAll(t, acme, c.ID, keyed.ID)
	secrets := append(handed, c.Launch.Parameters["CallbackToken"], pair.SecretAccessKey, acme.token[strings.LastIndex(acme.token, ".")+1:])
	made := append(pocket.IAM.Secrets(roleAccount), pocket.IAM.Secrets(keyAccount)...)
	if len(made) < 2*len(shapesOfSecrets) {
		t.Fatalf("%d secrets were made", len(made))
	}
	places := map[string]string{
		"logs":     strings.Join(logs.all()[began:], "\n"),
		"table":    linesWith(scan(t), c.ID, keyed.ID),
		"timeline": timelineText(acme, c.ID) + timelineText(acme, keyed.ID),
		"journal":  fmt.Sprintf("%+v", pocket.Journal.Entries(mark)),
		"errors":   strings.Join(errs, "\n"),
	}
	for _, text := range places {
		if len(text) < 100 {
			t.Fatal("a place with nothing in it")
		}
	}
	for _, secret := range append(secrets, made...) {
		for _, form := range formsOf(secret) {
			for where, text := range places {
				if strings.Contains(text, form) {
					t.Errorf("%s: a secret of %d characters", where, len(secret))
				}
			}
		}
	}
	t.Logf("%d secrets handed out, %d made, %d errors", len(handed), len(made), len(errs))
}

// handOutAll asks for every shape under every failure, and collects what came: secrets, and errors whole.
func handOutAll(t *testing.T, acme tenant, role, keyed string) (secrets, errs []string) {
	t.Helper()
	var mu sync.Mutex
	for n, failures := range failuresOfSecrets() {
		var made []string
		for _, f := range failures {
			made = append(made, tenant{t: t}.want(http.StatusCreated, "POST", faults.Path, f).header.Get("Location"))
		}
		var wg sync.WaitGroup
		for i, s := range shapesOfSecrets {
			filled := strings.NewReplacer("ROLE", role, "KEYED", keyed, "SECONDS", fmt.Sprint(2000+len(shapesOfSecrets)*n+i))
			wg.Go(func() {
				a := acme.call(s.method, filled.Replace(s.path), filled.Replace(s.body))
				mu.Lock()
				defer mu.Unlock()
				if a.status >= 400 {
					errs = append(errs, string(a.body))
					return
				}
				found := secretsIn(string(a.body))
				if len(found) == 0 {
					t.Errorf("%s: nothing secret in %d %.100s", s.name, a.status, a.body)
				}
				secrets = append(secrets, found...)
			})
		}
		wg.Wait()
		for _, f := range made {
			tenant{t: t}.call("DELETE", f, "")
		}
	}
	return secrets, errs
}

var (
	secretMember = regexp.MustCompile(`"(?:SecretAccessKey|Token|SessionToken)":"([^"]+)"`)
	secretLine   = regexp.MustCompile(`(?m)^export AWS_(?:SECRET_ACCESS_KEY|SESSION_TOKEN)='([^']+)'`)
	signInToken  = regexp.MustCompile(`SigninToken=([^&"]+)`)
)

func secretsIn(body string) (out []string) {
	for _, form := range []*regexp.Regexp{secretMember, secretLine, signInToken} {
		for _, m := range form.FindAllStringSubmatch(body, -1) {
			plain, err := url.QueryUnescape(strings.ReplaceAll(m[1], "+", "%2B"))
			if err != nil {
				plain = m[1]
			}
			out = append(out, plain)
		}
	}
	return out
}

// formsOf are the first characters of a secret as text could have them; in base64 at each of three places that it could
// begin at.
func formsOf(secret string) []string {
	part := secret[:min(36, len(secret))]
	asJSON, err := json.Marshal(part)
	if err != nil {
		panic(err)
	}
	forms := []string{part, url.QueryEscape(part), url.PathEscape(part), strings.Trim(string(asJSON), `"`), hex.EncodeToString([]byte(part))}
	for skip := range 3 {
		inner := part[skip:]
		inner = inner[:len(inner)/3*3]
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(inner)), base64.URLEncoding.EncodeToString([]byte(inner)))
	}
	return forms
}

func linesWith(text string, ids ...string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		for _, id := range ids {
			if strings.Contains(line, id) {
				out.WriteString(line)
				break
			}
		}
	}
	return out.String()
}
