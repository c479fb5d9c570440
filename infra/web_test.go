package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"rolecall/shared/httpapi"
	"rolecall/web"
)

func webStack() template { return assembly.stacks["RolecallWeb"] }

// one is the only resource of a type.
func only(t *testing.T, s template, kind string) resource {
	t.Helper()
	var found []resource
	for _, r := range s.Resources {
		if r.Type == kind {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d resources of type %s", len(found), kind)
	}
	return found[0]
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the laptop sends is what CloudFront sends.
func TestTheConsolesHeaders(t *testing.T) {
	headers, err := web.Headers("https://issuer.example.com")
	if err != nil {
		t.Fatal(err)
	}
	policies := 0
	for id, r := range webStack().Resources {
		if r.Type != "AWS::CloudFront::ResponseHeadersPolicy" {
			continue
		}
		policies++
		text := strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(asJSON(t, r.Properties))
		for _, h := range headers {
			if !sends(text, h) {
				t.Errorf("%s does not send %s: %s", id, h.Name, h.Value)
			}
		}
		if !strings.HasPrefix(id, "WidgetHeaders") {
			if strings.Contains(text, "CorsConfig") {
				t.Errorf("%s opens the console to other origins", id)
			}
			continue
		}
		if !strings.Contains(text, `"AccessControlAllowOrigins":{"Items":["https://app.example.com"]}`) {
			t.Errorf("the widget's origins are not exactly the configured ones: %s", text)
		}
	}
	if policies != 2 {
		t.Errorf("%d policies", policies)
	}
}

// sends looks for a header where CloudFront has a property for it, or among the others.
func sends(policy string, h web.Header) bool {
	properties := map[string]string{
		"Strict-Transport-Security": `"StrictTransportSecurity":{"AccessControlMaxAgeSec":63072000,"IncludeSubdomains":true,"Override":true}`,
		"X-Content-Type-Options":    `"ContentTypeOptions":{"Override":true}`,
		"X-Frame-Options":           `"FrameOptions":{"FrameOption":"DENY","Override":true}`,
		"Referrer-Policy":           `"ReferrerPolicy":{"Override":true,"ReferrerPolicy":"no-referrer"}`,
		"Content-Security-Policy":   `"ContentSecurityPolicy":"` + h.Value + `"`,
	}
	if p, ok := properties[h.Name]; ok {
		return strings.Contains(policy, p)
	}
	return strings.Contains(policy, `{"Header":"`+h.Name+`","Override":true,"Value":"`+h.Value+`"}`)
}

// Every route of the API passes the distribution, and nothing of it is kept but its description, which takes nothing of the
// request along; but what the API says of its own address is
// not true of the distribution's.
func TestTheConsoleServesTheAPI(t *testing.T) {
	for _, route := range httpapi.Routes() {
		if own := route.Path == "/.well-known/oauth-protected-resource"; web.IsAPI(route.Path) == own {
			t.Errorf("%s: passes to the API: %t", route.Path, own)
		}
	}
	config, _ := only(t, webStack(), "AWS::CloudFront::Distribution").Properties["DistributionConfig"].(map[string]any)
	behaviours, _ := config["CacheBehaviors"].([]any)
	var patterns, apis []string
	for _, o := range list(config["Origins"]) {
		if m, _ := o.(map[string]any); strings.Contains(flat(m["DomainName"]), ".execute-api.") {
			apis = append(apis, flat(m["Id"]))
		}
	}
	for _, b := range behaviours {
		m, _ := b.(map[string]any)
		pattern, _ := m["PathPattern"].(string)
		patterns = append(patterns, pattern)
		// AWS's own policies: the second one takes neither headers nor query nor cookies for the key, and heeds Cache-Control.
		const cachingDisabled, cachingOptimized = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "658327ea-f89d-4fab-a63d-7e88639e58f6"
		want := cachingDisabled
		if pattern == web.APIDescription {
			want = cachingOptimized
			if m["OriginRequestPolicyId"] != nil || flat(m["AllowedMethods"]) != "GET,HEAD,OPTIONS" {
				t.Errorf("%s: %s", pattern, flat(m))
			}
		}
		if web.IsAPI(strings.TrimSuffix(pattern, "*")) && m["CachePolicyId"] != want {
			t.Errorf("%s has cache policy %v", pattern, m["CachePolicyId"])
		}
		if target := flat(m["TargetOriginId"]); web.IsAPI(strings.TrimSuffix(pattern, "*")) && !slices.Contains(apis, target) {
			t.Errorf("%s is asked of %s", pattern, target)
		}
	}
	for _, p := range append(web.APIPatterns(), "/"+web.Widget) {
		if !slices.Contains(patterns, p) {
			t.Errorf("no behaviour for %s in %v", p, patterns)
		}
	}
}

// The bucket is CloudFront's alone, and the index is there last.
func TestTheConsolesFiles(t *testing.T) {
	bucket := only(t, webStack(), "AWS::S3::Bucket").Properties
	if got := asJSON(t, bucket["PublicAccessBlockConfiguration"]); strings.Contains(got, "false") || strings.Count(got, "true") != 4 {
		t.Errorf("public access: %s", got)
	}
	policy := asJSON(t, only(t, webStack(), "AWS::S3::BucketPolicy").Properties)
	if !strings.Contains(policy, `"Service":"cloudfront.amazonaws.com"`) || !strings.Contains(policy, `"AWS:SourceArn"`) {
		t.Errorf("the distribution alone reads: %s", policy)
	}
	files := map[string]resource{}
	for _, r := range webStack().Resources {
		if r.Type != publishedFileType {
			continue
		}
		update := asJSON(t, r.Properties["Update"])
		for _, f := range []string{"index.html", "rolecall-connect.js", "assets/index-1.js", "config.json"} {
			if strings.Contains(update, `\"Key\":\"`+f+`\"`) {
				files[f] = r
			}
		}
	}
	if len(files) != 4 {
		t.Fatalf("files: %v", files)
	}
	if got := asJSON(t, files["assets/index-1.js"].Properties); !strings.Contains(got, "immutable") {
		t.Errorf("assets are not kept: %s", got)
	}
	if got := asJSON(t, files["index.html"].DependsOn); strings.Count(got, "Publication") < 3 {
		t.Errorf("the index comes before what it names: %s", got)
	}
}
