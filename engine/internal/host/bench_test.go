package host_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/testdata/guest"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/plugins/codebook"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// BenchmarkCategorize compares categorizers in every transport with the same code called directly, in time for an item
// of a batch: the guest for tests, which finds 44 phrases of twelve themes in the plainest way, and the codebook with 50
// phrases and words of tone. Frames, calls and metering are in the figures of a transport.
//
//	go test -run xxx -bench Categorize -benchmem ./engine/internal/host
//
// fastest is what the ratio is made of: the least time of many short rounds, which other work on the machine disturbs
// least.
func BenchmarkCategorize(b *testing.B) {
	codebooks := transports(b, "native", "wasm", "process")
	instance, err := codebook.Plugin.New(context.Background(), nil, settings50(b))
	if err != nil {
		b.Fatal(err)
	}
	direct := instance.(sdk.Categorizer)
	out := make([]sdk.Result, 256)
	compare(b, "codebook", codebooks, []int{16, 64}, func(items []feedback.Item) error {
		for i := range items {
			out[i].Reset()
		}
		return direct.Categorize(context.Background(), items, out[:len(items)])
	})
	plain := guest.Direct()
	compare(b, "plain", map[string]host.Plugin{"wasm": plainGuest(b)}, []int{1, 16, 256}, func(items []feedback.Item) error {
		_ = plain(items)
		return nil
	})
}

// plainGuest loads the guest for tests.
func plainGuest(b *testing.B) host.Plugin {
	const dir = "engine/internal/host/testdata/guest/cmd"
	ctx := context.Background()
	rt, err := wasmhost.New("")
	if err != nil {
		b.Fatal(err)
	}
	p, err := rt.Load(ctx, hosttest.Module(b, dir), hosttest.Granted(b, host.Spec{ID: "plain", Manifest: hosttest.Manifest(b, dir), Settings: []byte("{}")}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = p.Close(ctx)
		_ = rt.Close(ctx)
	})
	return p
}

func compare(b *testing.B, name string, plugins map[string]host.Plugin, sizes []int, direct func([]feedback.Item) error) {
	for _, size := range sizes {
		items := reviews(size)
		base := 0.0
		run := func(transport string, call func() error) {
			b.Run(fmt.Sprintf("%s/%d/%s", name, size, transport), func(b *testing.B) {
				round := max(1, 64/size)
				must := func() {
					for range round {
						if err := call(); err != nil {
							b.Fatal(err)
						}
					}
				}
				for range 100 { // until instances are made and buffers have grown
					must()
				}
				b.ReportAllocs()
				fastest := time.Hour
				for b.Loop() {
					start := time.Now()
					must()
					fastest = min(fastest, time.Since(start))
				}
				ns := float64(fastest.Nanoseconds()) / float64(round*size)
				if base == 0 {
					base = ns
				}
				b.ReportMetric(ns, "fastest-ns/item")
				b.ReportMetric(ns/base, "x-direct")
			})
		}
		called := func() error { return direct(items) }
		run("direct", called)
		for _, transport := range []string{"native", "wasm", "process"} {
			if p, ok := plugins[transport]; ok {
				run(transport, func() error {
					batch, err := p.Categorize(context.Background(), items)
					if err == nil {
						batch.Release()
					}
					return err
				})
			}
		}
		run("direct-again", called) // what the machine's noise does to the ratio
	}
}
