package retail_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counted by hand: what each file holds.
var counted = map[string]feedback.Counts{
	"post-purchase": {Read: 218, New: 196, Revised: 8, Duplicate: 5, Stale: 3, Rejected: 6, Synthetic: 2},
	"support":       {Read: 52, New: 43, Revised: 3, Duplicate: 2, Stale: 1, Rejected: 3},
	"checkout":      {Read: 36, New: 32, Revised: 1, Duplicate: 1, Rejected: 2},
	"reviews":       {Read: 42, New: 36, Revised: 2, Duplicate: 1, Stale: 1, Rejected: 2},
	"inbox":         {Read: 25, New: 24, Rejected: 1, Synthetic: 24},
}

// broken are the rows that are no items.
const broken = `
checkout line 13
checkout line 28
inbox line 97
post-purchase line 4
post-purchase line 43
post-purchase line 58
post-purchase line 112
post-purchase line 159
post-purchase line 181
reviews line 32
reviews line 39
support line 5
support line 24
support line 28
`

func TestRunTwice(t *testing.T) {
	t.Parallel()
	o := engine.Options{State: t.TempDir(), CacheDir: cmp.Or(os.Getenv("CLOSEDLOOP_CACHE"), t.TempDir())}
	first := pass(t, o, func(e *engine.Engine) {
		checkRelabelled(t, e)
		checkKeyAccounts(t, e)
	})
	for _, s := range first.Sources {
		if s.Counts != counted[s.Source] {
			t.Errorf("%s: got %+v, want %+v", s.Source, s.Counts, counted[s.Source])
		}
	}
	var rejects strings.Builder
	for _, r := range first.Rejects {
		fmt.Fprintf(&rejects, "%s %s\n", r.Source, r.Position)
	}
	if got := rejects.String(); got != broken[1:] {
		t.Errorf("rejected:\n%swant:%s", got, broken)
	}
	st := first.Stats
	if got, want := [4]int{st.NPS.N, st.NPS.Detractors, st.NPS.Passives, st.NPS.Promoters}, [4]int{196, 68, 41, 87}; got != want {
		t.Errorf("NPS: got %v answers, detractors, passives and promoters, want %v", got, want)
	}
	for _, q := range st.Detractors {
		if q.Queue == "" {
			t.Errorf("%d detractors were not routed", q.Items)
		}
	}
	waiting := first.Sent
	for _, w := range st.Waiting {
		waiting += w.Messages
	}
	if first.Cases <= st.NPS.Detractors || len(first.Alerts) == 0 || first.Messages == 0 || waiting != first.Messages {
		t.Errorf("got %d cases, %d alerts, %d messages of which %d wait", first.Cases, len(first.Alerts), first.Messages, waiting)
	}

	second := pass(t, o, nil)
	if second.Total != (feedback.Counts{}) || second.Cases != 0 || len(second.Alerts) != 0 || second.Messages != 0 {
		t.Errorf("the second pass acted: %+v, %d cases, %d alerts, %d messages", second.Total, second.Cases, len(second.Alerts), second.Messages)
	}
	if got := second.Stats; got.Items != st.Items || got.Cases != st.Cases || got.NPS != st.NPS || got.Alerts != st.Alerts {
		t.Errorf("the second pass changed what is known: %+v, was %+v", got, st)
	}
}

// pass opens the program, runs it once and closes it.
func pass(t *testing.T, o engine.Options, look func(*engine.Engine)) *engine.Summary {
	t.Helper()
	e, err := engine.Open(t.Context(), ".", o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	sum, err := e.RunOnce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if look != nil {
		look(e)
	}
	return sum
}

// checkRelabelled looks for parcels that the codebook takes for a matter of shipping and the rules for one of opening.
func checkRelabelled(t *testing.T, e *engine.Engine) {
	t.Helper()
	items, err := e.Items(t.Context(), engine.ItemQuery{Theme: "packaging/opening", Queue: "product"})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, it := range items {
		if strings.Contains(it.Text, "bank vault") || strings.Contains(it.Text, "getackert") || strings.Contains(it.Text, "shrink-wraps") {
			found++
			if it.Labels.Has("shipping") {
				t.Errorf("%q still counts as shipping", it.Text)
			}
		}
	}
	if found != 3 {
		t.Errorf("found %d of 3 parcels that are hard to open", found)
	}
}

// checkKeyAccounts looks for business customers who are unhappy and do not get an answer the same day.
func checkKeyAccounts(t *testing.T, e *engine.Engine) {
	t.Helper()
	items, err := e.Items(t.Context(), engine.ItemQuery{Class: feedback.Detractor, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	cases, err := e.Cases(t.Context(), engine.CaseQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	promised := map[feedback.ItemID]feedback.Case{}
	for _, c := range cases {
		promised[c.Item] = c
	}
	for _, it := range items {
		c, ok := promised[it.ID]
		hours := c.DueAt.Std().Sub(c.OpenedAt.Std()).Hours()
		if !ok || it.Customer.Segment == "business" && (c.Queue != "key-accounts" || hours != 4) {
			t.Errorf("%s of %s: case in queue %q, due after %v hours", it.ID, it.Customer.Account, c.Queue, hours)
		}
	}
}
