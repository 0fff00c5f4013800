package engine

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// benchCases is how many open cases the benchmark keeps: a million, or with -short 20,000.
func benchCases() int {
	if testing.Short() {
		return 20_000
	}
	return 1_000_000
}

// BenchmarkOpenCases asks a store with open cases, each with its timer, what is due next, and for the oldest of a queue,
// and opens it. The baseline of either question is to read every case.
//
//	go test -run - -bench OpenCases -benchtime 20x -timeout 30m ./engine
func BenchmarkOpenCases(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "state")
	n := benchCases()
	fillCases(b, dir, n)
	var st *store.Store
	open := func(b *testing.B) {
		var err error
		if st, err = store.Open(dir, store.Options{Profile: store.Server}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("open the store", func(b *testing.B) {
		for b.Loop() {
			open(b)
			b.StopTimer()
			if err := st.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
	open(b)
	defer st.Close()
	s := &State{store: st, Clock: time.Now}
	scan := time.Duration(1 << 62)
	for range 3 {
		begin := time.Now()
		seen := 0
		err := st.View(func(snap *store.Snapshot) error {
			return records.EachCase(snap, func(*feedback.Case) (bool, error) { seen++; return true, nil })
		})
		if err != nil || seen != n {
			b.Fatalf("%d cases, %v", seen, err)
		}
		scan = min(scan, time.Since(begin))
	}
	ask := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(scan)/(float64(b.Elapsed())/float64(b.N)), "x-faster-than-a-scan")
		})
	}
	ask("what is due next", func() error {
		_, ok, err := st.NextDue()
		if err == nil && !ok {
			err = fmt.Errorf("nothing is due")
		}
		return err
	})
	ask("the oldest 50 of a queue", func() error {
		got, err := s.Cases(b.Context(), CaseQuery{Queue: "queue-7", Status: feedback.CaseOpen})
		if err == nil && len(got) != 50 {
			err = fmt.Errorf("%d cases", len(got))
		}
		return err
	})
	ask("the oldest 50 of all", func() error {
		_, err := s.Cases(b.Context(), CaseQuery{Status: feedback.CaseOpen})
		return err
	})
	ask("one case", func() error {
		_, err := s.Case(b.Context(), caseOf(n/2, set(b)).ID)
		return err
	})
}

func set(b *testing.B) *rules.Set {
	b.Helper()
	set, err := rules.Compile(nil, rules.Env{})
	if err != nil {
		b.Fatal(err)
	}
	return set
}

func caseOf(n int, k cases.Clock) feedback.Case {
	at := feedback.Time(1_772_445_600_000 + int64(n)*1000)
	it := &feedback.Item{ID: feedback.NewItemID(at, "survey", fmt.Sprint(n)), Customer: feedback.Customer{ID: fmt.Sprint("c", n), ARR: new(5000.0)}}
	return cases.Open(it, cases.Promise{
		Rule: "detractor", Effect: "detractor|case|", Queue: fmt.Sprint("queue-", n%20), Owner: fmt.Sprint("owner-", n%100), Priority: "high",
		Response: time.Duration(24+n*7919%72) * time.Hour, Resolution: 7 * 24 * time.Hour, Warn: 0.75,
	}, at, k)
}

// fillCases writes open cases with all that is kept of them.
func fillCases(b *testing.B, dir string, n int) {
	b.Helper()
	st, err := store.Open(dir, store.Options{Profile: store.Server})
	if err != nil {
		b.Fatal(err)
	}
	k := set(b)
	const batch = 1000
	for from := 0; from < n; from += batch {
		err := st.Update(b.Context(), func(tx *store.Tx) error {
			for i := from; i < min(from+batch, n); i++ {
				c := caseOf(i, k)
				tx.Set(records.CaseStatusKey(c.Status, c.ID), nil)
				tx.Set(records.OpenCaseKey(c.Queue, records.DueOf(&c), c.ID), records.OpenCaseValue(&c))
				tx.Set(records.CustomerCaseKey(c.Customer, c.ID), nil)
				tx.SetTimer(cases.Next(&c, nil, k), records.TimerCase, string(c.ID), nil)
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
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
}
