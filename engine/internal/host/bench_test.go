package host_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/closedloop/closedloop/plugins/codebook"
	"github.com/closedloop/closedloop/sdk"
)

// BenchmarkCategorize compares the codebook of 50 phrases in every transport with the same code called directly, in
// time for an item:
//
//	go test -run xxx -bench Categorize -benchmem ./engine/internal/host
func BenchmarkCategorize(b *testing.B) {
	plugins := transports(b, "native", "wasm", "process")
	instance, err := codebook.Plugin.New(context.Background(), nil, settings50(b))
	if err != nil {
		b.Fatal(err)
	}
	direct := instance.(sdk.Categorizer)
	for _, size := range []int{16, 64} {
		items := reviews(size)
		out := make([]sdk.Result, size)
		var base float64
		run := func(name string, call func() error) {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				for range 100 { // until instances are made and buffers have grown
					if err := call(); err != nil {
						b.Fatal(err)
					}
				}
				for b.Loop() {
					if err := call(); err != nil {
						b.Fatal(err)
					}
				}
				ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(size)
				b.ReportMetric(ns, "ns/item")
				if base == 0 {
					base = ns
				}
				b.ReportMetric(ns/base, "x-direct")
			})
		}
		called := func() error {
			for i := range out {
				out[i].Reset()
			}
			return direct.Categorize(context.Background(), items, out)
		}
		run("direct", called)
		for _, name := range []string{"native", "wasm", "process"} {
			run(name, func() error {
				batch, err := plugins[name].Categorize(context.Background(), items)
				if err == nil {
					batch.Release()
				}
				return err
			})
		}
		run("direct-again", called) // what the machine's noise does to the ratio
	}
}
