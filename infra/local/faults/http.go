package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"rolecall/infra/local/wire"
)

// Path is where the handler must be mounted, with and without what follows it.
const Path = "/_local/faults"

// bodyLimit is the most that a rule may take as JSON, in bytes.
const bodyLimit = 1 << 16

// when says whether a fault strikes in front of the service or behind it.
const (
	whenBefore = "before"
	whenAfter  = "after"
)

// ruleJSON is a rule as people write and read it.
type ruleJSON struct {
	ID        string   `json:"id,omitempty"`
	Service   string   `json:"service"`
	Operation string   `json:"operation,omitempty"`
	Kind      string   `json:"kind"`
	When      string   `json:"when"`
	Rate      *float64 `json:"rate"`
	Count     int      `json:"count,omitempty"`
	Delay     string   `json:"delay,omitempty"`
	Caller    string   `json:"caller,omitempty"`
	Seed      uint64   `json:"seed,omitempty"`
	Hits      int      `json:"hits"`
}

// ServeHTTP is the rules' own API: POST adds one, GET lists them, DELETE ends one by its id or all.
func (i *Injector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+Path, i.post)
	mux.HandleFunc("GET "+Path, i.list)
	mux.HandleFunc("DELETE "+Path, func(w http.ResponseWriter, _ *http.Request) {
		i.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE "+Path+"/{id}", i.remove)
	mux.ServeHTTP(w, r)
}

func (i *Injector) post(w http.ResponseWriter, r *http.Request) {
	rule, err := readRule(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err == nil {
		rule, err = i.Add(rule)
	}
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	w.Header().Set("Location", Path+"/"+rule.ID)
	answer(w, http.StatusCreated, rule.json())
}

func (i *Injector) list(w http.ResponseWriter, _ *http.Request) {
	items := []ruleJSON{}
	for _, r := range i.Rules() {
		items = append(items, r.json())
	}
	answer(w, http.StatusOK, map[string]any{"items": items})
}

func (i *Injector) remove(w http.ResponseWriter, r *http.Request) {
	if !i.Remove(r.PathValue("id")) {
		answer(w, http.StatusNotFound, map[string]string{"error": fmt.Sprintf("there is no fault %q", r.PathValue("id"))})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// readRule reads one JSON object. Members that are not known are refused: a fault that does less than was meant would
// prove nothing.
func readRule(body io.Reader) (Rule, error) {
	var in ruleJSON
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return Rule{}, fmt.Errorf("the body must be a JSON object such as {\"service\":\"sts\",\"kind\":\"error500\",\"rate\":0.3}: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Rule{}, errors.New("the body must be one JSON object and nothing more")
	}
	return in.rule()
}

func (in ruleJSON) rule() (Rule, error) {
	r := Rule{
		Service: in.Service, Operation: in.Operation, Kind: wire.FaultKind(in.Kind), Rate: 1, Count: in.Count,
		Caller: in.Caller, Seed: in.Seed,
	}
	if in.ID != "" || in.Hits != 0 {
		return r, errors.New("id and hits are given by the pocket AWS")
	}
	if in.Rate != nil {
		r.Rate = *in.Rate
	}
	if in.Delay != "" {
		var err error
		if r.Delay, err = time.ParseDuration(in.Delay); err != nil {
			return r, fmt.Errorf("delay must be a duration such as \"2s\" or \"300ms\", not %q", in.Delay)
		}
	}
	switch {
	case in.When == whenAfter:
		r.After = true
	case in.When == whenBefore && r.Kind == wire.FaultTruncated:
		return r, errors.New("an answer can be truncated only after the call was performed: when must be after")
	case in.When != "" && in.When != whenBefore:
		return r, fmt.Errorf("when must be before or after, not %q", in.When)
	}
	return r, nil
}

func (r Rule) json() ruleJSON {
	out := ruleJSON{
		ID: r.ID, Service: r.Service, Operation: r.Operation, Kind: string(r.Kind), When: whenBefore, Rate: &r.Rate,
		Count: r.Count, Caller: r.Caller, Seed: r.Seed, Hits: r.Hits,
	}
	if r.After {
		out.When = whenAfter
	}
	if r.Delay > 0 {
		out.Delay = r.Delay.String()
	}
	return out
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that went away needs no answer
}
