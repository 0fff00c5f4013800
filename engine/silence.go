package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Silence keeps alerts from being told for a time. The alerts themselves go on.
type Silence struct {
	ID string `json:"id"`
	// Rule and Key are patterns in which * stands for any text and ? for one character. An empty one fits everything,
	// but not both may be empty.
	Rule   string        `json:"rule,omitempty"`
	Key    string        `json:"key,omitempty"`
	Starts feedback.Time `json:"starts"`
	Ends   feedback.Time `json:"ends"`
	By     string        `json:"by"`
	Why    string        `json:"why"`
}

// Covers reports whether the silence is about the alert of a rule and key.
func (q *Silence) Covers(rule, key string) bool {
	s := alert.Silence(*q)
	return s.Matches(rule, key)
}

// silenceKept is how long a silence that has ended is still listed.
const silenceKept = 7 * 24 * time.Hour

// Silence keeps alerts quiet from now, or from s.Starts, to s.Ends. It returns the silence with its ID. What is wrong
// with it is an error of alert.Silence.Validate. The host is asked whether s.By may, and the audit log says so: ErrDenied.
func (s *State) Silence(ctx context.Context, q Silence) (Silence, error) {
	if q.Starts == 0 {
		q.Starts = feedback.TimeOf(s.Clock())
	}
	made, err := alert.NewSilence(alert.Silence{Rule: q.Rule, Key: q.Key, Starts: q.Starts, Ends: q.Ends, By: q.By, Why: q.Why})
	if err != nil {
		return Silence{}, err
	}
	if err := s.allowed(ctx, Actor{Name: made.By}, ActionSilence, feedback.Case{}); err != nil {
		return Silence{}, err
	}
	data, err := json.Marshal(Silence(made))
	if err != nil {
		return Silence{}, err
	}
	entry := audit.Entry{Kind: "silence.add", Who: made.By, What: made.ID, Why: made.Why, Data: data}
	err = s.changeSilences(ctx, entry, func(list []alert.Silence) ([]alert.Silence, error) {
		list = slices.DeleteFunc(list, func(o alert.Silence) bool { return o.ID == made.ID })
		return append(list, made), nil
	})
	return Silence(made), err
}

// Unsilence ends a silence now. Why may be empty. Errors are ErrNotFound when there is none of that ID that has yet to end,
// ErrMissing without a name, ErrDenied, or those of the store. The audit log says who did it.
func (s *State) Unsilence(ctx context.Context, by Actor, id, why string) (Silence, error) {
	if strings.TrimSpace(by.Name) == "" {
		return Silence{}, fmt.Errorf("who ends the silence: %w", ErrMissing)
	}
	if err := s.allowed(ctx, by, ActionUnsilence, feedback.Case{}); err != nil {
		return Silence{}, err
	}
	now := feedback.TimeOf(s.Clock())
	var ended alert.Silence
	entry := audit.Entry{Kind: "silence.remove", Who: by.Name, What: id, Why: why}
	err := s.changeSilences(ctx, entry, func(list []alert.Silence) ([]alert.Silence, error) {
		i := slices.IndexFunc(list, func(q alert.Silence) bool { return q.ID == id && q.Ends > now })
		if i < 0 {
			return nil, fmt.Errorf("silence %s: %w", id, ErrNotFound)
		}
		ended = list[i]
		if ended.Ends = now; now <= ended.Starts {
			ended.Ends = ended.Starts
			return slices.Delete(list, i, i+1), nil
		}
		list[i] = ended
		return list, nil
	})
	return Silence(ended), err
}

// Silences returns the silences that hold, will hold, or have ended within a week, the one that ends last first.
func (s *State) Silences(context.Context) ([]Silence, error) {
	out := []Silence{}
	err := s.store.View(func(snap *store.Snapshot) error {
		list, err := store.Load[records.Silences](snap, records.SilencesKey())
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, q := range list.Silences {
			out = append(out, Silence(q))
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Silence) int { return cmp.Compare(b.Ends, a.Ends) })
	return out, err
}

// changeSilences replaces the list of silences, without those that ended long ago, and writes the entry of the audit log.
func (s *State) changeSilences(ctx context.Context, entry audit.Entry, change func([]alert.Silence) ([]alert.Silence, error)) error {
	entry.At = feedback.TimeOf(s.Clock())
	long := entry.At.Add(-silenceKept)
	return s.store.Update(ctx, func(tx *store.Tx) error {
		list, err := store.Load[records.Silences](tx, records.SilencesKey())
		if errors.Is(err, store.ErrNotFound) {
			list, err = &records.Silences{}, nil
		}
		if err != nil {
			return err
		}
		if list.Silences, err = change(list.Silences); err != nil {
			return err
		}
		list.Silences = slices.DeleteFunc(list.Silences, func(q alert.Silence) bool { return q.Ends < long })
		if _, err := audit.Append(tx, entry); err != nil {
			return err
		}
		return store.Put(tx, records.SilencesKey(), list)
	})
}

// Silence is State.Silence. What is told is looked at again at once.
func (e *Engine) Silence(ctx context.Context, q Silence) (Silence, error) {
	made, err := e.State.Silence(ctx, q)
	if err == nil {
		err = e.pipe.WakeGroups(ctx, e.now())
	}
	return made, err
}

// Unsilence is State.Unsilence. What was kept quiet is told at once.
func (e *Engine) Unsilence(ctx context.Context, by Actor, id, why string) (Silence, error) {
	ended, err := e.State.Unsilence(ctx, by, id, why)
	if err == nil {
		err = e.pipe.WakeGroups(ctx, e.now())
	}
	return ended, err
}
