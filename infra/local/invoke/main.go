// Command invoke gives an event to a function of the running laptop, as `aws lambda invoke` would, and prints what the
// function answers. `make invoke` runs it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/wire"
)

// authorization names the platform's account as the caller; the pocket AWS takes any signature for it.
const authorization = "AWS4-HMAC-SHA256 Credential=111111111111/20260101/eu-west-1/lambda/aws4_request, SignedHeaders=host, Signature=0"

// patience is longer than any function may run.
const patience = time.Minute

func main() {
	endpoint := flag.String("endpoint", "http://127.0.0.1:4566", "`URL` of the pocket AWS")
	function := flag.String("function", "", "`name` of the function, such as callback")
	event := flag.String("event", "", "`file` with the event, JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *endpoint, *function, *event, time.Now(), os.Stdout); err != nil { //nolint:forbidigo // a main is where the clock enters
		_, _ = fmt.Fprintln(os.Stderr, "invoke:", err)
		os.Exit(1)
	}
}

// run prints the function's answer to out. What the function itself fails with is an error, too.
func run(ctx context.Context, endpoint, function, event string, now time.Time, out io.Writer) error {
	payload, err := os.ReadFile(event) //nolint:gosec // the path is this program's argument
	if err != nil {
		return err
	}
	if !json.Valid(payload) {
		return fmt.Errorf("%s is not JSON", event)
	}
	answer, err := invoke(ctx, endpoint, "rolecall-"+function, fresh(payload, endpoint, now))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, readable(answer))
	return err
}

var (
	bucketRE     = regexp.MustCompile(`https://cloudformation-custom-resource-response-[a-z0-9]+\.s3[.-][a-z0-9-]+\.amazonaws\.com/`)
	signedRE     = regexp.MustCompile(`X-Amz-Date=[0-9]{8}T[0-9]{6}Z`)
	credentialRE = regexp.MustCompile(`(X-Amz-Credential=[0-9A-Z]+%2F)[0-9]{8}`)
	sentRE       = regexp.MustCompile(`(\\"Timestamp\\":\\")[^"\\]+`)
)

// fresh dates a stored callback anew, which would be dropped as an expired one, and has it answered at the pocket AWS, whose
// bucket takes no answer that it has not signed for.
func fresh(payload []byte, endpoint string, now time.Time) []byte {
	date := now.UTC().Format(wire.PresignDate)
	payload = bucketRE.ReplaceAllLiteral(payload, []byte(endpoint+cfn.ResponsePath))
	payload = signedRE.ReplaceAllLiteral(payload, []byte("X-Amz-Date="+date))
	payload = credentialRE.ReplaceAll(payload, []byte("${1}"+date[:8]))
	return sentRE.ReplaceAll(payload, []byte("${1}"+now.UTC().Format(time.RFC3339)))
}

func invoke(ctx context.Context, endpoint, function string, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	address := endpoint + "/2015-03-31/functions/" + url.PathEscape(function) + "/invocations"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("nothing listens at %s: start `make dev` in another shell", endpoint)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("an answer broken off: %w", err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s from %s: %s", resp.Status, endpoint, message(body))
	case resp.Header.Get("X-Amz-Function-Error") != "":
		return nil, fmt.Errorf("%s failed: %s", function, readable(body))
	}
	return body, nil
}

// message is what an error of AWS says, or else all there is.
func message(body []byte) string {
	var e struct {
		Message string
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Message == "" {
		return string(body)
	}
	return e.Message
}

// readable indents JSON and leaves everything else as it is.
func readable(text []byte) string {
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return string(text)
	}
	return out.String()
}
