package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/closedloop/closedloop/engine/internal/outbox"
	"github.com/closedloop/closedloop/engine/internal/pipeline"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// State is what a program remembers, with the CaseDesk at which people work on its cases. Its queries see the last durable
// commit, and never wait for a writer. Those that go through many records end with their context.
type State struct {
	CaseDesk

	// Clock tells the time, for what people do to the state. Defaults to the system's.
	Clock func() time.Time

	store *store.Store
	dir   string
	zone  *time.Location
	set   atomic.Pointer[rules.Set] // that decides; nil while it does not compile. Decisions may be of others

	changing sync.Mutex // one change of the rules that decide at a time
	// files reads the program's rule files again. It may return them with an error that says why they cannot be taken.
	files func(context.Context) (*program.Program, error)
	// install has a set decide in an engine, together with what record writes. It is nil where none is open.
	install func(ctx context.Context, set *rules.Set, record func(*store.Tx) error) error
	// activated is told what was recorded. It may be nil.
	activated func(*Activation)

	authorize func(context.Context, Actor, Action, feedback.Case) error // nil allows everything
	casework  *pipeline.Pipeline                                        // that changes cases; nil while the rules do not compile

	destinations []string          // of the program
	keep         program.Retention // likewise
	outbox       *outbox.Outbox    // that delivers; nil where no engine is open
}

// OpenState opens the state of the program in dir without loading any plugin: for queries, and to change which rules
// decide when the program is started again. Of the options State, CacheDir, Native, Now and Authorize count. It fails with
// ErrLocked when an engine works on the state, and with ErrNotFound when the program never ran.
func OpenState(ctx context.Context, dir string, o Options) (*State, error) {
	o = o.withDefaults()
	files := func(ctx context.Context) (*program.Program, error) {
		return program.Load(ctx, dir, program.Options{CacheDir: o.CacheDir, Native: o.Native, NoBuild: true, Others: true, RulesApart: true})
	}
	prog, err := files(ctx)
	if err != nil {
		return nil, err
	}
	state, err := filepath.Abs(cmp.Or(o.State, prog.StateDir))
	if err != nil {
		return nil, err
	}
	if !store.Exists(state) {
		return nil, fmt.Errorf("open state %s: %w", state, ErrNotFound)
	}
	st, err := store.Open(state, store.Options{Profile: store.Small})
	if err != nil {
		return nil, fmt.Errorf("open state %s: %w", state, err)
	}
	s := &State{store: st, dir: state, zone: prog.Timezone, Clock: o.Now, files: files, authorize: o.Authorize, destinations: prog.DestinationIDs(), keep: prog.Retention}
	s.CaseDesk = CaseDesk{s.ActOnCase}
	set, err := s.deciding(prog)
	if problems := source.Problems(nil); err != nil && !errors.As(err, &problems) {
		return nil, errors.Join(err, s.Close())
	}
	s.set.Store(set)
	if err := records.Migrate(ctx, st); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if set == nil {
		return s, nil
	}
	s.casework = pipeline.New(pipeline.Config{
		Store: st, Rules: set, Timezone: prog.Timezone, Retention: retentionOf(prog.Retention),
		Now: func() feedback.Time { return feedback.TimeOf(o.Now()) },
	})
	err = s.casework.AdoptCases(ctx, feedback.TimeOf(o.Now()))
	if err == nil {
		err = s.casework.ResumeErasures(ctx, feedback.TimeOf(o.Now()))
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close releases the state. That of an Engine is closed by Engine.Close.
func (s *State) Close() error { return s.store.Close() }

// Item is an item with what the program knows of it.
type Item struct {
	feedback.Item
	Labels   feedback.Labels `json:"labels"`
	Revision int             `json:"revision"` // 1 at first
	Queue    string          `json:"queue,omitempty"`
	Owner    string          `json:"owner,omitempty"`
	Priority string          `json:"priority,omitempty"` // low, normal, high or urgent
	Severity string          `json:"severity,omitempty"`
	Tags     []string        `json:"tags,omitempty"`
	Case     feedback.CaseID `json:"case,omitempty"` // the latest case opened for it
	// Waiting lists the categorizers that have yet to label it.
	Waiting []string `json:"waiting,omitempty"`
	// Review marks an item whose human correction was made for an earlier revision.
	Review bool `json:"review,omitempty"`
}

func itemOf(r *records.Item, l *feedback.Labels) Item {
	return Item{
		Item: r.Feedback, Labels: *l, Revision: r.Revision, Queue: r.Queue, Owner: r.Owner, Priority: r.Priority,
		Severity: r.Severity, Tags: r.Tags, Case: feedback.CaseID(r.Case), Waiting: r.Waiting, Review: r.Review,
	}
}

// ItemQuery chooses items. Zero members choose all.
type ItemQuery struct {
	Prefix   string             `json:"prefix,omitempty"` // of the id, such as "f_01J"
	Source   string             `json:"source,omitempty"`
	External string             `json:"external_id,omitempty"` // of the item of Source, which it needs
	Queue    string             `json:"queue,omitempty"`
	Customer string             `json:"customer,omitempty"`
	Theme    feedback.ThemePath `json:"theme,omitempty"` // or below
	Class    feedback.NPSClass  `json:"class,omitempty"`
	Since    feedback.Time      `json:"since,omitzero"`  // of the time of the feedback
	Before   feedback.Time      `json:"before,omitzero"` // likewise, exclusive
	Limit    int                `json:"limit,omitempty"` // Defaults to 50.
}

// Items returns the chosen items, the latest feedback first. A class that there is not is an ErrQuery.
func (s *State) Items(ctx context.Context, q ItemQuery) ([]Item, error) {
	if err := oneOf("class", q.Class, feedback.Detractor, feedback.Passive, feedback.Promoter); err != nil {
		return nil, err
	}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	out := []Item{}
	err := s.store.View(func(snap *store.Snapshot) error {
		if q.External != "" {
			it, err := loadExternal(snap, q.Source, q.External)
			if err == nil && strings.HasPrefix(string(it.ID), q.Prefix) && q.matches(it) {
				out = append(out, *it)
			}
			return unlessGone(err)
		}
		return records.ScanItems(snap, records.Place{Queue: q.Queue, Customer: q.Customer}, func(id feedback.ItemID) (bool, error) {
			if !strings.HasPrefix(string(id), q.Prefix) {
				return string(id) > q.Prefix, ctx.Err() // they come in the order of ids, the largest first
			}
			it, err := loadItem(snap, id)
			if err != nil {
				return false, err
			}
			if q.matches(it) {
				out = append(out, *it)
			}
			return len(out) < q.Limit, ctx.Err()
		})
	})
	return out, err
}

func (q *ItemQuery) matches(it *Item) bool {
	return (q.Source == "" || it.Source == q.Source) &&
		(q.Queue == "" || it.Queue == q.Queue) &&
		(q.Customer == "" || it.Customer.ID == q.Customer) &&
		(q.Theme == "" || it.Labels.Has(q.Theme)) &&
		(q.Class == "" || it.NPSClass() == q.Class) &&
		(q.Since == 0 || it.OccurredAt >= q.Since) &&
		(q.Before == 0 || it.OccurredAt < q.Before)
}

// Item returns one item, or ErrNotFound.
func (s *State) Item(_ context.Context, id feedback.ItemID) (*Item, error) {
	var it *Item
	err := s.store.View(func(snap *store.Snapshot) (err error) {
		it, err = loadItem(snap, id)
		return err
	})
	return it, err
}

func loadItem(r records.Reader, id feedback.ItemID) (*Item, error) {
	rec, err := store.Load[records.Item](r, records.ItemKey(id))
	if err != nil {
		return nil, fmt.Errorf("item %s: %w", id, err)
	}
	l, _, err := records.EffectiveLabels(r, id)
	if err != nil {
		return nil, fmt.Errorf("labels of item %s: %w", id, err)
	}
	return new(itemOf(rec, &l)), nil
}

// loadExternal loads the item that a source calls by an id.
func loadExternal(r records.Reader, source, external string) (*Item, error) {
	known, err := store.Load[records.Identity](r, records.IdentityKey(source, external))
	if err != nil {
		return nil, err
	}
	return loadItem(r, known.ID)
}

func unlessGone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Decisions returns an item's decisions, the first one first, or ErrNotFound.
func (s *State) Decisions(_ context.Context, id feedback.ItemID) ([]rules.Decision, error) {
	out := []rules.Decision{}
	err := s.store.View(func(snap *store.Snapshot) error {
		if _, err := snap.Get(records.ItemKey(id)); err != nil {
			return fmt.Errorf("item %s: %w", id, err)
		}
		return records.Each(snap, records.DecisionPrefix(id), nil, false, func(d *rules.Decision) (bool, error) {
			out = append(out, *d)
			return true, nil
		})
	})
	return out, err
}

// Alerts returns the alerts, the one raised last first.
func (s *State) Alerts(context.Context) ([]feedback.Alert, error) {
	out := []feedback.Alert{}
	err := s.store.View(func(snap *store.Snapshot) error {
		return records.Each(snap, records.AlertPrefix(), nil, false, func(a *rules.AlertState) (bool, error) {
			out = append(out, records.AlertOf(a))
			return true, nil
		})
	})
	slices.SortStableFunc(out, func(a, b feedback.Alert) int { return cmp.Compare(b.LastAt, a.LastAt) })
	return out, err
}

// DeadLetters returns the dead letters of a kind, the latest first. An empty kind means all, one that there is
// not is an ErrQuery; a limit of 0 means 50.
func (s *State) DeadLetters(ctx context.Context, kind feedback.DeadLetterKind, limit int) ([]feedback.DeadLetter, error) {
	if err := oneOf("kind", kind, feedback.DeadRow, feedback.DeadItem, feedback.DeadDelivery); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = 50
	}
	out := []feedback.DeadLetter{}
	err := s.store.View(func(snap *store.Snapshot) error {
		return records.Each(snap, records.DeadLetterPrefix(), nil, false, func(l *feedback.DeadLetter) (bool, error) {
			if kind == "" || l.Kind == kind {
				out = append(out, *l)
			}
			return true, ctx.Err()
		})
	})
	slices.SortStableFunc(out, func(a, b feedback.DeadLetter) int { return cmp.Compare(b.At, a.At) })
	return out[:min(len(out), limit)], err
}

// StateDir returns the absolute path of the state directory.
func (s *State) StateDir() string { return s.dir }
