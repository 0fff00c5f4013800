package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// tagged returns a rule file that gives every item a queue and a tag of the same name.
func tagged(name string) string {
	return `version: 1
groups:
  - name: route
    rules:
      - {id: all, when: "nps <= 10", do: [{assign: {queue: ` + name + `}}, {tag: [` + name + `]}]}
`
}

// activationFiles is a program whose rules are tested.
const activationFiles = `
-- program.yaml --
version: 1
name: test
sources:
  feed: {plugin: native:feed, every: 1h}
queues: {care: {}, product: {}}
-- rules/route_test.yaml --
version: 1
tests:
  - {name: everybody has a queue, event: {nps: 3}, expect: {route: {all: {}}}}
`

// replaceFile replaces a file of a program by another one, as editors do.
func replaceFile(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// activationProgram writes the program with rules of that name.
func activationProgram(t testing.TB, name string) string {
	t.Helper()
	dir := writeProgram(t, activationFiles)
	replaceFile(t, dir, "rules/route.yaml", tagged(name))
	return dir
}

// history returns the history, the first activation first, in short.
func history(t testing.TB, s interface {
	Activations(context.Context, int) ([]engine.Activation, error)
}) string {
	t.Helper()
	list, err := s.Activations(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	out := make([]string, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		a := &list[i]
		if names[a.Ruleset] == "" {
			names[a.Ruleset] = string(rune('A' + len(names)))
		}
		out[a.Number-1] = names[a.Ruleset] + ":" + a.By
	}
	return strings.Join(out, " ")
}

// verifyAudit looks at the audit log of a state that nobody has open, and returns how many entries are about rules.
func verifyAudit(t testing.TB, state string) (n int) {
	t.Helper()
	s, err := store.Open(state, store.Options{Profile: store.Small})
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(func(snap *store.Snapshot) error {
		if _, _, err := audit.Verify(t.Context(), snap); err != nil {
			return err
		}
		return audit.Each(snap, true, func(e audit.Entry) (bool, error) {
			if strings.HasPrefix(e.Kind, "rules.") {
				n++
			}
			return true, nil
		})
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Error(err)
	}
	return n
}

// While items come in from several sides, the rules change again and again: each item is decided on by one set.
func TestRulesChangeUnderLoad(t *testing.T) {
	t.Parallel()
	dir := activationProgram(t, "care")
	var mu sync.Mutex
	var told []string
	e := open(t, dir, &parts{}, func(o *engine.Options) {
		o.Events.RulesChanged = func(a engine.Activation) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, a.Ruleset)
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	var intake sync.WaitGroup
	for g := range 3 {
		intake.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				items := []feedback.Item{answer(fmt.Sprint(i, "a"), 3, ""), answer(fmt.Sprint(i, "b"), 9, "")}
				if r, err := e.Ingest(context.Background(), fmt.Sprint("app-", g), items...); err != nil || r.New != 2 {
					t.Errorf("%+v, %v", r, err)
					return
				}
			}
		})
	}
	const changes = 20
	sets := map[string]string{e.Rules().Hash(): "care"}
	for i := range changes {
		name := [...]string{"product", "care"}[i%2]
		replaceFile(t, dir, "rules/route.yaml", tagged(name))
		a, err := e.Activate(t.Context(), engine.ActivateOptions{By: "anna"})
		if err != nil || a.Number != i+2 || a.Ruleset != e.Rules().Hash() {
			t.Errorf("%+v, %v", a, err)
			break
		}
		sets[a.Ruleset] = name
		row, err := e.Ingest(t.Context(), "after", answer(fmt.Sprint(i), 3, ""))
		if err != nil {
			t.Fatal(err)
		}
		if it, err := e.Item(t.Context(), row.Rows[0].ID); err != nil || it.Queue != name {
			t.Errorf("after the change to %s an item went to %s, %v", name, it.Queue, err)
		}
	}
	stop()
	intake.Wait()
	if len(told) != changes {
		t.Errorf("told of %d changes, want %d", len(told), changes)
	}
	items, err := e.Items(t.Context(), engine.ItemQuery{Limit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]int{}
	for i := range items {
		ds, err := e.Decisions(t.Context(), items[i].ID)
		if err != nil || len(ds) != 1 {
			t.Fatalf("%d decisions, %v", len(ds), err)
		}
		name := sets[ds[0].Ruleset]
		by[name]++
		if o := &ds[0].Outputs; name == "" || o.Queue != name || len(o.Tags) != 1 || o.Tags[0] != name || items[i].Queue != name {
			t.Errorf("an item was decided on by %q, and has %+v", name, o)
		}
	}
	if by["care"] == 0 || by["product"] == 0 {
		t.Errorf("only one set decided: %v", by)
	}
}

// Rule files that the gate refuses are not taken, at the start and while the engine runs; the last good set goes on.
func TestTheLastGoodRulesGoOn(t *testing.T) {
	t.Parallel()
	dir := activationProgram(t, "care")
	queueOf := func(e *engine.Engine, id string) string {
		t.Helper()
		r, err := e.Ingest(t.Context(), "app", answer(id, 3, ""))
		if err != nil {
			t.Fatal(err)
		}
		it, err := e.Item(t.Context(), r.Rows[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return it.Queue
	}
	bad := map[string]string{
		"it does not compile": strings.Replace(tagged("product"), "nps", "npps", 1),
		"a test fails":        strings.Replace(tagged("product"), "id: all", "id: other", 1),
		"a finding blocks": strings.Replace(tagged("product"), "    rules:\n",
			"    rules:\n      - {id: all2, when: \"nps <= 10\", do: [{assign: {queue: product}}, {tag: [product]}]}\n", 1),
	}
	e := open(t, dir, &parts{})
	good := e.Rules().Hash()
	for why, text := range bad {
		replaceFile(t, dir, "rules/route.yaml", text)
		refused := (*engine.GateError)(nil)
		if r, err := e.Reload(t.Context()); !errors.As(err, &refused) || r.Rules != nil || refused.Report.OK {
			t.Errorf("%s: %+v, %v", why, r, err)
		}
		if g := e.RefusedRules(); g == nil || len(g.Reasons()) == 0 {
			t.Errorf("%s: nothing is told of it", why)
		}
		if _, err := e.Activate(t.Context(), engine.ActivateOptions{}); !errors.As(err, &refused) {
			t.Errorf("%s: %v", why, err)
		}
		if q := queueOf(e, why); e.Rules().Hash() != good || q != "care" {
			t.Errorf("%s: the rules are others, and route to %s", why, q)
		}
	}
	closeEngine(t, e)
	for why, text := range bad {
		replaceFile(t, dir, "rules/route.yaml", text)
		e := open(t, dir, &parts{})
		if q := queueOf(e, "start "+why); e.Rules().Hash() != good || q != "care" || e.RefusedRules() == nil {
			t.Errorf("%s: at the start the rules are others, and route to %s", why, q)
		}
		closeEngine(t, e)
	}
	replaceFile(t, dir, "rules/route.yaml", tagged("product"))
	e = open(t, dir, &parts{})
	if q := queueOf(e, "mended"); q != "product" || e.RefusedRules() != nil {
		t.Errorf("the mended rules are not taken: %s", q)
	}
	if got, want := history(t, e), "A:engine B:engine"; got != want {
		t.Errorf("history %s, want %s", got, want)
	}
}

// Without rules that decided before there is nothing to go on with: what does not compile is refused, all else is taken.
func TestTheFirstRulesNeedOnlyCompile(t *testing.T) {
	t.Parallel()
	dir := activationProgram(t, "care")
	replaceFile(t, dir, "rules/route.yaml", strings.Replace(tagged("care"), "nps", "npps", 1))
	if _, err := engine.Open(t.Context(), dir, engine.Options{Native: (&parts{}).native()}); err == nil || !strings.Contains(err.Error(), filepath.ToSlash(dir)+"/rules/route.yaml:5") {
		t.Errorf("got %v", err)
	}
	replaceFile(t, dir, "rules/route.yaml", strings.Replace(tagged("care"), "id: all", "id: other", 1))
	e := open(t, dir, &parts{})
	list, err := e.Activations(t.Context(), 0)
	if err != nil || len(list) != 1 || list[0].Gate == nil || list[0].Gate.OK || list[0].Gate.Failed != 1 {
		t.Errorf("%s, %v", asJSON(t, list), err)
	}
}

func TestForcedRulesAreRecorded(t *testing.T) {
	t.Parallel()
	dir := activationProgram(t, "care")
	e := open(t, dir, &parts{})
	replaceFile(t, dir, "rules/route.yaml", strings.Replace(tagged("product"), "id: all", "id: other", 1))
	a, err := e.Activate(t.Context(), engine.ActivateOptions{By: "anna", Why: "now", Force: true})
	if err != nil || !a.Forced || a.By != "anna" || a.Why != "now" || a.Gate == nil || a.Gate.OK || a.Was == "" {
		t.Errorf("%s, %v", asJSON(t, a), err)
	}
	closeEngine(t, e)
	e = open(t, dir, &parts{})
	if e.Rules().Hash() != a.Ruleset || e.RefusedRules() != nil {
		t.Error("what was forced does not stay")
	}
}

// Going back lasts over a restart, until the files change to something else. Going back again goes further back.
func TestGoingBackLasts(t *testing.T) {
	t.Parallel()
	dir := activationProgram(t, "care")
	e := open(t, dir, &parts{})
	first := e.Rules().Hash()
	activate := func(text string) string {
		t.Helper()
		replaceFile(t, dir, "rules/route.yaml", text)
		a, err := e.Activate(t.Context(), engine.ActivateOptions{By: "anna"})
		if err != nil {
			t.Fatal(err)
		}
		return a.Ruleset
	}
	restart := func() {
		t.Helper()
		closeEngine(t, e)
		e = open(t, dir, &parts{})
	}
	rollback := func(to, want string) {
		t.Helper()
		a, err := e.Rollback(t.Context(), engine.RollbackOptions{To: to, By: "ben", Why: "no"})
		if err != nil || a.Ruleset != want || e.Rules().Hash() != want {
			t.Errorf("back to %q: %+v, %v", to, a, err)
		}
	}
	second := activate(tagged("product"))
	third := activate(tagged("care") + "# third\n")
	rollback("", second)
	restart()
	if e.Rules().Hash() != second {
		t.Error("after a restart other rules decide")
	}
	if r, err := e.Reload(t.Context()); err != nil || r.Rules != nil || e.Rules().Hash() != second {
		t.Errorf("read again: %+v, %v", r, err)
	}
	rollback("", first)
	if _, err := e.Rollback(t.Context(), engine.RollbackOptions{}); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("back behind the first: %v", err)
	}
	rollback("3", third)
	rollback(second, second)
	rollback(strings.TrimPrefix(first, "sha256:")[:12], first)
	restart()
	if got, want := history(t, e), "A:engine B:anna C:anna B:ben A:ben C:ben B:ben A:ben"; got != want || e.Rules().Hash() != first {
		t.Errorf("history %s, want %s", got, want)
	}
	replaceFile(t, dir, "rules/route.yaml", tagged("product")+"# fourth\n")
	restart()
	if got, want := history(t, e), "A:engine B:anna C:anna B:ben A:ben C:ben B:ben A:ben D:engine"; got != want {
		t.Errorf("history %s, want %s", got, want)
	}
	state := e.StateDir()
	closeEngine(t, e)
	if n := verifyAudit(t, state); n != 9 {
		t.Errorf("the audit log has %d entries about rules, want 9", n)
	}
}

// A program that is not running is changed in its state, for the next start.
func TestRulesOfAStateThatRests(t *testing.T) {
	t.Parallel()
	dir := activationProgram(t, "care")
	closeEngine(t, open(t, dir, &parts{}))
	replaceFile(t, dir, "rules/route.yaml", tagged("product"))
	s, err := engine.OpenState(t.Context(), dir, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Activate(t.Context(), engine.ActivateOptions{By: "anna"})
	if err != nil || a.Number != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	replaceFile(t, dir, "rules/route.yaml", "broken: [")
	if b, err := s.Rollback(t.Context(), engine.RollbackOptions{}); err != nil || b.Back != 1 || b.Instead == "" {
		t.Errorf("%+v, %v", b, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	e := open(t, dir, &parts{})
	if got, want := history(t, e), "A:engine B:anna A:unknown"; got != want || e.Rules().Hash() != a.Was {
		t.Errorf("history %s, want %s", got, want)
	}
}

// What only a restart takes is not mixed with rules that are made for it. A queue that goes while rules name it keeps
// the rules as they are.
func TestRulesWaitForWhatOnlyARestartTakes(t *testing.T) {
	t.Parallel()
	dir := activationProgram(t, "care")
	_, text, _ := strings.Cut(activationFiles, "-- program.yaml --\n")
	yaml, _, _ := strings.Cut(text, "-- rules")
	e := open(t, dir, &parts{})
	first := e.Rules().Hash()
	replaceFile(t, dir, "program.yaml", strings.Replace(yaml, "care: {}, ", "", 1))
	refused := (*engine.GateError)(nil)
	if _, err := e.Reload(t.Context()); !errors.As(err, &refused) || e.Rules().Hash() != first {
		t.Errorf("a queue that is gone: %v", err)
	}
	replaceFile(t, dir, "program.yaml", yaml+"attributes: {item: {size: number}}\n")
	replaceFile(t, dir, "rules/route.yaml", strings.Replace(tagged("care"), "nps <= 10", "nps <= 10 && attributes.size > 3", 1))
	if _, err := e.Activate(t.Context(), engine.ActivateOptions{Force: true}); !errors.Is(err, engine.ErrRestart) {
		t.Errorf("got %v", err)
	}
	if _, err := e.Rollback(t.Context(), engine.RollbackOptions{}); !errors.Is(err, engine.ErrNotFound) || strings.Contains(err.Error(), "not found") {
		t.Errorf("got %v", err)
	}
	r, err := e.Reload(t.Context())
	if err != nil || r.Rules != nil || fmt.Sprint(r.Restart) != "[attributes of items rules]" || e.Rules().Hash() != first {
		t.Errorf("%+v, %v", r, err)
	}
	replaceFile(t, dir, "rules/route_test.yaml", "version: 1\ntests:\n  - {name: large, event: {nps: 3, attributes: {size: 4}}, expect: {route: {all: {}}}}\n")
	closeEngine(t, e)
	e = open(t, dir, &parts{})
	if e.Rules().Hash() == first {
		t.Errorf("a restart does not take them: %v", e.RefusedRules())
	}
}

// A running engine that watches its files takes rules when they change, and tells of those that it does not take.
func TestChangedRulesAreNoticed(t *testing.T) {
	t.Parallel()
	dir := activationProgram(t, "care")
	changed := make(chan engine.Activation, 10)
	reloaded := make(chan error, 10)
	e := open(t, dir, &parts{}, func(o *engine.Options) {
		o.Watch = true
		o.Events.RulesChanged = func(a engine.Activation) { changed <- a }
		o.Events.Reloaded = func(_ engine.Reloaded, err error) { reloaded <- err }
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	replaceFile(t, dir, "rules/route.yaml", tagged("product"))
	if a := <-changed; a.By != "engine" || a.Number != 2 || a.Ruleset != e.Rules().Hash() {
		t.Errorf("got %+v", a)
	}
	if err := <-reloaded; err != nil {
		t.Error(err)
	}
	replaceFile(t, dir, "rules/route.yaml", strings.Replace(tagged("care"), "id: all", "id: other", 1))
	refused := (*engine.GateError)(nil)
	if err := <-reloaded; !errors.As(err, &refused) || refused.Report.Failed != 1 {
		t.Errorf("got %v", err)
	}
	replaceFile(t, dir, "rules/route_test.yaml", "version: 1\ntests:\n  - {name: other, event: {nps: 3}, expect: {route: {other: {}}}}\n")
	if a := <-changed; a.Number != 3 {
		t.Errorf("the test changed: got %+v", a)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Open cases go up the ladders of the rules that decide, also when whoever activated them has gone away.
func TestALadderWhenNobodyWaitsForIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var opened atomic.Pointer[engine.Engine]
	var hash string
	d := &desk{t: t, dir: writeProgram(t, caseRules), ticking: ticking{berlin(t, "2026-03-02 10:00")}}
	d.Engine = open(t, d.dir, &d.parts, func(o *engine.Options) {
		o.Now = func() time.Time {
			if e := opened.Load(); e != nil && e.Rules().Hash() != hash {
				cancel()
			}
			return d.now
		}
	})
	d.says("1", 2, "late #packaging")
	hash = d.Rules().Hash()
	opened.Store(d.Engine)
	path := filepath.Join(d.dir, "rules", "route.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	with := strings.Replace(string(text), "{case: {sla: 48h}}", "{case: {sla: 48h, escalate: [{after: 2h, priority: urgent}]}}", 1)
	if err := os.WriteFile(path, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Activate(ctx, engine.ActivateOptions{By: "anna"}); err != nil || ctx.Err() == nil {
		t.Fatal(err, ctx.Err())
	}
	d.until("2026-03-02 12:00")
	wantLines(t, d.lines(d.only()), "opened 02 10:00", "escalated 02 12:00")
}
