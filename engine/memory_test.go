package engine_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/plugins/codebook"
)

// steadyRate is the items a second that profile small promises.
const steadyRate = 2000

// ingestSteadily is a child that ingests steadyRate items a second and says every second how many that were in all and
// how much of its memory is no mapped file.
func ingestSteadily(v *victim) error {
	ctx := context.Background()
	plugins := (&parts{}).native()
	plugins["codebook"] = codebook.Plugin
	e, err := engine.Open(ctx, v.dir, engine.Options{Native: plugins, Profile: engine.Small})
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- e.Run(ctx) }()
	const batch = 100
	begin, told := time.Now(), 0
	for n := 0; ; n += batch {
		select {
		case err := <-failed:
			return err
		case <-time.After(time.Until(begin.Add(time.Duration(n) * time.Second / steadyRate))):
		}
		items := benchFeed(batch)
		for i := range items {
			items[i].ExternalID = strconv.Itoa(n + i)
		}
		if _, err := e.Ingest(ctx, "app", items...); err != nil {
			return err
		}
		if s := int(time.Since(begin).Seconds()); s > told {
			told = s
			v.ack(fmt.Sprintf("items %d seconds %f anonymous %d", n+batch, time.Since(begin).Seconds(), anonymousKiB()))
		}
	}
}

// anonymousKiB returns the resident memory of this process that is no mapped file.
func anonymousKiB() (kib int) {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kib); n == 1 {
			return kib
		}
	}
	return 0
}
