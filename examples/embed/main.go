// Command embed is an application with a feedback program inside: it brings plugins of its own, pushes what its users
// say, and is told what the rules made of it. Run it again, and everything is a duplicate: nobody is notified twice.
//
//	go run ./examples/embed
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func main() {
	program := flag.String("program", "examples/embed/program", "the program's folder")
	state := flag.String("state", "", "the state directory (default the program's)")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *program, *state); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// run opens the program, takes in what the users said, and writes what happened.
func run(ctx context.Context, out io.Writer, program, state string) (err error) {
	sent := make(chan feedback.Delivery, 16)
	eng, err := engine.Open(ctx, program, engine.Options{
		State: state,
		Native: map[string]sdk.Plugin{
			"topics": {Manifest: []byte(topicsManifest), New: openTopics},
			"desk":   {Manifest: []byte(deskManifest), New: openDesk(out)},
		},
		Events: engine.Events{DeliverySent: func(d feedback.Delivery) { sent <- d }},
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- eng.Run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended, eng.Close(context.WithoutCancel(ctx)))
	}()

	report, err := eng.Ingest(ctx, "app", said()...)
	if err != nil {
		return err
	}
	for range report.Messages { // the desk prints them
		<-sent
	}
	return tell(ctx, out, eng, report)
}

// said is what the application's users said. A real one calls Ingest whenever somebody says something.
func said() []feedback.Item {
	at := feedback.TimeOf(time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC))
	return []feedback.Item{
		{ExternalID: "1001", OccurredAt: at, Survey: feedback.NPS, Score: new(2.0), Text: "You charged me twice and the invoice is wrong.", Customer: feedback.Customer{ID: "c-7", Name: "Ida"}},
		{ExternalID: "1002", OccurredAt: at, Survey: feedback.NPS, Score: new(10.0), Text: "Search is so fast now!", Customer: feedback.Customer{ID: "c-8", Name: "Jon"}},
		{ExternalID: "1003", OccurredAt: at, Survey: feedback.NPS, Score: new(5.0), Text: "Nobody answers.", Customer: feedback.Customer{ID: "c-9", Name: "Kim"}},
	}
}

// tell writes what became of the items, and why the first was routed as it was.
func tell(ctx context.Context, out io.Writer, eng *engine.Engine, report engine.Report) error {
	for _, row := range report.Rows {
		it, err := eng.Item(ctx, row.ID)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s, queue %q\n", it.ExternalID, row.Outcome, it.Queue)
	}
	nps, err := eng.NPS(ctx, engine.MetricQuery{})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "NPS %+.0f of %d answers, 95 %% interval %+.0f to %+.0f\n", nps.Value, nps.N, nps.Lo, nps.Hi)
	why, err := eng.Explain(ctx, report.Rows[0].ID)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "why 1001 went to %s:\n%s", why.Item.Queue, why.Rules)
	return nil
}

const deskManifest = `
name: desk
version: 1.0.0
contract: "1.0"
description: writes messages to the people who take care
abilities: [deliver]
`

// desk is a destination: the part of the application where people take care of customers.
type desk struct{ out io.Writer }

func openDesk(out io.Writer) func(context.Context, sdk.Host, []byte) (any, error) {
	return func(context.Context, sdk.Host, []byte) (any, error) { return &desk{out}, nil }
}

// Deliver implements sdk.Deliverer.
func (d *desk) Deliver(_ context.Context, m sdk.Message) error {
	var body struct{ Text, Queue, Owner string }
	if err := json.Unmarshal(m.Body, &body); err != nil {
		return sdk.Fatal("%w", err)
	}
	_, err := fmt.Fprintf(d.out, "message to %s: %s\n", body.Queue, body.Text)
	return err
}
