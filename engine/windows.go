package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Windows returns what the windows of the rules tell now, in the order of their declaration and of their keys: of one
// window, or of all when the name is empty. It returns ErrNotFound for a window that the rules do not have.
func (s *State) Windows(_ context.Context, name string) ([]rules.WindowFigure, error) {
	now := feedback.TimeOf(s.Clock())
	out := []rules.WindowFigure{}
	known := false
	set := s.set.Load()
	if set == nil {
		return out, nil
	}
	err := s.store.View(func(snap *store.Snapshot) error {
		for _, info := range set.Windows() {
			if name != "" && info.Name != name {
				continue
			}
			known = true
			kept, err := store.Load[records.Window](snap, records.WindowKey(info.ID))
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			rings, err := ringsOf(snap, info.ID, kept.Generation)
			if err != nil {
				return err
			}
			out = append(out, set.Tell(info.Name, now, rings)...)
		}
		return nil
	})
	if err == nil && name != "" && !known {
		err = fmt.Errorf("window %s: %w", name, ErrNotFound)
	}
	return out, err
}

func ringsOf(snap *store.Snapshot, id string, generation int) (map[string]*window.Ring, error) {
	rings := map[string]*window.Ring{}
	err := snap.Scan(records.RingPrefix(id, generation), nil, false, func(key, val []byte) (bool, error) {
		k, err := records.RingOf(key)
		if err != nil {
			return false, err
		}
		rings[k] = new(window.Ring)
		return true, rings[k].UnmarshalBinary(val)
	})
	return rings, err
}
