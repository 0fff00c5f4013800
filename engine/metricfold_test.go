package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestMetricOfADamagedSum has one value whose sum cannot be read, beside others that can, in ranges of other processors.
func TestMetricOfADamagedSum(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for _, damaged := range []string{"a", "m", "z"} {
		st, err := store.Open(t.TempDir(), store.Options{Profile: store.Still, Reserve: -1, Ballast: -1})
		if err != nil {
			t.Fatal(err)
		}
		err = st.Update(t.Context(), func(tx *store.Tx) error {
			var tally records.Tally
			for _, theme := range []string{"a", "m", "z"} {
				tally.Add(&records.Contribution{Day: 20260302, Dims: []records.Dim{{Name: records.DimAll}, {Name: records.DimTheme, Value: theme}}}, 1)
			}
			if err := tally.Write(tx); err != nil {
				return err
			}
			tx.Set(records.RollupID{Measure: MeasureItems, Dim: records.Dim{Name: records.DimTheme, Value: damaged}, Day: 20260302}.Key(), []byte("?"))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s := &State{store: st, zone: time.UTC, Clock: func() time.Time { return at }}
		q := MetricQuery{Measure: MeasureItems, Dimension: records.DimTheme, Since: feedback.TimeOf(at), Until: feedback.TimeOf(at)}
		if r, err := s.Metric(t.Context(), q); err == nil || !strings.Contains(err.Error(), damaged) {
			t.Errorf("with %q damaged: %v, %v", damaged, r, err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}
