package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// ruleset is what the store keeps of a ruleset: enough to compile it again.
type ruleset struct {
	Files              []rules.File             `json:"files"`
	Attributes         map[string]feedback.Kind `json:"attributes,omitempty"`
	CustomerAttributes map[string]feedback.Kind `json:"customer_attributes,omitempty"`
	Queues             []string                 `json:"queues"`
	Destinations       []string                 `json:"destinations"`
	Timezone           string                   `json:"timezone"`
	Since              feedback.Time            `json:"since"` // first used
}

func (r *ruleset) compile() (*rules.Set, error) {
	zone, err := time.LoadLocation(r.Timezone)
	if err != nil {
		return nil, err
	}
	return rules.Compile(r.Files, rules.Env{
		Attributes: r.Attributes, CustomerAttributes: r.CustomerAttributes,
		Queues: r.Queues, Destinations: r.Destinations, Timezone: zone,
	})
}

// rulesetOf returns what the store keeps of the program's rules.
func rulesetOf(prog *program.Program) *ruleset {
	env := prog.RuleEnv
	return &ruleset{
		Files: prog.RuleFiles, Attributes: env.Attributes, CustomerAttributes: env.CustomerAttributes,
		Queues: env.Queues, Destinations: env.Destinations, Timezone: prog.Timezone.String(),
	}
}

// write stores the ruleset under its hash, so that every decision can be explained for ever.
func (r *ruleset) write(tx *store.Tx, hash string, at feedback.Time) error {
	key := records.RulesetKey(hash)
	if _, err := tx.Get(key); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r.Since = at
	return store.PutNew(tx, key, r)
}

// Explanation says why an item was decided on as it was.
type Explanation struct {
	Item     Item           `json:"item"`
	Decision rules.Decision `json:"decision"` // the latest
	Number   int            `json:"number"`   // of the decision, from 1
	// Active is the hash of the ruleset that decides now. It may be another one than that of the decision.
	Active string `json:"active,omitempty"`
	// Rules goes through every rule of the decision's ruleset, fired or not.
	Rules *rules.Explanation `json:"rules"`
	Done  []EffectDone       `json:"done,omitempty"` // effects acted on, by this decision or an earlier one
	// Corrections are what people say of the item, the first one first.
	Corrections []feedback.Change `json:"corrections,omitempty"`
}

// EffectDone is an effect that was acted on, once and for all.
type EffectDone struct {
	Rule   string        `json:"rule"`
	Kind   string        `json:"kind"`
	At     feedback.Time `json:"at"`
	Lapsed feedback.Time `json:"lapsed,omitzero"` // when the rules no longer asked for it
}

// Explain goes through the rules that decided on an item last: which fired, which did not and why, with the values
// that they saw then. What a window told then is remembered where a rule asked; where none did it is asked now. It
// returns ErrNotFound for an unknown item.
func (s *State) Explain(ctx context.Context, id feedback.ItemID) (*Explanation, error) {
	x := &Explanation{}
	err := s.store.View(func(snap *store.Snapshot) error {
		it, err := loadItem(snap, id)
		if err != nil {
			return err
		}
		x.Item = *it
		rec, err := store.Load[records.Item](snap, records.ItemKey(id))
		if err != nil {
			return err
		}
		d, err := store.Load[rules.Decision](snap, records.DecisionKey(id, rec.Decisions))
		if err != nil {
			return fmt.Errorf("decision %d of item %s: %w", rec.Decisions, id, err)
		}
		x.Decision, x.Number = *d, rec.Decisions
		if x.Done, err = effectsDone(snap, id); err != nil {
			return err
		}
		_, labels, err := records.EffectiveLabels(snap, id)
		if err != nil {
			return err
		}
		set, err := s.ruleset(d.Ruleset)
		if err != nil {
			return err
		}
		x.Corrections = labels.Layer(feedback.LayerHuman)
		x.Rules = set.ExplainDecision(d, records.EventBeforeRules(rec, labels), &pastView{snap: snap, rec: rec, labels: labels})
		x.Active, err = s.activeHash()
		return err
	})
	if err != nil {
		return nil, err
	}
	return x, nil
}

// activeHash returns the hash of the rules that decide, and "" when none do yet.
func (s *State) activeHash() (string, error) {
	a, err := s.active()
	if err != nil {
		return "", err
	}
	if a != nil {
		return a.Ruleset, nil
	}
	if set := s.set.Load(); set != nil {
		return set.Hash(), nil
	}
	return "", nil
}

// pastView is the view of an explanation: what people say of the item, what it adds to windows, and what these hold now.
type pastView struct {
	rules.NoView
	snap   *store.Snapshot
	rec    *records.Item
	labels *records.Labels
}

var _ rules.View = (*pastView)(nil)

// Corrections returns the human layer of the item's labels.
func (v *pastView) Corrections() []feedback.Change { return v.labels.Layer(feedback.LayerHuman) }

// Counted returns what the item adds to windows that are kept.
func (v *pastView) Counted() (out []rules.Count) {
	for _, c := range v.rec.Windows {
		if kept, err := store.Load[records.Window](v.snap, records.WindowKey(c.Window)); err == nil && kept.Generation == c.Generation {
			out = append(out, c.Count)
		}
	}
	return out
}

// Window returns the observations of a window under a key as they are now, or nil when they are not kept any more.
func (v *pastView) Window(id, key string) *window.Ring {
	kept, err := store.Load[records.Window](v.snap, records.WindowKey(id))
	if err != nil {
		return nil
	}
	b, err := v.snap.Get(records.RingKey(id, kept.Generation, key))
	if err != nil {
		return nil
	}
	r := new(window.Ring)
	if r.UnmarshalBinary(b) != nil {
		return nil
	}
	return r
}

// LabelHistory returns every change of an item's labels that a model, a rule or a person ever made: first those that no
// longer hold, and then those that do, each in their order. It returns ErrNotFound for an unknown item.
func (s *State) LabelHistory(_ context.Context, id feedback.ItemID) ([]feedback.Change, error) {
	out := []feedback.Change{}
	err := s.store.View(func(snap *store.Snapshot) error {
		_, labels, err := records.EffectiveLabels(snap, id)
		if err != nil {
			return err
		}
		if _, err := snap.Get(records.ItemKey(id)); err != nil {
			return fmt.Errorf("item %s: %w", id, err)
		}
		err = records.Each(snap, records.LabelHistoryPrefix(id), nil, false, func(c *feedback.Change) (bool, error) {
			out = append(out, *c)
			return true, nil
		})
		out = append(out, labels.Changes...)
		return err
	})
	return out, err
}

func effectsDone(snap *store.Snapshot, id feedback.ItemID) ([]EffectDone, error) {
	e, err := store.Load[records.Effects](snap, records.EffectsKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]EffectDone, len(e.Done))
	for i, d := range e.Done {
		out[i] = EffectDone{d.Rule, d.Kind, d.At, d.Lapsed}
	}
	return out, nil
}

// ruleset returns the ruleset of that hash: the one that decides, or one that did before.
func (s *State) ruleset(hash string) (*rules.Set, error) {
	if set := s.set.Load(); set != nil && set.Hash() == hash {
		return set, nil
	}
	var r ruleset
	err := s.store.View(func(snap *store.Snapshot) error {
		b, err := snap.Get(records.RulesetKey(hash))
		if err != nil {
			return fmt.Errorf("ruleset %s: %w", hash, err)
		}
		return json.Unmarshal(b, &r)
	})
	if err != nil {
		return nil, err
	}
	return r.compile()
}
