package wasmhost

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/testdata/guest"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestCategorizeAnswersAsTheCodeItself(t *testing.T) {
	t.Parallel()
	p := loadGuest(t, host.Spec{})
	direct := guest.Direct()
	for _, size := range []int{1, 16, 64, 300, 3} {
		items := batchOf(size)
		b, err := p.Categorize(t.Context(), items)
		if err != nil {
			t.Fatal(err)
		}
		if want := direct(items); !reflect.DeepEqual(b.Results, want) {
			t.Errorf("%d items: the sandbox answers otherwise than the code itself", size)
		}
		b.Release()
	}
	if b, err := p.Categorize(t.Context(), nil); err != nil || len(b.Results) != 0 {
		t.Errorf("no items: got %v, %v", b, err)
	}
}

// TestCategorizeAllocatesNothing is not parallel: testing.AllocsPerRun counts for all goroutines.
func TestCategorizeAllocatesNothing(t *testing.T) {
	p := loadGuest(t, host.Spec{})
	items := batchOf(64)
	call := func() {
		b, err := p.Categorize(t.Context(), items)
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
	for range 20 {
		call()
	}
	if n := testing.AllocsPerRun(200, call); n != 0 {
		t.Errorf("got %v allocations a call, want 0", n)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	patient := loadGuest(t, host.Spec{Limits: host.Limits{Deadline: time.Minute, Output: 512 << 10, Memory: 16 << 20}})
	hasty := loadGuest(t, host.Spec{Limits: host.Limits{Deadline: short}})
	for _, c := range []struct {
		text   string
		code   host.Code
		cause  string // part of the error
		stderr string // part of the output
		keeps  bool   // the instance goes on
		hasty  bool
	}{
		{text: "!panic", code: host.CodeTrap, cause: "nil pointer dereference", stderr: "goroutine"},
		{text: "!exit", code: host.CodeExit, cause: "exited with code 3", stderr: "leaving"},
		{text: "!spin", code: host.CodeDeadline, cause: "longer than 100ms", stderr: "guest.__guest_.obey", hasty: true},
		{text: "!recurse", code: host.CodeTrap, cause: "stack overflow", stderr: "guest.recurse"},
		{text: "!hog", code: host.CodeMemory, cause: "more than 16777216 bytes"},
		{text: "!chatter", code: host.CodeTrap, cause: "panic: enough", stderr: "chatter"},
		{text: "!long", code: host.CodeFrame, cause: "too large"},
		{text: "!retry", code: host.CodeRefused, cause: "come back later", keeps: true},
		{text: "!fatal", code: host.CodeRefused, cause: "never again", keeps: true},
	} {
		p := patient
		if c.hasty {
			p = hasty
		}
		before := p.Stats()
		b, err := p.Categorize(t.Context(), texts("fine", c.text))
		if err == nil {
			b.Release()
			t.Errorf("%s: no error", c.text)
			continue
		}
		e := wantError(t, err, c.code)
		if !strings.Contains(e.Error(), c.cause) || !strings.Contains(e.Stderr, c.stderr) {
			t.Errorf("%s: got %v, want it to have %q\n%s", c.text, e, c.cause, e.Stderr)
		}
		if len(e.Stderr) > 16<<10 {
			t.Errorf("%s: %d bytes of output", c.text, len(e.Stderr))
		}
		if after := p.Stats(); after.Discarded-before.Discarded != map[bool]uint64{false: 1, true: 0}[c.keeps] {
			t.Errorf("%s: %d instances discarded", c.text, after.Discarded-before.Discarded)
		}
		if got := themes(t, patient, "the box"); len(got) != 1 || got[0] != "packaging/box" {
			t.Errorf("%s: got %v afterwards", c.text, got)
		}
	}
	if s := patient.Stats(); s.Errors != 8 || s.Calls != 17 {
		t.Errorf("got %+v", s)
	}
	if s := hasty.Stats(); s.Errors != 1 || s.Slowest < short {
		t.Errorf("got %+v", s)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	p := loadGuest(t, host.Spec{})
	b, err := p.Categorize(t.Context(), texts("the box", "!bad", "!drop out of office"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if r := b.Results; !r[0].Labels.Has("packaging") || r[1].Err == nil || r[1].Err.Error() != "this one is bad" || r[2].Drop != "out of office" {
		t.Errorf("got %+v", r)
	}
	_, err = p.Categorize(t.Context(), texts("!retry"))
	if f := wantError(t, err, host.CodeRefused).Failure(); f == nil || f.Fatal || f.After != 3*time.Second {
		t.Errorf("got %+v", f)
	}
}

func TestFuelStopsAtTheSamePoint(t *testing.T) {
	t.Parallel()
	p := loadGuest(t, host.Spec{Limits: host.Limits{Fuel: 50_000_000, Deadline: time.Minute}})
	_, err := p.Categorize(t.Context(), texts("!spin"))
	if e := wantError(t, err, host.CodeDeadline); !strings.Contains(e.Error(), "more than 50000000 instructions") {
		t.Errorf("got %v", e)
	}
}

func TestCancelStopsASpinningCall(t *testing.T) {
	t.Parallel()
	p := loadGuest(t, host.Spec{})
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	_, err := p.Categorize(ctx, texts("!spin"))
	wantError(t, err, host.CodeCanceled)
}

func TestCloseCutsOffASpinningCall(t *testing.T) {
	t.Parallel()
	p := loadGuest(t, host.Spec{Limits: host.Limits{Deadline: time.Hour}, Grants: host.Grants{Log: true}, Log: zerolog.Nop()})
	started, done := make(chan struct{}), make(chan error)
	go func() {
		close(started)
		_, err := p.Categorize(context.Background(), texts("!spin"))
		done <- err
	}()
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	wantError(t, <-done, host.CodeUnavailable)
	_, err := p.Categorize(t.Context(), texts("fine"))
	wantError(t, err, host.CodeUnavailable)
}

func TestNothingIsRandom(t *testing.T) {
	t.Parallel()
	var seen [2][]feedback.ThemePath
	for i := range seen {
		p := loadGuest(t, host.Spec{})
		seen[i] = append(themes(t, p, "!now"), themes(t, p, "!random")...)
		seen[i] = append(seen[i], themes(t, p, "!sleep")...)
	}
	if !reflect.DeepEqual(seen[0], seen[1]) {
		t.Errorf("got %v, then %v", seen[0], seen[1])
	}
	if want := feedback.ThemePath("1770000000000/1770000000000"); seen[0][0] != want {
		t.Errorf("got the time %v, want %v: that of the items", seen[0][0], want)
	}
}

func TestRandomIsGranted(t *testing.T) {
	t.Parallel()
	seen := map[feedback.ThemePath]bool{}
	for range 2 {
		p := loadGuest(t, host.Spec{Grants: host.Grants{Random: true}})
		seen[themes(t, p, "!random")[0]] = true
	}
	if len(seen) != 2 {
		t.Errorf("two instances found the same random number: %v", seen)
	}
}

func TestClockIsGranted(t *testing.T) {
	t.Parallel()
	now := func() feedback.Time { return 42 }
	p := loadGuest(t, host.Spec{Grants: host.Grants{Clock: true}, Now: now})
	got := themes(t, p, "!now")
	engine, system, _ := strings.Cut(string(got[0]), "/")
	if engine != "42" || len(system) != 13 || system == "1770000000000" {
		t.Errorf("got %v, want the engine's clock and the system's", got)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	for _, granted := range []bool{true, false} {
		var out bytes.Buffer
		p := loadGuest(t, host.Spec{ID: "talker", Grants: host.Grants{Log: granted}, Log: zerolog.New(&out)})
		themes(t, p, "!log hello")
		want := ""
		if granted {
			want = `{"level":"warn","plugin":"talker","version":"` + p.Version() + `","message":"hello"}` + "\n"
		}
		if out.String() != want {
			t.Errorf("granted %v: got %q", granted, out.String())
		}
	}
}

// TestMemoryStaysFlat runs a guest that makes a quarter of a megabyte of garbage in each call.
func TestMemoryStaysFlat(t *testing.T) {
	t.Parallel()
	p := loadGuest(t, host.Spec{Limits: host.Limits{Instances: 1}}).(*Plugin)
	size := func() uint32 {
		in, _, err := p.shared.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer p.shared.Put(in)
		return in.memory.Size()
	}
	var early uint32
	for i := range 500 {
		themes(t, p, "!garbage")
		if i == 100 {
			early = size()
		}
	}
	if late := size(); late > early+1<<20 || late > 24<<20 {
		t.Errorf("the guest's memory grew from %d to %d bytes", early, late)
	}
	if s := p.Stats(); s.Made != 2 || s.Recycled != 0 { // one more that polls
		t.Errorf("got %+v", s)
	}
}

func TestGrownInstanceIsReplaced(t *testing.T) {
	t.Parallel()
	p := loadGuest(t, host.Spec{Limits: host.Limits{Instances: 1, Memory: 24 << 20}})
	for range 60 {
		themes(t, p, "!keep")
	}
	if s := p.Stats(); s.Recycled < 2 || s.Discarded != 0 || s.Errors != 0 {
		t.Errorf("got %+v, want instances recycled before they fail", s)
	}
}

func TestManyCallers(t *testing.T) {
	t.Parallel()
	p := loadGuest(t, host.Spec{Limits: host.Limits{Instances: 3}})
	want := guest.Direct()
	var wg sync.WaitGroup
	for g := range 8 {
		items := batchOf(8 + g)
		direct := fmt.Sprint(want(items)[0].Labels.Themes)
		wg.Go(func() {
			for i := range 30 {
				if i%10 == 9 {
					if _, err := p.Categorize(t.Context(), texts("!panic")); err == nil {
						t.Error("no error")
					}
					continue
				}
				b, err := p.Categorize(t.Context(), items)
				if err != nil {
					t.Error(err)
					return
				}
				if got := fmt.Sprint(b.Results[0].Labels.Themes); got != direct {
					t.Errorf("got %s, want %s", got, direct)
				}
				b.Release()
			}
		})
	}
	wg.Wait()
	if s := p.Stats(); s.Discarded != 24 || s.Errors != 24 {
		t.Errorf("got %+v", s)
	}
}

func TestCategorizeEachFindsThePoison(t *testing.T) {
	t.Parallel()
	p := loadGuest(t, host.Spec{Limits: host.Limits{Deadline: time.Minute, Fuel: 50_000_000}})
	for _, poison := range []string{"!panic", "!spin", "!exit", "!fatal"} {
		items := batchOf(64)
		items[41].Text = poison
		labelled, next := 0, 0
		err := host.CategorizeEach(t.Context(), p, items, func(i int, r *sdk.Result, err error) {
			if i != next {
				t.Errorf("%s: got item %d, want %d", poison, i, next)
			}
			next++
			switch {
			case err == nil && len(r.Labels.Themes) > 0:
				labelled++
			case err != nil && i == 41:
			case err != nil:
				t.Errorf("%s: item %d: %v", poison, i, err)
			}
		})
		if err != nil || next != 64 {
			t.Errorf("%s: told of %d items, %v", poison, next, err)
		}
		if labelled < 55 {
			t.Errorf("%s: %d items labelled", poison, labelled)
		}
	}
}
