// Package terraform is the pocket AWS's Terraform: it reads a configuration, evaluates it and makes its resources, as far as
// a role needs it. It knows the types aws_iam_role, aws_iam_role_policy and aws_iam_role_policy_attachment, the data
// source aws_partition, modules in zip files, and the functions that are listed in functions.go; anything else is an error
// that names itself.
//
// Terraform proper needs the AWS provider, which is not on every machine. What is tried with this package is the text
// that customers are given; what the provider makes of it is for a test where there is one.
package terraform

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A Configuration is a module as it was written.
type Configuration struct {
	files     fs.FS
	variables map[string]*variable
	nodes     map[string]*node // by address: local.x, data.T.N, T.N
	outputs   map[string]*output
}

// A variable is what a module is given.
type variable struct {
	kind        cty.Type
	defaults    *typeexpr.Defaults
	value       cty.Value // the default
	required    bool
	nullable    bool
	validations []condition
}

// A condition must hold, else its message is the error.
type condition struct{ holds, message hcl.Expression }

// A node is a local value, a data source or a resource.
type node struct {
	address    string
	kind, name string // "" and the name for a local value
	data       bool
	local      hcl.Expression
	attributes hclsyntax.Attributes
	conditions []condition
	after      []hcl.Traversal
}

type output struct {
	value hcl.Expression
	after []hcl.Traversal
}

// Read reads the files of a module that end in .tf, and refuses what Terraform, or this package, would not understand.
func Read(files fs.FS) (*Configuration, error) {
	c := &Configuration{files: files, variables: map[string]*variable{}, nodes: map[string]*node{}, outputs: map[string]*output{}}
	names, err := fs.Glob(files, "*.tf")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("terraform: no files")
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		file, diags := hclsyntax.ParseConfig(text, path.Base(name), hcl.InitialPos)
		if diags.HasErrors() {
			return nil, diags
		}
		body, ok := file.Body.(*hclsyntax.Body)
		if !ok || len(body.Attributes) > 0 {
			return nil, fmt.Errorf("terraform: %s: arguments outside of blocks", name)
		}
		for _, b := range body.Blocks {
			if err := c.add(b); err != nil {
				return nil, fmt.Errorf("%s: %w", b.TypeRange, err)
			}
		}
	}
	return c, nil
}

func (c *Configuration) add(b *hclsyntax.Block) error {
	switch b.Type {
	case "terraform":
		return checkRequirements(b.Body)
	case "variable":
		return c.addVariable(b)
	case "locals":
		for name, a := range b.Body.Attributes {
			if err := c.put(&node{address: "local." + name, name: name, local: a.Expr}); err != nil {
				return err
			}
		}
		return nil
	case "data", "resource":
		return c.addResource(b)
	case "output":
		return c.addOutput(b)
	case "module":
		return c.addModule(b)
	}
	return fmt.Errorf("terraform: a block of type %q", b.Type)
}

func (c *Configuration) put(n *node) error {
	if c.nodes[n.address] != nil {
		return fmt.Errorf("terraform: %s is there twice", n.address)
	}
	c.nodes[n.address] = n
	return nil
}

// checkRequirements looks at what a module asks of Terraform itself: versions, and the AWS provider alone.
func checkRequirements(body *hclsyntax.Body) error {
	for name := range body.Attributes {
		if name != "required_version" {
			return fmt.Errorf("terraform: unknown argument %s", name)
		}
	}
	for _, b := range body.Blocks {
		if b.Type != "required_providers" {
			return fmt.Errorf("terraform: unknown block %s", b.Type)
		}
		for name, a := range b.Body.Attributes {
			v, diags := a.Expr.Value(nil)
			if diags.HasErrors() {
				return diags
			}
			if name != "aws" || v.GetAttr("source").AsString() != "hashicorp/aws" {
				return fmt.Errorf("terraform: unknown provider %s", name)
			}
		}
	}
	return nil
}

func (c *Configuration) addVariable(b *hclsyntax.Block) error {
	if err := known(b.Body.Attributes, "description", "type", "default", "nullable", "sensitive"); err != nil {
		return err
	}
	name := b.Labels[0]
	if c.variables[name] != nil {
		return fmt.Errorf("terraform: variable %s is there twice", name)
	}
	v := &variable{kind: cty.DynamicPseudoType, required: true, nullable: true}
	var diags hcl.Diagnostics
	if a := b.Body.Attributes["type"]; a != nil {
		v.kind, v.defaults, diags = typeexpr.TypeConstraintWithDefaults(a.Expr)
		if diags.HasErrors() {
			return diags
		}
	}
	if a := b.Body.Attributes["default"]; a != nil {
		v.required = false
		if v.value, diags = a.Expr.Value(nil); diags.HasErrors() {
			return diags
		}
	}
	if a := b.Body.Attributes["nullable"]; a != nil {
		value, diags := a.Expr.Value(nil)
		if diags.HasErrors() {
			return diags
		}
		v.nullable = value.True()
	}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "validation" {
			return fmt.Errorf("terraform: unknown block %s", inner.Type)
		}
		checked, err := conditionOf(inner.Body)
		if err != nil {
			return err
		}
		v.validations = append(v.validations, checked)
	}
	c.variables[name] = v
	return nil
}

func conditionOf(body *hclsyntax.Body) (condition, error) {
	if err := known(body.Attributes, "condition", "error_message"); err != nil {
		return condition{}, err
	}
	holds, message := body.Attributes["condition"], body.Attributes["error_message"]
	if holds == nil || message == nil {
		return condition{}, fmt.Errorf("terraform: a check without condition or error_message")
	}
	return condition{holds.Expr, message.Expr}, nil
}

func (c *Configuration) addResource(b *hclsyntax.Block) error {
	n := &node{kind: b.Labels[0], name: b.Labels[1], data: b.Type == "data", attributes: hclsyntax.Attributes{}}
	n.address = n.kind + "." + n.name
	arguments, ok := resourceTypes[n.kind]
	if n.data {
		n.address = "data." + n.address
		arguments, ok = dataSources[n.kind]
	}
	if !ok {
		return fmt.Errorf("terraform: unknown type %s", n.kind)
	}
	if err := known(b.Body.Attributes, append([]string{"count", "for_each", "depends_on"}, arguments...)...); err != nil {
		return fmt.Errorf("%s: %w", n.address, err)
	}
	for name, a := range b.Body.Attributes {
		if name == "depends_on" {
			n.after = a.Expr.Variables()
			continue
		}
		n.attributes[name] = a
	}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "lifecycle" || len(inner.Body.Attributes) > 0 {
			return fmt.Errorf("terraform: %s: unknown block %s", n.address, inner.Type)
		}
		for _, check := range inner.Body.Blocks {
			checked, err := conditionOf(check.Body)
			if err != nil || check.Type != "precondition" {
				return fmt.Errorf("terraform: %s: a check %s: %w", n.address, check.Type, err)
			}
			n.conditions = append(n.conditions, checked)
		}
	}
	return c.put(n)
}

func (c *Configuration) addOutput(b *hclsyntax.Block) error {
	if err := known(b.Body.Attributes, "description", "value", "depends_on", "sensitive"); err != nil {
		return err
	}
	value := b.Body.Attributes["value"]
	if value == nil || c.outputs[b.Labels[0]] != nil {
		return fmt.Errorf("terraform: output %s has no value, or is there twice", b.Labels[0])
	}
	o := &output{value: value.Expr}
	if a := b.Body.Attributes["depends_on"]; a != nil {
		o.after = a.Expr.Variables()
	}
	c.outputs[b.Labels[0]] = o
	return nil
}

func known(attributes hclsyntax.Attributes, names ...string) error {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if !slices.Contains(names, name) {
			return fmt.Errorf("terraform: unknown argument %s", name)
		}
	}
	return nil
}
