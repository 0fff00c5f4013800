package wire

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// The benchmarks report the time of one item in a batch of 64, and how many times longer encoding/json takes in the
// same run:
//
//	go test -run '^$' -bench . ./sdk/wire
const perBatch = 64

// batch returns n items as a survey brings them: about 230 bytes of text, a customer and two attributes.
func batch(n int) []feedback.Item {
	items := make([]feedback.Item, n)
	for i := range items {
		items[i] = feedback.Item{
			ID:         feedback.NewItemID(1760000000000, "store-survey", fmt.Sprint(i)),
			Source:     "store-survey",
			ExternalID: fmt.Sprintf("R-%d", 1000+i),
			OccurredAt: 1760000000000 + feedback.Time(i)*1000,
			ReceivedAt: 1760000500000,
			Survey:     feedback.NPS, Score: new(float64(i % 11)), Channel: "email", Touchpoint: "checkout/payment", Language: "en",
			Text: "The app crashed twice while I was paying and the checkout crash lost my cart. Delivery was two days late " +
				"and one of the boxes was damaged, the courier just left it in the rain. Honestly the support team member on the phone was kind.",
			Customer:   feedback.Customer{ID: fmt.Sprintf("c-%d", i), KeyKind: feedback.KeyAccount, Segment: "smb"},
			Attributes: feedback.Attributes{"plan": feedback.StringValue("pro-annual"), "order_value": feedback.NumberValue(49.9)},
		}
	}
	return items
}

// labels returns results such as a codebook gives: a theme and a half an item.
func labels(n int) []sdk.Result {
	rs := make([]sdk.Result, n)
	for i := range rs {
		rs[i].Labels.Sentiment = new(-0.5)
		rs[i].AddTheme("packaging/opening", 0.9, feedback.Span{Start: 4, End: 17}, feedback.Span{Start: 30, End: 38})
		if i%2 == 0 {
			rs[i].AddTheme("delivery/late", 0.7, feedback.Span{Start: 80, End: 88})
		}
	}
	return rs
}

func BenchmarkEncodeItems(b *testing.B) {
	items := batch(perBatch)
	buf := make([]byte, ItemsSize(items))
	measure(b, func() { PutItems(buf, 1760000000000, items) }, func() { _, _ = json.Marshal(items) })
}

func BenchmarkItemsSize(b *testing.B) {
	items := batch(perBatch)
	measure(b, func() { _ = ItemsSize(items) }, func() { _, _ = json.Marshal(items) })
}

func BenchmarkDecodeItems(b *testing.B) {
	items := batch(perBatch)
	frame := AppendItems(nil, 1760000000000, items)
	text, _ := json.Marshal(items)
	var r ItemReader
	measure(b, func() { _, _ = r.Read(frame) }, func() {
		var out []feedback.Item
		_ = json.Unmarshal(text, &out)
	})
}

func BenchmarkEncodeResults(b *testing.B) {
	rs := labels(perBatch)
	var buf []byte
	measure(b, func() { buf = AppendResults(buf[:0], rs) }, func() { _, _ = json.Marshal(rs) })
}

func BenchmarkDecodeResults(b *testing.B) {
	rs := labels(perBatch)
	frame := AppendResults(nil, rs)
	text, _ := json.Marshal(rs)
	var r ResultReader
	measure(b, func() { _, _ = r.Read(frame, perBatch) }, func() {
		var out []sdk.Result
		_ = json.Unmarshal(text, &out)
	})
}

// measure times frame and, in the same run, baseline.
func measure(b *testing.B, frame, baseline func()) {
	b.ReportAllocs()
	for b.Loop() {
		frame()
	}
	ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.StopTimer()
	start, n := time.Now(), 0
	for ; n < 10 || time.Since(start) < 100*time.Millisecond; n++ {
		baseline()
	}
	b.ReportMetric(ns/perBatch, "ns/item")
	b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(n)/ns, "json-ratio")
}
