// Command rules measures what it costs to find out which rules an event matches, in one run and on the same rules and
// events: this engine, a loop over one program of expr a rule, CEL and OPA. Before anything is timed, all of them have
// to match the same rules with every event.
//
//	cd .bench && go run ./rules [-quick] [-markdown] [-svg FILE]
//
// A figure is the mean over all events of the least time that each was ever seen to take. The contenders take turns in
// short rounds and in a new order each time, so that other work on the machine disturbs all alike. Controls, two of them
// measured a second time, show how much it still does.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/closedloop/closedloop/engine/bench/internal/page"
)

// options are what the command line says.
type options struct {
	quick    bool
	markdown bool
	svg      string
	events   int
	round    time.Duration // how long a contender's turn is
	least    time.Duration // how long all contenders take turns on one set of rules
	bound    time.Duration // of what one contender may take for one set of rules
	seed     uint64
	together []int // the numbers of rules with which all are measured
	alone    []int // those with which only this engine is
}

func main() {
	o := options{together: []int{10, 100, 1000, 10_000}, alone: []int{100_000}}
	flag.BoolVar(&o.quick, "quick", false, "fewer rules and rounds: are the answers equal, not how fast")
	flag.BoolVar(&o.markdown, "markdown", false, "print tables in Markdown")
	flag.StringVar(&o.svg, "svg", "", "also draw the times into this `file`")
	flag.IntVar(&o.events, "events", 1024, "how many events")
	flag.DurationVar(&o.round, "round", time.Millisecond, "how long a turn is")
	flag.DurationVar(&o.least, "time", 8*time.Second, "how long to measure on one set of rules, at least")
	flag.DurationVar(&o.bound, "bound", time.Minute, "leave out a contender that takes longer than this for one set of rules")
	flag.Uint64Var(&o.seed, "seed", 1, "of the random choices")
	flag.Parse()
	if o.quick {
		o.together, o.alone = []int{10, 100, 1000}, []int{10_000}
		o.events, o.least = min(o.events, 32), min(o.least, time.Second/2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rules: error:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options, out io.Writer) error {
	r := &report{before: page.Now()}
	b := &bench{options: o, world: newWorld(), report: r}
	for _, k := range []kind{scoped, coarse} {
		for _, n := range o.together {
			if err := b.told(ctx, k, n, contenders()); err != nil {
				return err
			}
		}
		for _, n := range o.alone {
			if err := b.told(ctx, k, n, contenders()[:1]); err != nil {
				return err
			}
		}
	}
	r.judge()
	r.after = page.Now()
	if o.svg != "" {
		if err := os.WriteFile(o.svg, r.picture(), 0o644); err != nil {
			return err
		}
	}
	return r.print(out, o.markdown)
}

// told measures a cell and tells how long that took.
func (b *bench) told(ctx context.Context, k kind, n int, all []contender) error {
	start := time.Now()
	err := b.cell(ctx, k, n, all)
	fmt.Fprintf(os.Stderr, "%s %s rules: %v\n", thousands(n), k, time.Since(start).Round(time.Second))
	return err
}
