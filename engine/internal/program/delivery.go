package program

import (
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/closedloop/closedloop/rules/source"
)

const (
	maxConcurrency = 256
	// afterTimeout is how much longer than its timeout an attempt may take before the plugin is held to be broken.
	afterTimeout = 5 * time.Second
)

// readDelivery reads how a destination is served.
func readDelivery(p *Plugin, n *source.Node) {
	p.Retry = readRetry(n.Get("retry"))
	p.Pace = Pace{
		Concurrency: count(n.Get("concurrency"), 1),
		Timeout:     duration(n.Get("timeout"), defaultTimeout),
		Rate:        readRate(n.Get("rate")),
		Breaker:     readBreaker(n.Get("breaker"), p.Retry),
	}
	if p.Pace.Concurrency > maxConcurrency {
		n.Get("concurrency").Problem("wrong_value", "found %d, expected at most %d", p.Pace.Concurrency, maxConcurrency)
	}
}

func readRetry(n *source.Node) Retry {
	r := Retry{MaxAge: defaultMaxAge, Attempts: defaultAttempts, Base: defaultBase, Cap: defaultCap}
	if n.IsNull() || !n.Object("max_age", "attempts", "base", "cap") {
		return r
	}
	r.MaxAge = duration(n.Get("max_age"), r.MaxAge)
	r.Attempts = count(n.Get("attempts"), r.Attempts)
	r.Base = duration(n.Get("base"), r.Base)
	r.Cap = duration(n.Get("cap"), r.Cap)
	if r.Cap < r.Base {
		capBelow(n, "base", r.Cap, r.Base)
	}
	return r
}

// capBelow notes a longest wait that is shorter than the first one, which the key first gives.
func capBelow(n *source.Node, first string, found, least time.Duration) {
	at := n.Get("cap")
	if at == nil {
		at = n.Get(first)
	}
	at.Problem("wrong_value", "found a cap of %s below the %s of %s", found, first, least)
}

func readBreaker(n *source.Node, r Retry) Breaker {
	b := Breaker{Failures: defaultFailures, Open: r.Base, Cap: max(min(r.Cap, defaultOpenCap), r.Base)}
	if n.IsNull() || !n.Object("failures", "open", "cap") {
		return b
	}
	b.Failures = count(n.Get("failures"), b.Failures)
	b.Open = duration(n.Get("open"), b.Open)
	b.Cap = duration(n.Get("cap"), max(b.Cap, b.Open))
	if b.Cap < b.Open {
		capBelow(n, "open", b.Cap, b.Open)
	}
	return b
}

var ratePattern = regexp.MustCompile(`^([1-9][0-9]{0,5})/([smh])$`)

// readRate reads a rate such as 10/s.
func readRate(n *source.Node) Rate {
	if n == nil {
		return Rate{}
	}
	text, _ := n.Any().(string)
	m := ratePattern.FindStringSubmatch(text)
	if m == nil {
		n.Problem("wrong_value", "found %s, expected a rate such as 10/s, 600/m or 1000/h", n.Found())
		return Rate{}
	}
	count, _ := strconv.Atoi(m[1]) // the pattern lets numbers pass only
	return Rate{count, map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[m[2]]}
}

// makeRoom lets the plugin of a destination serve as many calls at once as are made, each longer than its attempt may
// take: a receiver that stalls says nothing against the plugin.
func (p *Plugin) makeRoom() {
	if p.Role != RoleDestination {
		return
	}
	if p.Limits.Deadline == 0 {
		p.Limits.Deadline = p.Pace.Timeout + afterTimeout
	}
	if p.Limits.Instances == 0 && p.Pace.Concurrency > runtime.GOMAXPROCS(0) {
		p.Limits.Instances = p.Pace.Concurrency
	}
}
