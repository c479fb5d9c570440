package terraform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// An Account is where a configuration is applied.
type Account struct {
	Partition string
	IAM       *iam.Client // of the account
	// Get fetches what a module's source names; nil where nothing can be fetched.
	Get func(ctx context.Context, address string) ([]byte, error)
}

// Apply makes all resources, each after those that it refers to, and answers the outputs. What was made before an error
// stays.
func (c *Configuration) Apply(ctx context.Context, account Account, variables map[string]cty.Value) (map[string]cty.Value, error) {
	given, err := c.given(variables)
	if err != nil {
		return nil, err
	}
	a := &application{Configuration: c, account: account, done: map[string]cty.Value{}, begun: map[string]bool{}}
	a.scope.Functions = functions(c.files)
	a.scope.Variables = map[string]cty.Value{"var": given, "path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(modulePath)})}
	for _, address := range slices.Sorted(maps.Keys(c.nodes)) {
		if err := a.visit(ctx, address); err != nil {
			return nil, fmt.Errorf("%s: %w", address, err)
		}
	}
	outputs := map[string]cty.Value{}
	for name, o := range c.outputs {
		if err := a.all(ctx, o.after); err != nil {
			return nil, err
		}
		if outputs[name], err = a.value(ctx, o.value, nil); err != nil {
			return nil, fmt.Errorf("output %s: %w", name, err)
		}
	}
	return outputs, nil
}

// given is the variables' values, each of its type and valid.
func (c *Configuration) given(values map[string]cty.Value) (cty.Value, error) {
	all := map[string]cty.Value{}
	for name := range values {
		if c.variables[name] == nil {
			return cty.NilVal, fmt.Errorf("terraform: there is no variable %s", name)
		}
	}
	for name, v := range c.variables {
		value, ok := values[name]
		if !ok && v.required {
			return cty.NilVal, fmt.Errorf("terraform: the variable %s is required", name)
		}
		if !ok || (value.IsNull() && !v.nullable) {
			value = v.value
		}
		if value == cty.NilVal {
			return cty.NilVal, fmt.Errorf("terraform: the variable %s must not be null", name)
		}
		if v.defaults != nil && !value.IsNull() {
			value = v.defaults.Apply(value)
		}
		converted, err := convert.Convert(value, v.kind)
		if err != nil {
			return cty.NilVal, fmt.Errorf("terraform: the variable %s: %w", name, err)
		}
		all[name] = converted
	}
	scope := &hcl.EvalContext{Functions: functions(c.files), Variables: map[string]cty.Value{"var": cty.ObjectVal(all)}}
	for name, v := range c.variables {
		for _, check := range v.validations {
			if err := check.hold(scope); err != nil {
				return cty.NilVal, fmt.Errorf("terraform: the variable %s: %w", name, err)
			}
		}
	}
	return cty.ObjectVal(all), nil
}

func (c condition) hold(scope *hcl.EvalContext) error {
	ok, diags := c.holds.Value(scope)
	if diags.HasErrors() {
		return diags
	}
	if ok.True() {
		return nil
	}
	message, diags := c.message.Value(scope)
	if diags.HasErrors() {
		return diags
	}
	return errors.New(message.AsString())
}

// An application is one run.
type application struct {
	*Configuration
	account Account
	scope   hcl.EvalContext // functions, var and path
	done    map[string]cty.Value
	begun   map[string]bool
}

// visit settles a node, after all that it refers to.
func (a *application) visit(ctx context.Context, address string) error {
	n := a.nodes[address]
	if _, done := a.done[address]; done || n == nil {
		return nil
	}
	if a.begun[address] {
		return errors.New("terraform: it refers to itself, in a circle")
	}
	a.begun[address] = true
	if err := a.all(ctx, n.after); err != nil {
		return err
	}
	if n.local != nil {
		v, err := a.value(ctx, n.local, nil)
		a.done[address] = v
		return err
	}
	for _, check := range n.conditions {
		if err := a.all(ctx, append(check.holds.Variables(), check.message.Variables()...)); err != nil {
			return err
		}
		if err := check.hold(a.context(nil)); err != nil {
			return err
		}
	}
	v, err := a.instances(ctx, n)
	a.done[address] = v
	return err
}

// all visits what traversals lead to.
func (a *application) all(ctx context.Context, traversals []hcl.Traversal) error {
	for _, t := range traversals {
		if address := addressOf(t); address != "" {
			if err := a.visit(ctx, address); err != nil {
				return err
			}
		}
	}
	return nil
}

// addressOf is the node that a traversal begins with; "" for var, path, each and count, and for what a for names.
func addressOf(t hcl.Traversal) string {
	want := 2
	if t.RootName() == "data" {
		want = 3
	}
	address := t.RootName()
	for _, step := range t[1:] {
		name, ok := step.(hcl.TraverseAttr)
		if !ok || want == 1 {
			break
		}
		address, want = address+"."+name.Name, want-1
	}
	return address
}

// value evaluates an expression, after all that it refers to; more is each or count.
func (a *application) value(ctx context.Context, e hcl.Expression, more map[string]cty.Value) (cty.Value, error) {
	if err := a.all(ctx, e.Variables()); err != nil {
		return cty.NilVal, err
	}
	v, diags := e.Value(a.context(more))
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return v, nil
}

// context is all that has been settled so far.
func (a *application) context(more map[string]cty.Value) *hcl.EvalContext {
	names := maps.Clone(a.scope.Variables)
	maps.Copy(names, more)
	groups := map[string]map[string]cty.Value{}
	data := map[string]map[string]cty.Value{}
	for address, v := range a.done {
		n := a.nodes[address]
		to, kind := groups, n.kind
		switch {
		case n.local != nil:
			kind = "local"
		case n.data:
			to = data
		}
		if to[kind] == nil {
			to[kind] = map[string]cty.Value{}
		}
		to[kind][n.name] = v
	}
	for kind, values := range groups {
		names[kind] = cty.ObjectVal(values)
	}
	sources := map[string]cty.Value{}
	for kind, values := range data {
		sources[kind] = cty.ObjectVal(values)
	}
	names["data"] = cty.ObjectVal(sources)
	return &hcl.EvalContext{Functions: a.scope.Functions, Variables: names}
}

// instances makes a resource: one, as many as count says, or one for each element.
func (a *application) instances(ctx context.Context, n *node) (cty.Value, error) {
	if e := n.attributes["count"]; e != nil {
		count, err := a.value(ctx, e.Expr, nil)
		if err != nil {
			return cty.NilVal, err
		}
		number, _ := count.AsBigFloat().Int64()
		made := make([]cty.Value, 0, number)
		for i := range number {
			v, err := a.instance(ctx, n, map[string]cty.Value{"count": cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(i)})})
			if err != nil {
				return cty.NilVal, err
			}
			made = append(made, v)
		}
		return cty.TupleVal(made), nil
	}
	e := n.attributes["for_each"]
	if e == nil {
		return a.instance(ctx, n, nil)
	}
	elements, err := a.value(ctx, e.Expr, nil)
	if err != nil {
		return cty.NilVal, err
	}
	made := map[string]cty.Value{}
	for k, v := range elements.Elements() {
		name := k.AsString()
		each := cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(name), "value": v})
		if made[name], err = a.instance(ctx, n, map[string]cty.Value{"each": each}); err != nil {
			return cty.NilVal, err
		}
	}
	return cty.ObjectVal(made), nil
}

func (a *application) instance(ctx context.Context, n *node, more map[string]cty.Value) (cty.Value, error) {
	arguments := map[string]cty.Value{}
	for name, attribute := range n.attributes {
		if name == "count" || name == "for_each" {
			continue
		}
		v, err := a.argument(ctx, attribute, more)
		if err != nil {
			return cty.NilVal, fmt.Errorf("%s: %w", name, err)
		}
		if !v.IsNull() {
			arguments[name] = v
		}
	}
	if n.kind == "module" {
		return a.call(ctx, arguments)
	}
	if n.data {
		return a.read(n.kind)
	}
	return a.make(ctx, n.kind, arguments)
}

func (a *application) argument(ctx context.Context, attribute *hclsyntax.Attribute, more map[string]cty.Value) (cty.Value, error) {
	v, err := a.value(ctx, attribute.Expr, more)
	if err != nil {
		return cty.NilVal, err
	}
	if !v.IsWhollyKnown() {
		return cty.NilVal, errors.New("terraform: not known in time")
	}
	return v, nil
}
