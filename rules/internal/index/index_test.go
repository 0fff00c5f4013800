package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/closedloop/closedloop/rules/internal/campaign"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
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
	t.index = build(t.program, []int{0, few}[a.IntN(2)], t.stages)
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
	for all < campaign.Rounds(t, 150_000, 5_000_000) {
		a.world = a.newWorld()
		sources := make([]string, []int{5, 10, 30, 100, 400, 1500}[a.IntN(6)])
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

// One index serves many goroutines at once, and a scratch serves one frame after another.
func TestConcurrentMatches(t *testing.T) {
	t.Parallel()
	a := choices(t)
	a.world = a.newWorld()
	sources := make([]string, 300)
	for i := range sources {
		sources[i] = a.condition(3)
	}
	tr := compiled(t, a, sources, 2)
	events := make([]*feedback.Event, 20)
	want := make([][][]int32, len(events))
	plain := tr.program.NewFrame()
	for i := range events {
		events[i] = a.event()
		plain.Reset(events[i])
		for stage := range tr.stages {
			want[i] = append(want[i], tr.loop(plain, stage, lang.True), tr.loop(plain, stage, lang.Unknown))
		}
	}
	scratches := sync.Pool{New: func() any { return tr.index.NewScratch() }}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			f := tr.program.NewFrame()
			for range 3 {
				for i, ev := range events {
					s, _ := scratches.Get().(*Scratch)
					f.Reset(ev)
					for stage := range tr.stages {
						yes, open := tr.index.Match(s, f, stage, nil), tr.index.Unknown(s, f, stage, 1<<30, nil)
						if !slices.Equal(yes, want[i][2*stage]) || !slices.Equal(open, want[i][2*stage+1]) {
							t.Error("differs between goroutines")
						}
					}
					s.Release()
					scratches.Put(s)
				}
			}
		})
	}
	wg.Wait()
}

func TestMatchesAllocateNothing(t *testing.T) {
	if raced {
		t.Skip("allocations are not counted under the race detector")
	}
	for _, scoped := range []bool{true, false} {
		b := newBench(t, scoped, 1000)
		x := New(b.program, b.conds)
		s, f := x.NewScratch(), b.program.NewFrame()
		var out []int32
		match := func() {
			for i, ev := range b.events[:100] {
				if i%3 == 0 { // something is missing
					without := *ev.Item
					without.Score, without.Location, without.Customer.Segment = nil, "", ""
					ev = &feedback.Event{Item: &without}
				}
				f.Reset(ev)
				out = x.Match(s, f, 0, out[:0])
				out = x.Unknown(s, f, 0, 100, out)
			}
		}
		match()
		if n := testing.AllocsPerRun(10, match); n > 2*34 { // the events that are made here
			t.Errorf("%v allocations", n)
		}
	}
}

// What the index is made of grows with the number of conditions, whatever they are.
func TestHostileConditions(t *testing.T) {
	t.Parallel()
	a := choices(t)
	a.world = a.newWorld()
	deep := "score > 1"
	for range 20 {
		deep = "(" + deep + " ?? (" + a.atom() + "))"
	}
	wide := "score > 1"
	for i := range 150 {
		wide += fmt.Sprintf(" or score == %d and text contains \"%d\"", i, i)
	}
	sources := []string{deep, wide}
	for i := range 1500 {
		sources = append(sources,
			fmt.Sprintf("score > %d.5", i), fmt.Sprintf("customer.arr in [%d, %d]", i, 2*i), fmt.Sprintf("text contains %q", strings.Repeat("a", 1+i%300)),
			fmt.Sprintf(`"t%d" in themes and location != "x%d"`, i, i), fmt.Sprintf(`text matches "(?i)x%d|y%d"`, i, i), fmt.Sprintf("location == \"shop-%d\"", i%10))
	}
	tr := compiled(t, a, sources, 1)
	f, plain, s := tr.program.NewFrame(), tr.program.NewFrame(), tr.index.NewScratch()
	for range 5 {
		ev := a.event()
		ev.Item.Text += strings.Repeat("a", 500) + "X77 1"
		if ev.Labels != nil {
			ev.Labels.Themes = append(ev.Labels.Themes, feedback.Theme{Path: feedback.ThemePath(strings.Repeat("/", 5000))}, feedback.Theme{Path: "t70/x"})
		}
		f.Reset(ev)
		plain.Reset(ev)
		tr.compare(t, s, f, plain, 0)
	}
}

// FuzzIndex compares the index with the loop on a condition and an event that the fuzzer makes up, among others.
func FuzzIndex(f *testing.F) {
	first := author{Rand: rand.New(rand.NewPCG(15, 16))}
	first.world = first.newWorld()
	others := make([]string, 5)
	for i := range others {
		others[i] = first.condition(2)
	}
	for range 12 {
		f.Add(first.condition(1), first.sentence(), first.theme(), float64(first.IntN(11)))
	}
	f.Fuzz(func(t *testing.T, source, text, theme string, score float64) {
		a := author{Rand: rand.New(rand.NewPCG(17, 18)), world: first.world}
		sources := append([]string{source, "not (" + source + ")"}, others...)
		tr := compiled(t, a, append(sources, "("+source+") and score > 1", "("+source+") or ("+others[0]+")"), 1)
		fr, plain, s := tr.program.NewFrame(), tr.program.NewFrame(), tr.index.NewScratch()
		for range 2 {
			ev := a.event()
			ev.Item.Text, ev.Item.Location, ev.Item.Score = text, theme, &score
			if ev.Labels != nil {
				ev.Labels.Themes = append(ev.Labels.Themes, feedback.Theme{Path: feedback.ThemePath(theme), Confidence: score})
			}
			fr.Reset(ev)
			plain.Reset(ev)
			tr.compare(t, s, fr, plain, 0)
		}
	})
}
