package cfn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"rolecall/infra/local/wire"
)

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
	config  *Config
	signers []wire.Credentials

	mu        sync.Mutex
	opened    int                  // how often
	exchanges map[string]*exchange // by the key of the object that the response becomes
}

// An exchange is one request that may be answered once.
type exchange struct {
	request customRequest
	expires time.Time
	answer  chan customResponse // room for one
	done    bool                // answered, or nobody waits any more
	late    bool                // nobody waits any more, and nobody answered
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
	return &customResources{config: config, signers: signers(), exchanges: map[string]*exchange{}}
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
	x := c.open(requestType, token, r)
	defer c.close(x)
	message, err := json.Marshal(x.request)
	if err != nil {
		return customResponse{}, false, fmt.Errorf("custom resource request: %w", err)
	}
	// Whatever happens to the stack meanwhile: a request that has begun goes out.
	if err := send(context.WithoutCancel(ctx), message); err != nil {
		return customResponse{}, false, sendFailure(err)
	}
	c.config.Log.DebugContext(ctx, "custom resource request sent", "stack", r.StackID, "resource", r.LogicalID, "request", r.RequestID)
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

// open prepares the URL that the response must come to. Some live a second less than others and some are signed by a
// temporary key, as on AWS.
func (c *customResources) open(requestType, token string, r *ResourceRequest) *exchange {
	now := c.config.Clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	to := ResponseAddress{
		Bucket: c.config.Endpoint + strings.TrimSuffix(ResponsePath, "/"), StackID: r.StackID, LogicalID: r.LogicalID, RequestID: r.RequestID,
		By: c.signers[0], At: now, Life: responseURLLife - time.Duration(c.opened%2)*time.Second,
	}
	if c.opened%3 == 0 {
		to.By = c.signers[1]
	}
	x := &exchange{
		expires: now.Add(responseURLLife), answer: make(chan customResponse, 1),
		request: customRequest{
			RequestType: requestType, ServiceToken: token, ResponseURL: to.URL(),
			StackId: r.StackID, RequestId: r.RequestID, ResourceType: r.Type,
			LogicalResourceId: r.LogicalID, PhysicalResourceId: r.PhysicalID,
			ResourceProperties: object(texts(r.Properties)),
		},
	}
	if requestType == "Update" {
		x.request.OldResourceProperties = object(texts(r.OldProperties))
	}
	for old, ended := range c.exchanges {
		if ended.done && now.After(ended.expires) {
			delete(c.exchanges, old)
		}
	}
	c.exchanges[to.key()] = x
	return x
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// close ends the wait: responses that come later are taken and ignored.
func (c *customResources) close(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.late, x.done = !x.done, true
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

// accept hands the first response that belongs to the request to the one who waits. Which of several responses
// CloudFormation reads has not been measured on AWS.
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
