package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/closedloop/closedloop/engine/internal/check"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Keeper looks after a program's state: a State that this process opened, an Engine, or a Client of an engine in another
// process. Progress, which may be nil everywhere, is told in bytes.
type Keeper interface {
	BackupFile(ctx context.Context, o BackupFileOptions, progress func(done, total int)) (*Backup, error)
	StoreStats(ctx context.Context, progress func(done, total int)) (*StoreStats, error)
	CheckStore(ctx context.Context, progress func(done, total int)) (*StoreCheck, error)
	CompactStore(ctx context.Context, progress func(done, total int)) (*Compaction, error)
}

// BackupFile is State.BackupFile. It ends when the engine is closed.
func (e *Engine) BackupFile(ctx context.Context, o BackupFileOptions, progress func(done, total int)) (*Backup, error) {
	return whileOpen(ctx, e, func(ctx context.Context) (*Backup, error) { return e.State.BackupFile(ctx, o, progress) })
}

// StoreStats is State.StoreStats. It ends when the engine is closed.
func (e *Engine) StoreStats(ctx context.Context, progress func(done, total int)) (*StoreStats, error) {
	return whileOpen(ctx, e, func(ctx context.Context) (*StoreStats, error) { return e.State.StoreStats(ctx, progress) })
}

// CheckStore is State.CheckStore. It ends when the engine is closed.
func (e *Engine) CheckStore(ctx context.Context, progress func(done, total int)) (*StoreCheck, error) {
	return whileOpen(ctx, e, func(ctx context.Context) (*StoreCheck, error) { return e.State.CheckStore(ctx, progress) })
}

// CompactStore is State.CompactStore. It ends when the engine is closed.
func (e *Engine) CompactStore(ctx context.Context, progress func(done, total int)) (*Compaction, error) {
	return whileOpen(ctx, e, func(ctx context.Context) (*Compaction, error) { return e.State.CompactStore(ctx, progress) })
}

var (
	_ Keeper = (*Engine)(nil)
	_ Keeper = (*State)(nil)
	_ Keeper = (*Client)(nil)
)

// OpenStore opens the state directory alone, without the program, for what a Keeper does. Of what else the State that it
// returns can be asked, what needs the program fails, and days are those of UTC. Of the options Now and Profile count. It
// fails with ErrNotFound when there is no store in the directory, and with ErrLocked when an engine works on it.
func OpenStore(state string, o Options) (*State, error) {
	o = o.withDefaults()
	state, err := filepath.Abs(state)
	if err != nil {
		return nil, err
	}
	if !store.Exists(state) {
		return nil, fmt.Errorf("open state %s: %w", state, ErrNotFound)
	}
	st, err := store.Open(state, store.Options{Profile: store.Profile(o.Profile)})
	if err != nil {
		return nil, fmt.Errorf("open state %s: %w", state, err)
	}
	s := &State{store: st, dir: state, zone: time.UTC, Clock: o.Now, files: noProgram}
	s.CaseDesk = CaseDesk{s.ActOnCase}
	return s, nil
}

func noProgram(context.Context) (*program.Program, error) {
	return nil, errors.New("engine: the state was opened without its program")
}

// StoreCheck is what CheckStore found.
type StoreCheck struct {
	Commit   uint64         `json:"commit"`
	Records  int64          `json:"records"` // that were looked at
	Bytes    int64          `json:"bytes"`   // of keys and records
	Wrong    int            `json:"wrong"`   // findings, all of them
	Findings []StoreFinding `json:"findings"`
}

// StoreFinding is one thing that is wrong in a store.
type StoreFinding struct {
	// What is damaged, undecodable, missing, index, timer, outbox, load, rollup or audit.
	What string `json:"what"`
	Key  string `json:"key,omitempty"` // of the record, by its fields
	Text string `json:"text"`
}

// mostFindings bounds the findings that are listed.
const mostFindings = 1000

// CheckStore reads everything in the state directory, decodes it, and compares what records say of each other: indexes,
// rollups, timers, deliveries, the loads of owners and the audit log. It changes nothing, and the engine goes on. Of the
// findings the first 1,000 are listed.
func (s *State) CheckStore(ctx context.Context, progress func(done, total int)) (*StoreCheck, error) {
	out := &StoreCheck{Findings: []StoreFinding{}}
	r, err := check.Store(ctx, s.store, func(f check.Finding) {
		if len(out.Findings) < mostFindings {
			out.Findings = append(out.Findings, StoreFinding(f))
		}
	}, inBytes(progress))
	if err != nil {
		return nil, err
	}
	out.Commit, out.Records, out.Bytes, out.Wrong = r.Commit, r.Records, r.Bytes, r.Findings
	return out, nil
}

// CheckStore asks as State.CheckStore does.
func (c *Client) CheckStore(ctx context.Context, progress func(done, total int)) (*StoreCheck, error) {
	return callTold[StoreCheck](ctx, c, "store_check", struct{}{}, progress)
}

// Compaction says what CompactStore did.
type Compaction struct {
	Before  int64 `json:"before"`  // bytes of the store's files
	After   int64 `json:"after"`   // likewise
	Records int64 `json:"records"` // written anew
}

// CompactStore writes all records anew into files of their own and removes the old ones: what was deleted or overwritten
// before is in no file of the state directory afterwards, and the space that it took is free. The engine goes on
// meanwhile. There must be room for the records twice: ErrFull otherwise.
func (s *State) CompactStore(ctx context.Context, progress func(done, total int)) (*Compaction, error) {
	c, err := s.store.Compact(ctx, inBytes(progress))
	if err != nil {
		return nil, err
	}
	return &Compaction{c.Before.Total(), c.After.Total(), int64(c.Records)}, nil
}

func inBytes(progress func(done, total int)) func(done, total int64) {
	if progress == nil {
		return nil
	}
	return func(done, total int64) { progress(int(done), int(total)) }
}

// StoreStats says what a state directory holds and what it takes.
type StoreStats struct {
	ID     string `json:"id"`     // tells this store from any other
	Format int    `json:"format"` // in which it is kept
	Commit uint64 `json:"commit"` // the last one
	// Keyspaces are in the order of their keys.
	Keyspaces []Keyspace  `json:"keyspaces"`
	Levels    []TreeLevel `json:"levels"` // of the tree, the newest records first
	Tables    int64       `json:"tables"` // bytes that sorted tables take on the disk
	Logs      int64       `json:"logs"`   // bytes that logs take on the disk
	Stale     int64       `json:"stale"`  // about the bytes in tables that were overwritten or deleted; CompactStore frees them
	// Oldest and Newest are when the first and the last item occurred; zero without items.
	Oldest feedback.Time `json:"oldest,omitzero"`
	Newest feedback.Time `json:"newest,omitzero"`
	// Backups are those that were made of the store, the latest last, at most 256.
	Backups []Backup `json:"backups"`
}

// Keyspace is what there is of one kind of records.
type Keyspace struct {
	Name    string `json:"name"`
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"` // of keys and records
}

// TreeLevel is one level of the store's tree.
type TreeLevel struct {
	Level  int   `json:"level"`
	Tables int   `json:"tables"`
	Bytes  int64 `json:"bytes"`
}

// StoreStats counts what the state directory holds. It reads all keys.
func (s *State) StoreStats(ctx context.Context, progress func(done, total int)) (*StoreStats, error) {
	v, err := s.store.Survey(ctx, inBytes(progress))
	if err != nil {
		return nil, err
	}
	st := &StoreStats{
		ID: v.ID, Format: v.Format, Commit: v.Commit, Tables: v.Sizes.Tables, Logs: v.Sizes.Logs, Stale: v.Stale,
		Keyspaces: []Keyspace{}, Levels: []TreeLevel{}, Backups: []Backup{},
	}
	for _, space := range slices.Sorted(maps.Keys(v.Spaces)) {
		st.Keyspaces = append(st.Keyspaces, Keyspace{records.SpaceName(space), v.Spaces[space].Records, v.Spaces[space].Bytes})
	}
	for _, l := range v.Levels {
		st.Levels = append(st.Levels, TreeLevel(l))
	}
	made, err := s.store.Backups()
	if err != nil {
		return nil, err
	}
	for _, b := range made {
		st.Backups = append(st.Backups, backupOf(b))
	}
	err = s.store.View(func(snap *store.Snapshot) error {
		st.Oldest, st.Newest, err = records.Span(snap)
		return err
	})
	return st, err
}

// StoreStats asks as State.StoreStats does.
func (c *Client) StoreStats(ctx context.Context, progress func(done, total int)) (*StoreStats, error) {
	return callTold[StoreStats](ctx, c, "store_stats", struct{}{}, progress)
}

// CompactStore asks as State.CompactStore does.
func (c *Client) CompactStore(ctx context.Context, progress func(done, total int)) (*Compaction, error) {
	return callTold[Compaction](ctx, c, "store_compact", struct{}{}, progress)
}
