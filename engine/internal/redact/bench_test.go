package redact

import (
	"strings"
	"testing"
	"time"
)

// BenchmarkText redacts texts in which nothing is found, and prints the time against that of a plain scan of the bytes for a
// sign of an address or a digit: "x-scan" is the ratio of the least times. Run it with
//
//	go test -bench Text ./engine/internal/redact
func BenchmarkText(b *testing.B) {
	for _, bb := range []struct{ name, text string }{
		{"prose", strings.Repeat("The box was impossible to open, and nobody called me back for days. ", 8)},
		{"numbers", strings.Repeat("Order 2125550123 came on 22.11.2026 at 10:30 for 1.234.567,89 EUR; @shop was rude. ", 7)},
		{"found", strings.Repeat("Write to anna@example.com or call +44 20 7946 0958, the card is 4111 1111 1111 1111. ", 7)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.text)))
			b.ReportAllocs()
			const turns = 64
			least, leastScan := time.Duration(1<<62), time.Duration(1<<62)
			var sink int
			for b.Loop() {
				start := time.Now()
				for range turns {
					_, found := All.Text(bb.text)
					sink += found.Total()
				}
				middle := time.Now()
				for range turns {
					sink += scan(bb.text)
				}
				least, leastScan = min(least, middle.Sub(start)), min(leastScan, time.Since(middle))
			}
			if sink < 0 {
				b.Fatal(sink)
			}
			b.ReportMetric(float64(least)/float64(leastScan), "x-scan")
			b.ReportMetric(float64(least)/turns, "least-ns/text")
		})
	}
}

// scan counts what a redaction has to look at.
func scan(s string) (n int) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '@' || isDigit(c) || c >= 0x80 {
			n++
		}
	}
	return n
}
