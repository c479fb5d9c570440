package lambda

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"rolecall/infra/local/wire"
)

const functionsPath = "/2015-03-31/functions"

// An operation is a parsed request of Lambda's REST API.
type operation struct {
	name string
	arn  string // of the function, "" for lists
}

// Needs implements [wire.Service].
func (s *Service) Needs(call *wire.Call) ([]wire.Need, error) {
	op, err := parse(call)
	if err != nil {
		return nil, err
	}
	switch op.name {
	case "Invoke":
		return []wire.Need{{Action: "lambda:InvokeFunction", Resource: op.arn, ResourceAccount: arnAccount(op.arn)}}, nil
	case "ListFunctions", "ListEventSourceMappings":
		return []wire.Need{{Action: "lambda:" + op.name, Resource: "*"}}, nil
	default:
		return []wire.Need{{Action: "lambda:" + op.name, Resource: op.arn, ResourceAccount: arnAccount(op.arn)}}, nil
	}
}

// Serve implements [wire.Service]: Invoke, GetFunction, GetFunctionConfiguration, ListFunctions and
// ListEventSourceMappings.
func (s *Service) Serve(ctx context.Context, call *wire.Call) (wire.Response, error) {
	op, err := parse(call)
	if err != nil {
		return wire.Response{}, err
	}
	switch op.name {
	case "Invoke":
		return s.serveInvoke(ctx, call, op.arn)
	case "GetFunction":
		f, err := s.Function(op.arn)
		if err != nil {
			return wire.Response{}, err
		}
		return wire.Response{Value: map[string]any{
			"Configuration": configuration(f),
			"Code":          map[string]string{"RepositoryType": "local", "Location": "file://" + f.Bootstrap},
		}}, nil
	case "GetFunctionConfiguration":
		f, err := s.Function(op.arn)
		if err != nil {
			return wire.Response{}, err
		}
		return wire.Response{Value: configuration(f)}, nil
	case "ListEventSourceMappings":
		return s.serveMappings(call)
	default:
		list := []map[string]any{}
		for _, f := range s.Functions(call.Principal.Account, call.Region) {
			list = append(list, configuration(f))
		}
		return wire.Response{Value: map[string]any{"Functions": list}}, nil
	}
}

func (s *Service) serveInvoke(ctx context.Context, call *wire.Call, arn string) (wire.Response, error) {
	header := http.Header{"X-Amz-Executed-Version": {"$LATEST"}}
	switch kind := call.HTTP.Header.Get("X-Amz-Invocation-Type"); kind {
	case "", "RequestResponse":
	case "Event":
		return wire.Response{Raw: []byte{}, Status: http.StatusAccepted}, s.InvokeAsync(ctx, arn, call.Body)
	case "DryRun":
		_, err := s.pool(arn)
		return wire.Response{Raw: []byte{}, Status: http.StatusNoContent}, err
	default:
		return wire.Response{}, invalid("the invocation type %q is not known", kind)
	}
	result, err := s.Invoke(ctx, arn, call.Body)
	if err != nil {
		return wire.Response{}, err
	}
	if result.FunctionError != "" {
		header.Set("X-Amz-Function-Error", result.FunctionError)
	}
	return wire.Response{Raw: result.Payload, ContentType: "application/json", Header: header}, nil
}

func (s *Service) serveMappings(call *wire.Call) (wire.Response, error) {
	list := []map[string]any{}
	for _, m := range s.Mappings() {
		if arnAccount(m.FunctionARN) != call.Principal.Account || arnRegion(m.FunctionARN) != call.Region {
			continue
		}
		state := "Enabled"
		if m.Disabled {
			state = "Disabled"
		}
		list = append(list, map[string]any{
			"UUID": m.UUID, "FunctionArn": m.FunctionARN, "EventSourceArn": m.SourceARN, "State": state,
			"BatchSize": m.BatchSize, "MaximumBatchingWindowInSeconds": int(m.BatchingWindow.Seconds()),
		})
	}
	return wire.Response{Value: map[string]any{"EventSourceMappings": list}}, nil
}

// configuration is a function as the API shows it; its variables are left out because they may be confidential.
func configuration(f Function) map[string]any {
	return map[string]any{
		"FunctionName": f.Name, "FunctionArn": f.ARN, "Runtime": "provided.al2023", "Handler": "bootstrap",
		"Role": f.RoleARN, "Timeout": int(f.Timeout.Seconds()), "MemorySize": f.MemoryMB, "Description": f.Description,
		"Version": "$LATEST", "PackageType": "Zip", "State": "Active", "LastUpdateStatus": "Successful",
	}
}

// parse reads method and path of a REST call.
func parse(call *wire.Call) (operation, error) {
	path := strings.TrimSuffix(call.HTTP.URL.EscapedPath(), "/")
	if path == "/2015-03-31/event-source-mappings" && call.HTTP.Method == http.MethodGet {
		return operation{name: "ListEventSourceMappings"}, nil
	}
	rest, ok := strings.CutPrefix(path, functionsPath)
	if ok && rest == "" && call.HTTP.Method == http.MethodGet {
		return operation{name: "ListFunctions"}, nil
	}
	escaped, action, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	names := map[string]string{
		"POST invocations": "Invoke", "GET ": "GetFunction", "GET configuration": "GetFunctionConfiguration",
	}
	name, known := names[call.HTTP.Method+" "+action]
	function, err := url.PathUnescape(escaped)
	if !ok || !known || err != nil || function == "" {
		return operation{}, &wire.Error{
			Code:    "InvalidAction",
			Message: "the pocket AWS does not implement lambda " + call.HTTP.Method + " " + path,
		}
	}
	return operation{name: name, arn: functionARN(function, call)}, nil
}

// functionARN reads a name, a partial ARN (account:function:name) or an ARN, each with or without :$LATEST.
func functionARN(function string, call *wire.Call) string {
	function = strings.TrimSuffix(function, ":$LATEST")
	if strings.HasPrefix(function, "arn:") {
		return function
	}
	account, name := call.Principal.Account, function
	if before, after, ok := strings.Cut(function, ":function:"); ok {
		account, name = before, after
	}
	return "arn:aws:lambda:" + call.Region + ":" + account + ":function:" + name
}

func arnRegion(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[3]
}

func arnAccount(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}

var _ wire.Service = (*Service)(nil)
