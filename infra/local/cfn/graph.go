package cfn

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// A reference is what a value says of another resource, a parameter or a pseudo parameter.
type reference struct {
	name      string
	attribute bool   // GetAtt, so that name can only be a resource
	call      string // the function that names it
}

// A walker visits what a value refers to.
type walker struct {
	// branches picks the branches of an Fn::If to look into; nil means both.
	branches func(condition string) (bool, error)
	// call is told of every function; nil tells nobody.
	call  func(name string, argument any) error
	visit func(reference) error
}

func (w *walker) walk(v any) error {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := w.walk(item); err != nil {
				return err
			}
		}
	case map[string]any:
		if name, argument, ok := function(v); ok {
			return w.function(name, argument)
		}
		for _, key := range sortedKeys(v) {
			if err := w.walk(v[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) function(name string, argument any) error {
	if w.call != nil {
		if err := w.call(name, argument); err != nil {
			return err
		}
	}
	switch name {
	case "Ref":
		target, ok := argument.(string)
		if !ok {
			return invalid("Template error: every Ref object must have a single String value.")
		}
		return w.visit(reference{name: target, call: name})
	case "Fn::GetAtt":
		logical, attribute, err := getAttNames(argument)
		if err != nil {
			return err
		}
		if err := w.visit(reference{name: logical, attribute: true, call: name}); err != nil {
			return err
		}
		return w.walk(attribute)
	case "Fn::Sub":
		return w.sub(argument)
	case "Fn::If":
		return w.choose(argument)
	default:
		return w.walk(argument)
	}
}

func (w *walker) sub(argument any) error {
	template, variables, err := subArguments(argument)
	if err != nil {
		return err
	}
	parts, err := parseSub(template)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if _, own := variables[part.text]; own || !part.variable {
			continue
		}
		logical, _, dotted := strings.Cut(part.text, ".")
		if err := w.visit(reference{name: logical, attribute: dotted, call: "Fn::Sub"}); err != nil {
			return err
		}
	}
	return w.walk(variables)
}

func (w *walker) choose(argument any) error {
	condition, branches, err := ifArguments(argument)
	if err != nil {
		return err
	}
	if w.branches == nil {
		return w.walk(branches)
	}
	truth, err := w.branches(condition)
	if err != nil {
		return err
	}
	if truth {
		return w.walk(branches[0])
	}
	return w.walk(branches[1])
}

// check asserts everything that is known without parameters: every function exists and every name leads somewhere.
func (t *Template) check() error {
	for _, name := range sortedKeys(t.conditions) {
		if err := t.checkTruth(t.conditions[name], "Conditions", 0); err != nil {
			return err
		}
	}
	for _, r := range t.rules {
		if err := t.checkRule(r); err != nil {
			return err
		}
	}
	for _, r := range t.Resources {
		if err := t.checkResource(r); err != nil {
			return err
		}
	}
	for _, o := range t.Outputs {
		if err := t.checkValue([]any{o.Value, o.ExportName}, "Outputs"); err != nil {
			return err
		}
		if _, ok := t.conditions[o.Condition]; !ok && o.Condition != "" {
			return undefinedCondition(o.Condition, "Outputs")
		}
	}
	return nil
}

func (t *Template) checkResource(r Resource) error {
	if err := t.checkValue(r.Properties, "Resources"); err != nil {
		return err
	}
	if _, ok := t.conditions[r.Condition]; !ok && r.Condition != "" {
		return undefinedCondition(r.Condition, "Resources")
	}
	for _, name := range r.DependsOn {
		if _, ok := t.resource(name); !ok {
			return unresolved(name, "Resources")
		}
	}
	return nil
}

func (t *Template) checkValue(v any, block string) error {
	w := &walker{
		call: func(name string, argument any) error { return t.checkCall(name, argument, block) },
		visit: func(r reference) error {
			_, isResource := t.resource(r.name)
			switch {
			case isResource:
				return nil
			case r.attribute && r.call == "Fn::GetAtt":
				return invalid("Template error: instance of Fn::GetAtt references undefined resource %s", r.name)
			case !r.attribute && (t.parameter(r.name) || isPseudo(r.name)):
				return nil
			default:
				return unresolved(r.name, block)
			}
		},
	}
	return w.walk(v)
}

func (t *Template) checkCall(name string, argument any, block string) error {
	switch name {
	case "Ref", "Fn::GetAtt", "Fn::Sub", "Fn::Base64", "Fn::ImportValue":
		return nil // whoever resolves them checks their shape
	case "Fn::If":
		condition, _, err := ifArguments(argument)
		if _, ok := t.conditions[condition]; err == nil && !ok {
			return undefinedCondition(condition, block)
		}
		return err
	case "Fn::Join", "Fn::Select", "Fn::Split", "Fn::FindInMap":
		return checkList(name, argument)
	default:
		return invalid("Template error: the function %s in the %s block is not supported here", name, block)
	}
}

// checkList catches a wrong number of arguments before anything is created, in the words of the function itself.
func checkList(name string, argument any) error {
	want := 2
	if name == "Fn::FindInMap" {
		want = 3
	}
	if list, ok := argument.([]any); ok && len(list) == want {
		return nil
	}
	_, err := (&scope{template: &Template{}}).evaluate().call(name, nil)
	return err
}

func (t *Template) checkRule(r rule) error {
	if r.condition != nil {
		if err := t.checkTruth(r.condition, "Rules", 0); err != nil {
			return err
		}
	}
	for _, a := range r.assertions {
		if err := t.checkTruth(a.assert, "Rules", 0); err != nil {
			return err
		}
	}
	return nil
}

// checkTruth looks through the functions of conditions and rules, which may name parameters only.
func (t *Template) checkTruth(v any, block string, depth int) error {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := t.checkTruth(item, block, depth+1); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		return t.checkTruthCall(v, block, depth)
	default:
		return nil
	}
}

func (t *Template) checkTruthCall(m map[string]any, block string, depth int) error {
	if other, ok := m["Condition"].(string); ok && len(m) == 1 {
		if _, known := t.conditions[other]; !known {
			return undefinedCondition(other, block)
		}
		return nil
	}
	name, argument, ok := function(m)
	if !ok {
		return invalid("Template format error: the %s block can only hold functions", block)
	}
	switch name {
	case "Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals", "Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn":
		return t.checkTruth(argument, block, depth+1)
	case "Fn::RefAll":
		return nil
	case "Fn::GetAtt", "Fn::If", "Fn::ImportValue":
		return invalid("Template error: the function %s cannot be used in the %s block", name, block)
	default:
		return t.checkParametersOnly(m, block)
	}
}

func (t *Template) checkParametersOnly(v any, block string) error {
	w := &walker{
		call: func(name string, argument any) error { return t.checkCall(name, argument, block) },
		visit: func(r reference) error {
			if !r.attribute && (t.parameter(r.name) || isPseudo(r.name)) {
				return nil
			}
			return invalid("Template format error: Unresolved dependencies [%s]. Cannot reference resources in the %s block of the template", r.name, block)
		},
	}
	return w.walk(v)
}

func isPseudo(name string) bool {
	switch name {
	case "AWS::AccountId", "AWS::Region", "AWS::Partition", "AWS::StackName", "AWS::StackId", "AWS::URLSuffix",
		"AWS::NotificationARNs", "AWS::NoValue":
		return true
	default:
		return false
	}
}

// A graph says what each resource waits for.
type graph map[string][]string

// active finds the resources that the conditions keep and what each of them depends on.
func (s *scope) active() (graph, error) {
	g := graph{}
	for _, r := range s.template.Resources {
		if r.Condition == "" || s.conditions[r.Condition] {
			g[r.LogicalID] = nil
		}
	}
	for _, r := range s.template.Resources {
		if _, kept := g[r.LogicalID]; !kept {
			continue
		}
		needs, err := s.needs(r, g)
		if err != nil {
			return nil, err
		}
		g[r.LogicalID] = needs
	}
	if circle := g.circle(); len(circle) > 0 {
		return nil, invalid("Circular dependency between resources: [%s]", strings.Join(circle, ", "))
	}
	return g, nil
}

func (s *scope) needs(r Resource, kept graph) ([]string, error) {
	var needs []string
	for _, name := range r.DependsOn {
		if _, ok := kept[name]; ok { // CloudFormation ignores a DependsOn on what a condition left out
			needs = append(needs, name)
		}
	}
	err := s.references(r.Properties, kept, "Resources", func(name string) { needs = append(needs, name) })
	slices.Sort(needs)
	return slices.Compact(needs), err
}

// references names the resources that a value refers to once the conditions are known.
func (s *scope) references(v any, kept graph, block string, found func(logicalID string)) error {
	w := &walker{
		branches: func(condition string) (bool, error) { return s.conditions[condition], nil },
		visit: func(ref reference) error {
			if _, isResource := s.template.resource(ref.name); !isResource {
				return nil
			}
			if _, ok := kept[ref.name]; !ok {
				return unresolved(ref.name, block)
			}
			found(ref.name)
			return nil
		},
	}
	return w.walk(v)
}

// circle names the resources on cycles (and between two of them), sorted; none where there is an order.
func (g graph) circle() []string {
	rest := g.withoutLeaves()
	rest = rest.reversed().withoutLeaves()
	return sortedKeys(rest)
}

// withoutLeaves takes away, again and again, what waits for nothing.
func (g graph) withoutLeaves() graph {
	waiting := make(map[string]int, len(g))
	var free []string
	for name, needs := range g {
		waiting[name] = len(needs)
		if len(needs) == 0 {
			free = append(free, name)
		}
	}
	back := g.reversed()
	for len(free) > 0 {
		name := free[len(free)-1]
		free = free[:len(free)-1]
		delete(waiting, name)
		for _, dependent := range back[name] {
			if waiting[dependent]--; waiting[dependent] == 0 {
				free = append(free, dependent)
			}
		}
	}
	return g.only(func(name string) bool { _, left := waiting[name]; return left })
}

// reversed turns "waits for" round: the order of deletion.
func (g graph) reversed() graph {
	back := make(graph, len(g))
	for name := range g {
		back[name] = nil
	}
	for _, name := range sortedKeys(g) {
		for _, need := range g[name] {
			back[need] = append(back[need], name)
		}
	}
	return back
}

// only keeps some of the members and what they need among themselves.
func (g graph) only(keep func(name string) bool) graph {
	out := graph{}
	for name, needs := range g {
		if keep(name) {
			out[name] = slices.DeleteFunc(slices.Clone(needs), func(need string) bool { return !keep(need) })
		}
	}
	return out
}

// run does something for every member, each as soon as all it waits for is done, independent ones at the same time.
// What waits for a failed member is not done. With stop, a failure also cancels the members under way and keeps those from
// starting that had to wait: what waits for nothing has begun by then, as in AWS. The names of those that failed come back
// sorted.
func (g graph) run(whole context.Context, stop bool, do func(ctx context.Context, name string) error) []string {
	ctx, cancel := context.WithCancel(whole)
	defer cancel()
	done := make(map[string]chan struct{}, len(g))
	for name := range g {
		done[name] = make(chan struct{})
	}
	var (
		mu      sync.Mutex
		failed  []string
		skipped = map[string]bool{}
		wg      sync.WaitGroup
	)
	for name, needs := range g {
		wg.Go(func() {
			defer close(done[name])
			for _, need := range needs {
				<-done[need]
			}
			mu.Lock()
			skip := whole.Err() != nil || (len(needs) > 0 && ctx.Err() != nil) || slices.ContainsFunc(needs, func(need string) bool { return skipped[need] })
			skipped[name] = skip
			mu.Unlock()
			if skip {
				return
			}
			if err := do(ctx, name); err != nil {
				mu.Lock()
				failed, skipped[name] = append(failed, name), true
				mu.Unlock()
				if stop {
					cancel()
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(failed)
	return failed
}
