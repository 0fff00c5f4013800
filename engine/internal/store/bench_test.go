package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// itemRecords stands for what one item writes: 8 keys with about 2.5 KB of JSON.
type itemRecords struct {
	r    *rand.Rand
	n    uint64
	text []byte
	buf  []byte
}

func newItemRecords() *itemRecords {
	r := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 2000)
	for i := range words {
		b := make([]byte, 2+r.IntN(9))
		for j := range b {
			b[j] = byte('a' + r.IntN(26))
		}
		words[i] = string(b)
	}
	var text []byte
	for len(text) < 1<<20 {
		text = append(append(text, words[r.IntN(len(words))]...), ' ')
	}
	return &itemRecords{r: r, text: text}
}

func (g *itemRecords) verbatim(n int) []byte {
	i := g.r.IntN(len(g.text) - n)
	return g.text[i : i+n]
}

func (g *itemRecords) json(id, kind string, n int) []byte {
	b := append(g.buf[:0], `{"id":"`...)
	b = append(append(b, id...), `","kind":"`...)
	b = append(append(b, kind...), `","source":"store-survey","score":`...)
	b = strconv.AppendInt(b, int64(g.n%11), 10)
	b = append(b, `,"text":"`...)
	b = append(append(b, g.verbatim(n)...), `"}`...)
	g.buf = b
	return b
}

func (g *itemRecords) next(set func(key, payload []byte)) {
	g.n++
	at := feedback.Time(1700000000000 + g.n*1000)
	id := fmt.Sprintf("f_%026d", g.n)
	set(NewKey(KeyItem).Str(id).Bytes(), g.json(id, "item", 660))
	set(NewKey(KeySeen).Str("store-survey").Str(strconv.FormatUint(g.n*7919%1e9, 10)).Bytes(), g.json(id, "seen", 30))
	set(NewKey(KeyLabels).Str(id).Bytes(), g.json(id, "labels", 270))
	set(NewKey(KeyLabelHistory).Str(id).Uint64(0).Bytes(), g.json(id, "history", 220))
	set(NewKey(KeyDecision).Str(id).Bytes(), g.json(id, "decision", 520))
	set(NewKey(KeyEffect).Str(id).Str("rule|assign|care").Bytes(), g.json(id, "effect", 30))
	set(NewKey(KeyIndex).Str("time").Time(at).Str(id).Bytes(), []byte("{}"))
	set(NewKey(KeyIndex).Str("customer").Str(strconv.Itoa(g.r.IntN(5000))).Str(id).Bytes(), []byte("{}"))
}

// BenchmarkItems writes updates of 256 items, from one caller and from two.
//
//	go test -run - -bench Items -benchtime 100000x ./engine/internal/store
func BenchmarkItems(b *testing.B) {
	for _, p := range []Profile{Server, Small} {
		for _, callers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/callers=%d", p, callers), func(b *testing.B) { benchItems(b, p, callers, 256) })
		}
	}
}

func benchItems(b *testing.B, p Profile, callers, batch int) {
	if p == Small {
		batch = 128
	}
	s, err := Open(b.TempDir(), Options{Profile: p, Reserve: -1, Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			g := newItemRecords()
			g.n = uint64(c) << 32
			for range b.N / batch / callers {
				if err := s.Update(b.Context(), func(tx *Tx) error {
					for range batch {
						g.next(tx.Set)
					}
					return nil
				}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	st := s.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
	if st.Updates > 0 {
		b.ReportMetric(float64(st.Bytes)/float64(st.Updates*uint64(batch)), "B/item")
		b.ReportMetric(float64(st.Commits), "commits")
	}
	if kb := anonymous(); kb > 0 {
		b.ReportMetric(float64(kb)/1024, "MiB-anon")
	}
}

// anonymous returns the KiB of resident memory of the process that is no mapped file, and 0 where that is not known.
func anonymous() (kb int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kb); n == 1 {
			return kb
		}
	}
	return 0
}

// BenchmarkCallers has many callers who each write one item an update, and does the same with Badger's own synced
// transactions, in turns. It reports the ratio.
//
//	go test -run - -bench Callers -benchtime 20000x ./engine/internal/store
func BenchmarkCallers(b *testing.B) {
	for _, callers := range []int{64, 512} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			s, err := Open(b.TempDir(), Options{Reserve: -1, Ballast: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			o, _ := Server.badgerOptions(filepath.Join(b.TempDir(), "b"))
			db, err := badger.Open(o.WithLogger(nil).WithDetectConflicts(true))
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			shared := newItemRecords()
			b.ResetTimer()
			run := func(update func(g *itemRecords) error) float64 {
				before := b.Elapsed()
				var wg sync.WaitGroup
				for c := range callers {
					wg.Go(func() {
						g := *shared
						g.r = rand.New(rand.NewPCG(uint64(c), 3))
						g.n = uint64(c) << 32
						for range max(b.N/callers, 1) {
							if err := update(&g); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				return (b.Elapsed() - before).Seconds()
			}
			ours := run(func(g *itemRecords) error {
				return s.Update(b.Context(), func(tx *Tx) error { g.next(tx.Set); return nil })
			})
			theirs := run(func(g *itemRecords) error {
				return db.Update(func(txn *badger.Txn) (err error) {
					g.next(func(k, v []byte) {
						if e := txn.Set(k, bytes.Clone(v)); e != nil {
							err = e
						}
					})
					return err
				})
			})
			n := float64(max(b.N/callers, 1) * callers)
			b.ReportMetric(n/ours, "items/s")
			b.ReportMetric(n/theirs, "badger-items/s")
			b.ReportMetric(theirs/ours, "ratio")
			b.ReportMetric(n/float64(s.Stats().Commits), "updates/commit")
		})
	}
}
