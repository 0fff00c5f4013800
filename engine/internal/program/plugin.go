package program

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
)

// The defaults of plugins.
const (
	defaultEvery    = time.Minute
	defaultMaxAge   = 72 * time.Hour
	defaultAttempts = 20
	defaultBase     = 5 * time.Second
	defaultCap      = time.Hour
	defaultTimeout  = 30 * time.Second
	defaultFailures = 5
	defaultOpenCap  = 10 * time.Minute
)

// role is a section of program.yaml.
type role struct {
	role    Role
	section string
	keys    []string      // that only plugins of this role have
	needs   []sdk.Ability // of which a plugin must declare one
}

var roles = [...]role{
	{RoleSource, "sources", []string{"every", "item", "redact"}, []sdk.Ability{sdk.AbilityPoll, sdk.AbilityReceive}},
	{RoleCategorizer, "categorizers", []string{"on_failure"}, []sdk.Ability{sdk.AbilityCategorize}},
	{RoleDestination, "destinations", []string{"retry", "concurrency", "rate", "timeout", "breaker"}, []sdk.Ability{sdk.AbilityDeliver}},
}

func (l *loader) readPlugins() {
	ids := map[string]source.Pos{}
	for _, r := range roles {
		var list []Plugin
		for _, e := range entries(l.root.Get(r.section)) {
			checkID(e.Key, e.Name)
			if at, taken := ids[e.Name]; taken {
				e.Key.Problem("duplicate_id", "found the id %s again, a plugin on line %d has it already", e.Name, at.Line)
			}
			ids[e.Name] = e.Key.Pos()
			list = append(list, l.readPlugin(r, e))
		}
		switch r.role {
		case RoleSource:
			l.p.Sources = list
		case RoleCategorizer:
			l.p.Categorizers = list
		default:
			l.p.Destinations = list
		}
	}
}

func (l *loader) readPlugin(r role, e source.Entry) Plugin {
	p := Plugin{ID: e.Name, Role: r.role, Trust: TrustSandbox, Pos: e.Key.Pos(), building: l.opts.Building, cacheDir: l.opts.CacheDir}
	p.Pos.File = l.toldName(p.Pos.File)
	n := e.Value
	if !n.Object(append([]string{"plugin", "sha256", "trust", "grants", "settings", "limits"}, r.keys...)...) {
		return p
	}
	if trust := n.Get("trust").OneOf(string(TrustSandbox), string(TrustProcess)); trust != "" {
		p.Trust = Trust(trust)
	}
	l.readRole(&p, n)
	l.readLimits(&p, n.Get("limits"))
	p.makeRoom()
	l.readGrants(&p, n.Get("grants"))
	ref := n.Need("plugin")
	c := l.findCode(ref, p.Trust)
	p.Kind, p.Path, p.SHA256, p.Native = c.kind, c.path, c.sha256, c.native
	l.checkPin(&p, n)
	if c.manifest == nil {
		return p
	}
	p.Manifest = *c.manifest
	checkAbility(r, &p, ref)
	l.checkGrants(&p, n)
	l.readSettings(&p, n)
	return p
}

// checkAbility notes a plugin that cannot do what its role asks for.
func checkAbility(r role, p *Plugin, at *source.Node) {
	if slices.ContainsFunc(r.needs, p.Manifest.Can) {
		return
	}
	hint := ""
	for _, other := range roles {
		if slices.ContainsFunc(other.needs, p.Manifest.Can) {
			hint = "list it under " + other.section
		}
	}
	at.ProblemHint("ability", hint, "found the plugin %s, which can %s; a %s must be able to %s", p.Manifest.Name,
		inWords(p.Manifest.Abilities, "and"), r.role, inWords(r.needs, "or"))
}

func inWords[T ~string](list []T, last string) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " " + last + " " + words[n-1]
	}
	return strings.Join(words, "")
}

// readRole reads what only plugins of one role have.
func (l *loader) readRole(p *Plugin, n *source.Node) {
	switch p.Role {
	case RoleSource:
		p.Every = duration(n.Get("every"), defaultEvery)
		l.readDefaults(p, n.Get("item"))
		p.Redact = readRedact(n.Get("redact"), l.p.Redact)
	case RoleCategorizer:
		p.OnFailure = Hold
		if choice := n.Get("on_failure").OneOf(string(Hold), string(Unlabelled)); choice != "" {
			p.OnFailure = OnFailure(choice)
		}
	case RoleDestination:
		readDelivery(p, n)
	}
}

func duration(n *source.Node, otherwise time.Duration) time.Duration {
	if d := n.Duration(); d > 0 {
		return d
	}
	return otherwise
}

// count reads a whole number of at least 1.
func count(n *source.Node, otherwise int) int {
	if n == nil {
		return otherwise
	}
	if v := n.Int(); v >= 1 {
		return v
	}
	if v, ok := n.Any().(int); ok {
		n.Problem("wrong_value", "found %d, expected at least 1", v)
	}
	return otherwise
}

const (
	minMemory = 1 << 20
	maxMemory = 4 << 30 // what a module with 32-bit addresses can have
)

func (l *loader) readLimits(p *Plugin, n *source.Node) {
	if n.IsNull() || !n.Object("memory", "deadline", "fuel", "instances", "output", "module", "response", "kv_keys", "kv_bytes") {
		return
	}
	p.Limits.Memory = size(n.Get("memory"), minMemory, maxMemory)
	p.Limits.Deadline = duration(n.Get("deadline"), 0)
	p.Limits.Fuel = int64(count(n.Get("fuel"), 0))
	p.Limits.Instances = count(n.Get("instances"), 0)
	p.Limits.Output = int(size(n.Get("output"), 1<<10, math.MaxInt32))
	p.Limits.Module = size(n.Get("module"), 1<<10, math.MaxInt32)
	p.Limits.KVKeys = int64(count(n.Get("kv_keys"), 0))
	p.Limits.KVBytes = size(n.Get("kv_bytes"), 1<<10, 1<<40)
	p.Limits.Response = size(n.Get("response"), 1<<10, math.MaxInt32)
}

var sizePattern = regexp.MustCompile(`^([0-9]{1,12}) ?([KMG]iB|[kKMG]B|B)$`)

// size reads a number of bytes with its unit, or returns 0 when it is not given.
func size(n *source.Node, lo, hi int64) int64 {
	if n == nil {
		return 0
	}
	text, _ := n.Any().(string)
	m := sizePattern.FindStringSubmatch(text)
	if m == nil {
		n.Problem("wrong_value", "found %s, expected a size such as 64MiB", n.Found())
		return 0
	}
	units := map[string]int64{"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	v, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || v > math.MaxInt64/units[m[2]] {
		v, m[2] = math.MaxInt64, "B"
	}
	if v *= units[m[2]]; v < lo || v > hi {
		n.Problem("wrong_value", "found %s, expected %s to %s", text, inUnits(lo), inUnits(hi))
		return 0
	}
	return v
}

func inUnits(v int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if v%u.size == 0 || v > 1024*u.size {
			return fmt.Sprintf("%d%s", v/u.size, u.name)
		}
	}
	return fmt.Sprintf("%dB", v)
}
