package pipeline

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// errUnlabelled ends an update that found an item which no categorizer has seen: one that Prepare took for a repeat.
var errUnlabelled = errors.New("pipeline: an item has no labels yet")

// Commit makes a prepared chunk durable with all that follows from it, and then calls the hooks. When it fails nothing
// of the chunk is in the store, or, of a chunk too large for one update, a first part without the checkpoint. Of a
// source with checkpoints that part is remembered: the same chunk committed again goes on behind it.
func (p *Pipeline) Commit(ctx context.Context, pr *Prepared) (Report, error) {
	c, err := p.Begin(ctx, nil, pr)
	if err != nil {
		return Report{}, err
	}
	return c.Wait()
}

// Commitment is a chunk on its way to the disk.
type Commitment struct {
	pending *store.Pending // nil when the chunk is durable already
	writer  *writer
	report  Report
	err     error
}

// Begin does what Commit does up to the point where the chunk's update waits for the disk; Wait, which must be called,
// does the rest. after is the chunk before it of the same source, or nil: when that fails this one fails too, so that no
// checkpoint runs ahead of what it stands for. Chunks of one source are waited for in their order.
func (p *Pipeline) Begin(ctx context.Context, after *Commitment, pr *Prepared) (*Commitment, error) {
	if err := p.resume(pr); err != nil {
		return nil, err
	}
	var w *writer
	update := func(tx *store.Tx) error {
		w = p.newWriter(tx, pr.chunk.ReceivedAt)
		return w.chunk(pr)
	}
	var before *store.Pending
	if after != nil {
		if after.err != nil {
			return nil, after.err
		}
		before = after.pending
	}
	pending, err := p.cfg.Store.Begin(ctx, before, update)
	switch {
	case err == nil:
		return &Commitment{pending: pending, writer: w}, nil
	case !errors.Is(err, errUnlabelled) && !errors.Is(err, store.ErrTooLarge):
		return nil, err
	}
	if after != nil { // what follows takes more than one update, none of which may run ahead
		if after.settle(); after.err != nil {
			return nil, after.err
		}
	}
	report, err := p.commit(ctx, pr)
	return &Commitment{report: report, err: err}, nil
}

// Wait returns once the chunk is durable and the hooks were called, or why it is not.
func (c *Commitment) Wait() (Report, error) {
	c.settle()
	return c.report, c.err
}

func (c *Commitment) settle() {
	if c.pending == nil {
		return
	}
	if c.err = c.pending.Wait(); c.err == nil {
		c.writer.told.tell()
		c.report = c.writer.report
	}
	c.pending, c.writer = nil, nil
}

// resume leaves out what an earlier commit of the same chunk has made durable.
func (p *Pipeline) resume(pr *Prepared) error {
	if pr.chunk.Checkpoint == nil {
		return nil
	}
	return p.cfg.Store.View(func(s *store.Snapshot) error {
		part, err := store.Load[records.Part](s, records.PartKey(pr.chunk.Source.ID))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil || part.Chunk != pr.identity() || part.Done > len(pr.items) {
			return err
		}
		pr.done = part.Done
		pr.items = pr.items[part.Done:]
		pr.chunk.Rejects, pr.chunk.Notices = nil, nil
		pr.parted, pr.whole = true, part.Chunk
		return nil
	})
}

// identity tells a chunk from any other of its source.
func (pr *Prepared) identity() records.Hash {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%q %q", pr.chunk.Batch, pr.chunk.Checkpoint)
	for i := range pr.items {
		_, _ = h.Write(pr.items[i].hash[:])
	}
	return records.Hash(h.Sum(nil)[:16])
}

func (p *Pipeline) commit(ctx context.Context, pr *Prepared) (Report, error) {
	var w *writer
	update := func(tx *store.Tx) error {
		w = p.newWriter(tx, pr.chunk.ReceivedAt)
		return w.chunk(pr)
	}
	err := p.cfg.Store.Update(ctx, update)
	for errors.Is(err, errUnlabelled) {
		if err = p.categorize(ctx, pr); err == nil {
			err = p.cfg.Store.Update(ctx, update)
		}
	}
	if errors.Is(err, store.ErrTooLarge) {
		return p.commitParts(ctx, pr, err)
	}
	if err != nil {
		return Report{}, err
	}
	w.told.tell()
	return w.report, nil
}

// commitParts commits a chunk that is too large for one update in two. One item that is too large with all that
// follows from it is refused.
func (p *Pipeline) commitParts(ctx context.Context, pr *Prepared, tooLarge error) (Report, error) {
	first, second := *pr, *pr
	switch n, r := len(pr.items), len(pr.chunk.Rejects); {
	case r > 0 && n > 0:
		first.items, second.chunk.Rejects, second.chunk.Notices = nil, nil, nil
	case r > 1:
		first.chunk.Rejects, second.chunk.Rejects = pr.chunk.Rejects[:r/2], pr.chunk.Rejects[r/2:]
		second.chunk.Notices = nil
	case n > 1:
		first.items, second.items = pr.items[:n/2], pr.items[n/2:]
		second.chunk.Notices = nil
	case n == 1 && pr.items[0].refused == nil:
		pr.items[0].refused = &refusal{"too_large", tooLarge.Error()}
		return p.commit(ctx, pr)
	default:
		return Report{}, tooLarge
	}
	if pr.chunk.Checkpoint != nil && !pr.parted {
		first.whole, second.whole = pr.identity(), pr.identity()
	}
	first.chunk.Checkpoint, first.parted, second.parted = nil, true, true
	second.done = pr.done + len(first.items)
	report, err := p.commit(ctx, &first)
	if err != nil {
		return report, err
	}
	rest, err := p.commit(context.WithoutCancel(ctx), &second) // a stop does not tear a chunk apart
	report.Add(rest)
	return report, err
}

// writer is one update: the state that its items share.
type writer struct {
	p         *Pipeline
	tx        *store.Tx
	rules     *rules.Set
	deciding  *deciding
	memory    memory
	at        feedback.Time
	report    Report
	rollups   records.Tally
	sequences map[string]uint64
	told      told
	tombs     *records.Tombs // nil when nothing was ever erased
	tombsRead bool
	failed    error // of a read that the rules asked for
	replays   bool  // the row was counted when it failed
}

func (p *Pipeline) newWriter(tx *store.Tx, at feedback.Time) *writer {
	now := p.deciding.Load()
	return &writer{
		p: p, tx: tx, rules: now.rules, deciding: now, at: at,
		sequences: map[string]uint64{},
		told:      told{hooks: &p.cfg.Hooks},
	}
}

func (w *writer) chunk(pr *Prepared) error {
	c := &pr.chunk
	if err := w.unbury(c.Letter); err != nil {
		return err
	}
	imp := &w.report.Import
	imp.Source, imp.Batch, imp.FirstAt, imp.LastAt = c.Source.ID, c.Batch, c.ReceivedAt, c.ReceivedAt
	w.report.Rows = make([]Row, 0, len(pr.items))
	for i, r := range c.Rejects {
		w.count(OutcomeRejected)
		letter := feedback.DeadLetter{
			Kind: feedback.DeadRow, At: w.at, Source: c.Source.ID, Batch: c.Batch,
			Position: r.Position, Code: excerpt(r.Code), Reason: excerpt(r.Message), Raw: excerpt(r.Raw),
		}
		if letter.Position == "" {
			letter.Position = fmt.Sprintf("row %d", i+1)
		}
		if err := w.bury(letter); err != nil {
			return err
		}
	}
	for _, n := range c.Notices {
		imp.Notice(excerpt(n.Code+": "+n.Message), 1)
	}
	for i := range pr.items {
		row, err := w.row(&pr.items[i])
		if err != nil {
			return err
		}
		w.report.Rows = append(w.report.Rows, row)
	}
	if c.Letter != "" && len(w.report.Rows) > 0 {
		switch w.report.Rows[0].Outcome {
		case OutcomeRejected, OutcomeDuplicate:
		default:
			w.tx.Delete(records.DeadLetterKey(c.Letter))
		}
	}
	if err := w.finish(); err != nil {
		return err
	}
	return w.advance(pr)
}

// advance moves the source's checkpoint on, or remembers how far into the chunk it is.
func (w *writer) advance(pr *Prepared) error {
	key := records.PartKey(pr.chunk.Source.ID)
	switch {
	case pr.chunk.Checkpoint != nil:
		w.tx.Set(records.CheckpointKey(pr.chunk.Source.ID), pr.chunk.Checkpoint)
		if pr.parted {
			w.tx.Delete(key)
		}
	case pr.whole != (records.Hash{}):
		return store.Put(w.tx, key, &records.Part{Chunk: pr.whole, Done: pr.done + len(pr.items)})
	}
	return nil
}

func (w *writer) count(o Outcome) {
	imp := &w.report.Import
	imp.Read++
	switch o {
	case OutcomeNew:
		imp.New++
	case OutcomeRevised:
		imp.Revised++
	case OutcomeDuplicate:
		imp.Duplicate++
	case OutcomeStale:
		imp.Stale++
	case OutcomeRejected:
		imp.Rejected++
	}
}

// row decides what becomes of one item.
func (w *writer) row(a *accepted) (Row, error) {
	if a.refused != nil {
		if reason, err := w.refusesReturn(&a.item); reason != "" || err != nil {
			return w.gone(reason), err
		}
		w.count(OutcomeRejected)
		return Row{Outcome: OutcomeRejected, Reason: a.refused.code + ": " + a.refused.reason}, w.reject(a)
	}
	it := a.item
	if reason, err := w.refusesReturn(&it); reason != "" || err != nil {
		return w.gone(reason), err
	}
	if it.ExternalID == "" {
		if err := w.identify(&it, a.hash); err != nil {
			return Row{}, err
		}
		if reason, err := w.refusesReturn(&it); reason != "" || err != nil {
			return w.gone(reason), err
		}
	}
	key := records.IdentityKey(it.Source, it.ExternalID)
	known, err := store.Load[records.Identity](w.tx, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Row{}, err
	}
	if known == nil && w.p.tooOld(&it, w.at) {
		return w.gone(reasonOld), nil
	}
	if known != nil && !a.versioned {
		it.Version = max(it.Version, known.Version) // a clock that steps back makes nothing stale
	}
	outcome := judge(known, &it, a.hash)
	if outcome == OutcomeDuplicate || outcome == OutcomeStale {
		w.count(outcome)
		return Row{ID: known.ID, Outcome: outcome}, nil
	}
	if !a.labelled {
		a.known = false
		return Row{}, errUnlabelled
	}
	if known == nil {
		known = &records.Identity{ID: feedback.NewItemID(it.OccurredAt, it.Source, it.ExternalID)}
	}
	it.ID = known.ID
	known.Version = it.Version
	known.Hashes = append(known.Hashes[max(0, len(known.Hashes)-maxHashes+1):], a.hash)
	if err := put(w.tx, key, known, outcome == OutcomeNew); err != nil {
		return Row{}, err
	}
	w.count(outcome)
	w.countKind(a, &it)
	return Row{ID: it.ID, Outcome: outcome}, w.upsert(a, it, outcome)
}

// gone counts an item that does not come back as stale: the store knows that it is gone.
func (w *writer) gone(reason string) Row {
	if reason == reasonErased {
		w.report.Import.Erased++
	}
	w.count(OutcomeStale)
	return Row{Outcome: OutcomeStale, Reason: reason}
}

// put writes a record; a fresh one has no old one whose unknown members must be kept.
func put[T any](tx *store.Tx, key []byte, v *T, fresh bool) error {
	if fresh {
		return store.PutNew(tx, key, v)
	}
	return store.Put(tx, key, v)
}

// maxHashes bounds how many revisions of one item are remembered as seen.
const maxHashes = 256

func judge(known *records.Identity, it *feedback.Item, hash records.Hash) Outcome {
	switch {
	case known == nil:
		return OutcomeNew
	case slices.Contains(known.Hashes, hash):
		return OutcomeDuplicate
	case it.Version < known.Version:
		return OutcomeStale
	}
	return OutcomeRevised
}

func (w *writer) countKind(a *accepted, it *feedback.Item) {
	if it.Synthetic != "" {
		w.report.Import.Synthetic++
	}
	if it.Synthetic == feedback.SyntheticDamaged {
		w.report.Import.Damaged++
	}
	if a.repaired {
		w.report.Import.Repaired++
	}
	w.report.Import.Redacted += a.redacted
	if it.OccurredAt > it.ReceivedAt.Add(24*time.Hour) {
		w.report.Import.Ahead++
	}
}

// identify gives an item without an id one that is made of its content and its ordinal among the identical rows of
// its import, so that neither the order of the rows nor importing them again changes it.
func (w *writer) identify(it *feedback.Item, hash records.Hash) error {
	key := records.OrdinalKey(it.Source, hash)
	seen, err := store.Load[records.Ordinal](w.tx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		seen = &records.Ordinal{Batch: it.Batch}
	case err != nil:
		return err
	case seen.Batch != it.Batch:
		seen.Batch, seen.Seen = it.Batch, 0
	}
	seen.Seen++
	it.ExternalID = hex.EncodeToString(hash[:]) + "-" + strconv.Itoa(seen.Seen)
	return store.Put(w.tx, key, seen)
}

// reject remembers a row that is no item, or an item that no plugin survives, as it was received.
func (w *writer) reject(a *accepted) error {
	it := a.item
	letter := feedback.DeadLetter{
		Kind: feedback.DeadRow, At: w.at, Source: it.Source, Batch: excerpt(it.Batch), Position: excerpt(it.Position),
		Code: a.refused.code, Reason: excerpt(a.refused.reason), Raw: excerpt(it.Text),
	}
	if letter.Position == "" {
		letter.Position = fmt.Sprintf("row %d %.200s", a.row, it.ExternalID)
	}
	letter.Customer = excerpt(cmp.Or(it.Customer.ID, it.Customer.Email))
	if a.poison {
		if it.OccurredAssumed {
			it.OccurredAt = 0
		}
		if !a.versioned {
			it.Version = 0
		}
		letter.Kind, letter.Item, letter.Raw = feedback.DeadItem, &it, ""
	}
	return w.bury(letter)
}

// finish looks at what holds over time, and writes what the items of the update share.
func (w *writer) finish() error {
	w.rules.Observe(w.memory.touched, w.at, boardOf{w})
	if err := errors.Join(w.failed, w.remember()); err != nil {
		return err
	}
	if err := w.rollups.Write(w.tx); err != nil {
		return err
	}
	for destination, n := range w.sequences {
		w.tx.Set(records.SequenceKey(destination), strconv.AppendUint(nil, n, 10))
	}
	imp := &w.report.Import
	if w.replays || imp.Read == 0 && len(imp.Notices) == 0 {
		return nil
	}
	key := records.ImportKey(imp.Source, imp.Batch)
	total, err := store.Load[records.Import](w.tx, key)
	if errors.Is(err, store.ErrNotFound) {
		total, err = &records.Import{Source: imp.Source, Batch: imp.Batch}, nil
	}
	if err != nil {
		return err
	}
	total.Add(imp)
	return store.Put(w.tx, key, total)
}

// unbury checks that the dead letter that is replayed is still there.
func (w *writer) unbury(id string) error {
	if id == "" {
		return nil
	}
	w.replays = true
	_, err := w.tx.Get(records.DeadLetterKey(id))
	return err
}

// bury writes a dead letter under an id that is the same when the same row fails again.
func (w *writer) bury(l feedback.DeadLetter) error {
	l.ID = records.DeadLetterID(l.Source, l.Batch, l.Position, l.Code)
	return store.Put(w.tx, records.DeadLetterKey(l.ID), &l)
}

const excerptBytes = 512

func excerpt(s string) string {
	if len(s) <= excerptBytes {
		return s
	}
	return strings.ToValidUTF8(s[:excerptBytes], "") + "…"
}
