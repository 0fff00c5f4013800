package outbox

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestHurryOfLargeMessages makes more due at once than one update holds.
func TestHurryOfLargeMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, inPlace(t, many, func(context.Context, sdk.Message) error { return nil }), Policy{Concurrency: 8})
	body := []byte(`"` + strings.Repeat("x", 8<<10) + `"`)
	for n := uint64(1); n <= 200; n++ {
		err := w.store.Update(t.Context(), func(tx *store.Tx) error {
			tx.Set(records.SequenceKey("team"), strconv.AppendUint(nil, n, 10))
			return store.PutNew(tx, records.DeliveryKey("team", n), &feedback.Delivery{
				Key: strconv.FormatUint(n, 10), Destination: "team", Sequence: n, Body: body, CreatedAt: start, Attempts: 1, NextAt: start.Add(time.Hour),
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Hurry(t.Context(), "team"); err != nil {
		t.Fatal(err)
	}
	if sent, err := w.Drain(t.Context()); sent != 200 || err != nil {
		t.Errorf("%d were sent, %v", sent, err)
	}
}
