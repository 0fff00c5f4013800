package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/rules/stats"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// WindowInfo describes one window of a set.
type WindowInfo struct {
	Name string `json:"name"`
	// ID tells apart windows that count differently; the same declaration has the same ID in every set.
	ID     string        `json:"id"`
	Metric window.Metric `json:"metric"`
	Span   window.Span   `json:"span"`
	By     []string      `json:"by,omitempty"` // the fields whose values are its key
	Where  string        `json:"where,omitempty"`
	Of     string        `json:"of,omitempty"`
}

// windowDecl is a window ready to count.
type windowDecl struct {
	info       WindowInfo
	at         source.Pos
	where      *lang.Condition // nil counts every item
	base       *lang.Condition // of a rate: the items it is a share of; nil is all
	field      string          // of a mean: the number that it is the mean of
	confidence float64
	theme      int // the place of the theme in By, or -1
}

var metricNames = []string{
	string(window.NPS), string(window.CSAT), string(window.CES), string(window.Rate), string(window.Count), string(window.Mean),
}

// windows reads the section of that name.
func (b *builder) windows(root *source.Node) {
	for _, e := range root.Get("windows").Entries() {
		if !lang.IsName(e.Name) {
			e.Key.Problem("bad_name", "found the name %q, expected letters, digits and underscores, not beginning with a digit", e.Name)
			continue
		}
		if !b.unique("window", e.Name, e.Key) || !e.Value.Object("metric", "over", "step", "offset", "by", "where", "of", "confidence", "description") {
			continue
		}
		b.lang.DefineWindow(e.Name, len(b.set.windows))
		w := &windowDecl{info: WindowInfo{Name: e.Name}, at: e.Key.Pos(), theme: -1, confidence: 0.95}
		b.set.windows = append(b.set.windows, w)
		b.windowNodes = append(b.windowNodes, fileRoot{e.Value, b.file.params})
	}
}

// window reads one window. The conditions of windows may use macros, and no windows.
func (b *builder) window(w *windowDecl, n *source.Node) {
	_ = n.Get("description").String()
	if m := n.Need("metric"); m != nil {
		w.info.Metric = window.Metric(m.OneOf(metricNames...))
	}
	span := window.Span{Over: n.Need("over").Duration(), Step: n.Get("step").Duration(), Offset: n.Get("offset").Duration()}
	if span.Step == 0 {
		span.Step = defaultStep(span.Over, span.Offset)
	}
	if span.Over > 0 {
		if err := span.Validate(); err != nil {
			n.ProblemHint("wrong_value", "a window of 7 days has steps of 1h, say", "%v", err)
		}
	}
	w.info.Span = span
	w.info.By = b.keyFields(n.Get("by"), true)
	w.theme = slices.Index(w.info.By, lang.Theme)
	w.where = b.windowCondition(n.Get("where"))
	if w.where != nil {
		w.info.Where = w.where.Key()
	}
	b.windowOf(w, n.Get("of"))
	if c := n.Get("confidence"); c != nil {
		if w.confidence = c.Number(); w.confidence <= 0.5 || w.confidence >= 1 {
			c.Problem("wrong_value", "found %s, expected a confidence between 0.5 and 1, such as 0.95", c.Found())
		}
	}
	if w.info.Metric == window.Rate && w.where == nil && w.theme < 0 {
		n.ProblemHint("missing_key", "or keep it by: [theme]", "a rate needs where: which of the items it is the share of")
	}
	w.info.ID = w.identity()
}

// defaultStep divides a window into steps that people would choose, such that it moves on in many.
func defaultStep(over, offset time.Duration) time.Duration {
	steps := [...]time.Duration{time.Minute, 15 * time.Minute, time.Hour, 24 * time.Hour}
	for _, step := range steps {
		if over%step == 0 && over/step <= 168 {
			return step
		}
	}
	for _, step := range slices.Backward(steps[:]) {
		if over%step == 0 && over/step+offset/step < window.MaxBuckets {
			return step
		}
	}
	for n := time.Duration(168); n > 1; n-- {
		if over%(n*time.Millisecond) == 0 && n+offset/(over/n) < window.MaxBuckets {
			return over / n
		}
	}
	return over
}

func (b *builder) windowCondition(n *source.Node) *lang.Condition {
	if n == nil {
		return nil
	}
	text, ok := expressionOf(n)
	if !ok {
		return nil
	}
	c := b.lang.Condition(text, reportAt(n))
	if c != nil && (len(c.Windows()) > 0 || slices.Contains(c.Reads(), lang.Theme)) {
		n.Problem("not_allowed", "what a window counts cannot depend on windows, nor on theme")
		return nil
	}
	return c
}

// windowOf reads what a rate is a share of, or the number that a mean is taken of.
func (b *builder) windowOf(w *windowDecl, n *source.Node) {
	switch {
	case w.info.Metric == window.Rate:
		if w.base = b.windowCondition(n); w.base != nil {
			w.info.Of = w.base.Key()
		}
	case w.info.Metric != window.Mean && n != nil:
		n.Key().Problem("unknown_key", "of belongs to the metrics rate and mean")
	case w.info.Metric == window.Mean:
		w.field = "score"
		if n != nil {
			w.field = n.String()
			if k, ok := b.lang.Field(w.field); w.field != "" && (!ok || k != feedback.Number || strings.HasPrefix(w.field, "win.")) {
				hint := ""
				if !ok {
					hint = suggest.DidYouMean(w.field, b.lang.FieldNames())
				}
				n.ProblemHint("unknown_name", hint, "found %q, expected a field that is a number", w.field)
			}
		}
		w.info.Of = w.field
	}
}

func (w *windowDecl) identity() string {
	h := sha256.New()
	for _, s := range []string{
		string(w.info.Metric), w.info.Span.Over.String(), w.info.Span.Step.String(), w.info.Span.Offset.String(),
		strings.Join(w.info.By, "\x00"), w.info.Where, w.info.Of,
	} {
		write(h, s)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// keyFields reads a list of fields whose values make a key. They are strings, or the theme.
func (b *builder) keyFields(n *source.Node, theme bool) []string {
	if n == nil {
		return nil
	}
	elements := []*source.Node{n}
	if n.IsList() {
		elements = n.List()
	}
	var out []string
	for _, e := range elements {
		name := e.String()
		kind, ok := b.lang.Field(name)
		switch {
		case name == "":
		case name == lang.Theme && !theme:
			e.Problem("not_allowed", "theme stands here only in a rule with each: theme")
		case !ok:
			e.ProblemHint("unknown_name", suggest.DidYouMean(name, b.lang.FieldNames()), "unknown field %q", name)
		case kind != feedback.String:
			e.Problem("wrong_type", "found the field %s, which is a %s, expected a string", name, kind)
		case slices.Contains(out, name):
			e.Problem("duplicate", "found %s again", name)
		default:
			out = append(out, name)
		}
	}
	return out
}

// Windows returns the windows of the set in the order of their declaration.
func (s *Set) Windows() []WindowInfo {
	out := make([]WindowInfo, len(s.windows))
	for i, w := range s.windows {
		out[i] = w.info
	}
	return out
}

// HasWindow reports whether the set has a window of that ID.
func (s *Set) HasWindow(id string) bool { return s.window(id) != nil }

// CountsOf returns what an event adds to the windows of the set. Its labels are the effective ones.
func (s *Set) CountsOf(ev *feedback.Event) []Count {
	if len(s.windows) == 0 {
		return nil
	}
	e := s.evaluation(ev, 0, NoView{})
	defer s.release(e)
	return s.counts(e.frame, ev.Item, nil)
}

// counts appends what the frame's event adds to all windows.
func (s *Set) counts(f *lang.Frame, it *feedback.Item, out []Count) []Count {
	for _, w := range s.windows {
		if s.windowIDs[w.info.ID] == w { // what is declared twice is counted once
			out = w.counts(f, it, out)
		}
	}
	return out
}

func holds(f *lang.Frame, c *lang.Condition) bool { return c == nil || f.Eval(c) == lang.True }

func (w *windowDecl) counts(f *lang.Frame, it *feedback.Item, out []Count) []Count {
	at := it.OccurredAt
	hit := holds(f, w.where)
	if w.info.Metric == window.Rate {
		if !holds(f, w.base) {
			return out
		}
		if w.theme < 0 {
			if key, ok := w.key(f, ""); ok {
				out = append(out, Count{w.info.ID, key, at, window.Observation{Pos: hit}})
			}
			return out
		}
		if key, ok := w.key(f, ""); ok {
			out = append(out, Count{w.info.ID, key, at, window.Observation{}})
		}
	}
	if !hit {
		return out
	}
	o, ok := w.observation(f, it)
	if !ok {
		return out
	}
	if w.theme < 0 {
		if key, ok := w.key(f, ""); ok {
			out = append(out, Count{w.info.ID, key, at, o})
		}
		return out
	}
	from := len(out)
	themes := f.Labels().Themes
	for i := range themes[:min(len(themes), lang.MaxThemes)] {
		for p := range themes[i].Path.Ancestors {
			key, ok := w.key(f, string(p))
			if ok && !slices.ContainsFunc(out[from:], func(c Count) bool { return c.Key == key }) {
				out = append(out, Count{w.info.ID, key, at, o})
			}
		}
	}
	return out
}

// key returns the window's key for the frame's event and a theme.
func (w *windowDecl) key(f *lang.Frame, theme string) (string, bool) {
	switch len(w.info.By) {
	case 0:
		return "", true
	case 1:
		if w.theme == 0 {
			return theme, true
		}
		v, ok := f.Text(w.info.By[0])
		return bounded(v, maxKeyValue), ok
	}
	values := make([]string, len(w.info.By))
	for i, name := range w.info.By {
		if i == w.theme {
			values[i] = theme
			continue
		}
		v, ok := f.Text(name)
		if !ok {
			return "", false
		}
		values[i] = v
	}
	return joinKey(values), true
}

// observation returns what the event is to the metric, and false when it is nothing to it.
func (w *windowDecl) observation(f *lang.Frame, it *feedback.Item) (window.Observation, bool) {
	switch w.info.Metric {
	case window.NPS:
		c := it.NPSClass()
		return window.Observation{Pos: c == feedback.Promoter, Neg: c == feedback.Detractor}, c != ""
	case window.CSAT:
		if it.Survey != feedback.CSAT || it.Score == nil {
			return window.Observation{}, false
		}
		_, hi, ok := it.Scale()
		return window.Observation{Pos: *it.Score >= hi-1}, ok
	case window.CES:
		if it.Survey != feedback.CES || it.Score == nil {
			return window.Observation{}, false
		}
		return window.Observation{Value: *it.Score}, true
	case window.Mean:
		v, ok := f.Number(w.field)
		return window.Observation{Value: v}, ok
	}
	return window.Observation{}, true
}

// figures gives an evaluation the figures of windows: what the view holds, without what the item added before, and
// with what it adds now.
type figures struct {
	set    *Set
	frame  *lang.Frame
	now    feedback.Time
	view   View
	was    []Count
	is     []Count
	theme  string
	themed bool
	stated Stating   // nil states nothing
	early  bool      // the item does not count yet
	seen   []Reading // what a decision saw that is being explained
	read   []Reading // what was seen
}

// Reading is a figure of a window that a decision saw.
type Reading struct {
	Name string `json:"name"`           // such as win.nps_7d.value
	Each string `json:"each,omitempty"` // the theme or value that the rule was decided for
	// Early says that the figure was seen before the item counted, by a group before the last one that relabels.
	Early bool `json:"early,omitempty"`
	// Value is nil when it was not known.
	Value *float64 `json:"value"`
}

var _ lang.Figures = (*figures)(nil)

// sums returns the observations of a window under the key of the event and the theme.
func (g *figures) sums(w *windowDecl) (base, hits window.Sums, ok bool) {
	if f, ok := g.statement(w); ok {
		base.N, hits.N = f.N, f.N
		if w.info.Metric == window.Rate {
			hits.N = int64(math.Round(f.Value * float64(f.N)))
		}
		return base, hits, true
	}
	if w.theme >= 0 && !g.themed {
		return base, hits, false
	}
	key, ok := w.key(g.frame, g.theme)
	if !ok {
		return base, hits, false
	}
	hits = g.window(w, key)
	if w.info.Metric != window.Rate {
		return hits, hits, true
	}
	if w.theme < 0 {
		base, hits.N = hits, hits.Pos
		return base, hits, true
	}
	if key, ok = w.key(g.frame, ""); !ok {
		return base, hits, false
	}
	return g.window(w, key), hits, true
}

func (g *figures) window(w *windowDecl, key string) window.Sums {
	var out window.Sums
	r := g.view.Window(w.info.ID, key)
	if r != nil {
		out = r.Read(g.now)
	}
	mine := func(c *Count) bool {
		return c.Window == w.info.ID && c.Key == key && w.info.Span.Covers(c.At, g.now) && (r == nil || !r.HasLeft(c.At))
	}
	for i := range g.was {
		if c := &g.was[i]; mine(c) {
			out.Remove(c.Observation)
		}
	}
	for i := range g.is {
		if c := &g.is[i]; mine(c) {
			out.Add(c.Observation)
		}
	}
	return out
}

func (r *Reading) known() (float64, bool) {
	if r.Value == nil {
		return 0, false
	}
	return *r.Value, true
}

// Figure returns one figure of a window.
func (g *figures) Figure(number int, part lang.Part) (float64, bool) {
	return g.reading("win."+g.set.windows[number].info.Name+"."+part.String(), func() (float64, bool) { return g.figure(number, part) })
}

// Spike compares the hits of two windows: see stats.Spike.
func (g *figures) Spike(now, baseline int) (float64, bool) {
	a, b := g.set.windows[now].info.Name, g.set.windows[baseline].info.Name
	return g.reading("spike(win."+a+", win."+b+")", func() (float64, bool) { return g.spike(now, baseline) })
}

// reading returns what the decision that is explained saw, or else asks, and remembers what was seen.
func (g *figures) reading(name string, ask func() (float64, bool)) (float64, bool) {
	for _, list := range [...][]Reading{g.seen, g.read} {
		for i := range list {
			if r := &list[i]; r.Name == name && r.Each == g.theme && r.Early == g.early {
				return r.known()
			}
		}
	}
	v, ok := ask()
	r := Reading{Name: name, Each: g.theme, Early: g.early}
	if ok {
		r.Value = &v
	}
	g.read = append(g.read, r)
	return v, ok
}

func (g *figures) figure(number int, part lang.Part) (float64, bool) {
	w := g.set.windows[number]
	if f, ok := g.statement(w); ok {
		return partOf(f, part)
	}
	base, hits, ok := g.sums(w)
	if !ok {
		return 0, false
	}
	switch part {
	case lang.WindowN:
		return float64(base.N), true
	case lang.WindowValue:
		return w.info.Metric.ValueOf(base, hits)
	}
	x := w.info.Metric.Figure(base, hits, w.confidence)
	if part == lang.WindowLo {
		return x.Lo, x.Interval
	}
	return x.Hi, x.Interval
}

func (g *figures) spike(now, baseline int) (float64, bool) {
	n, k, ok := g.sums(g.set.windows[now])
	b, h, ok2 := g.sums(g.set.windows[baseline])
	if !ok || !ok2 || n.N == 0 || b.N == 0 {
		return 0, false
	}
	return stats.Spike(int(k.N), int(n.N), int(h.N), int(b.N)), true
}

// checkReads reports what a rule reads of windows and themes although it is not decided for each theme.
func (b *builder) checkReads(n *source.Node, each string, windows []int, reads []string) {
	for _, i := range windows {
		w := b.set.windows[i]
		b.used["window "+w.info.Name] = true
		if w.theme >= 0 && each != lang.Theme {
			n.ProblemHint("not_allowed", "add each: theme to the rule", "the window %s is kept by theme, and the rule is not decided for each theme", w.info.Name)
			return
		}
	}
	if each != lang.Theme && slices.Contains(reads, lang.Theme) {
		n.ProblemHint("not_allowed", "add each: theme to the rule", "theme has a value only in a rule that is decided for each theme")
	}
}
