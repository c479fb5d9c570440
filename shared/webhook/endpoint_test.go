package webhook

import (
	"net/netip"
	"strings"
	"testing"
)

func TestPublicEndpointsAreTaken(t *testing.T) {
	for _, raw := range []string{
		"https://hooks.example.com", "https://hooks.example.com/", "https://hooks.example.com:8443/a/b?c=d", "https://HOOKS.Example.com/",
		"https://xn--bcher-kva.example.com/", "https://8.8.8.8/", "https://[2606:4700:4700::1111]/", "https://a_b.example.co.uk/x%20y",
	} {
		if e, err := ParseEndpoint(raw); err != nil || !e.public {
			t.Errorf("%s: public %v, %v", raw, e.public, err)
		}
	}
}

func TestOtherEndpointsAreRefused(t *testing.T) {
	for _, raw := range []string{
		"", "hooks.example.com", "//hooks.example.com/", "http://hooks.example.com/", "ftp://hooks.example.com/", "https:hooks.example.com",
		"https://", "https:///path", "https://user@hooks.example.com/", "https://user:secret@hooks.example.com/", "https://hooks.example.com/#x",
		"https://hooks.example.com:/", "https://hooks.example.com:port/", "https://hooks.example.com./", "https://.example.com/", "https://a..com/",
		"https://hooks.example.com\\@10.0.0.1/", "https://hooks example.com/", "https://hooks.example.com/\r\nHost: a", "https://hôoks.example.com/",
		"https://hooks.example.com/" + strings.Repeat("a", maxEndpoint),
		"https://localhost/", "https://intranet/", "https://a.localhost/", "https://printer.local/", "https://db.internal/", "https://metadata.google.internal/",
		"https://10.0.0.1/", "https://169.254.169.254/", "https://192.168.1.1/", "https://172.31.255.255/", "https://100.64.0.1/",
		"https://0.0.0.0/", "https://224.0.0.1/", "https://255.255.255.255/", "https://198.18.0.1/", "https://192.0.2.1/",
		"https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://127.1/", "https://0177.0.0.1/", "https://010.0.0.1/", "https://1.2.3.4.5/",
		"https://[::]/", "https://[::ffff:10.0.0.1]/", "https://[::ffff:8.8.8.8]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/",
		"https://[fd00:ec2::254]/", "https://[ff02::1]/", "https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/", "https://[2001:db8::1]/", "https://[2001::1]/",
		"https://[::8.8.8.8]/", "https://[2606:4700::1%25eth0]/",
	} {
		e, err := ParseEndpoint(raw)
		if err == nil {
			t.Errorf("%q was taken", raw)
		} else if e != (Endpoint{}) || err.Error() != errEndpoint.Error() {
			t.Errorf("%q: endpoint %v, error %v", raw, e, err)
		}
	}
}

// Whatever a name turns out to be, only public addresses are connected to.
func TestOnlyPublicAddressesAreDialled(t *testing.T) {
	e, err := ParseEndpoint("https://hooks.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"8.8.8.8:443": true, "[2606:4700:4700::1111]:443": true, "1.1.1.1:8443": true, "172.15.255.255:443": true, "172.32.0.0:443": true,
		"100.63.255.255:443": true, "100.128.0.0:443": true, "223.255.255.255:443": true, "[3ffe::1]:443": true,
		"127.0.0.1:443": false, "10.1.2.3:443": false, "169.254.169.254:80": false, "169.254.170.2:80": false, "192.168.0.1:443": false,
		"172.16.0.0:443": false, "172.31.255.255:443": false, "100.64.0.0:443": false, "100.127.255.255:443": false, "0.0.0.0:443": false,
		"224.0.0.1:443": false, "239.255.255.255:443": false, "240.0.0.1:443": false, "255.255.255.255:443": false, "[::1]:443": false, "[::]:443": false,
		"[::ffff:8.8.8.8]:443": false, "[::ffff:127.0.0.1]:443": false, "[fe80::1]:443": false, "[fe80::1%eth0]:443": false, "[fc00::1]:443": false,
		"[ff05::2]:443": false, "[64:ff9b::808:808]:443": false, "[2002:808:808::1]:443": false, "[2001:db8::1]:443": false, "[100::1]:443": false,
		"[2001:0:808:808::1]:443": false, "hooks.example.com:443": false, "": false,
	} {
		if got := e.control("tcp", address, nil) == nil; got != want {
			t.Errorf("%s: dialled %t, want %t", address, got, want)
		}
	}
}

// FuzzParseEndpoint holds that no address which is not public comes through as a literal.
func FuzzParseEndpoint(f *testing.F) {
	for _, s := range []string{"https://hooks.example.com/", "https://8.8.8.8/", "https://[::ffff:10.0.0.1]/", "https://127.1/", "https://a@b.com/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		e, err := ParseEndpoint(raw)
		if err != nil || !e.public {
			return
		}
		if e.url.Scheme != "https" || e.url.User != nil || e.url.Host == "" {
			t.Fatalf("%q became %s", raw, e.url.Redacted())
		}
		if a, err := netip.ParseAddr(e.url.Hostname()); err == nil && !isPublic(a) {
			t.Fatalf("%q leads to %s", raw, a)
		}
	})
}
