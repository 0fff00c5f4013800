package program

import (
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
)

func (l *loader) readGrants(p *Plugin, n *source.Node) {
	p.Grants.Log = true // as far as the plugin asks for it; see checkGrants
	if n == nil || n.IsNull() || !n.Object("log", "file", "http", "clock", "kv", "random") {
		return
	}
	if log := n.Get("log"); log != nil {
		p.Grants.Log = log.Bool()
	}
	p.Grants.Clock = n.Get("clock").Bool()
	p.Grants.KV = n.Get("kv").Bool()
	p.Grants.Random = n.Get("random").Bool()
	if file := n.Get("file"); file != nil {
		p.Grants.File = l.grantedFile(file)
	}
	hosts := n.Get("http")
	p.Grants.HTTP = hosts.Strings()
	for i, host := range p.Grants.HTTP {
		if hint, ok := checkHost(host); !ok {
			at := hosts
			if hosts.IsList() {
				at = hosts.List()[i]
			}
			at.ProblemHint("grant", hint, "found %q, expected a host such as hooks.example.com, hooks.example.com:8443, *.example.com, 127.0.0.1:8990 or 10.0.0.0/8", host)
		}
	}
}

func (l *loader) grantedFile(n *source.Node) string {
	name := n.String()
	if name == "" {
		return ""
	}
	path := l.path(name)
	if _, err := os.Stat(path); err != nil {
		if isMissing(path, err) {
			n.ProblemHint("missing_file", nearby(path), "there is no file or folder %s", name)
		} else {
			n.Problem("unreadable", "the file cannot be read: %s", reason(err))
		}
	}
	return path
}

// checkGrants compares what the plugin asks for with what the program grants. Logging is granted to whoever asks unless
// the program says otherwise, because a log shows nothing to the outside.
func (l *loader) checkGrants(p *Plugin, n *source.Node) {
	p.Grants.Log = p.Grants.Log && p.Manifest.Wants(sdk.CapabilityLog)
	at, key := n.Get("grants"), n.Key()
	switch {
	case at.IsMap():
		key = at.Key()
	case at != nil && !at.IsNull():
		return // noted already
	}
	var lacks []sdk.Capability
	var add []string
	for _, c := range sdk.Capabilities {
		if c == sdk.CapabilityLog {
			continue
		}
		grant := at.Get(string(c))
		granted := grant != nil && grant.Any() != false
		switch wants := p.Manifest.Wants(c); {
		case wants && !granted:
			line, _ := grants.Line(c)
			lacks, add = append(lacks, c), append(add, line)
		case !wants && granted:
			l.warn(grant.Key(), "grant", "remove it", "%s is granted, but the plugin %s does not ask for it", c, p.Manifest.Name)
		}
	}
	if lacks != nil {
		hint := "add grants: {" + strings.Join(add, ", ") + "}"
		if slices.Contains(lacks, sdk.CapabilityFile) {
			hint += ", where PATH is relative to the program's folder"
		}
		key.ProblemHint("grant", hint, "the plugin %s asks for %s, which the program does not grant",
			p.Manifest.Name, inWords(lacks, "and"))
	}
}

var hostPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,63}(\.[a-zA-Z0-9_-]{1,63})*$`)

// checkHost reports whether an entry of an allow-list has a form that host.Grants describes, and else hints at what was
// probably meant.
func checkHost(entry string) (hint string, ok bool) {
	if u, err := url.Parse(entry); err == nil && strings.Contains(entry, "://") && u.Host != "" {
		return "write " + u.Host, false
	}
	if _, err := netip.ParsePrefix(entry); err == nil {
		return "", true
	}
	if host, _, cut := strings.Cut(entry, "/"); cut {
		return "write " + host + ": a path is not part of it", false
	}
	if strings.Contains(entry, "%") {
		return "write an address without a zone", false
	}
	if _, err := netip.ParseAddr(entry); err == nil {
		return "", true
	}
	host, port := entry, ""
	if i := strings.LastIndexByte(entry, ':'); i >= 0 {
		host, port = entry[:i], entry[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "a port is a number from 1 to 65535", false
		}
	}
	if six, cut := strings.CutPrefix(host, "["); cut {
		_, err := netip.ParseAddr(strings.TrimSuffix(six, "]"))
		return "", err == nil && strings.HasSuffix(six, "]")
	}
	if host == "*" {
		return "name the hosts, as in *.example.com", false
	}
	host = strings.TrimPrefix(host, "*.")
	return "", len(host) <= 253 && hostPattern.MatchString(host)
}
