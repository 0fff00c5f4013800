package wasmhost

import (
	"fmt"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/nativehost"
	"github.com/closedloop/closedloop/engine/internal/host/testdata/guest"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// fragments make up the items of the benchmark, about 300 bytes of text each.
var fragments = []string{
	"I have been a customer for six years and this is the first time I felt I had to write to you about it.",
	"The app crashed twice while I was paying and the checkout crash lost my cart.",
	"Support on the phone was very kind but I was waiting on hold for forty minutes.",
	"The price went up again and there is a hidden fee that nobody told me about when I signed up.",
	"Delivery was two days late and the box was damaged, the courier just left it in the rain.",
	"We will see how it goes next month, nothing more to add from my side for now.",
	"I asked for a refund and got no response for a week, I am disappointed to say the least.",
}

func batchOf(n int) []feedback.Item {
	items := make([]feedback.Item, n)
	for i := range items {
		var parts []string
		for k := range 3 {
			parts = append(parts, fragments[(i*5+k*3+i/7)%len(fragments)])
		}
		items[i] = feedback.Item{
			ID: feedback.NewItemID(1_770_000_000_000, "bench", fmt.Sprint(i)), Source: "bench", ExternalID: fmt.Sprint("R-", i),
			ReceivedAt: 1_770_000_000_000, Survey: feedback.NPS, Score: new(float64(i % 11)), Channel: "email", Touchpoint: "checkout/payment",
			Language: "en", Text: strings.Join(parts, " "), Customer: feedback.Customer{ID: fmt.Sprint("C-", i), Segment: "smb", ARR: new(1200.0)},
		}
	}
	return items
}

// BenchmarkCategorize compares a Go guest in the sandbox with the same code called directly:
//
//	go test -bench Categorize -benchmem ./engine/internal/host/wasmhost
func BenchmarkCategorize(b *testing.B) {
	for _, size := range []int{16, 64} {
		items := batchOf(size)
		perItem := func(b *testing.B) float64 {
			ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(size)
			b.ReportMetric(ns, "ns/item")
			return ns
		}
		run := func(b *testing.B, p host.Plugin) float64 {
			b.ReportAllocs()
			for range 100 { // until instances are made and buffers have grown
				batch, err := p.Categorize(b.Context(), items)
				if err != nil {
					b.Fatal(err)
				}
				batch.Release()
			}
			for b.Loop() {
				batch, err := p.Categorize(b.Context(), items)
				if err != nil {
					b.Fatal(err)
				}
				batch.Release()
			}
			return perItem(b)
		}
		var direct float64
		b.Run(fmt.Sprintf("direct/%d", size), func(b *testing.B) {
			call := guest.Direct()
			for b.Loop() {
				call(items)
			}
			direct = perItem(b)
		})
		b.Run(fmt.Sprintf("native/%d", size), func(b *testing.B) {
			p, err := nativehost.New(b.Context(), guest.Plugin, host.Spec{ID: "bench", Manifest: hosttest.Manifest(b, guestDir)})
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close(b.Context())
			b.ReportMetric(run(b, p)/direct, "x-direct")
		})
		b.Run(fmt.Sprintf("wasm/%d", size), func(b *testing.B) {
			b.ReportMetric(run(b, loadGuest(b, host.Spec{}))/direct, "x-direct")
		})
	}
}
