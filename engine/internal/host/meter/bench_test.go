package meter_test

import (
	"context"
	"math"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/meter"
)

// BenchmarkInstrument measures how fast a Go guest is rewritten:
//
//	go test -run xxx -bench . ./engine/internal/host/meter
func BenchmarkInstrument(b *testing.B) {
	module := hosttest.Module(b, "engine/internal/host/testdata/guest/cmd")
	b.SetBytes(int64(len(module)))
	size := 0
	for b.Loop() {
		out, err := meter.Instrument(module, meter.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		size = len(out)
	}
	b.ReportMetric(float64(size)/float64(len(module)), "x-size")
}

// BenchmarkMetered compares code as it is with the metered code: a loop that reads memory, as a search in a text does,
// and a function that calls itself. What metering costs a Go guest is in between; see BenchmarkCategorize of package
// host for the sum.
func BenchmarkMetered(b *testing.B) {
	for name, c := range map[string]struct {
		f   hosttest.Func
		arg uint64
	}{
		// for i = arg; i != 0; i-- { sum += memory[i&0xfff8] }
		"loop": {hosttest.Func{Params: hosttest.I32, Results: hosttest.I32, Locals: hosttest.I32, Body: code(
			0x03, 0x40, 0x20, 1, 0x20, 0, i32(0xfff8), 0x71, 0x28, 2, 0, 0x6a, 0x21, 1, countdown[2:], 0x20, 1)}, 100_000},
		// fib(arg)
		"calls": {hosttest.Func{Params: hosttest.I32, Results: hosttest.I32, Body: code(
			0x20, 0, i32(2), 0x49, 0x04, 0x7f, 0x20, 0, 0x05,
			0x20, 0, i32(1), 0x6b, 0x10, 0, 0x20, 0, i32(2), 0x6b, 0x10, 0, 0x6a, 0x0b)}, 20},
	} {
		var base float64
		for _, kind := range []string{"plain", "metered", "plain-again"} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				module := one(c.f).Bytes()
				if kind == "metered" {
					module = instrument(b, one(c.f))
				}
				ctx := context.Background()
				m, err := newEngine(b, wazero.NewRuntimeConfig()).Instantiate(ctx, module)
				if err != nil {
					b.Fatal(err)
				}
				run := m.ExportedFunction("run")
				stack := make([]uint64, 1)
				for b.Loop() {
					if kind == "metered" {
						m.ExportedGlobal(meter.Fuel).(api.MutableGlobal).Set(math.MaxInt64)
						m.ExportedGlobal(meter.Stack).(api.MutableGlobal).Set(1 << 20)
					}
					stack[0] = c.arg
					if err := run.CallWithStack(ctx, stack); err != nil {
						b.Fatal(err)
					}
				}
				ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
				if base == 0 {
					base = ns
				}
				b.ReportMetric(ns/base, "x-plain")
			})
		}
	}
}
