package cfn

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"rolecall/infra/local/wire"
)

// ResponsePath is where the handler of [Engine.Responses] must be mounted.
const ResponsePath = "/_cfn-response/"

const (
	maxResponse     = 4096 // bytes of a response's body
	maxPhysicalID   = 1024 // bytes
	serviceTimeout  = time.Hour
	responseURLLife = 2 * time.Hour
)

// isCustom tells whether a type is a custom resource.
func isCustom(typeName string) bool {
	return typeName == "AWS::CloudFormation::CustomResource" || strings.HasPrefix(typeName, "Custom::")
}

// customResources is the provider of custom resources: it sends a request to a topic or function and waits until the
// response is PUT to the URL within it.
type customResources struct {
	config *Config

	mu        sync.Mutex
	exchanges map[string]*exchange
}

// An exchange is one request that may be answered once.
type exchange struct {
	request customRequest
	query   string // canonical form of the URL's query, which proves that the sender was given the URL
	expires time.Time
	answer  chan customResponse // room for one
	done    bool                // answered, or nobody waits any more
}

// customRequest is the JSON that CloudFormation sends.
type customRequest struct {
	RequestType           string
	ServiceToken          string
	ResponseURL           string
	StackId               string //nolint:revive // CloudFormation's spelling
	RequestId             string //nolint:revive // CloudFormation's spelling
	LogicalResourceId     string //nolint:revive // CloudFormation's spelling
	PhysicalResourceId    string `json:",omitempty"` //nolint:revive // CloudFormation's spelling
	ResourceType          string
	ResourceProperties    map[string]any
	OldResourceProperties map[string]any `json:",omitempty"`
}

// customResponse is the JSON that comes back.
type customResponse struct {
	Status             string
	Reason             string
	PhysicalResourceId string //nolint:revive // CloudFormation's spelling
	StackId            string //nolint:revive // CloudFormation's spelling
	RequestId          string //nolint:revive // CloudFormation's spelling
	LogicalResourceId  string //nolint:revive // CloudFormation's spelling
	Data               map[string]any

	broken string // what is wrong with it
}

func newCustomResources(config *Config) *customResources {
	return &customResources{config: config, exchanges: map[string]*exchange{}}
}

// Create asks for a new resource. Once the request is out something may exist, so even a failure has a physical id for
// the Delete that follows: the one that the response gave, else one made up here.
func (c *customResources) Create(ctx context.Context, r *ResourceRequest) (Result, error) {
	response, sent, err := c.ask(ctx, "Create", r)
	if err != nil && !sent {
		return Result{}, err
	}
	if err != nil && !validPhysicalID(response.PhysicalResourceId) {
		return Result{PhysicalID: r.Name(maxPhysicalID)}, err
	}
	return Result{PhysicalID: response.PhysicalResourceId, Attributes: response.Data}, err
}

// Update asks for a change; another physical id in the response means a replacement.
func (c *customResources) Update(ctx context.Context, r *ResourceRequest) (Result, error) {
	if r.OldProperties["ServiceToken"] != r.Properties["ServiceToken"] {
		return Result{}, failure("Modifying service token is not allowed.")
	}
	response, _, err := c.ask(ctx, "Update", r)
	return Result{PhysicalID: response.PhysicalResourceId, Attributes: response.Data}, err
}

// Delete asks for the end of the resource.
func (c *customResources) Delete(ctx context.Context, r *ResourceRequest) error {
	_, _, err := c.ask(ctx, "Delete", r)
	return err
}

// ask sends a request and waits for its response. sent tells whether the request went out.
func (c *customResources) ask(ctx context.Context, requestType string, r *ResourceRequest) (response customResponse, sent bool, err error) {
	token, _ := r.Properties["ServiceToken"].(string)
	send, err := c.sender(token, r)
	if err != nil {
		return customResponse{}, false, err
	}
	timeout, err := timeoutOf(r.Properties)
	if err != nil {
		return customResponse{}, false, err
	}
	x, id := c.open(requestType, token, r)
	defer c.close(x)
	message, err := json.Marshal(x.request)
	if err != nil {
		return customResponse{}, false, fmt.Errorf("custom resource request: %w", err)
	}
	// Whatever happens to the stack meanwhile: a request that has begun goes out.
	if err := send(context.WithoutCancel(ctx), message); err != nil {
		return customResponse{}, false, sendFailure(err)
	}
	c.config.Log.DebugContext(ctx, "custom resource request sent", "stack", r.StackID, "resource", r.LogicalID, "request", id)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case response = <-x.answer:
		return response, true, response.failure()
	case <-timer.C:
		return customResponse{}, true, failure("CloudFormation did not receive a response from your Custom Resource. Please check your logs for requestId [" +
			r.RequestID + "]. If you are using the Python cfn-response module, you may need to update your Lambda function code so that CloudFormation can attach the updated version.")
	case <-ctx.Done():
		return customResponse{}, true, ctx.Err()
	}
}

// sender picks the way to the service token, which must lie in the stack's Region.
func (c *customResources) sender(token string, r *ResourceRequest) (func(context.Context, []byte) error, error) {
	parts := strings.SplitN(token, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[5] == "" {
		return nil, failure("Invalid service token.")
	}
	if parts[3] != r.Region {
		return nil, failure("Invalid service token. " + token + " must be in the stack's Region " + r.Region + ".")
	}
	switch {
	case parts[2] == "sns" && c.config.Publish != nil:
		return func(ctx context.Context, message []byte) error {
			return c.config.Publish(ctx, r.Principal, token, string(message))
		}, nil
	case parts[2] == "lambda" && c.config.InvokeAsync != nil:
		return func(ctx context.Context, message []byte) error {
			return c.config.InvokeAsync(ctx, r.Principal, token, message)
		}, nil
	default:
		return nil, failure("Invalid service token.")
	}
}

// timeoutOf reads ServiceTimeout, in seconds.
func timeoutOf(properties map[string]any) (time.Duration, error) {
	v, ok := properties["ServiceTimeout"]
	if !ok {
		return serviceTimeout, nil
	}
	text, _ := scalar(v)
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 || seconds > 3600 {
		return 0, failure("Invalid ServiceTimeout. It must be a number of seconds between 1 and 3600.")
	}
	return time.Duration(seconds) * time.Second, nil
}

func sendFailure(err error) error {
	var api *wire.Error
	if errors.As(err, &api) {
		return failure(fmt.Sprintf("%s (Status Code: %d; Error Code: %s)", api.Message, max(api.Status, 400), api.Code))
	}
	return err
}

// open prepares the URL that the response must come to. Its form is that of an S3 presigned URL.
func (c *customResources) open(requestType, token string, r *ResourceRequest) (x *exchange, id string) {
	id = c.config.NewID()
	now := c.config.Clock()
	day := now.UTC().Format("20060102")
	query := url.Values{
		"X-Amz-Algorithm":     {"AWS4-HMAC-SHA256"},
		"X-Amz-Date":          {now.UTC().Format("20060102T150405Z")},
		"X-Amz-SignedHeaders": {"host"},
		"X-Amz-Expires":       {strconv.Itoa(int(responseURLLife.Seconds()))},
		"X-Amz-Credential":    {"cloudformation/" + day + "/" + r.Region + "/s3/aws4_request"},
		"X-Amz-Signature":     {strings.ToLower(rand.Text() + rand.Text())},
	}.Encode()
	x = &exchange{
		query: query, expires: now.Add(responseURLLife), answer: make(chan customResponse, 1),
		request: customRequest{
			RequestType: requestType, ServiceToken: token,
			ResponseURL: c.config.Endpoint + ResponsePath + id + "?" + query,
			StackId:     r.StackID, RequestId: r.RequestID, ResourceType: r.Type,
			LogicalResourceId: r.LogicalID, PhysicalResourceId: r.PhysicalID,
			ResourceProperties: object(texts(r.Properties)),
		},
	}
	if requestType == "Update" {
		x.request.OldResourceProperties = object(texts(r.OldProperties))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for old, ended := range c.exchanges {
		if ended.done && now.After(ended.expires) {
			delete(c.exchanges, old)
		}
	}
	c.exchanges[id] = x
	return x, id
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// close ends the wait: responses that come later are taken and ignored.
func (c *customResources) close(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.done = true
}

// failure says why a response fails the resource; nil for a good SUCCESS.
func (r *customResponse) failure() error {
	switch {
	case r.broken != "":
		return failure(r.broken)
	case r.Status != "SUCCESS" && r.Status != "FAILED":
		return failure(fmt.Sprintf("Invalid response status [%.64s]. It must be SUCCESS or FAILED.", r.Status))
	case !validPhysicalID(r.PhysicalResourceId):
		return failure("Invalid PhysicalResourceId")
	case r.Status == "FAILED":
		return failure("Received response status [FAILED] from custom resource. Message returned: " + r.Reason + " (RequestId: " + r.RequestId + ")")
	default:
		return nil
	}
}

func validPhysicalID(id string) bool { return id != "" && len(id) <= maxPhysicalID }

// Responses is the handler that takes the responses of custom resources; see [ResponsePath].
func (e *Engine) Responses() http.Handler { return e.custom }

// ServeHTTP takes a response. It answers as S3 does, which knows nothing of what it is given: whatever comes with the
// right URL is a 200, also when it is nonsense.
func (c *customResources) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		w.Header().Set("Allow", http.MethodPut)
		s3Error(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
		return
	}
	c.mu.Lock()
	x, ok := c.exchanges[strings.TrimPrefix(r.URL.Path, ResponsePath)]
	c.mu.Unlock()
	if !ok || subtle.ConstantTimeCompare([]byte(r.URL.Query().Encode()), []byte(x.query)) != 1 {
		s3Error(w, http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
		return
	}
	if c.config.Clock().After(x.expires) {
		s3Error(w, http.StatusForbidden, "AccessDenied", "Request has expired")
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse+1))
	if err != nil {
		s3Error(w, http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly")
		return
	}
	c.accept(x, body)
	w.WriteHeader(http.StatusOK)
}

func s3Error(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	// A sender that hung up has nothing to be told.
	_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>", code, text)
}

// accept hands the first response that belongs to the request to the one who waits.
func (c *customResources) accept(x *exchange, body []byte) {
	response, ours := readResponse(x, body)
	if !ours {
		c.config.Log.Warn("custom resource response ignored: its StackId, RequestId or LogicalResourceId is another's",
			"stack", x.request.StackId, "resource", x.request.LogicalResourceId)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.done {
		return
	}
	x.done = true
	x.answer <- response
}

// readResponse reads the members by their exact names, which encoding/json by itself does not insist on.
func readResponse(x *exchange, body []byte) (response customResponse, ours bool) {
	if len(body) > maxResponse {
		return customResponse{broken: "Response object is too long."}, true
	}
	var m map[string]any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		return customResponse{broken: "Response object is not valid JSON."}, true
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return customResponse{broken: "Response object is not valid JSON."}, true
	}
	for key, target := range map[string]*string{
		"Status": &response.Status, "Reason": &response.Reason, "PhysicalResourceId": &response.PhysicalResourceId,
		"StackId": &response.StackId, "RequestId": &response.RequestId, "LogicalResourceId": &response.LogicalResourceId,
	} {
		*target, _ = m[key].(string)
	}
	response.Data = object(m["Data"])
	return response, response.StackId == x.request.StackId && response.RequestId == x.request.RequestId &&
		response.LogicalResourceId == x.request.LogicalResourceId
}
