package policy

import "encoding/json"

type statementJSON struct {
	Sid          string                         `json:",omitempty"`
	Effect       string                         `json:",omitempty"`
	Principal    any                            `json:",omitempty"`
	NotPrincipal any                            `json:",omitempty"`
	Action       []string                       `json:",omitempty"`
	NotAction    []string                       `json:",omitempty"`
	Resource     []string                       `json:",omitempty"`
	NotResource  []string                       `json:",omitempty"`
	Condition    map[string]map[string][]string `json:",omitempty"`
}

// MarshalJSON writes the document so that Parse reads the same again.
func (d Document) MarshalJSON() ([]byte, error) {
	out := struct {
		Version   string
		Statement []statementJSON
	}{d.Version, make([]statementJSON, 0, len(d.Statements))}
	for _, s := range d.Statements {
		out.Statement = append(out.Statement, statementJSON{
			Sid: s.Sid, Effect: s.Effect,
			Principal: principalJSON(s.Principals), NotPrincipal: principalJSON(s.NotPrincipals),
			Action: s.Actions, NotAction: s.NotActions, Resource: s.Resources, NotResource: s.NotResources,
			Condition: s.Conditions,
		})
	}
	return json.Marshal(out)
}

func principalJSON(p map[string][]string) any {
	if len(p) == 0 {
		return nil
	}
	if _, ok := p[anyone]; ok {
		return anyone
	}
	return p
}
