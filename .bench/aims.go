package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// measureAims measures what the comparison does not tell, and judges all of it.
func (r *report) measureAims(ctx context.Context, o *options, h *hosts, tmp string) error {
	r.judgeSpeed()
	if err := r.loading(ctx, o, h, filepath.Join(tmp, "warm")); err != nil {
		return err
	}
	if err := r.parallel(ctx, o, h); err != nil {
		return err
	}
	if err := r.resident(ctx, o, h); err != nil {
		return err
	}
	return r.steady(ctx, o, h)
}

// judgeSpeed judges the figures of the comparison.
func (r *report) judgeSpeed() {
	const one, sixteen = 0, 1
	for _, language := range []string{"C", "Rust", "AssemblyScript", "Go"} {
		most := 2.2
		if language == "Go" {
			most = 4
		}
		ratio := r.ratio("sandbox, "+language+" guest", sixteen)
		r.aims.Add(ratio <= most, fmt.Sprintf("%s guest at most %.1f times native, batch 16", language, most), "%.2f times", ratio)
	}
	faster := r.peer(extismTimedName).figures[one].least / r.peer("sandbox, C guest").figures[one].least
	r.aims.Add(faster >= 15, "C guest at least 15 times as fast as Extism with its timeout, batch 1", "%.1f times", faster)
	allocs := 0.0
	for _, p := range r.peers {
		if strings.HasPrefix(p.name, "sandbox") {
			for _, f := range p.figures {
				allocs = max(allocs, f.allocs)
			}
		}
	}
	r.aims.Add(allocs == 0, "no allocation a call in the sandbox, any guest, any batch", "%.2f", allocs)
	for _, m := range r.metering {
		worst := 0.0
		for i := range batches {
			worst = max(worst, m.metered(i)/m.plain(i))
		}
		r.aims.Add(worst <= 1.15, m.name+" guest: metering at most 15 %, any batch", "%.0f %%", 100*(worst-1))
	}
}

// loading measures how long it takes to load the guest in Go when its code is in the cache.
func (r *report) loading(ctx context.Context, o *options, h *hosts, cache string) error {
	times := []time.Duration{}
	var cold time.Duration
	for i := range min(o.rounds, 20) + 1 {
		start := time.Now()
		rt, err := wasmhost.New(cache)
		if err != nil {
			return err
		}
		p, err := rt.Load(ctx, h.module("Go"), spec("loaded"))
		took := time.Since(start)
		if err != nil {
			return explained("loading", err)
		}
		if err := p.Close(ctx); err != nil {
			return err
		}
		if err := rt.Close(ctx); err != nil {
			return err
		}
		if i == 0 {
			cold = took
			continue
		}
		times = append(times, took)
	}
	slices.Sort(times)
	r.aims.Add(times[0] < 50*time.Millisecond, "Go guest loads in under 50 ms with a warm cache",
		"%.1f ms at least, %.1f ms in the middle (%.0f ms with a cold one)", ms(times[0]), ms(times[len(times)/2]), ms(cold))
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (h *hosts) module(name string) []byte {
	for _, m := range h.modules {
		if m.name == name {
			return m.wasm
		}
	}
	return nil
}

// pair is two contenders that do the same, and what they took to do it alone and at once.
type pair struct {
	name     string
	both     [2]contender
	calls    int
	one, two time.Duration
}

// gain returns how much more the two do at once than one of them does.
func (p *pair) gain() float64 { return 2 * float64(p.one) / float64(p.two) }

// parallel measures what two callers get done, against one. All pairs take turns, so that the same quiet moments are
// there for each.
func (r *report) parallel(ctx context.Context, o *options, h *hosts) error {
	items := reviews(16)
	pairs := []*pair{{name: "native", both: [2]contender{native("one"), native("two")}}}
	for _, name := range []string{"C", "Go"} { // of two callers at once each gets an instance of the plugin
		c := plugin(name, h.plugins[name])
		pairs = append(pairs, &pair{name: name, both: [2]contender{c, c}})
	}
	for _, p := range pairs {
		p.one, p.two = math.MaxInt64, math.MaxInt64
		var err error
		if p.calls, err = calibrate(p.both[0], items, o.round); err != nil {
			return err
		}
	}
	for range o.rounds {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, p := range pairs {
			one, err := together(p.both[:1], items, p.calls)
			if err != nil {
				return err
			}
			two, err := together(p.both[:], items, p.calls)
			if err != nil {
				return err
			}
			p.one, p.two = min(p.one, one), min(p.two, two)
		}
	}
	for _, p := range pairs[1:] {
		r.aims.Add(p.gain() >= 1.5, "two instances of the "+p.name+" guest do at least 1.5 times the work of one",
			"%.2f times; native code in two goroutines: %.2f times", p.gain(), pairs[0].gain())
	}
	return nil
}

// handshakes is how often contenders take turns before they begin together. Those that do not have a core each would
// need a switch of the scheduler for every one.
const handshakes = 200

// together lets contenders make n calls each at the same time, and returns the time from when all were running to when
// the last was done.
func together(all []contender, items []feedback.Item, n int) (time.Duration, error) {
	errs := make([]error, len(all))
	starts, ends := make([]time.Time, len(all)), make([]time.Time, len(all))
	var turn atomic.Int32
	var done sync.WaitGroup
	for i := range all {
		done.Go(func() {
			for t := turn.Load(); t < handshakes; t = turn.Load() {
				if int(t)%len(all) == i {
					turn.Add(1)
				}
			}
			starts[i] = time.Now()
			_, errs[i] = repeat(all[i], items, n)
			ends[i] = time.Now()
		})
	}
	done.Wait()
	return slices.MaxFunc(ends, time.Time.Compare).Sub(slices.MinFunc(starts, time.Time.Compare)), errors.Join(errs...)
}

// resident measures the memory of this process that a used instance of the guest in Go takes up.
func (r *report) resident(ctx context.Context, o *options, h *hosts) error {
	const instances = 8
	const what = "at most 5 MB resident for a used instance of the Go guest"
	items := reviews(16)
	use := func(p host.Plugin) error {
		_, err := repeat(plugin("resident", p), items, min(5*o.rounds, 2000))
		return err
	}
	if err := use(h.plugins["Go"]); err != nil {
		return err
	}
	before, ok := residentBytes()
	if !ok {
		r.aims.Add(false, what, "not measured: it is read from /proc")
		return nil
	}
	for i := range instances {
		p, err := h.runtime.Load(ctx, h.module("Go"), spec(fmt.Sprint("resident", i)))
		if err != nil {
			return explained("resident", err)
		}
		defer p.Close(ctx)
		if err := use(p); err != nil {
			return err
		}
	}
	after, _ := residentBytes()
	each := float64(after-before) / instances / 1e6
	r.aims.Add(each <= 5, what, "%.2f MB, the mean of %d", each, instances)
	return nil
}

// steady calls guests very often and compares the memory of this process before and after.
func (r *report) steady(ctx context.Context, o *options, h *hosts) error {
	items := reviews(1)
	for _, name := range []string{"C", "Rust", "AssemblyScript", "Go"} {
		s := spec("steady")
		s.Limits.Instances = 1
		p, err := h.runtime.Load(ctx, h.module(name), s)
		if err != nil {
			return explained("steady", err)
		}
		defer p.Close(ctx)
		if _, err := repeat(plugin(name, p), items, o.million/10); err != nil {
			return err
		}
		start := p.Stats()
		held, ok := residentBytes()
		for range 10 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if _, err := repeat(plugin(name, p), items, o.million/10); err != nil {
				return err
			}
		}
		end := p.Stats()
		now, _ := residentBytes()
		grown := "memory of the process not known"
		if ok {
			grown = fmt.Sprintf("the process by %.1f MB", float64(now-held)/1e6)
		}
		r.aims.Add(end.Memory == start.Memory && end.Made == 1 && now-held < 2e6,
			fmt.Sprintf("%s guest does not grow in %d calls", name, o.million),
			"its memory by %d bytes from %d, %s", end.Memory-start.Memory, start.Memory, grown)
	}
	return nil
}

// residentBytes returns how much memory of this process is resident once what is free was given back.
func residentBytes() (int64, bool) {
	debug.FreeOSMemory()
	data, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(data)
	if err != nil || len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
