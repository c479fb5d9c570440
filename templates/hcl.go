package templates

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// terraform is a configuration of its own rather than a call of the module in terraform/: a snippet that names no address
// works whatever a customer's machine can reach, and shows a reviewer all that it makes.
func (h handmade) terraform() string {
	var b strings.Builder
	label := strings.ReplaceAll(h.order.RoleName, "-", "_")
	role := "aws_iam_role." + label
	fmt.Fprintf(&b, "resource \"aws_iam_role\" %q {\n", label)
	fmt.Fprintf(&b, "  name                  = %s\n", hclQuote(h.order.RoleName))
	fmt.Fprintf(&b, "  description           = %s\n", hclQuote(h.description()))
	fmt.Fprintf(&b, "  max_session_duration  = %s\n", maxSession)
	b.WriteString("  force_detach_policies = true\n") // or a revocation in force would keep the role from being destroyed
	fmt.Fprintf(&b, "  assume_role_policy    = %s\n}\n", heredoc(h.order.TrustPolicy, ""))

	var policies []string
	for _, p := range h.policies {
		name := label + "_" + p.key
		policies = append(policies, "aws_iam_role_policy."+name)
		fmt.Fprintf(&b, "\nresource \"aws_iam_role_policy\" %q {\n", name)
		fmt.Fprintf(&b, "  name   = %s\n", hclQuote(p.name))
		fmt.Fprintf(&b, "  role   = %s.name\n", role)
		fmt.Fprintf(&b, "  policy = %s\n}\n", heredoc(p.text, "${"+role+".arn}"))
	}
	before := "[" + strings.Join(policies, ", ") + "]"
	for i, arn := range h.managed {
		name := label + "_managed_" + strconv.Itoa(i+1)
		fmt.Fprintf(&b, "\nresource \"aws_iam_role_policy_attachment\" %q {\n", name)
		fmt.Fprintf(&b, "  role       = %s.name\n", role)
		fmt.Fprintf(&b, "  policy_arn = %s\n", hclQuote(arn))
		fmt.Fprintf(&b, "  depends_on = %s\n}\n", before)
		policies = append(policies, "aws_iam_role_policy_attachment."+name)
	}
	fmt.Fprintf(&b, "\noutput %q {\n", label+"_arn")
	fmt.Fprintf(&b, "  description = %s\n", hclQuote("Give this role ARN to "+h.order.PlatformName+"."))
	fmt.Fprintf(&b, "  value       = %s.arn\n", role)
	fmt.Fprintf(&b, "  depends_on  = [%s]\n}\n", strings.Join(policies, ", "))
	return b.String()
}

// heredoc is a JSON document as people read it, within HCL; where roleARN stands in it, expression does. Its last line is
// the end of the heredoc, which no line of an indented JSON document can be.
func heredoc(document, expression string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(document), "    ", "  ") != nil {
		return hclQuote(document) // what is no JSON may hold a line that ends a heredoc
	}
	return "<<-JSON\n    " + strings.ReplaceAll(literal(b.String()), roleARN, expression) + "\n  JSON"
}

// hclQuote is a string of HCL with no template in it.
func hclQuote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || r == '$' || r == '%':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// literal keeps HCL from reading a template into a JSON document, and from composing characters in it, which it does to all
// text: whatever could begin a template or be composed is written by its number, which in JSON means the same.
func literal(document string) string {
	var b strings.Builder
	for _, r := range strings.NewReplacer("${", `\u0024{`, "%{", `\u0025{`).Replace(document) {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
