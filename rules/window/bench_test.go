package window

import (
	"fmt"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// naive sums all of its buckets for every question.
type naive struct {
	buckets []bucket
	step    int64
}

func (n *naive) add(at feedback.Time, o Observation) {
	i := int64(at) / n.step
	b := &n.buckets[i%int64(len(n.buckets))]
	if b.index != i {
		*b = bucket{index: i}
	}
	b.sums.Add(o)
}

func (n *naive) read(now feedback.Time) (s Sums) {
	end := int64(now) / n.step
	for i := range n.buckets {
		if b := &n.buckets[i]; b.index > end-int64(len(n.buckets)) && b.index <= end {
			s.merge(b.sums)
		}
	}
	return s
}

// BenchmarkAddRead counts one event and reads the window, of 168 and of 4,096 buckets, in one ring and in 10,000 by turns,
// and tells how many times as long a sum of all buckets takes:
//
//	go test -run '^$' -bench AddRead ./rules/window
//
// Ring and naive take turns of 20,000 events; the least time of each counts.
func BenchmarkAddRead(b *testing.B) {
	const turn = 20_000
	for _, c := range []struct{ buckets, keys int }{{168, 1}, {168, 10_000}, {4096, 1}} {
		b.Run(fmt.Sprintf("%d-buckets/%d-rings", c.buckets, c.keys), func(b *testing.B) {
			span := Span{Over: time.Duration(c.buckets) * time.Hour, Step: time.Hour}
			rings, sums := make([]*Ring, c.keys), 0
			base := &naive{make([]bucket, c.buckets), time.Hour.Milliseconds()}
			for i := range rings {
				rings[i] = NewRing(span)
			}
			now := noon
			o := Observation{Neg: true, Value: 3}
			event := func(i int) feedback.Time { return now + feedback.Time(i)*feedback.Time(3_600_000/7/c.keys) }
			for range c.buckets {
				for _, r := range rings {
					r.Add(now, now, o)
				}
				base.add(now, o)
				now = now.Add(time.Hour)
			}
			ring, naive := time.Duration(1<<62), time.Duration(1<<62)
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += turn {
				n := min(turn, b.N-done)
				start := time.Now()
				for i := range n {
					r, t := rings[i%c.keys], event(done+i)
					r.Add(t, t, o)
					sums += int(r.Read(t).N)
				}
				if n == turn {
					ring = min(ring, time.Since(start))
				}
				b.StopTimer()
				start = time.Now()
				for i := range n / 20 {
					t := event(done + i)
					base.add(t, o)
					sums += int(base.read(t).N)
				}
				if n == turn {
					naive = min(naive, time.Since(start)*20)
				}
				b.StartTimer()
			}
			if sums == 0 {
				b.Fatal("nothing counted")
			}
			if b.N >= turn {
				b.ReportMetric(float64(ring.Nanoseconds())/turn, "ns/event")
				b.ReportMetric(float64(naive)/float64(ring), "times-naive")
			}
		})
	}
}

// BenchmarkRecord writes and reads a ring of 168 full buckets of Net Promoter answers, and tells the size of its record.
func BenchmarkRecord(b *testing.B) {
	r, now := NewRing(Span{Over: 7 * day, Step: time.Hour}), noon
	for range 168 {
		now = now.Add(time.Hour)
		r.Add(now, now, Observation{Pos: true})
		r.Add(now, now, Observation{Neg: true})
	}
	record, _ := r.AppendBinary(nil)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			record, _ = r.AppendBinary(record[:0])
		}
		b.ReportMetric(float64(len(record)), "bytes")
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := new(Ring).UnmarshalBinary(record); err != nil {
				b.Fatal(err)
			}
		}
	})
}
