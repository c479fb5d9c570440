package customresource

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"rolecall/shared/connect"
)

const (
	signature = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=c&X-Amz-Signature=canary0signature"
	key       = "/arn%3Aaws%3Acloudformation%3Aeu-west-1%3A012345678901%3Astack/rolecall/0-1%7CConnection%7C1"
	goodHost  = "cloudformation-custom-resource-response-euwest1.s3.eu-west-1.amazonaws.com"
	goodURL   = "https://" + goodHost + key + signature
)

func stackIn(t testing.TB, partition, region string) connect.StackID {
	t.Helper()
	s, err := connect.ParseStackID("arn:" + partition + ":cloudformation:" + region + ":012345678901:stack/rolecall-abc-1/0a1b2c3d-0000-1111-2222-333344445555")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestResponseURLsOfCloudFormationAreTaken(t *testing.T) {
	bucket := "https://cloudformation-custom-resource-response-"
	for url, stack := range map[string]connect.StackID{
		goodURL: stackIn(t, "aws", "eu-west-1"),
		bucket + "euwest1.s3-eu-west-1.amazonaws.com" + key + signature:                stackIn(t, "aws", "eu-west-1"),
		bucket + "useast1.s3.us-east-1.amazonaws.com" + key + signature:                stackIn(t, "aws", "us-east-1"),
		bucket + "useast1.s3-us-east-1.amazonaws.com" + key + signature:                stackIn(t, "aws", "us-east-1"),
		bucket + "useast1.s3.amazonaws.com" + key + signature:                          stackIn(t, "aws", "us-east-1"),
		bucket + "usgovwest1.s3.us-gov-west-1.amazonaws.com" + key + signature:         stackIn(t, "aws-us-gov", "us-gov-west-1"),
		bucket + "cnnorth1.s3.cn-north-1.amazonaws.com.cn" + key + signature:           stackIn(t, "aws-cn", "cn-north-1"),
		"https://" + goodHost + key + "?AWSAccessKeyId=A&Expires=1&Signature=a%2Fb%3D": stackIn(t, "aws", "eu-west-1"),
		"https://" + goodHost + key + "?x=a@b:1&Signature=a%2Fb%3D":                    stackIn(t, "aws", "eu-west-1"),
	} {
		u, err := responseURLAt(url, stack, "")
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if u.String() != url {
			t.Errorf("%s became %s", url, u)
		}
	}
}

// badURLs is the corpus: what an attacker would have us write to from inside the platform's account.
func badURLs() map[string]string {
	bucket := "https://cloudformation-custom-resource-response-"
	return map[string]string{
		"empty":                     "",
		"http":                      "http://" + goodHost + key + signature,
		"upper-case scheme":         "HTTPS://" + goodHost + key + signature,
		"no scheme":                 goodHost + key + signature,
		"scheme-relative":           "//" + goodHost + key + signature,
		"file":                      "file:///etc/passwd" + signature,
		"port":                      "https://" + goodHost + ":443" + key + signature,
		"other port":                "https://" + goodHost + ":8443" + key + signature,
		"empty port":                "https://" + goodHost + ":" + key + signature,
		"user":                      "https://user@" + goodHost + key + signature,
		"user and password":         "https://user:pass@" + goodHost + key + signature,
		"host as user":              "https://" + goodHost + "@attacker.example" + key + signature,
		"host as password":          "https://a:" + goodHost + "@attacker.example" + key + signature,
		"fragment":                  goodURL + "#x",
		"fragment before the path":  "https://" + goodHost + "#" + key + signature,
		"suffix":                    "https://" + goodHost + ".attacker.tld" + key + signature,
		"prefix":                    "https://x." + goodHost + key + signature,
		"glued prefix":              "https://x" + goodHost + key + signature,
		"other region":              bucket + "useast1.s3.us-east-1.amazonaws.com" + key + signature,
		"other bucket":              "https://attacker.s3.eu-west-1.amazonaws.com" + key + signature,
		"bucket of another region":  bucket + "useast1.s3.eu-west-1.amazonaws.com" + key + signature,
		"bucket with dashes":        bucket + "eu-west-1.s3.eu-west-1.amazonaws.com" + key + signature,
		"global host elsewhere":     bucket + "euwest1.s3.amazonaws.com" + key + signature,
		"china suffix":              "https://" + goodHost + ".cn" + key + signature,
		"path style":                "https://s3.eu-west-1.amazonaws.com/" + strings.TrimPrefix(bucket, "https://") + "euwest1" + key + signature,
		"dual stack":                bucket + "euwest1.s3.dualstack.eu-west-1.amazonaws.com" + key + signature,
		"website":                   bucket + "euwest1.s3-website-eu-west-1.amazonaws.com" + key + signature,
		"metadata":                  "https://169.254.169.254/latest/meta-data" + signature,
		"metadata over http":        "http://169.254.169.254/latest/meta-data" + signature,
		"metadata decimal":          "https://2852039166/latest" + signature,
		"metadata hex":              "https://0xa9fea9fe/latest" + signature,
		"metadata octal":            "https://0251.0376.0251.0376/latest" + signature,
		"metadata short":            "https://169.16689662/latest" + signature,
		"metadata in IPv6":          "https://[::ffff:169.254.169.254]/latest" + signature,
		"IPv6":                      "https://[fd00:ec2::254]/latest" + signature,
		"IPv6 zone":                 "https://[fe80::1%25eth0]/latest" + signature,
		"loopback":                  "https://127.0.0.1" + key + signature,
		"loopback with port":        "http://127.0.0.1:4566/_cfn-response/1" + signature,
		"localhost":                 "http://localhost:4566/_cfn-response/1" + signature,
		"Lambda's own API":          "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next" + signature,
		"trailing dot":              "https://" + goodHost + "." + key + signature,
		"upper-case host":           "https://" + strings.ToUpper(goodHost) + key + signature,
		"one upper-case letter":     strings.Replace(goodURL, "amazonaws", "Amazonaws", 1),
		"full-width dot":            strings.Replace(goodURL, ".s3.", "．s3．", 1),
		"ideographic dot":           strings.Replace(goodURL, ".com", "。com", 1),
		"Cyrillic a":                strings.Replace(goodURL, "amazonaws", "аmazonaws", 1),
		"Kelvin sign":               strings.Replace(goodURL, "s3", "\u017f3", 1),
		"soft hyphen":               strings.Replace(goodURL, "amazonaws", "ama\u00adzonaws", 1),
		"punycode":                  strings.Replace(goodURL, "amazonaws", "xn--mazonaws-6fg", 1),
		"backslash":                 "https://" + goodHost + `\@attacker.example` + key + signature,
		"backslashes for slashes":   `https:\\` + goodHost + key + signature,
		"backslash in the path":     "https://" + goodHost + `/a\b` + signature,
		"encoded dot in the host":   strings.Replace(goodURL, ".s3.", "%2es3.", 1),
		"encoded dots in the path":  "https://" + goodHost + "/%2E%2e/x" + signature,
		"encoded host":              "https://%63loudformation" + strings.TrimPrefix(goodHost, "cloudformation") + key + signature,
		"encoded slash":             "https://attacker.example%2f" + goodHost + key + signature,
		"line feed":                 goodURL + "\n",
		"line feed in front":        "\n" + goodURL,
		"carriage return and more":  "https://" + goodHost + "/\r\nHost: attacker.example" + signature,
		"encoded line end":          "https://" + goodHost + "/%0d%0aHost:x" + signature,
		"line feed in the host":     strings.Replace(goodURL, ".s3", "\n.s3", 1),
		"tab":                       strings.Replace(goodURL, ".s3", "\t.s3", 1),
		"space":                     "https://" + goodHost + " .attacker.example" + key + signature,
		"space in front":            " " + goodURL,
		"null byte":                 strings.Replace(goodURL, key, "\x00"+key, 1),
		"invalid UTF-8":             strings.Replace(goodURL, key, "/\xff", 1),
		"no signature":              "https://" + goodHost + key,
		"no value of signature":     "https://" + goodHost + key + "?X-Amz-Signature=",
		"signature in the path":     "https://" + goodHost + "/X-Amz-Signature=abc",
		"signature by another name": "https://" + goodHost + key + "?signature=abc",
		"query that cannot be read": "https://" + goodHost + key + "?Signature=a;b",
		"no path":                   "https://" + goodHost + signature,
		"nothing but the host":      "https://" + goodHost,
		"too long":                  goodURL + strings.Repeat("a", maxURL),
		"data":                      "data:text/plain,x" + signature,
		"opaque":                    "https:" + goodHost + key + signature,
		"three slashes":             "https:///" + goodHost + key + signature,
		"semicolon host":            "https://" + goodHost + ";attacker.example" + key + signature,
		"comma host":                "https://" + goodHost + ",attacker.example" + key + signature,
		"template":                  "https://${AWS::Region}.amazonaws.com" + key + signature,
	}
}

// nothing fails the test when anything is looked up or dialled.
func nothing(t testing.TB) http.RoundTripper {
	t.Helper()
	return &http.Transport{
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			t.Errorf("dialled %s %s", network, address)
			return nil, net.ErrClosed
		},
	}
}

func TestOtherResponseURLsAreNeverDialled(t *testing.T) {
	stack := stackIn(t, "aws", "eu-west-1")
	s := NewSender(nothing(t))
	for name, url := range badURLs() {
		t.Run(name, func(t *testing.T) {
			to := connect.ReplyTo{URL: connect.NewSecret(url), StackID: stack.String(), RequestID: "1", LogicalID: "Connection"}
			err := s.Answer(t.Context(), to, connect.Reply{OK: true})
			if err == nil {
				t.Fatalf("%q was taken", url)
			}
			if url != "" && strings.Contains(err.Error(), url) {
				t.Errorf("the error has the URL: %v", err)
			}
		})
	}
	for _, id := range []string{"", "arn:aws:cloudformation:eu-west-1:012345678901:stack/a", "x"} {
		to := connect.ReplyTo{URL: connect.NewSecret(goodURL), StackID: id}
		if s.Answer(t.Context(), to, connect.Reply{OK: true}) == nil {
			t.Errorf("an answer for stack %q was sent", id)
		}
	}
}

func TestOneHostPerRegion(t *testing.T) {
	regions := []string{"eu-west-1", "eu-west-2", "us-east-1", "us-east-2", "ap-southeast-1"}
	for _, mine := range regions {
		for _, other := range regions {
			url := "https://" + hosts(stackIn(t, "aws", other))[0] + key + signature
			_, err := responseURLAt(url, stackIn(t, "aws", mine), "")
			if (err == nil) != (mine == other) {
				t.Errorf("a stack in %s, answered in %s: %v", mine, other, err)
			}
		}
	}
}

func TestLocalHostIsTheLaptopsAlone(t *testing.T) {
	stack := stackIn(t, "aws", "eu-west-1")
	local := "http://127.0.0.1:4566/_cfn-response/1" + signature
	if _, err := responseURLAt(local, stack, "127.0.0.1:4566"); err != nil {
		t.Errorf("the laptop's own host: %v", err)
	}
	if _, err := responseURLAt(goodURL, stack, "127.0.0.1:4566"); err != nil {
		t.Errorf("CloudFormation's host on the laptop: %v", err)
	}
	for _, url := range []string{
		"http://127.0.0.1:45661/x" + signature, "http://127.0.0.1:4566@attacker.example/x" + signature, "https://127.0.0.1:4566/x" + signature,
		"http://127.0.0.1:4566.attacker.example/x" + signature, "http://127.0.0.1:4566/x", "http://127.0.0.1/x" + signature, "http://127.0.0.1:4566" + signature,
	} {
		if _, err := responseURLAt(url, stack, "127.0.0.1:4566"); err == nil {
			t.Errorf("%s was taken", url)
		}
	}
}

func FuzzResponseURL(f *testing.F) {
	f.Add(goodURL)
	for _, url := range badURLs() {
		f.Add(url)
	}
	stack := stackIn(f, "aws", "eu-west-1")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := responseURLAt(raw, stack, "")
		if err != nil {
			return
		}
		if u.Scheme != "https" || !slices.Contains(hosts(stack), u.Host) || u.User != nil || u.Port() != "" || u.Fragment != "" {
			t.Fatalf("%q leads to %+v", raw, u)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, raw, nil)
		if err != nil || !slices.Contains(hosts(stack), r.Host) {
			t.Fatalf("%q: net/http reads host %q, %v", raw, r.Host, err)
		}
	})
}
