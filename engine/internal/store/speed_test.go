package store

import (
	"bufio"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// fillItems is the part of a child that writes items as fast as it can until it is killed, and says every 1,000.
func fillItems(dir string) error {
	s, err := Open(dir, Options{Reserve: -1, Ballast: -1})
	if err != nil {
		return err
	}
	g := newItemRecords()
	for {
		if err := s.Update(context.Background(), func(tx *Tx) error {
			for range 250 {
				g.next(tx.Set)
			}
			return nil
		}); err != nil {
			return err
		}
		fmt.Println("items", g.n)
	}
}

// BenchmarkOpenAfterKill kills a process that has just written 60,000 items as fast as it could, and opens what it left.
//
//	go test -run - -bench OpenAfterKill -benchtime 5x ./engine/internal/store
func BenchmarkOpenAfterKill(b *testing.B) {
	var took []time.Duration
	logs := int64(0)
	for b.Loop() {
		dir := b.TempDir()
		c := child("fill items", dir)
		out, err := c.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Start(); err != nil {
			b.Fatal(err)
		}
		items := 0
		for lines := bufio.NewScanner(out); items < 60_000 && lines.Scan(); {
			if _, err := fmt.Sscanf(lines.Text(), "items %d", &items); err != nil {
				b.Fatal(lines.Text())
			}
		}
		_ = c.Process.Kill()
		_ = c.Wait()
		names, _ := filepath.Glob(filepath.Join(dir, "badger", "*.mem"))
		logs += int64(len(names))
		begin := time.Now()
		s, err := Open(dir, Options{Reserve: -1, Ballast: -1})
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[0].Microseconds())/1000, "ms-least")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-most")
	b.ReportMetric(float64(logs)/float64(len(took)), "logs")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkReadsUnderLoad reads single records while four callers write items as fast as they can.
//
//	go test -run - -bench ReadsUnderLoad -benchtime 200000x ./engine/internal/store
func BenchmarkReadsUnderLoad(b *testing.B) {
	s, err := Open(b.TempDir(), Options{Reserve: -1, Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ctx, stop := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var keys [][]byte
	begin := time.Now()
	for c := range 4 {
		wg.Go(func() {
			g := newItemRecords()
			g.n = uint64(c) << 32
			for ctx.Err() == nil {
				var k []byte
				_ = s.Update(ctx, func(tx *Tx) error {
					for range 64 {
						g.next(func(key, payload []byte) { tx.Set(key, payload); k = key })
					}
					return nil
				})
				mu.Lock()
				keys = append(keys, k)
				mu.Unlock()
			}
		})
	}
	for ready := false; !ready; time.Sleep(time.Millisecond) {
		mu.Lock()
		ready = len(keys) > 500
		mu.Unlock()
	}
	r := newItemRecords().r
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		mu.Lock()
		k := keys[r.IntN(len(keys))]
		mu.Unlock()
		at := time.Now()
		if err := s.View(func(sn *Snapshot) error { _, err := sn.Get(k); return err }); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(at))
	}
	stop()
	wg.Wait()
	written := float64(s.Stats().Updates*64) / time.Since(begin).Seconds()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "µs-p99")
	b.ReportMetric(float64(took[len(took)-1].Nanoseconds())/1000, "µs-most")
	b.ReportMetric(written, "items/s")
	b.ReportMetric(0, "ns/op")
}
