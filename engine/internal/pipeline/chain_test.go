package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// A chunk that takes more than one update and fails takes the one after it along, which would fit: no checkpoint runs
// ahead of its items.
func TestNoCheckpointRunsAhead(t *testing.T) {
	t.Parallel()
	// There is room for small commits for ever, and never for a large one.
	st, err := store.Open(t.TempDir(), store.Options{Profile: store.Small, Reserve: 1 << 30, Ballast: -1,
		Free: func(string) (int64, error) { return 1<<30 + 300_000, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() }) // it cannot close in order without room
	w := on(t, st)
	prepare := func(checkpoint string, items ...feedback.Item) *Prepared {
		p, err := w.Prepare(t.Context(), Chunk{Source: w.source, Batch: "b", Items: items, Checkpoint: []byte(checkpoint), ReceivedAt: w.at})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var large []feedback.Item
	for i := range 20 {
		large = append(large, answer(fmt.Sprint("large", i), 9, strings.Repeat("x", 60_000)))
	}
	first, err := w.Begin(t.Context(), nil, prepare("first", answer("a", 9, "ok")))
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.Begin(t.Context(), first, prepare("second", large...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Begin(t.Context(), second, prepare("third", answer("c", 9, "ok"))); !errors.Is(err, store.ErrFull) {
		t.Errorf("the third: got %v", err)
	}
	for i, c := range []*Commitment{first, second} {
		if _, err := c.Wait(); errors.Is(err, store.ErrFull) != (i == 1) {
			t.Errorf("chunk %d: got %v", i+1, err)
		}
	}
	err = st.View(func(s *store.Snapshot) error {
		v, err := s.Get(records.CheckpointKey(w.source.ID))
		if string(v) != "first" {
			t.Errorf("the checkpoint is %q", v)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
