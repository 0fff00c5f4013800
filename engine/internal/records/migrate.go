package records

import (
	"bytes"
	"context"
	"fmt"

	"github.com/closedloop/closedloop/engine/internal/store"
)

// Migrate brings a store to the format of this version. It is called before anything else is written.
func Migrate(ctx context.Context, st *store.Store) error {
	return st.Migrate(ctx, []store.Migration{
		{To: 2, Name: "rollups ordered by day", Plan: moveRollups},
	})
}

// rollupsAtOnce bounds the rollups that one part of moveRollups moves.
const rollupsAtOnce = 500

// moveRollups moves the rollups of format 1, which ordered them by value before day and had none of months and years, to
// where they are today.
func moveRollups(s *store.Snapshot, cursor []byte) (store.Part, error) {
	space := store.NewKey(store.KeyRollup).Bytes()
	from := append(bytes.Clone(space), 0, 2) // behind what begins with an empty string, as those of today do
	if cursor != nil {
		from = append(bytes.Clone(cursor), 0)
	}
	var old [][]byte
	err := s.Scan(space, from, false, func(key, _ []byte) (bool, error) {
		old = append(old, bytes.Clone(key))
		return len(old) < rollupsAtOnce, nil
	})
	if err != nil || len(old) < rollupsAtOnce {
		return store.Part{Do: moving(old), Last: true}, err
	}
	return store.Part{Do: moving(old), Cursor: old[len(old)-1]}, nil
}

func moving(old [][]byte) func(tx *store.Tx) error {
	return func(tx *store.Tx) error {
		var t Tally
		for _, key := range old {
			r, err := loadRollup(tx, key)
			if err != nil {
				return err
			}
			k := store.ReadKey(key)
			t.add(RollupID{Measure: k.Str(), Dim: Dim{k.Str(), k.Str()}, Day: uint32(k.Uint64())}, *r, 1)
			if err := k.Err(); err != nil {
				return fmt.Errorf("record %q: %w", key, err)
			}
			tx.Delete(key)
		}
		return t.Write(tx)
	}
}
