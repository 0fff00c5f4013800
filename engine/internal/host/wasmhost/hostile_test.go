package wasmhost

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// hostileLimits stop an endless guest at the same point on every machine.
var hostileLimits = host.Limits{Memory: 8 << 20, Fuel: 20_000_000, Deadline: time.Minute}

const poisonous = 13 // of the items of a batch

func hostileBatch() []feedback.Item {
	items := batchOf(32)
	items[poisonous].Text = "!poison"
	return items
}

// TestHostile runs the catalogue of hostile guests. Each costs the item that it attacks at, and no more: not the other
// items of its batch, not the calls after it, and not another plugin that runs beside it.
func TestHostile(t *testing.T) {
	t.Parallel()
	bystander := load(t, hosttest.Harmless(t), host.Spec{ID: "bystander"})
	for _, a := range hosttest.Attacks(t, hosttest.Inside(t)) {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			spec := host.Spec{ID: "hostile", Limits: hostileLimits, Grants: a.Grants, KV: &hosttest.KV{}, Log: zerolog.Nop()}
			if a.AtLoad {
				p, err := sharedRuntime(t).Load(t.Context(), a.Module, spec)
				if err == nil {
					_ = p.Close(t.Context())
					t.Fatal("it was loaded")
				}
				clear := wantError(t, err, a.Code)
				if !strings.Contains(clear.Error(), a.Cause) || clear.Plugin != "hostile" {
					t.Errorf("got %v, want %q", clear, a.Cause)
				}
				return
			}
			p := load(t, a.Module, spec)
			for range 2 { // the second time on an instance that was made after the first attack
				survive(t, p, a)
			}
			if b, err := bystander.Categorize(t.Context(), batchOf(32)); err != nil {
				t.Errorf("another plugin: %v", err)
			} else {
				b.Release()
			}
		})
	}
}

// survive has the guest attack at one item of a batch.
func survive(t *testing.T, p host.Plugin, a hosttest.Attack) {
	t.Helper()
	labelled := 0
	var poison error
	err := host.CategorizeEach(t.Context(), p, hostileBatch(), func(i int, _ *sdk.Result, err error) {
		switch {
		case err == nil:
			labelled++
		case i == poisonous:
			poison = err
		default:
			t.Errorf("item %d: %v", i, err)
		}
	})
	if err != nil || labelled != 31 {
		t.Fatalf("%d items were labelled, %v", labelled, err)
	}
	e := wantError(t, poison, a.Code)
	if !strings.Contains(e.Error(), a.Cause) {
		t.Errorf("got %v, want %q", e, a.Cause)
	}
	for what, has := range map[string]bool{
		"the plugin":  e.Plugin == "hostile" && strings.Contains(e.Error(), "plugin hostile"),
		"the version": strings.HasPrefix(e.Version, "1.0.0+") && (e.Code == host.CodeRefused || strings.Contains(e.Error(), e.Version)),
		"a cause":     e.Cause != nil && e.Cause.Error() != "",
		"little text": len(e.Stderr) < 16<<10 && len(e.Error()) < 1<<10,
	} {
		if !has {
			t.Errorf("the error does not have %s: %v", what, e)
		}
	}
}

// TestHostileGuestsDoNotHoldUpTheCollector measures how long a garbage collection of the host waits while a guest attacks,
// until its deadline if it does not end before. It prints the figures, beside those without a guest, and fails only when the host was stuck. It is not parallel: the
// other tests would be measured too.
func TestHostileGuestsDoNotHoldUpTheCollector(t *testing.T) {
	quiet := collect(func() { time.Sleep(50 * time.Millisecond) })
	t.Logf("%-44s longest collection %8v, of %d", "no guest", quiet.longest.Round(10*time.Microsecond), quiet.n)
	limits := host.Limits{Memory: 8 << 20, Deadline: short}
	before := resident()
	for _, a := range hosttest.Attacks(t, hosttest.Inside(t)) {
		if a.AtLoad {
			continue
		}
		p := load(t, a.Module, host.Spec{ID: "hostile", Limits: limits, Grants: a.Grants, KV: &hosttest.KV{}, Log: zerolog.Nop()})
		items := hostileBatch()[poisonous : poisonous+1]
		var err error
		got := collect(func() { _, err = p.Categorize(t.Context(), items) })
		if e := (*host.Error)(nil); !errors.As(err, &e) || a.Endless && !strings.Contains(e.Error(), "longer than 100ms") {
			t.Errorf("%s: got %v", a.Name, err)
		}
		t.Logf("%-44s longest collection %8v, of %d", a.Name, got.longest.Round(10*time.Microsecond), got.n)
		if got.longest > 10*time.Second {
			t.Errorf("%s: a collection waited %v", a.Name, got.longest)
		}
	}
	after := resident()
	t.Logf("%d KiB of real memory before all of them, %d KiB after", before>>10, after>>10)
	if after-before > 256<<20 {
		t.Errorf("the guests left %d MiB behind", (after-before)>>20)
	}
}

type collections struct {
	longest time.Duration
	n       int
}

// collect collects garbage for as long as f runs.
func collect(f func()) (got collections) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for {
		start := time.Now()
		runtime.GC()
		got.longest = max(got.longest, time.Since(start))
		got.n++
		select {
		case <-done:
			return got
		default:
		}
	}
}

// resident returns the bytes of real memory that this process has, without garbage, or 0 where the system does not say.
func resident() int64 {
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(string(bytes.Fields(statm)[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// TestPanicsOfTheCompilerAreCaught calls a function of a type that is not there, which the compiler does not survive.
// Load never gets so far: package meter refuses it.
func TestPanicsOfTheCompilerAreCaught(t *testing.T) {
	t.Parallel()
	module := []byte(wasmfile.Header +
		"\x01\x04\x01\x60\x00\x00" + // a type
		"\x03\x03\x02\x00\x09" + // two functions, of the first and the tenth type
		"\x0a\x09\x02\x04\x00\x10\x01\x0b\x02\x00\x0b") // the first calls the second
	c := &code{}
	defer c.close(t.Context())
	if err := c.compile(t.Context(), module, nil); err == nil || !strings.Contains(err.Error(), "the compiler cannot cope with the module") {
		t.Errorf("got %v", err)
	}
	_, err := sharedRuntime(t).Load(t.Context(), hosttest.WithManifest(t, module, tinyManifest), host.Spec{ID: "hostile"})
	wantError(t, err, host.CodeModule)
}
