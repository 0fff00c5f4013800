package pipeline

import (
	"testing"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// What rules said of labels is remembered also when an item stops waiting for several categorizers that are gone.
func TestReleaseForgetsNoLabels(t *testing.T) {
	t.Parallel()
	w := setup(t)
	down := true
	w.cfg.Categorizer = nil
	for _, id := range []string{"one", "two"} {
		w.cfg.Categorizer = append(w.cfg.Categorizer, Categorizer{ID: id, Plugin: &switched{Plugin: w.plugin, down: &down}, PassUnlabelled: true})
	}
	id := w.take(answer("1", 3, "the box")).Rows[0].ID
	_, err := w.Correct(t.Context(), id, feedback.Change{At: w.at, Add: []feedback.Theme{{Path: "shipping"}}, Reason: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := on(t, w.store, func(c *Config) { c.Categorizer = nil }).Release(t.Context(), w.at); err != nil {
		t.Fatal(err)
	}
	var said int
	err = w.store.View(func(s *store.Snapshot) error {
		return s.Scan(records.LabelHistoryPrefix(id), nil, false, func(_, _ []byte) (bool, error) {
			said++
			return true, nil
		})
	})
	if err != nil || said != 2 {
		t.Errorf("the history has %d changes by rules, %v, want one of each release", said, err)
	}
}
