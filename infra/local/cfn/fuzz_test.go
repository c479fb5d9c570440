package cfn

import (
	"context"
	"testing"
	"time"
)

// FuzzTemplate: no text makes the parser or the functions panic, hang or take gigabytes.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{
		chain, fan, oldStack, newStack, connection, someResource,
		`{"Resources": {"A": {"Type": "Test::Thing", "Properties": {"X": {"Fn::Sub": ["${A}${B}", {"B": {"Fn::Select": [0, {"Fn::Split": [",", "a,b"]}]}}]}}}}}`,
		"Resources: {A: &a {Type: T, Properties: {X: [*a, *a]}}}",
		"Parameters: {P: {Type: Number, Default: 1, MinValue: 0}}\nMappings: {M: {a: {b: [c]}}}\nConditions: {C: !And [!Condition D, !Condition D], D: !Or [!Equals [!Ref P, 1], !Not [!Equals [a, b]]]}\n" +
			"Rules: {R: {RuleCondition: !Equals [a, a], Assertions: [{Assert: !Contains [!RefAll Number, !Ref P]}]}}\n" +
			"Resources: {A: {Type: 'Test::Thing', Condition: C, Properties: {X: !If [D, !FindInMap [M, a, b], !Ref AWS::NoValue], 'Y': {'Fn::Base64': !Join ['', [a, b]]}}}}",
		"Parameters: {P: {Type: String, AllowedPattern: '((x{1,2000}){1,2000}){1,2000}', Default: x}}\n" + someResource,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		config := testConfig()
		e := NewEngine(config)
		defer e.Close()
		e.Register("Test::Thing", newThings())
		start := time.Now()
		in := testInput("s", template)
		p, err := e.plan(context.Background(), &in, "arn", nil)
		if err == nil {
			p.scope.resource = func(string) (Resolved, bool) {
				return Resolved{PhysicalID: "id", Attributes: map[string]any{"Arn": "a"}}, true
			}
			for name := range p.graph {
				declared, _ := p.template.resource(name)
				_, _ = p.properties(declared) // attributes that do not exist are an error, and a good one
			}
			_, _ = p.resolveOutputs()
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// FuzzResponse: whatever a vendor sends, it is read or refused.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"Status": 1, "Data": [], "PhysicalResourceId": {}}`, `{"Status": "SUCCESS", "PhysicalResourceId": "p", "StackId": "s", "RequestId": "r", "LogicalResourceId": "l"}`} {
		f.Add([]byte(seed))
	}
	x := &exchange{request: customRequest{StackId: "s", RequestId: "r", LogicalResourceId: "l"}}
	f.Fuzz(func(t *testing.T, body []byte) {
		response, ours := readResponse(x, body)
		if ours && response.failure() == nil && (response.Status != "SUCCESS" || response.RequestId != "r" || !validPhysicalID(response.PhysicalResourceId)) {
			t.Errorf("accepted %q as %+v", body, response)
		}
	})
}
