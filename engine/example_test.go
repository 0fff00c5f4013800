package engine_test

import (
	"context"
	"fmt"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// A host is told of cases, works on one, looks at what has not reached its destination, and asks for a figure.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	changed := make(chan feedback.Case, 64)
	eng, err := engine.Open(ctx, "program", engine.Options{
		Events: engine.Events{CaseChanged: func(c feedback.Case) {
			select {
			case changed <- c: // the engine waits for its events: hand them on
			default:
			}
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close(context.WithoutCancel(ctx))
	go eng.Run(ctx)

	c := <-changed
	me := engine.Actor{Name: "maria"}
	if _, err := eng.AttemptCase(ctx, me, c.ID, engine.CaseAttempt{Channel: "phone", Result: "reached"}); err != nil {
		fmt.Println(err) // errors.Is tells engine.ErrTransition, ErrMissing and ErrDenied apart
	}
	page, err := eng.Deliveries(ctx, engine.DeliveryQuery{State: engine.DeliveryDead, NoBody: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range page.Deliveries {
		fmt.Println(d.Key, d.Destination, d.Code, d.Reason)
	}
	nps, err := eng.Metric(ctx, engine.MetricQuery{Measure: string(feedback.NPS), Dimension: "theme"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range nps.Values {
		if v.Total.Value != nil { // nothing is known without answers
			fmt.Printf("%s %+.0f of %d answers\n", v.Value, *v.Total.Value, v.Total.N)
		}
	}
}
