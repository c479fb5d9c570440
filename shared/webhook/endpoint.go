package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

var (
	errEndpoint = errors.New("the webhook's endpoint must be a public https URL without user, fragment or private address")
	errAddress  = errors.New("the webhook's endpoint leads to an address that is not public")
)

// maxEndpoint is what any server takes of a URL.
const maxEndpoint = 2048

// An Endpoint is where events go. Its zero value is none.
type Endpoint struct {
	url    url.URL
	public bool // only public addresses may be dialled
}

// ParseEndpoint reads an endpoint's URL and refuses what cannot be public: plain http, a user, a fragment, a name of a
// private network, a private address in whatever spelling. What the name leads to is checked again at each dial. The
// error never has the URL in it, whose path or query may be a secret.
func ParseEndpoint(raw string) (Endpoint, error) {
	if raw == "" || len(raw) > maxEndpoint || strings.ContainsFunc(raw, notPlain) {
		return Endpoint{}, errEndpoint
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return Endpoint{}, errEndpoint
	}
	if admitsLoopback() && isLoopback(u) {
		return Endpoint{url: *u}, nil
	}
	if u.Scheme != "https" || !isPublicHost(u.Hostname()) || strings.HasSuffix(u.Host, ":") {
		return Endpoint{}, errEndpoint
	}
	return Endpoint{url: *u, public: true}, nil
}

// notPlain is true of what could end or change a host for one reader and not for another.
func notPlain(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == '#' }

func isLoopback(u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a.IsLoopback() && (u.Scheme == "http" || u.Scheme == "https")
}

// isPublicHost admits public addresses and names that the public DNS can have. A last label of digits is an address in
// one of the spellings that some resolvers take.
func isPublicHost(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return isPublic(a)
	}
	labels := strings.Split(strings.ToLower(host), ".")
	last := labels[len(labels)-1]
	if len(labels) < 2 || last == "" || last[0] >= '0' && last[0] <= '9' {
		return false
	}
	switch last {
	case "localhost", "local", "internal", "lan", "home", "corp", "intranet", "private", "test", "invalid", "example", "onion", "arpa":
		return false
	default:
		return isName(labels)
	}
}

// isName says that a host's labels are letters, digits and hyphens: what needs another spelling is written in Punycode.
func isName(labels []string) bool {
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// special are the blocks inside the public ranges that IANA's special-purpose registries keep for something else.
func special() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),       // this network
		netip.MustParsePrefix("10.0.0.0/8"),      // private
		netip.MustParsePrefix("100.64.0.0/10"),   // carriers' NAT
		netip.MustParsePrefix("127.0.0.0/8"),     // loopback
		netip.MustParsePrefix("169.254.0.0/16"),  // link-local, instance metadata
		netip.MustParsePrefix("172.16.0.0/12"),   // private
		netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
		netip.MustParsePrefix("192.0.2.0/24"),    // documentation
		netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays
		netip.MustParsePrefix("192.168.0.0/16"),  // private
		netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
		netip.MustParsePrefix("198.51.100.0/24"), // documentation
		netip.MustParsePrefix("203.0.113.0/24"),  // documentation
		netip.MustParsePrefix("224.0.0.0/4"),     // multicast
		netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
		netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo
		netip.MustParsePrefix("2001:db8::/32"),   // documentation
		netip.MustParsePrefix("2002::/16"),       // 6to4: an IPv4 address inside
		netip.MustParsePrefix("3fff::/20"),       // documentation
	}
}

// isPublic says that an address is of the public internet. Of IPv6 only the range of global unicast is: that leaves out
// loopback, unique local, link-local, multicast, mapped and translated IPv4 addresses.
func isPublic(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	if a.Is6() && !netip.MustParsePrefix("2000::/3").Contains(a) {
		return false
	}
	for _, p := range special() {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// control is asked right before a socket connects, when the name has become an address: what DNS says now is what
// counts, not what it said before.
func (e Endpoint) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", errAddress, address)
	}
	if e.public && !isPublic(to.Addr()) || !e.public && !to.Addr().IsLoopback() {
		return fmt.Errorf("%w: %s", errAddress, to.Addr())
	}
	return nil
}
