package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Alerts that change at once and do not fit one update change in several.
func TestManyLargeAlertsAtOnce(t *testing.T) {
	t.Parallel()
	w := setup(t, rulesOf(`
version: 1
windows:
  said_1d: {metric: count, over: 1d, step: 1h, by: customer.id}
groups:
  - name: watch
    rules:
      - {id: said, each: customer.id, when: win.said_1d.n >= 1, for: 10m, alert: {severity: warning, notify: team, group_by: customer.id, summary: "{customer.id}"}}
`))
	if err := w.Activate(t.Context(), w.Rules(), w.at, nil, nil); err != nil {
		t.Fatal(err)
	}
	items := make([]feedback.Item, 200)
	for i := range items {
		items[i] = answer(fmt.Sprint(i), 3, "late")
		items[i].Customer.ID = fmt.Sprint(i) + strings.Repeat("x", 900)
	}
	w.take(items...)
	w.at = w.at.Add(time.Hour)
	if err := w.Tick(t.Context(), w.at); err != nil {
		t.Fatal(err)
	}
	firing := 0
	err := w.store.View(func(s *store.Snapshot) error {
		return records.Each(s, records.AlertPrefix(), nil, false, func(a *rules.AlertState) (bool, error) {
			if a.State.Status == alert.Firing {
				firing++
			}
			return true, nil
		})
	})
	if err != nil || firing != len(items) {
		t.Errorf("%d alerts fire, %v", firing, err)
	}
	if err := w.WakeGroups(t.Context(), w.at.Add(time.Hour)); err != nil {
		t.Error(err)
	}
}

// Windows are filled from items of any size.
func TestWindowsAreFilledFromLargeItems(t *testing.T) {
	t.Parallel()
	w := setup(t)
	items := make([]feedback.Item, 300)
	for i := range items {
		items[i] = answer(fmt.Sprint(i), 3, strings.Repeat("late ", 1000))
	}
	w.take(items...)
	next := on(t, w.store, rulesOf(`
version: 1
windows:
  all_1d: {metric: nps, over: 1d, step: 1h}
groups:
  - name: route
    rules:
      - {id: bad, when: nps <= 6 && win.all_1d.n >= 5, do: [{assign: {queue: care}}]}
`))
	if err := next.Activate(t.Context(), next.Rules(), w.at, nil, nil); err != nil {
		t.Fatal(err)
	}
	id := next.take(answer("more", 3, "late")).Rows[0].ID
	if rec := load[records.Item](next, records.ItemKey(id)); rec.Queue != "care" {
		t.Errorf("the window does not tell of the items that were there: %+v", rec)
	}
}
