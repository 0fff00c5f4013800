package outbox

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
)

// backlog is how many messages BenchmarkDrain sends.
const backlog = 50_000

// BenchmarkDrain sends a backlog through the webhook plugin to a server on loopback, and tells how many times as long that
// takes as calling the plugin alone does, with as many calls at once. The plugin alone is measured before and after.
//
//	go test ./engine/internal/outbox -run '^$' -bench Drain -benchtime 1x
func BenchmarkDrain(b *testing.B) {
	for _, at := range []int{1, 8} {
		b.Run(fmt.Sprintf("concurrency=%d", at), func(b *testing.B) {
			r := receive(b, func(string, int) behaviour { return ok })
			go func() {
				for range r.seen {
				}
			}()
			b.Cleanup(func() { close(r.seen) })
			p := hook(b, r, "native", nil, host.Limits{Instances: at})
			for b.Loop() {
				w := newWorldOf(b, store.Server, p, Policy{Concurrency: at})
				fillUp(b, w, backlog)
				alone := callAlone(b, p, at, backlog/2)
				from := time.Now()
				if n := w.drain(); n != backlog {
					b.Fatalf("sent %d", n)
				}
				took := time.Since(from)
				alone += callAlone(b, p, at, backlog/2)
				b.ReportMetric(took.Seconds()/alone.Seconds(), "times-the-plugin-alone")
				b.ReportMetric(backlog/took.Seconds(), "messages/s")
				b.ReportMetric(float64(w.store.Stats().Updates-backlog/500)/backlog, "updates/message")
			}
		})
	}
}

func fillUp(b testing.TB, w *world, n int) {
	b.Helper()
	for from := 0; from < n; from += 500 {
		err := w.store.Update(context.Background(), func(tx *store.Tx) error {
			for i := from; i < from+500; i++ {
				if err := putOne(tx, "team", fmt.Sprintf("msg_%d", i), fmt.Sprintf("f_%d", i), start); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// callAlone has the plugin deliver so many messages, and returns how long that took.
func callAlone(b *testing.B, p host.Plugin, at, n int) time.Duration {
	b.Helper()
	from := time.Now()
	var wg sync.WaitGroup
	for c := range at {
		wg.Go(func() {
			for i := c; i < n; i += at {
				key := fmt.Sprintf("alone_%d", i)
				if err := p.Deliver(context.Background(), sdk.Message{Key: key, Attempt: 1, Kind: "notify", At: start, Body: []byte(bodyOf(key))}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(from)
}
