// Package pipeline takes feedback in: it accepts items, filters repeats, has them categorized, and commits them with
// everything that follows from them in one store update: identity, labels, decision, effects, rollups and checkpoint.
//
// What holds:
//
//   - An item is acknowledged only when it is durable, with all that follows from it, or not at all.
//   - Every row that is read counts exactly once: new, revised, duplicate, stale or rejected.
//   - Replaying the same input yields the same state: nothing slow or fallible runs inside the update, and nothing random
//     but the salts of the audit log, which nothing reads.
//   - An effect is acted on once per item, rule, kind and target, whatever is revised, relabelled or reloaded.
//
// Categorizing runs in parallel before the update; the commits of one source keep the order of its polls.
//
//	prepared, err := p.Prepare(ctx, chunk)   // slow, parallel, no state is changed
//	report, err := p.Commit(ctx, prepared)   // durable when it returns nil
package pipeline

import (
	"crypto/rand"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/redact"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// BatchSize is the largest number of items that a categorizer is handed at once.
const BatchSize = 64

// Config is what a pipeline works with. Store and Rules are required.
type Config struct {
	Store       *store.Store
	Rules       *rules.Set
	Categorizer []Categorizer // asked in this order
	// ItemAttributes and CustomerAttributes are the attributes that the program declares.
	ItemAttributes     map[string]feedback.Kind
	CustomerAttributes map[string]feedback.Kind
	Timezone           *time.Location // of days in rollups. Defaults to UTC.
	Parallel           int            // batches categorized at once. Defaults to 1.
	Hooks              Hooks
	Retention          Retention
	// Salts are those of the audit log, read within updates. Defaults to crypto/rand.Reader.
	Salts io.Reader
	// Now tells when work that takes its time has ended. Defaults to when it began.
	Now func() feedback.Time
}

// Categorizer is a plugin that labels items.
type Categorizer struct {
	ID     string
	Plugin host.Plugin
	// PassUnlabelled commits items without labels while the plugin cannot answer; they are labelled later, as a
	// revision. Otherwise items wait.
	PassUnlabelled bool
}

// Hooks tell the host what was committed, after it is durable, in the order of the commits of one source. A nil hook
// is skipped.
type Hooks struct {
	Item     func(records.Item, *feedback.Labels, Outcome)
	Decision func(feedback.ItemID, *rules.Decision)
	Case     func(feedback.Case)
	Alert    func(feedback.Alert)
	Delivery func(feedback.Delivery) // a message was put into the outbox
}

// Pipeline is safe for concurrent use.
type Pipeline struct {
	cfg       Config
	deciding  atomic.Pointer[deciding]
	rehearses bool // see rolledBack
}

// deciding is what decides about items: a ruleset with the windows that are kept for it.
type deciding struct {
	rules *rules.Set
	// filling is the ruleset that is to follow, while its windows are filled from history: new items count in them already.
	filling     *rules.Set
	generations map[string]int // of the windows of both, by their ID
}

// New returns a pipeline. Activate is called before the first commit, so that the windows of its rules are kept.
func New(cfg Config) *Pipeline {
	if cfg.Timezone == nil {
		cfg.Timezone = time.UTC
	}
	if cfg.Salts == nil {
		cfg.Salts = rand.Reader
	}
	cfg.Parallel = max(cfg.Parallel, 1)
	p := &Pipeline{cfg: cfg}
	p.deciding.Store(&deciding{rules: cfg.Rules})
	return p
}

// now returns the instant of Config.Now, or since.
func (p *Pipeline) now(since feedback.Time) feedback.Time {
	if p.cfg.Now == nil {
		return since
	}
	return p.cfg.Now()
}

// Rules returns the ruleset that decides.
func (p *Pipeline) Rules() *rules.Set { return p.deciding.Load().rules }

// Source describes where items come from.
type Source struct {
	ID       string        // the connector's stable id
	Defaults feedback.Item // given to items that lack the member
	Redact   redact.Kinds  // replaced in the free text of its items
}

// Chunk is a part of what a source holds, in the source's order.
type Chunk struct {
	Source  Source
	Batch   string
	Items   []feedback.Item
	Rejects []sdk.Reject
	Notices []sdk.Notice
	// Checkpoint is committed with the last of the items. Nil leaves the source's checkpoint.
	Checkpoint []byte
	ReceivedAt feedback.Time
	// Letter is the id of the dead letter that the one item comes from. It is gone with the commit, unless the item is
	// rejected again, or is there already and yet to be labelled; the row was counted when it failed first.
	Letter string
}

// Outcome says what became of a row.
type Outcome string

// The outcomes. Each row has exactly one.
const (
	OutcomeNew       Outcome = "new"
	OutcomeRevised   Outcome = "revised"
	OutcomeDuplicate Outcome = "duplicate"
	OutcomeStale     Outcome = "stale"
	OutcomeRejected  Outcome = "rejected"
)

// Report says what became of the rows of a chunk.
type Report struct {
	Import   records.Import // counts of this chunk only
	Rows     []Row          // one for each of the chunk's items, in its order
	Decided  int            // decisions taken
	Cases    int            // cases opened
	Alerts   int            // alerts that began
	Messages int            // messages put into the outbox
}

// Row is what became of one item of a chunk.
type Row struct {
	ID      feedback.ItemID // empty when rejected, or gone
	Outcome Outcome
	Reason  string // why it was rejected, or is stale although the store does not have it
}

// Add adds the other report's counts and rows.
func (r *Report) Add(o Report) {
	r.Import.Add(&o.Import)
	r.Rows = append(r.Rows, o.Rows...)
	r.Decided += o.Decided
	r.Cases += o.Cases
	r.Alerts += o.Alerts
	r.Messages += o.Messages
}

// Categorizers returns the categorizers that are asked, in their order.
func (p *Pipeline) Categorizers() []Categorizer { return slices.Clone(p.cfg.Categorizer) }

// Over returns a pipeline that works as this one does, but on a store that lies over its own, and tells others.
func (p *Pipeline) Over(st *store.Store, categorizers []Categorizer, hooks Hooks) *Pipeline {
	q := &Pipeline{cfg: p.cfg}
	q.cfg.Store, q.cfg.Categorizer, q.cfg.Hooks = st, categorizers, hooks
	q.deciding.Store(p.deciding.Load())
	return q
}
