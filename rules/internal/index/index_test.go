package index

import (
	"slices"
	"testing"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// trial is conditions in stages, with the way to ask each of them.
type trial struct {
	author  author
	sources []string
	conds   []*lang.Condition
	program *lang.Program
	index   *Index
	stages  [][]*lang.Condition
}

// compiled compiles sources, leaving out those that the language refuses, and divides them into stages.
func compiled(tb testing.TB, a author, sources []string, stages int) *trial {
	tb.Helper()
	c := a.world.compiler()
	t := &trial{author: a}
	for _, s := range sources {
		if cond := c.Condition(s, func(lang.Problem) {}); cond != nil {
			t.sources, t.conds = append(t.sources, s), append(t.conds, cond)
		}
	}
	if len(t.conds) < len(sources)/2 {
		tb.Fatalf("%d of %d conditions compile", len(t.conds), len(sources))
	}
	t.program = c.Program()
	from := 0
	for i := range stages {
		to := len(t.conds) * (i + 1) / stages
		t.stages = append(t.stages, t.conds[from:to])
		from = to
	}
	t.index = New(t.program, t.stages...)
	return t
}

// loop asks every condition of a stage.
func (t *trial) loop(f *lang.Frame, stage int, want lang.Truth) (out []int32) {
	first := 0
	for _, conds := range t.stages[:stage] {
		first += len(conds)
	}
	for i, c := range t.stages[stage] {
		if f.Eval(c) == want {
			out = append(out, int32(first+i))
		}
	}
	return out
}

// compare holds the index against a frame of its own that asks every condition. It returns how many were true.
func (t *trial) compare(tb testing.TB, s *Scratch, f, plain *lang.Frame, stage int) (yes, open int) {
	tb.Helper()
	want, unknown := t.loop(plain, stage, lang.True), t.loop(plain, stage, lang.Unknown)
	if t.author.chance(50) { // in either order
		t.compareUnknown(tb, s, f, stage, unknown)
	}
	got := t.index.Match(s, f, stage, []int32{-7})
	if got[0] != -7 || !slices.Equal(got[1:], want) {
		t.differ(tb, "true", got[1:], want)
	}
	t.compareUnknown(tb, s, f, stage, unknown)
	return len(want), len(unknown)
}

func (t *trial) compareUnknown(tb testing.TB, s *Scratch, f *lang.Frame, stage int, want []int32) {
	tb.Helper()
	limit := []int{0, 1, 3, 1 << 30}[t.author.IntN(4)]
	got := t.index.Unknown(s, f, stage, limit, nil)
	if want = want[:min(limit, len(want))]; !slices.Equal(got, want) {
		t.differ(tb, "unknown", got, want)
	}
}

func (t *trial) differ(tb testing.TB, what string, got, want []int32) {
	tb.Helper()
	for i := range int32(len(t.sources)) {
		if g, w := slices.Contains(got, i), slices.Contains(want, i); g != w {
			tb.Fatalf("%s: the index says %v, the loop %v:\n%s\n%s", what, g, w, t.sources[i], t.conds[i].Key())
		}
	}
	tb.Fatalf("%s: got %v, want %v", what, got, want)
}

// The index answers exactly what asking each condition answers, true as well as unknown: over random schemas, conditions
// and events, with values missing, numbers that are none, texts that are not in ASCII, themes below themes, labels that
// change between the stages, and variables that change within one event.
func TestIndexAgreesWithTheLoop(t *testing.T) {
	t.Parallel()
	a := choices(t)
	yes, open, all := 0, 0, 0
	for all < rounds(t, 150_000, 5_000_000) {
		a.world = a.newWorld()
		sources := make([]string, []int{5, 30, 100, 400, 1500}[a.IntN(5)])
		for i := range sources {
			sources[i] = a.condition(1 + a.IntN(4))
		}
		tr := compiled(t, a, sources, 1+a.IntN(3))
		f, plain := tr.program.NewFrame(), tr.program.NewFrame()
		s := tr.index.NewScratch()
		for range 20 {
			ev := a.event()
			f.Reset(ev)
			plain.Reset(ev)
			for stage := range tr.stages {
				if stage > 0 && a.chance(50) {
					if l := a.event().Labels; l != nil {
						f.Relabel(l)
						plain.Relabel(l)
					}
				}
				for range 1 + a.IntN(2) {
					theme, v := a.theme(), figures{float64(a.IntN(8))}
					for _, fr := range []*lang.Frame{f, plain} {
						fr.SetTheme(theme)
						fr.Use(v)
					}
					n, m := tr.compare(t, s, f, plain, stage)
					yes, open, all = yes+n, open+m, all+len(tr.stages[stage])
				}
			}
		}
	}
	t.Logf("%d evaluations, %d true, %d unknown", all, yes, open)
	if yes < all/50 || open < all/50 {
		t.Errorf("the conditions decide nothing")
	}
}
