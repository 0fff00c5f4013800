package engine

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/backtest"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// RulesRef says which rules are meant: a set that the state keeps, or files. The zero value means those that decide.
type RulesRef struct {
	// Name is how people call them. Defaults to "active" or the beginning of the hash.
	Name string `json:"name,omitempty"`
	// Hash is the beginning of the hash of a set that decided before, with or without "sha256:".
	Hash string `json:"hash,omitempty"`
	// Files are rule files. They come before Hash.
	Files []rules.File `json:"files,omitempty"`
	// Env is what a program declares for the files. Defaults to what is declared for those that decide.
	Env *RulesEnv `json:"env,omitempty"`
}

// RulesEnv is what a program declares for its rules; see rules.Env.
type RulesEnv struct {
	Attributes         map[string]feedback.Kind `json:"attributes,omitempty"`
	CustomerAttributes map[string]feedback.Kind `json:"customer_attributes,omitempty"`
	Queues             []string                 `json:"queues"`
	Destinations       []string                 `json:"destinations"`
	Timezone           string                   `json:"timezone"` // an IANA name
}

// History says which items of the past are meant.
type History struct {
	// Since is from when on. Defaults to the first item that there is.
	Since feedback.Time `json:"since,omitzero"`
	// Until is the end, exclusive. Defaults to the present, and without Since to the end of the day of the last item.
	Until feedback.Time `json:"until,omitzero"`
	// Close says when cases are taken to be closed. Defaults to backtest.WhenDue.
	Close backtest.Closing `json:"close,omitempty"`
}

// BacktestOptions say what to try on what. The zero value tries the rules that decide on everything.
type BacktestOptions struct {
	Rules RulesRef `json:"rules,omitzero"`
	History
}

// DiffOptions say which rules to compare on what. The zero value compares the rules that decide with themselves.
type DiffOptions struct {
	Old RulesRef `json:"old,omitzero"`
	New RulesRef `json:"new,omitzero"`
	History
}

// Backtest is what rules would have done with the feedback of the past. In JSON the members of the report stand beside
// the others.
type Backtest struct {
	Name     string        `json:"name"`           // of the rules
	Timezone string        `json:"timezone"`       // of days
	First    feedback.Time `json:"first,omitzero"` // when the first item that is stored occurred
	Last     feedback.Time `json:"last,omitzero"`  // when the last one did
	backtest.Report
}

// Diff is how two sets of rules differ. In JSON the members of the comparison stand beside the others.
type Diff struct {
	Timezone string        `json:"timezone"`
	First    feedback.Time `json:"first,omitzero"`
	Last     feedback.Time `json:"last,omitzero"`
	backtest.Diff
}

// Backtest decides in memory on the items of the past, each at the instant at which it occurred, whenever it was
// imported, and says what the rules would have done. It sees the last durable commit throughout, waits for no writer and
// makes none wait, acts on nothing and writes nothing. progress may be nil; it is told how many items are done of about
// how many. Errors: ErrNotFound for a set that the state does not keep, source.Problems for files that do not compile,
// and the context's.
//
// Items are taken as they are known today, with their labels and corrections, once each. One whose time a revision moved
// by more than a week may be left out.
func (s *State) Backtest(ctx context.Context, o BacktestOptions, progress func(done, total int)) (*Backtest, error) {
	var out *Backtest
	err := s.store.View(func(snap *store.Snapshot) error {
		set, _, err := s.resolve(snap, &o.Rules)
		if err != nil {
			return err
		}
		out = &Backtest{Name: o.Rules.Name, Timezone: s.zone.String()}
		if out.First, out.Last, err = records.Span(snap); err != nil {
			return err
		}
		run := backtest.New(set, s.options(ctx, &o.History, out.First, out.Last))
		if err := s.replayHistory(ctx, snap, run.From(), o.Until, progress, func(p *past) { run.Add(p.event, p.corrections...) }); err != nil {
			return err
		}
		out.Report = *run.Report()
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("backtest: %w", err)
	}
	return out, nil
}

// Diff has two sets decide on the items of the past as Backtest does, and says which items they treat differently and
// why, and what the rule files say otherwise.
func (s *State) Diff(ctx context.Context, o DiffOptions, progress func(done, total int)) (*Diff, error) {
	var out *Diff
	err := s.store.View(func(snap *store.Snapshot) error {
		old, oldFiles, err := s.resolve(snap, &o.Old)
		if err != nil {
			return err
		}
		set, files, err := s.resolve(snap, &o.New)
		if err != nil {
			return err
		}
		out = &Diff{Timezone: s.zone.String()}
		if out.First, out.Last, err = records.Span(snap); err != nil {
			return err
		}
		c := backtest.Compare(old, set, s.options(ctx, &o.History, out.First, out.Last))
		if old.Hash() != set.Hash() {
			err = s.replayHistory(ctx, snap, c.From(), o.Until, progress, func(p *past) { c.Add(p.event, p.corrections...) })
		}
		if err != nil {
			return err
		}
		out.Diff = *c.Diff()
		out.Files = backtest.Edits(oldFiles, files)
		out.Old.Name, out.New.Name = o.Old.Name, o.New.Name
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("diff: %w", err)
	}
	return out, nil
}

// endOfTime is behind the last instant that an item can have.
const endOfTime feedback.Time = 253_402_300_800_000 // the end of the year 9999

// options completes the history that is meant, and bounds it to the years that items can have since 1970.
func (s *State) options(ctx context.Context, h *History, first, last feedback.Time) backtest.Options {
	if h.Until == 0 {
		h.Until = feedback.TimeOf(s.Clock())
		if y, m, d := last.Std().In(s.zone).Date(); h.Since == 0 && last != 0 {
			h.Until = feedback.TimeOf(time.Date(y, m, d+1, 0, 0, 0, 0, s.zone))
		}
	}
	if h.Since == 0 {
		h.Since = cmp.Or(first, h.Until)
	}
	h.Until = min(max(h.Until, 1), endOfTime)
	h.Since = min(max(h.Since, 1), h.Until)
	return backtest.Options{Since: h.Since, Until: h.Until, Zone: s.zone, Close: h.Close, Stop: func() bool { return ctx.Err() != nil }}
}

// replayHistory calls add with the items of the past in their order.
func (s *State) replayHistory(ctx context.Context, snap *store.Snapshot, from, until feedback.Time, progress func(done, total int), add func(*past)) error {
	total, done := 0, 0
	if progress != nil {
		first, last := records.Day(from, s.zone), records.Day(until-1, s.zone)
		f := fold{snap: snap, measure: records.Volume, dim: records.DimAll}
		items, err := f.between(first, last, nil)
		if err != nil {
			return err
		}
		total = int(items.of(f.value).N)
		progress(0, total)
	}
	err := history(ctx, snap, from, until, func(p *past) error {
		add(p)
		if done++; progress != nil && done%toldEvery == 0 {
			progress(done, max(done, total))
		}
		return ctx.Err()
	})
	if err == nil && progress != nil {
		progress(done, done)
	}
	return err
}

// resolve returns the rules that are meant, and gives them a name.
func (s *State) resolve(snap *store.Snapshot, ref *RulesRef) (*rules.Set, []rules.File, error) {
	hash := ref.Hash
	if hash == "" && (len(ref.Files) == 0 || ref.Env == nil) {
		active, err := s.activeHash()
		if err != nil || active == "" {
			return nil, nil, fmt.Errorf("the rules that decide: %w", cmp.Or(err, ErrNotFound))
		}
		hash = active
	}
	if len(ref.Files) == 0 {
		kept, full, err := keptRuleset(snap, hash)
		if err != nil {
			return nil, nil, err
		}
		ref.Name = cmp.Or(ref.Name, nameOf(full, ref.Hash == ""))
		set, err := s.ruleset(full)
		return set, kept.Files, err
	}
	r := ruleset{Files: ref.Files}
	if ref.Env != nil {
		r.Attributes, r.CustomerAttributes = ref.Env.Attributes, ref.Env.CustomerAttributes
		r.Queues, r.Destinations, r.Timezone = ref.Env.Queues, ref.Env.Destinations, ref.Env.Timezone
	} else {
		kept, _, err := keptRuleset(snap, hash)
		if err != nil {
			return nil, nil, err
		}
		r = *kept
		r.Files = ref.Files
	}
	set, err := r.compile()
	if err == nil {
		ref.Name = cmp.Or(ref.Name, nameOf(set.Hash(), false))
	}
	return set, ref.Files, err
}

// nameOf names a set that nobody named.
func nameOf(hash string, active bool) string {
	const digits = 12
	if active {
		return "active"
	}
	hex := strings.TrimPrefix(hash, hashPrefix)
	return hex[:min(len(hex), digits)]
}

// keptRuleset finds the set of which the hash has that beginning.
func keptRuleset(snap *store.Snapshot, prefix string) (*ruleset, string, error) {
	prefix = hashPrefix + strings.TrimPrefix(prefix, hashPrefix)
	found, err := records.RulesetHashes(snap, prefix)
	switch {
	case err != nil:
		return nil, "", err
	case len(found) == 0:
		return nil, "", fmt.Errorf("no ruleset is kept whose hash begins with %s: %w", prefix, ErrNotFound)
	case len(found) > 1:
		return nil, "", fmt.Errorf("more than one ruleset is kept whose hash begins with %s: %w", prefix, ErrNotFound)
	}
	r, err := store.Load[ruleset](snap, records.RulesetKey(found[0]))
	return r, found[0], err
}

// Backtest is State.Backtest. It ends when the engine is closed.
func (e *Engine) Backtest(ctx context.Context, o BacktestOptions, progress func(done, total int)) (*Backtest, error) {
	return whileOpen(ctx, e, func(ctx context.Context) (*Backtest, error) { return e.State.Backtest(ctx, o, progress) })
}

// Diff is State.Diff. It ends when the engine is closed.
func (e *Engine) Diff(ctx context.Context, o DiffOptions, progress func(done, total int)) (*Diff, error) {
	return whileOpen(ctx, e, func(ctx context.Context) (*Diff, error) { return e.State.Diff(ctx, o, progress) })
}
