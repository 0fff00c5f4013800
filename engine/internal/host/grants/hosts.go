package grants

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// hosts is a parsed allow-list.
type hosts []entry

// entry is one line of an allow-list: a name, every name below a domain, or addresses.
type entry struct {
	name   string       // "localhost", "hooks.example.com"; "" for addresses
	below  bool         // name stands for what lies below it
	prefix netip.Prefix // addresses
	port   string       // "" for the usual port
}

var usualPorts = map[string]string{"http": "80", "https": "443"}

func parseHosts(list []string) (hosts, error) {
	var out hosts
	for i, s := range list {
		e, err := parseEntry(s)
		if err != nil {
			return nil, fmt.Errorf("grant http[%d]: found %q, %w", i, s, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func parseEntry(s string) (entry, error) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return entry{prefix: prefix.Masked()}, nil
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		return addressEntry(addr, "")
	}
	name, port := s, ""
	if h, p, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return entry{}, fmt.Errorf("expected a port of 1 to 65535 after the colon")
		}
		name, port = h, p
	}
	if addr, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return addressEntry(addr, port)
	}
	name, below := strings.CutPrefix(strings.ToLower(strings.TrimSuffix(name, ".")), "*.")
	if !validName(name) {
		return entry{}, fmt.Errorf("expected the name or address of a host, without a scheme or path")
	}
	return entry{name: name, below: below, port: port}, nil
}

func addressEntry(addr netip.Addr, port string) (entry, error) {
	if addr.Zone() != "" {
		return entry{}, fmt.Errorf("expected an address without a zone")
	}
	addr = addr.Unmap()
	return entry{prefix: netip.PrefixFrom(addr, addr.BitLen()), port: port}, nil
}

func validName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return len(name) <= 253
}

// allows reports whether a request may go to the host and port of u.
func (hs hosts) allows(u *url.URL) bool {
	host := hostOf(u)
	port := u.Port()
	if port == "" {
		port = usualPorts[u.Scheme]
	}
	addr, err := netip.ParseAddr(host)
	isAddr := err == nil
	for _, e := range hs {
		if e.port != port && (e.port != "" || port != usualPorts[u.Scheme]) {
			continue
		}
		switch {
		case e.name == "":
			if isAddr && e.prefix.Contains(addr.Unmap()) {
				return true
			}
		case e.below:
			if strings.HasSuffix(host, "."+e.name) {
				return true
			}
		case host == e.name:
			return true
		}
	}
	return false
}

// allowsAddress reports whether a connection for the host may go to the address. A public one may, since the host was
// allowed; any other must stand in the list.
func (hs hosts) allowsAddress(host string, addr netip.AddrPort) bool {
	ip := addr.Addr().Unmap().WithZone("")
	if public(ip) {
		return true
	}
	port := strconv.Itoa(int(addr.Port()))
	for _, e := range hs {
		if e.port != "" && e.port != port {
			continue
		}
		if e.name == "" && e.prefix.Contains(ip) || e.name == "localhost" && !e.below && host == "localhost" && ip.IsLoopback() {
			return true
		}
	}
	return false
}

// hostOf returns the host of a URL as the list has it.
func hostOf(u *url.URL) string {
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
}

// internet6 is what of version 6 is given out to the open internet. All else leads to this machine or its network, or
// holds an address of version 4.
var internet6 = netip.MustParsePrefix("2000::/3")

// special lists the addresses that are not public and that neither netip nor internet6 tells: IANA's registries of
// special-purpose addresses.
var special = func() (out []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

// nat64 holds addresses of version 4 in their last four bytes.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// public reports whether an address is one of the open internet.
func public(ip netip.Addr) bool {
	if nat64.Contains(ip) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Is6() && !internet6.Contains(ip) {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
