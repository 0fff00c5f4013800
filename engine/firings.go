package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// firedIn is the part of a decision that says which rules fired.
type firedIn struct {
	Groups []struct {
		Fired []struct {
			Rule string `json:"rule"`
		} `json:"fired"`
	} `json:"groups"`
}

// Firings counts on how many items of the feedback since then each rule fires, in shadow too, by the latest decision
// about each item. Rules that fire on none are left out, as are those that hold over time. It reads every decision
// since then.
func (s *State) Firings(ctx context.Context, since feedback.Time) (map[string]int, error) {
	out := map[string]int{}
	var item string // whose decisions are being read
	var last []byte
	count := func() error {
		var d firedIn
		if len(last) == 0 {
			return nil
		}
		if err := json.Unmarshal(last, &d); err != nil {
			return fmt.Errorf("decision of item %s: %w", item, err)
		}
		counted := map[string]bool{}
		for _, g := range d.Groups {
			for _, f := range g.Fired {
				if !counted[f.Rule] {
					counted[f.Rule] = true
					out[f.Rule]++
				}
			}
		}
		return nil
	}
	err := s.store.View(func(snap *store.Snapshot) error {
		err := records.ScanDecisions(snap, since, func(id string, decision []byte) (bool, error) {
			if id != item {
				if err := count(); err != nil {
					return false, err
				}
				item = id
			}
			last = append(last[:0], decision...)
			return true, ctx.Err()
		})
		if err != nil {
			return err
		}
		return count()
	})
	return out, err
}
