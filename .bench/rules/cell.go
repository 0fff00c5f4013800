package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// cell is what was measured with one set of rules.
type cell struct {
	kind    kind
	rules   int
	matches float64 // rules that match an event, the mean
	figures map[string]*figure
}

// figure is what was measured of one contender, or of the control of one.
type figure struct {
	cut    bool          // left out, because it takes too long
	load   time.Duration // the least, from text to ready
	heap   float64       // bytes a rule that are still held then
	time   float64       // nanoseconds for an event
	allocs float64       // for an event
}

// bench fills the cells of a report.
type bench struct {
	*options
	world  *world
	report *report
}

// cell measures contenders on one set of rules.
func (b *bench) cell(ctx context.Context, k kind, n int, all []contender) error {
	w := &workload{events: b.world.events(b.seed, b.events), rules: b.world.rules(k, b.seed, n)}
	c := &cell{kind: k, rules: n, figures: map[string]*figure{}}
	var lanes []*lane
	for _, one := range all {
		l, err := b.lane(ctx, c, one, w)
		if err != nil {
			return fmt.Errorf("%s, %s %s rules: %w", one.name, thousands(n), k, err)
		}
		if l == nil {
			continue
		}
		lanes = append(lanes, l)
		if name := controls()[one.name]; name != "" {
			control := *l
			control.name, control.least = name, slices.Clone(l.least)
			lanes = append(lanes, &control)
			c.figures[name] = &figure{}
		}
	}
	if len(all) == 1 {
		if err := w.checkSlices(ctx); err != nil {
			return fmt.Errorf("%s, %s %s rules: %w", naiveName, thousands(n), k, err)
		}
	}
	for _, rules := range w.want {
		c.matches += float64(len(rules)) / float64(len(w.want))
	}
	if err := b.measure(ctx, c, lanes); err != nil {
		return err
	}
	b.report.cells = append(b.report.cells, c)
	return nil
}

// lane loads a contender and compares its answers to the events that it is measured on with those of the first, which
// are compared with those of the naive loop to all events. It returns nil for one that takes too long.
func (b *bench) lane(ctx context.Context, c *cell, one contender, w *workload) (*lane, error) {
	m, err := b.load(ctx, c, one, w)
	if m == nil {
		return nil, err
	}
	l := &lane{name: one.name, match: m}
	if err := l.calibrate(b.round, len(w.events)); err != nil {
		return nil, err
	}
	events := l.events
	if w.want == nil || one.name == naiveName { // whose answers to all events the others are compared with
		events = spread(len(w.events), len(w.events))
	}
	got, err := answers(ctx, m, events)
	if err != nil {
		return nil, err
	}
	if w.want == nil {
		w.want = got
	}
	return l, w.equal(got, events)
}

// equal compares answers and tells of the first event with others.
func (w *workload) equal(got [][]int32, events []int) error {
	l := inExpr()
	for i, event := range events {
		want := w.want[event]
		for _, n := range got[i] {
			if _, ok := slices.BinarySearch(want, n); !ok {
				return fmt.Errorf("event %d matches rule %d, other than with %s: %s", event, n, oursName, l.rule(w.rules[n]))
			}
		}
		for _, n := range want {
			if _, ok := slices.BinarySearch(got[i], n); !ok {
				return fmt.Errorf("event %d does not match rule %d, other than with %s: %s", event, n, oursName, l.rule(w.rules[n]))
			}
		}
		if len(got[i]) != len(want) {
			return fmt.Errorf("event %d matches a rule twice", event)
		}
	}
	return nil
}

// checkSlices compares the answers to many rules with those of the naive loop, which need not hold all of the rules at
// once, on some of the events.
func (w *workload) checkSlices(ctx context.Context) error {
	const slice = 10_000
	if w.want == nil {
		return nil // left out
	}
	events := spread(len(w.events), sampled)
	got := make([][]int32, len(events))
	for from := 0; from < len(w.rules); from += slice {
		load, err := naive(&workload{events: w.events, rules: w.rules[from:min(from+slice, len(w.rules))]})
		if err != nil {
			return err
		}
		m, err := load(ctx)
		if err != nil {
			return err
		}
		for i, event := range events {
			if got[i], err = shifted(m, event, got[i], int32(from)); err != nil {
				return err
			}
		}
	}
	return w.equal(got, events)
}

// shifted appends the rules that an event matches, counted from first.
func shifted(m matcher, event int, out []int32, first int32) ([]int32, error) {
	before := len(out)
	out, err := m(event, out)
	for i := range out[before:] {
		out[before+i] += first
	}
	return out, err
}

// load makes a contender ready and notes what that takes. It returns nil for one that takes too long.
func (b *bench) load(ctx context.Context, c *cell, one contender, w *workload) (matcher, error) {
	f := &figure{}
	c.figures[one.name] = f
	if last := b.report.largest(c.kind, one.name); last != nil {
		expected := last.figures[one.name].load * time.Duration(c.rules/last.rules)
		if f.cut = last.figures[one.name].cut || expected > b.bound; f.cut {
			b.report.note("%s was left out at %s %s rules: loading them would take about %v.", one.name, thousands(c.rules), c.kind, expected.Round(time.Second))
			return nil, nil
		}
	}
	load, err := one.prepare(w)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, b.bound)
	defer cancel()
	var m matcher
	var all time.Duration
	for i := 0; i == 0 || i < 3 && all < b.bound/6; i++ {
		before := heap()
		start := time.Now()
		m, err = load(bounded)
		took := time.Since(start)
		if f.cut = errors.Is(err, context.DeadlineExceeded); f.cut {
			b.report.note("%s was left out at %s %s rules: loading them took longer than %v.", one.name, thousands(c.rules), c.kind, b.bound)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		f.heap = (heap() - before) / float64(c.rules)
		if all += took; i == 0 || took < f.load {
			f.load = took
		}
	}
	return m, nil
}

// heap returns how many bytes are held.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
