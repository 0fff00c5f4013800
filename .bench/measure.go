package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func mustAbs(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}
	return abs
}

// sameAnswers wants the same answers of all contenders: themes, confidence, evidence and tone of every item.
func sameAnswers(ctx context.Context, contenders []contender, r *report) error {
	sets := [][]feedback.Item{odd()}
	for _, size := range batches {
		sets = append(sets, reviews(size))
	}
	for i, items := range sets {
		var want []byte
		for _, c := range contenders {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var got []byte
			err := c.call(items, func(results []sdk.Result) { got = r.text(results, i == len(sets)-1 && want == nil) })
			if err != nil {
				return explained(c.name, err)
			}
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				return fmt.Errorf("%s answers otherwise than %s:\n%s\n%s", c.name, contenders[0].name, got, want)
			}
		}
	}
	if r.themes == 0 {
		return fmt.Errorf("no theme was found: the comparison shows nothing")
	}
	return nil
}

// text returns results as text that shows all of them, and counts what they hold.
func (r *report) text(results []sdk.Result, count bool) []byte {
	var out []byte
	for _, result := range results {
		line, err := json.Marshal(result.Labels)
		if err != nil || result.Err != nil {
			line = fmt.Append(line, err, result.Err)
		}
		out = append(append(append(out, line...), result.Drop...), '\n')
		if count {
			r.items++
			r.themes += len(result.Labels.Themes)
			for _, theme := range result.Labels.Themes {
				r.spans += len(theme.Evidence)
			}
		}
	}
	return out
}

// figure is what was measured of a contender at one batch size.
type figure struct {
	least  float64 // nanoseconds for an item, of the least round
	median float64 // likewise of the median round
	allocs float64 // for a call
}

// row is a contender's figures, in the order of batches.
type row struct {
	name    string
	figures []figure
}

// compare measures all contenders at all batch sizes.
func compare(ctx context.Context, o *options, contenders []contender) ([]row, error) {
	rows := make([]row, len(contenders))
	for i, c := range contenders {
		rows[i].name = c.name
	}
	for _, size := range batches {
		figures, err := measure(ctx, o, contenders, reviews(size))
		if err != nil {
			return nil, err
		}
		for i := range rows {
			rows[i].figures = append(rows[i].figures, figures[i])
		}
	}
	return rows, nil
}

// measure lets the contenders take turns, in a new order in each round.
func measure(ctx context.Context, o *options, contenders []contender, items []feedback.Item) ([]figure, error) {
	figures := make([]figure, len(contenders))
	times := make([][]float64, len(contenders))
	calls := make([]int, len(contenders))
	for i, c := range contenders {
		var err error
		if calls[i], err = calibrate(c, items, o.round); err != nil {
			return nil, err
		}
		if figures[i].allocs, err = allocations(c, items, 10*calls[i]); err != nil {
			return nil, err
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range o.rounds {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for _, i := range random.Perm(len(contenders)) {
			took, err := repeat(contenders[i], items, calls[i])
			if err != nil {
				return nil, err
			}
			times[i] = append(times[i], float64(took.Nanoseconds())/float64(calls[i]*len(items)))
		}
	}
	for i := range figures {
		slices.Sort(times[i])
		figures[i].least, figures[i].median = times[i][0], times[i][len(times[i])/2]
	}
	return figures, nil
}

// repeat makes n calls, after one that is not measured: it finds the processor's caches as others left them.
func repeat(c contender, items []feedback.Item, n int) (time.Duration, error) {
	if err := c.call(items, nil); err != nil {
		return 0, explained(c.name, err)
	}
	start := time.Now()
	for range n {
		if err := c.call(items, nil); err != nil {
			return 0, explained(c.name, err)
		}
	}
	return time.Since(start), nil
}

// calibrate returns how many calls fill a round, once buffers have grown and instances are made.
func calibrate(c contender, items []feedback.Item, round time.Duration) (int, error) {
	for n := 1; ; n *= 2 {
		least := time.Duration(math.MaxInt64)
		for range 3 {
			took, err := repeat(c, items, n)
			if err != nil {
				return 0, err
			}
			least = min(least, took)
		}
		if least >= round {
			return max(1, int(float64(n)*float64(round)/float64(least))), nil
		}
	}
}

// allocations returns how many objects a call allocates on the host: the least of three counts, because others allocate
// meanwhile.
func allocations(c contender, items []feedback.Item, n int) (float64, error) {
	n = max(n, 200)
	least := math.Inf(1)
	for range 3 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if _, err := repeat(c, items, n); err != nil {
			return 0, err
		}
		runtime.ReadMemStats(&after)
		least = min(least, float64(after.Mallocs-before.Mallocs)/float64(n+1))
	}
	return math.Floor(100*least) / 100, nil
}
