package engine

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// BenchmarkCaseReport tells of 200,000 cases (with -short 4,000), a third of them open, and of as many answers, each with
// one of 200 themes: how long it takes, against reading the cases alone, and how much more memory is held at most.
//
//	go test -run - -bench CaseReport -benchtime 3x ./engine
func BenchmarkCaseReport(b *testing.B) {
	n := 200_000
	if testing.Short() {
		n = 4_000
	}
	st, err := store.Open(b.TempDir(), store.Options{Profile: store.Server})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	fillReport(b, st, n)
	s := &State{store: st, Clock: time.Now, zone: time.UTC}
	from := time.Now()
	err = st.View(func(snap *store.Snapshot) error {
		return records.EachCase(snap, func(*feedback.Case) (bool, error) { return true, nil })
	})
	if err != nil {
		b.Fatal(err)
	}
	scan := time.Since(from)
	for b.Loop() {
		highest := watchHeap()
		if r, err := s.CaseReport(b.Context(), CaseReportQuery{}); err != nil || r.Opened != n || len(r.AtRisk) != 200 {
			b.Fatal(err, r)
		}
		b.ReportMetric(float64(highest())/(1<<20), "MiB-heap-more")
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(scan), "x-of-reading-the-cases")
}

// watchHeap looks at what the heap holds until the returned function is called, which returns by how much it grew at most.
func watchHeap() func() uint64 {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var most uint64
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
				most = max(most, heap())
			}
		}
	})
	return func() uint64 {
		close(done)
		group.Wait()
		return max(most, before) - before
	}
}

func fillReport(b *testing.B, st *store.Store, n int) {
	b.Helper()
	k := set(b)
	const batch = 500
	for from := 0; from < n; from += batch {
		err := st.Update(b.Context(), func(tx *store.Tx) error {
			for i := from; i < min(from+batch, n); i++ {
				c := caseOf(i, k)
				at := c.OpenedAt
				if i%3 != 0 {
					done, err := cases.Attempted(c, feedback.Attempt{At: at.Add(time.Hour), By: c.Owner, Channel: "phone", Result: "reached"}, at.Add(time.Hour))
					if err != nil {
						return err
					}
					if c, err = cases.Resolve(done, cases.Resolution{Outcome: "refunded", RootCause: "carrier", Action: "paid"}, c.Owner, at.Add(9*time.Hour)); err != nil {
						return err
					}
				}
				it := records.Item{Revision: 1, Case: string(c.ID), Queue: c.Queue, Feedback: feedback.Item{
					ID: c.Item, Source: "survey", ExternalID: fmt.Sprint(i), Survey: feedback.NPS, Score: new(2.0), OccurredAt: at,
					Text:     "the delivery was late again and support did not answer my email twice but the courier was friendly",
					Customer: feedback.Customer{ID: c.Customer, Account: fmt.Sprint("company ", i%50_000)},
				}}
				theme := feedback.Theme{Path: feedback.ThemePath(fmt.Sprintf("theme-%d", i%200))}
				l := records.Labels{Changes: []feedback.Change{{By: feedback.Author{Layer: feedback.LayerModel}, Add: []feedback.Theme{theme}}}}
				if err := store.PutNew(tx, records.ItemKey(c.Item), &it); err != nil {
					return err
				}
				if err := store.PutNew(tx, records.LabelsKey(c.Item), &l); err != nil {
					return err
				}
				if err := store.PutNew(tx, records.CaseKey(c.ID), &c); err != nil {
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
