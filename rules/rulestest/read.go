package rulestest

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// suite is a file of tests as it was read.
type suite struct {
	files []string // rule files whose rules the file is about; nil is all
	tests []test
	cover cover
}

type test struct {
	name  string
	pos   source.Pos
	steps []step
}

// step is one instant of a test.
type step struct {
	at      feedback.Time
	event   []patch // nil is no event
	tick    bool
	windows []statement
	expect  *expectation
}

// statement is what a window says.
type statement struct {
	name, key string
	figure    window.Figure
}

// firstInstant is when a test begins that does not say: a Monday morning.
var firstInstant = feedback.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))

// maxSpan is how long the time of one test may last, so that none takes for ever.
const maxSpan = 731 * 24 * time.Hour

// reader reads a file of tests. Without a set it takes names for what they say.
type reader struct {
	set   *rules.Set
	rules []rules.RuleInfo
}

// read reads a file of tests, and checks its names when there is a set.
func read(name string, data []byte, set *rules.Set) (*suite, source.Problems) {
	root, problems := source.Parse(name, data)
	if root == nil {
		return nil, problems
	}
	r := &reader{set: set}
	if set != nil {
		r.rules = set.Rules()
	}
	s := r.suite(root, name)
	return s, append(problems, root.Problems()...)
}

func (r *reader) suite(root *source.Node, name string) *suite {
	s := &suite{}
	if !root.Object("version", "description", "rules", "event", "tests", "cover") {
		return s
	}
	if v := root.Need("version"); v != nil && v.Any() != 1 {
		v.Problem("wrong_value", "found %s, expected version 1", v.Found())
	}
	_ = root.Get("description").String()
	s.files = r.files(root.Get("rules"), name)
	defaults := r.event(root.Get("event"))
	s.cover = r.cover(root.Get("cover"))
	tests := root.Need("tests")
	if tests.IsList() && len(tests.List()) == 0 {
		tests.Problem("wrong_value", "found no tests, expected at least one")
	}
	seen := map[string]source.Pos{}
	for _, n := range tests.List() {
		t := r.test(n, defaults)
		if first, ok := seen[t.name]; ok && t.name != "" {
			n.Get("name").Problem("duplicate", "found a test of this name again, it stands at %s already", first)
		}
		seen[t.name] = t.pos
		s.tests = append(s.tests, t)
	}
	return s
}

// files reads which rule files the tests are about. They are named as seen from the program or from the tests.
func (r *reader) files(n *source.Node, name string) []string {
	var out, known []string
	for _, info := range r.rules {
		if !slices.Contains(known, info.File) {
			known = append(known, info.File)
		}
	}
	elements := []*source.Node{n}
	if n.IsList() {
		elements = n.List()
	}
	for _, e := range elements {
		file := e.String()
		if file == "" {
			continue
		}
		beside := path.Join(path.Dir(name), file)
		switch {
		case r.set == nil || slices.Contains(known, file):
			out = append(out, file)
		case slices.Contains(known, beside):
			out = append(out, beside)
		default:
			e.ProblemHint("unknown_name", suggest.DidYouMean(file, known), "found no rules in a file %q, expected one of %s", file, strings.Join(known, ", "))
		}
	}
	return out
}

func (r *reader) test(n *source.Node, defaults []patch) test {
	t := test{pos: n.Pos()}
	if !n.Object("name", "description", "at", "event", "windows", "tick", "expect", "steps") {
		return t
	}
	t.name = n.Need("name").String()
	_ = n.Get("description").String()
	own := append(slices.Clip(defaults), r.event(n.Get("event"))...)
	stated := r.windows(n.Get("windows"))
	at := r.instant(n.Get("at"), firstInstant, firstInstant)
	steps := n.Get("steps")
	if steps == nil {
		s := step{at: at, windows: stated, tick: n.Get("tick").Bool()}
		if !s.tick || n.Get("event") != nil {
			s.event = append(own, noPatch)
		}
		s.expect = r.expect(n.Need("expect"), s.event != nil, at)
		t.steps = []step{s}
		return t
	}
	for _, key := range []string{"tick", "expect"} {
		if other := n.Get(key); other != nil {
			other.Key().ProblemHint("not_allowed", "write it into a step", "found %s beside steps", key)
		}
	}
	for _, e := range steps.List() {
		s := r.step(e, own, at)
		if s.at < at && (len(t.steps) > 0 || n.Get("at") != nil) {
			e.Get("at").Problem("wrong_value", "found an instant before that of the step before, expected time to go on")
		}
		if len(t.steps) > 0 && s.at > t.steps[0].at.Add(maxSpan) {
			e.Get("at").Problem("wrong_value", "found an instant more than %d days after the first step", maxSpan/(24*time.Hour))
		}
		at = s.at
		s.windows = append(stated, s.windows...)
		stated = nil
		t.steps = append(t.steps, s)
	}
	if steps.IsList() && !slices.ContainsFunc(t.steps, func(s step) bool { return s.expect != nil }) {
		steps.Problem("missing_key", "found nothing that is expected, expected it in at least one step")
	}
	return t
}

// step reads one step after another one at the instant before.
func (r *reader) step(n *source.Node, event []patch, before feedback.Time) step {
	s := step{at: before}
	if !n.Object("at", "event", "windows", "tick", "expect") {
		return s
	}
	s.at = r.instant(n.Get("at"), before, before)
	if e := n.Get("event"); e != nil {
		s.event = append(append(slices.Clip(event), r.event(e)...), noPatch)
	}
	s.windows = r.windows(n.Get("windows"))
	s.tick = n.Get("tick").Bool()
	if e := n.Get("expect"); e != nil {
		s.expect = r.expect(e, s.event != nil, s.at)
	}
	return s
}

// instant reads an instant, or a duration after another one such as +2h.
func (r *reader) instant(n *source.Node, from, without feedback.Time) feedback.Time {
	text := n.String()
	if text == "" {
		return without
	}
	if after, ok := strings.CutPrefix(text, "+"); ok {
		d, err := feedback.ParseDuration(after)
		if err != nil {
			n.Problem("wrong_value", "%s", err)
		}
		return from.Add(d)
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		n.ProblemHint("wrong_value", "write 2026-03-02T10:00:00+01:00, or +2h for two hours later", "found %s, expected an instant", n.Found())
		return without
	}
	if t.Year() < 1971 {
		n.Problem("wrong_value", "found %s, expected an instant after the year 1970", n.Found())
		return without
	}
	return feedback.TimeOf(t)
}

// windows reads what windows say.
func (r *reader) windows(n *source.Node) []statement {
	var out []statement
	if n == nil {
		return nil
	}
	for _, e := range n.Entries() {
		info := r.window(e)
		elements := []*source.Node{e.Value}
		if e.Value.IsList() {
			elements = e.Value.List()
		}
		for _, v := range elements {
			out = append(out, r.statement(e.Name, info, v))
		}
	}
	return out
}

// window returns the window that an entry names, or nil.
func (r *reader) window(e source.Entry) *rules.WindowInfo {
	if r.set == nil {
		return nil
	}
	var known []string
	for _, w := range r.set.Windows() {
		if w.Name == e.Name {
			return &w
		}
		known = append(known, w.Name)
	}
	e.Key.ProblemHint("unknown_name", suggest.DidYouMean(e.Name, known), "the rules declare no window %q", e.Name)
	return nil
}

func (r *reader) statement(name string, info *rules.WindowInfo, n *source.Node) statement {
	s := statement{name: name}
	if !n.Object("key", "n", "value", "lo", "hi") {
		return s
	}
	var keys []string
	if k := n.Get("key"); k != nil {
		keys = k.Strings()
	}
	if info != nil && len(keys) != len(info.By) {
		n.ProblemHint("missing_key", "key: "+strings.Join(info.By, ", "), "found %d values of the key, expected one for each of the fields that the window is kept by: %d", len(keys), len(info.By))
	}
	s.key = rules.KeyOf(keys...)
	s.figure.N = int64(n.Need("n").Int())
	if s.figure.N < 0 {
		n.Get("n").Problem("wrong_value", "found %s, expected a number of observations", n.Get("n").Found())
	}
	if v := n.Get("value"); v != nil {
		s.figure.Value, s.figure.Known = v.Number(), true
	}
	lo, hi := n.Get("lo"), n.Get("hi")
	if (lo == nil) != (hi == nil) {
		n.Problem("missing_key", "found one of lo and hi, expected both or neither")
	}
	if s.figure.Lo, s.figure.Hi = lo.Number(), hi.Number(); lo != nil && hi != nil {
		s.figure.Interval = true
		if s.figure.Lo > s.figure.Hi {
			lo.Problem("wrong_value", "found lo above hi")
		}
	}
	return s
}

// cover reads what the tests must cover, in percent.
func (r *reader) cover(n *source.Node) cover {
	c := cover{}
	if n == nil || !n.Object("rules", "conditions") {
		return c
	}
	c.rules, c.conditions = r.percent(n.Get("rules")), r.percent(n.Get("conditions"))
	return c
}

func (r *reader) percent(n *source.Node) float64 {
	if n == nil {
		return 0
	}
	var v float64
	if n.IsString() {
		var err error
		if v, err = strconv.ParseFloat(strings.TrimSuffix(n.String(), "%"), 64); err != nil {
			v = -1
		}
	} else {
		v = n.Number()
	}
	if !(v >= 0 && v <= 100) {
		n.Problem("wrong_value", "found %s, expected 0%% to 100%%", n.Found())
		return 0
	}
	return v
}
