package cfn

import (
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"rolecall/infra/local/wire"
)

//go:embed page
var pageFiles embed.FS

// PagePath is where the handler of [NewPage] must be mounted.
const PagePath = "/cloudformation/"

// maxPageRequest bounds what the page may post: parameters and little else.
const maxPageRequest = 1 << 20

// A page is the quick-create page, which updates stacks, too. It acts as the root of whatever account its user names, as a browser that is signed
// in to that account would.
type page struct {
	engine *Engine
	region string
}

// NewPage makes the handler of the quick-create page, GET /cloudformation/home, and of all it needs below
// /cloudformation/. region is the one for links that name none.
func NewPage(engine *Engine, region string) http.Handler {
	p := &page{engine: engine, region: region}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cloudformation/home", file("home.html", "text/html; charset=utf-8"))
	mux.HandleFunc("GET /cloudformation/home.js", file("home.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /cloudformation/home.css", file("home.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /cloudformation/api/template", p.serve(p.template))
	mux.HandleFunc("GET /cloudformation/api/stacks", p.serve(p.stack))
	mux.HandleFunc("POST /cloudformation/api/stacks", p.serve(p.create))
	mux.HandleFunc("POST /cloudformation/api/stacks/update", p.serve(p.update))
	mux.HandleFunc("POST /cloudformation/api/stacks/delete", p.serve(p.remove))
	return wire.SecuredPage(mux)
}

func file(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body, err := fs.ReadFile(pageFiles, "page/"+name)
		if err != nil {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body) // a browser that went away needs no page
	}
}

// serve turns a function into a JSON endpoint.
func (p *page) serve(answer func(r *http.Request, in *pageRequest) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, err := p.read(w, r)
		if err == nil {
			var v any
			if v, err = answer(r, in); err == nil {
				writeJSON(w, http.StatusOK, v)
				return
			}
		}
		var api *wire.Error
		if !errors.As(err, &api) {
			p.engine.config.Log.ErrorContext(r.Context(), "quick-create page", "error", err)
			api = &wire.Error{Code: "InternalFailure", Message: "The request failed: " + err.Error(), Status: http.StatusInternalServerError}
		}
		status := api.Status
		if status == 0 {
			status = http.StatusBadRequest
		}
		writeJSON(w, status, map[string]string{"code": api.Code, "message": api.Message})
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a browser that went away needs no answer
}

type pageRequest struct {
	Account     string            `json:"account"`
	Region      string            `json:"region"`
	Stack       string            `json:"stack"` // name or id
	TemplateURL string            `json:"templateURL"`
	Parameters  map[string]string `json:"parameters"`
	Kept        []string          `json:"kept"` // of an update: parameters that stay as they are
	// Acknowledged says that the box was ticked.
	Acknowledged bool `json:"acknowledged"`
}

var (
	accountID  = regexp.MustCompile(`^[0-9]{12}$`)
	regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
)

func (p *page) read(w http.ResponseWriter, r *http.Request) (*pageRequest, error) {
	query := r.URL.Query()
	in := &pageRequest{Account: query.Get("account"), Region: query.Get("region"), Stack: query.Get("stack"), TemplateURL: query.Get("templateURL")}
	if r.Method == http.MethodPost {
		if err := wire.FromPage(r); err != nil {
			return nil, err
		}
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPageRequest))
		dec.DisallowUnknownFields()
		if err := dec.Decode(in); err != nil {
			return nil, invalid("The request is not the JSON that was expected: %s", err)
		}
	}
	if in.Region == "" {
		in.Region = p.region
	}
	if !accountID.MatchString(in.Account) {
		return nil, invalid("An AWS account ID has 12 digits.")
	}
	if !regionName.MatchString(in.Region) {
		return nil, invalid("%.64s is not an AWS Region.", in.Region)
	}
	return in, nil
}

type pageParameter struct {
	Name          string   `json:"name"`
	Label         string   `json:"label"` // instead of the name, where the template has one
	Type          string   `json:"type"`
	Default       string   `json:"default"`
	Description   string   `json:"description"`
	AllowedValues []string `json:"allowedValues"`
	NoEcho        bool     `json:"noEcho"`
}

type pageTemplate struct {
	Description  string          `json:"description"`
	Parameters   []pageParameter `json:"parameters"`
	Groups       []pageGroup     `json:"groups"`
	Capability   string          `json:"capability"` // what has to be acknowledged; "" for nothing
	CapableTypes []string        `json:"capableTypes"`
	Resources    []pageResource  `json:"resources"`
}

// A pageGroup is a heading over some parameters; the page shows what is in none below all.
type pageGroup struct {
	Label      string   `json:"label"`
	Parameters []string `json:"parameters"`
}

type pageResource struct {
	LogicalID string `json:"logicalId"`
	Type      string `json:"type"`
}

func (p *page) template(r *http.Request, in *pageRequest) (any, error) {
	body, err := p.engine.fetch(r.Context(), in.TemplateURL)
	if err != nil {
		return nil, err
	}
	t, err := Parse(body)
	if err != nil {
		return nil, err
	}
	out := pageTemplate{Description: t.Description, Parameters: []pageParameter{}}
	out.Capability, out.CapableTypes = capabilities(t)
	labels, groups := interfaceOf(t)
	out.Groups = groups
	for _, parameter := range t.Parameters {
		item := pageParameter{
			Name: parameter.Name, Label: labels[parameter.Name], Type: parameter.Type, Description: parameter.Description,
			AllowedValues: parameter.AllowedValues, NoEcho: parameter.NoEcho,
		}
		if parameter.Default != nil {
			item.Default = *parameter.Default
		}
		out.Parameters = append(out.Parameters, item)
	}
	for _, resource := range t.Resources {
		out.Resources = append(out.Resources, pageResource{LogicalID: resource.LogicalID, Type: resource.Type})
	}
	return out, nil
}

// interfaceOf reads AWS::CloudFormation::Interface, the metadata by which the console orders and names parameters. Like
// the console it passes over what it cannot read.
func interfaceOf(t *Template) (labels map[string]string, groups []pageGroup) {
	labels, groups = map[string]string{}, []pageGroup{}
	described := object(t.Metadata["AWS::CloudFormation::Interface"])
	for name, label := range object(described["ParameterLabels"]) {
		labels[name], _ = object(label)["default"].(string)
	}
	list, _ := described["ParameterGroups"].([]any)
	for _, item := range list {
		group := pageGroup{Parameters: []string{}}
		group.Label, _ = object(object(item)["Label"])["default"].(string)
		names, _ := object(item)["Parameters"].([]any)
		for _, v := range names {
			if name, ok := v.(string); ok && t.parameter(name) {
				group.Parameters = append(group.Parameters, name)
			}
		}
		groups = append(groups, group)
	}
	return labels, groups
}

func (p *page) create(r *http.Request, in *pageRequest) (any, error) {
	input := Input{
		Principal: root(in), Account: in.Account, Region: in.Region, Name: in.Stack,
		TemplateURL: in.TemplateURL, Parameters: in.Parameters,
	}
	if in.Acknowledged {
		input.Capabilities = []string{"CAPABILITY_NAMED_IAM"}
	}
	id, err := p.engine.Create(r.Context(), input)
	return map[string]string{"stackId": id}, err
}

func (p *page) update(r *http.Request, in *pageRequest) (any, error) {
	input := Input{
		Principal: root(in), Account: in.Account, Region: in.Region, Name: in.Stack,
		TemplateURL: in.TemplateURL, Parameters: in.Parameters, PreviousParameters: in.Kept,
	}
	if in.Acknowledged {
		input.Capabilities = []string{"CAPABILITY_NAMED_IAM"}
	}
	id, err := p.engine.Update(r.Context(), input)
	return map[string]string{"stackId": id}, err
}

func (p *page) remove(_ *http.Request, in *pageRequest) (any, error) {
	return struct{}{}, p.engine.Delete(DeleteInput{Principal: root(in), Account: in.Account, Region: in.Region, Name: in.Stack})
}

// root is the account itself, which is who a customer that just signed up is.
func root(in *pageRequest) wire.Principal {
	partition, _ := partitionOf(in.Region)
	return wire.Principal{
		Account: in.Account, ARN: "arn:" + partition + ":iam::" + in.Account + ":root", UserID: in.Account, AccessKeyID: in.Account,
	}
}

type pageEvent struct {
	ID         string `json:"id"`
	At         string `json:"at"`
	LogicalID  string `json:"logicalId"`
	PhysicalID string `json:"physicalId"`
	Type       string `json:"type"`
	Status     Status `json:"status"`
	Reason     string `json:"reason"`
}

type pageStack struct {
	ID      string      `json:"id"`
	Name    string      `json:"name"`
	Status  Status      `json:"status"`
	Reason  string      `json:"reason"`
	Done    bool        `json:"done"`
	Given   []pageValue `json:"given"` // the parameters' values
	Outputs []pageValue `json:"outputs"`
	Events  []pageEvent `json:"events"` // newest first
}

type pageValue struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Description string `json:"description"`
}

func (p *page) stack(_ *http.Request, in *pageRequest) (any, error) {
	stack, err := p.engine.Stack(in.Account, in.Region, in.Stack)
	if err != nil {
		return nil, err
	}
	events, err := p.engine.Events(in.Account, in.Region, stack.ID)
	if err != nil {
		return nil, err
	}
	// The status is that of the stack's latest event: events were read later, and the page must not stop before the last.
	latest := slices.IndexFunc(events, func(e Event) bool { return e.PhysicalID == stack.ID })
	if latest >= 0 {
		stack.Status, stack.Reason = events[latest].Status, events[latest].Reason
	}
	out := pageStack{
		ID: stack.ID, Name: stack.Name, Status: stack.Status, Reason: strings.TrimSpace(stack.Reason), Done: stack.Status.Done(),
		Given: []pageValue{}, Outputs: []pageValue{}, Events: []pageEvent{},
	}
	for _, v := range stack.Parameters {
		out.Given = append(out.Given, pageValue{Key: v.Key, Value: v.Value})
	}
	for _, o := range stack.Outputs {
		out.Outputs = append(out.Outputs, pageValue{Key: o.Key, Value: o.Value, Description: o.Description})
	}
	for _, e := range events {
		out.Events = append(out.Events, pageEvent{
			ID: e.ID, At: when(e.At), LogicalID: e.LogicalID, PhysicalID: e.PhysicalID, Type: e.Type, Status: e.Status, Reason: e.Reason,
		})
	}
	return out, nil
}
