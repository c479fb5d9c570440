package customresource

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/wire"
	"rolecall/shared/connect"
)

const goodHost = "cloudformation-custom-resource-response-euwest1.s3.eu-west-1.amazonaws.com"

var (
	goodURL        = signedURL(goodHost, "aws", "eu-west-1")
	key, signature = parted(goodURL)
	// canary is the signature itself: whoever has it can answer.
	canary = goodURL[strings.LastIndex(goodURL, "=")+1:]
)

// signer signs as CloudFormation does; the key that it signs with nobody knows.
func signer() wire.Credentials {
	return wire.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "secret"}
}

// signedURL is the ResponseURL of the request that create makes in a Region, at a bucket's host.
func signedURL(host, partition, region string) string {
	return cfn.ResponseAddress{
		Bucket: "https://" + host, StackID: stackARN(partition, region), LogicalID: "Connection", RequestID: "9f8e7d6c-0000",
		By: signer(), At: sentAt, Life: longestLife,
	}.URL()
}

// parted is what follows the host: the path and the query with its question mark.
func parted(address string) (path, query string) {
	at := strings.Index(address, "/arn")
	end := strings.Index(address, "?")
	return address[at:end], address[end:]
}

func stackARN(partition, region string) string {
	return "arn:" + partition + ":cloudformation:" + region + ":012345678901:stack/rolecall-abc-1/0a1b2c3d-0000-1111-2222-333344445555"
}

func namesIn(t testing.TB, partition, region string) names {
	t.Helper()
	return names{stackIn(t, partition, region), "Connection", "9f8e7d6c-0000"}
}

func stackIn(t testing.TB, partition, region string) connect.StackID {
	t.Helper()
	s, err := connect.ParseStackID(stackARN(partition, region))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestResponseURLsOfCloudFormationAreTaken(t *testing.T) {
	bucket := "cloudformation-custom-resource-response-"
	for host, stack := range map[string][2]string{
		goodHost: {"aws", "eu-west-1"},
		bucket + "euwest1.s3-eu-west-1.amazonaws.com":        {"aws", "eu-west-1"},
		bucket + "useast1.s3.us-east-1.amazonaws.com":        {"aws", "us-east-1"},
		bucket + "useast1.s3-us-east-1.amazonaws.com":        {"aws", "us-east-1"},
		bucket + "useast1.s3.amazonaws.com":                  {"aws", "us-east-1"},
		bucket + "usgovwest1.s3.us-gov-west-1.amazonaws.com": {"aws-us-gov", "us-gov-west-1"},
		bucket + "cnnorth1.s3.cn-north-1.amazonaws.com.cn":   {"aws-cn", "cn-north-1"},
	} {
		address := signedURL(host, stack[0], stack[1])
		n := namesIn(t, stack[0], stack[1])
		u, err := responseURL(address, n)
		if err != nil || u.String() != address {
			t.Errorf("%s became %s, %v", address, u, err)
		}
		got, err := admit(address, n, sentAt, sentAt)
		if want := sentAt.Truncate(time.Second); err != nil || !got.at.Equal(want) || !got.ends.Equal(want.Add(2*time.Hour)) {
			t.Errorf("%s: %+v, %v", address, got, err)
		}
	}
	// What is signed is for S3 to say, and earlier versions queued these, too.
	for _, query := range []string{"?AWSAccessKeyId=A&Expires=1&Signature=a%2Fb%3D", "?x=a@b:1&Signature=a%2Fb%3D", "?X-Amz-Signature=0"} {
		if _, err := responseURL("https://"+goodHost+key+query, namesIn(t, "aws", "eu-west-1")); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// An admission is an address that an attacker could send with a good request, and why it is dropped; "" for one that is
// admitted.
type admission struct {
	name   string
	url    string
	reason DropReason
}

// changed is goodURL with one text instead of another, which must be there.
func changed(t testing.TB, from, to string) string {
	t.Helper()
	if strings.Count(goodURL, from) != 1 {
		t.Fatalf("%q is %d times in the address", from, strings.Count(goodURL, from))
	}
	return strings.Replace(goodURL, from, to, 1)
}

func refusedAddresses(t testing.TB) []admission {
	of := func(stack, logical, request string) string {
		return cfn.ResponseAddress{Bucket: "https://" + goodHost, StackID: stack, LogicalID: logical, RequestID: request, By: signer(), At: sentAt, Life: longestLife}.URL()
	}
	mine := stackARN("aws", "eu-west-1")
	return []admission{
		{"another stack's key", of(strings.Replace(mine, "rolecall-abc-1", "other", 1), "Connection", "9f8e7d6c-0000"), DropKey},
		{"the key of the same name's next stack", of(strings.Replace(mine, "0a1b", "0a1c", 1), "Connection", "9f8e7d6c-0000"), DropKey},
		{"another account's key", of(strings.Replace(mine, "012345678901", "222222222222", 1), "Connection", "9f8e7d6c-0000"), DropKey},
		{"another resource's key", of(mine, "StackStarted", "9f8e7d6c-0000"), DropKey},
		{"another request's key", of(mine, "Connection", "9f8e7d6c-0001"), DropKey},
		{"a key that goes on", changed(t, "9f8e7d6c-0000?", "9f8e7d6c-0000%7Cx?"), DropKey},
		{"a key that ends early", changed(t, "9f8e7d6c-0000?", "9f8e7d6c-000?"), DropKey},
		{"a slash more", changed(t, "/arn%3A", "//arn%3A"), DropKey},
		{"a slash more within", changed(t, "stack/", "stack//"), DropKey},
		{"a slash at the end", changed(t, "9f8e7d6c-0000?", "9f8e7d6c-0000/?"), DropKey},
		{"a folder", changed(t, "/arn%3A", "/x/arn%3A"), DropKey},
		{"a folder up", changed(t, "/arn%3A", "/./arn%3A"), DropKey},
		{"encoded twice", changed(t, "%7CConnection", "%257CConnection"), DropKey},
		{"a plus sign", changed(t, "9f8e7d6c-0000?", "9f8e7d6c-0000+?"), DropKey},
		{"broken encoding", changed(t, "9f8e7d6c-0000?", "9f8e7d6c-0000%?"), DropKey},
		{"no key", "https://" + goodHost + "/" + signature, DropKey},
		{"path style", "https://s3.eu-west-1.amazonaws.com/" + strings.Split(goodHost, ".")[0] + key + signature, DropHost},
		{"own bucket", "https://attacker.s3.eu-west-1.amazonaws.com" + key + signature, DropHost},
		{"another Region's bucket", "https://" + strings.ReplaceAll(strings.Replace(goodHost, "euwest1", "euwest2", 1), "eu-west-1", "eu-west-2") + key + signature, DropHost},
		{"version 2", "https://" + goodHost + key + "?AWSAccessKeyId=A&Expires=1804136767&Signature=a%2Fb%3D", DropSignature},
		{"version 2 and 4", goodURL + "&Signature=a", DropSignature},
		{"version 4A", changed(t, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), DropSignature},
		{"no algorithm", changed(t, "X-Amz-Algorithm=AWS4-HMAC-SHA256&", ""), DropSignature},
		{"no date", changed(t, "X-Amz-Date=20260304T050607Z&", ""), DropSignature},
		{"no life", changed(t, "X-Amz-Expires=7200&", ""), DropSignature},
		{"no signed headers", changed(t, "X-Amz-SignedHeaders=host&", ""), DropSignature},
		{"no credential", changed(t, "X-Amz-Credential=AKIAEXAMPLE%2F20260304%2Feu-west-1%2Fs3%2Faws4_request&", ""), DropSignature},
		{"no signature", goodURL[:strings.Index(goodURL, "&X-Amz-Signature")], DropSignature},
		{"a short signature", goodURL[:len(goodURL)-1], DropSignature},
		{"a long signature", goodURL + "0", DropSignature},
		{"an odd signature", goodURL[:len(goodURL)-1] + "G", DropSignature},
		{"a parameter twice", goodURL + "&X-Amz-Expires=7200", DropSignature},
		{"the signature twice", goodURL + "&X-Amz-Signature=" + canary, DropSignature},
		{"a parameter more", goodURL + "&x-id=PutObject", DropSignature},
		{"an object's version", goodURL + "&versionId=1", DropSignature},
		{"a header as a parameter", goodURL + "&x-amz-acl=public-read", DropSignature},
		{"another case", changed(t, "X-Amz-Date", "X-amz-date"), DropSignature},
		{"an empty parameter", goodURL + "&", ""},
		{"an empty name", goodURL + "&=", DropSignature},
		{"a plus sign in the token", goodURL + "&X-Amz-Security-Token=a+b", DropSignature},
		{"a token encoded twice", goodURL + "&X-Amz-Security-Token=a%252Bb", DropSignature},
		{"a semicolon", goodURL + ";x", DropSignature},
		{"more headers", changed(t, "SignedHeaders=host", "SignedHeaders=content-type%3Bhost"), DropSignature},
		{"no header", changed(t, "SignedHeaders=host", "SignedHeaders="), DropSignature},
		{"another day's key", changed(t, "%2F20260304%2F", "%2F20260303%2F"), DropSignature},
		{"another Region's signature", changed(t, "%2Feu-west-1%2Fs3", "%2Fus-east-1%2Fs3"), DropSignature},
		{"another service's signature", changed(t, "%2Fs3%2F", "%2Fsts%2F"), DropSignature},
		{"another scope", changed(t, "aws4_request", "aws4_requests"), DropSignature},
		{"no key id", changed(t, "AKIAEXAMPLE", ""), DropSignature},
		{"an odd key id", changed(t, "AKIAEXAMPLE", "AKIA-EXAMPLE"), DropSignature},
		{"a fraction of a second", changed(t, "050607Z", "050607.5Z"), DropSignature},
		{"no date at all", changed(t, "20260304T050607Z", "today"), DropSignature},
		{"a life of nothing", changed(t, "Expires=7200", "Expires=0"), DropSignature},
		{"a life before", changed(t, "Expires=7200", "Expires=-1"), DropSignature},
		{"a second too long", changed(t, "Expires=7200", "Expires=7201"), DropSignature},
		{"a week", changed(t, "Expires=7200", "Expires=604800"), DropSignature},
		{"a life with a sign", changed(t, "Expires=7200", "Expires=%2B7200"), DropSignature},
		{"a life with a zero", changed(t, "Expires=7200", "Expires=07200"), DropSignature},
		{"more than a number", changed(t, "Expires=7200", "Expires=99999999999999999999"), DropSignature},
	}
}

func reasonOf(err error) DropReason {
	if d, ok := errors.AsType[*Dropped](err); ok {
		return d.Reason
	}
	return ""
}

func TestAdmissionRefuses(t *testing.T) {
	n := namesIn(t, "aws", "eu-west-1")
	for _, tt := range refusedAddresses(t) {
		_, err := admit(tt.url, n, sentAt, sentAt)
		if reasonOf(err) != tt.reason || (err == nil) != (tt.reason == "") {
			t.Errorf("%s: %v, want reason %q", tt.name, err, tt.reason)
		}
	}
	for _, life := range []string{"1", "7199"} {
		if _, err := admit(changed(t, "Expires=7200", "Expires="+life), n, sentAt, sentAt.Add(-time.Hour)); err != nil {
			t.Errorf("a life of %s: %v", life, err)
		}
	}
	token := cfn.ResponseAddress{
		Bucket: "https://" + goodHost, StackID: n.stack.String(), LogicalID: n.logicalID, RequestID: n.requestID, At: sentAt, Life: longestLife,
		By: wire.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "s", SessionToken: "IQoJ/+=="},
	}
	if _, err := admit(token.URL(), n, sentAt, sentAt); err != nil {
		t.Errorf("signed by a temporary key: %v", err)
	}
}

// An address counts from when it was signed until shortly before it ends.
func TestAdmissionInTime(t *testing.T) {
	n := namesIn(t, "aws", "eu-west-1")
	signed := sentAt.Truncate(time.Second)
	for name, tt := range map[string]struct {
		sent, now time.Duration // since it was signed
		reason    DropReason
	}{
		"at once":                        {0, 0, ""},
		"sent by a clock that is behind": {-5 * time.Minute, 0, ""},
		"sent before it was signed":      {-5*time.Minute - 1, 0, DropDate},
		"much later":                     {0, 2*time.Hour - 5*time.Second - 1, ""},
		"too late":                       {0, 2*time.Hour - 5*time.Second, DropExpired},
		"days later":                     {23 * 24 * time.Hour, 23 * 24 * time.Hour, DropExpired},
	} {
		if _, err := admit(goodURL, n, signed.Add(tt.sent), signed.Add(tt.now)); reasonOf(err) != tt.reason {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A partition whose addresses are not known to name their requests proves nothing.
func TestEveryPartitionHasAFormOfItsKey(t *testing.T) {
	n := namesIn(t, "aws-us-gov", "us-gov-west-1")
	form := keyForms[connect.PartitionGov]
	t.Cleanup(func() { keyForms[connect.PartitionGov] = form })
	delete(keyForms, connect.PartitionGov)
	if _, err := responseURL(signedURL("cloudformation-custom-resource-response-usgovwest1.s3.us-gov-west-1.amazonaws.com", "aws-us-gov", "us-gov-west-1"), n); reasonOf(err) != DropKey {
		t.Errorf("without a form: %v", err)
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
	s := NewSender(nothing(t), atOnce)
	for name, url := range badURLs() {
		t.Run(name, func(t *testing.T) {
			to := replyTo(t)
			to.URL = connect.NewSecret(url)
			err := s.Answer(t.Context(), to, connect.Reply{OK: true})
			if !errors.Is(err, connect.ErrAnswerRefused) {
				t.Fatalf("%q: %v", url, err)
			}
			if url != "" && strings.Contains(err.Error(), url) {
				t.Errorf("the error has the URL: %v", err)
			}
		})
	}
	for name, change := range map[string]func(*connect.ReplyTo){
		"no stack":              func(to *connect.ReplyTo) { to.StackID = "" },
		"an odd stack":          func(to *connect.ReplyTo) { to.StackID = "arn:aws:cloudformation:eu-west-1:012345678901:stack/a" },
		"another stack":         func(to *connect.ReplyTo) { to.StackID = strings.Replace(to.StackID, "rolecall-abc-1", "other", 1) },
		"another resource":      func(to *connect.ReplyTo) { to.LogicalID = "StackStarted" },
		"another request":       func(to *connect.ReplyTo) { to.RequestID += "0" },
		"an id that has a part": func(to *connect.ReplyTo) { to.LogicalID, to.RequestID = "Connection|9f8e7d6c-0000", "" },
		"expired":               func(to *connect.ReplyTo) { to.Expires = sentAt },
	} {
		to := replyTo(t)
		change(&to)
		if err := s.Answer(t.Context(), to, connect.Reply{OK: true}); !errors.Is(err, connect.ErrAnswerRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneHostPerRegion(t *testing.T) {
	regions := []string{"eu-west-1", "eu-west-2", "us-east-1", "us-east-2", "ap-southeast-1"}
	for _, mine := range regions {
		for _, other := range regions {
			_, err := responseURL(signedURL(hosts(stackIn(t, "aws", other))[0], "aws", mine), namesIn(t, "aws", mine))
			if (err == nil) != (mine == other) {
				t.Errorf("a stack in %s, answered in %s: %v", mine, other, err)
			}
		}
	}
}

func TestLocalBucketIsTheLaptopsAlone(t *testing.T) {
	n := namesIn(t, "aws", "eu-west-1")
	const bucket = "http://127.0.0.1:4566/_cfn-response"
	for _, url := range []string{bucket + key + signature, goodURL} {
		if u, err := responseURLAt(url, n, bucket); err != nil || u.String() != url {
			t.Errorf("on the laptop: %s, %v", u, err)
		}
	}
	for _, url := range []string{
		"http://127.0.0.1:45661/_cfn-response" + key + signature, "http://127.0.0.1:4566@attacker.example" + key + signature,
		"https://127.0.0.1:4566/_cfn-response" + key + signature, "http://127.0.0.1:4566.attacker.example" + key + signature,
		"http://127.0.0.1:4566" + key + signature, bucket + key, bucket + signature, bucket + "/_cfn-response" + key + signature,
		bucket + "/" + key + signature, bucket + "x" + key + signature, bucket + "@attacker.example" + key + signature,
	} {
		if _, err := responseURLAt(url, n, bucket); err == nil {
			t.Errorf("%s was taken", url)
		}
	}
}

func FuzzResponseURL(f *testing.F) {
	f.Add(goodURL)
	for _, url := range badURLs() {
		f.Add(url)
	}
	for _, tt := range refusedAddresses(f) {
		f.Add(tt.url)
	}
	for _, r := range recorded(f) {
		f.Add(r.url)
	}
	n := namesIn(f, "aws", "eu-west-1")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := responseURL(raw, n)
		if err != nil {
			if err := NewSender(nothing(t), atOnce).Answer(t.Context(), connect.ReplyTo{
				URL: connect.NewSecret(raw), StackID: n.stack.String(), LogicalID: n.logicalID, RequestID: n.requestID,
			}, connect.Reply{}); !errors.Is(err, connect.ErrAnswerRefused) {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		if u.Scheme != "https" || !slices.Contains(hosts(n.stack), u.Host) || u.User != nil || u.Port() != "" || u.Fragment != "" {
			t.Fatalf("%q leads to %+v", raw, u)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, raw, nil)
		if err != nil || !slices.Contains(hosts(n.stack), r.Host) {
			t.Fatalf("%q: net/http reads host %q, %v", raw, r.Host, err)
		}
	})
}
