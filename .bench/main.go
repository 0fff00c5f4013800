// Command bench measures plugins in every transport against the same code called directly, and against peers, in one
// run: native Go, guests in C, Rust, AssemblyScript and Go in the sandbox with every safety on, a process over
// go-plugin, and Extism. All do the same work on the same items, and their answers are compared before anything is
// measured.
//
//	cd .bench && go run . [-quick] [-markdown] [-svg FILE]
//
// A figure is the least time of many short rounds, which take turns in a new order each time: other work on the machine
// disturbs the least time least. The control, native Go measured a second time, shows how much it still does.
//
// Guests whose toolchain is on this machine are built from their source; the others are taken from testdata.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/closedloop/closedloop/engine/bench/internal/page"
)

// options are what the command line says.
type options struct {
	quick    bool
	markdown bool
	svg      string
	keep     bool
	rounds   int
	round    time.Duration
	million  int
}

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "few rounds: does it run, not how fast")
	flag.BoolVar(&o.markdown, "markdown", false, "print tables in Markdown")
	flag.StringVar(&o.svg, "svg", "", "also draw the times for an item into this `file`")
	flag.BoolVar(&o.keep, "keep", false, "keep the guests that were built in testdata")
	flag.IntVar(&o.rounds, "rounds", 400, "how many rounds")
	flag.DurationVar(&o.round, "round", time.Millisecond, "how long a round is")
	flag.IntVar(&o.million, "calls", 1_000_000, "calls of the guests that must not grow")
	flag.Parse()
	if o.quick {
		o.rounds, o.million = min(o.rounds, 10), min(o.million, 20_000)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options, out io.Writer) error {
	tmp, err := os.MkdirTemp("", "closedloop-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	before := page.Now()
	guests, err := buildGuests(ctx, "..", tmp, o.keep)
	if err != nil {
		return err
	}
	h, err := openHosts(ctx, guests, filepath.Join(tmp, "cache"))
	if err != nil {
		return err
	}
	defer h.close()
	r := &report{before: before, notes: guests.notes}
	if err := sameAnswers(ctx, h.contenders, r); err != nil {
		return err
	}
	if r.peers, err = compare(ctx, o, h.contenders); err != nil {
		return err
	}
	if r.metering, err = meterings(ctx, o, guests); err != nil {
		return err
	}
	if err := r.measureAims(ctx, o, h, tmp); err != nil {
		return err
	}
	r.after = page.Now()
	if o.svg != "" {
		if err := os.WriteFile(o.svg, r.picture(), 0o644); err != nil {
			return err
		}
	}
	return r.print(out, o.markdown)
}
