package store

import (
	"bytes"
	"context"
	"errors"
	"math"
	"unsafe"

	"github.com/dgraph-io/badger/v4"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Update runs fn alone and returns once its writes, and all that it read, are durable. When fn returns an error,
// Update returns that and nothing is written. fn runs on the caller's goroutine and must be quick: all other updates
// wait for it, and it must not call Update. ctx ends the wait for fn's turn; once fn has run, Update waits for the
// commit.
//
// Errors besides fn's: ErrFull, ErrPoisoned, ErrTooLarge, ErrKey, ErrClosed, ErrCorrupt or ctx's.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	p, err := s.Begin(ctx, nil, fn)
	if err != nil {
		return err
	}
	return p.Wait()
}

// InParts has something done to all of these in one update, or in several, one after the other, when that would be
// ErrTooLarge. It ends with the first other error.
func InParts[T any](these []T, do func([]T) error) error {
	err := do(these)
	if n := len(these); n > 1 && errors.Is(err, ErrTooLarge) {
		if err = InParts(these[:n/2], do); err == nil {
			err = InParts(these[n/2:], do)
		}
	}
	return err
}

// Pending is an update whose function has run and whose writes are on their way to the disk. Updates that run
// meanwhile see them.
type Pending struct {
	s     *Store
	group *group // nil when there was nothing to write or to wait for
	epoch uint64
}

// Begin runs fn as Update does, but returns before its writes are durable: Wait must be called, and says whether they
// are. after is an update that must not be missing from below this one, or nil: when it fails, so does this one, whether
// fn ran or not. An error means that nothing was written and there is nothing to wait for.
func (s *Store) Begin(ctx context.Context, after *Pending, fn func(*Tx) error) (*Pending, error) {
	s.arrived.Add(1)
	s.waiting.Add(1)
	p := &Pending{s: s}
	var err error
	p.group, p.epoch, err = s.run(ctx, after, fn)
	if err == nil {
		return p, nil
	}
	if failed := p.Wait(); failed != nil { // what fn read never came to be
		return nil, failed
	}
	return nil, err
}

// Wait returns nil once the update is durable. It must be called once, by any goroutine.
func (p *Pending) Wait() error {
	defer p.s.waiting.Add(-1)
	if p.group == nil {
		return nil
	}
	<-p.group.done
	return p.group.err
}

// stands returns why nothing may be built on the update, or nil; the caller holds the turn. While the epoch is that of
// the update, no group has failed since.
func (p *Pending) stands() error {
	if p == nil || p.group == nil || p.epoch == p.s.epoch {
		return nil
	}
	<-p.group.done // the committer, which began the epoch, needs no turn to say so
	return p.group.err
}

// run has its turn with fn. The group that it returns, if any, must become durable before the outcome stands.
func (s *Store) run(ctx context.Context, after *Pending, fn func(*Tx) error) (*group, uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	defer func() { <-s.turn }()
	if s.closing {
		return nil, 0, ErrClosed
	}
	if err := s.poison(); err != nil {
		return nil, 0, err
	}
	if err := after.stands(); err != nil {
		return nil, 0, err
	}
	tx := s.begin()
	defer tx.end()
	err := fn(tx)
	if err == nil {
		err = tx.err
	}
	switch {
	case err != nil:
		return tx.saw, s.epoch, err
	case len(tx.own) == 0:
		return tx.standsOn(after), s.epoch, nil
	case !s.limits.fits(tx.size, len(tx.own)):
		return nil, 0, errorf(ErrTooLarge, "write less in one update", "update has %d keys and %d bytes, expected at most %d and %d",
			len(tx.own), tx.size, s.limits.count, s.limits.size)
	}
	return s.join(tx), s.epoch, nil
}

// standsOn returns the group on which an update stands that wrote nothing: the later of the one that it read and the one
// that it came after.
func (t *Tx) standsOn(after *Pending) *group {
	if after == nil || after.group == nil || t.saw == t.open || after.group.finished() {
		return t.saw
	}
	return after.group
}

// group is the updates of one commit.
type group struct {
	writes  map[string][]byte // records by key; nil for a deletion. Never changed once the committer has it.
	size    int64
	updates uint64
	due     feedback.Time // the earliest timer that was set
	gone    *goneLog      // what the log of deletions becomes with it; nil for as it is
	prev    *group        // the group before, while it is being committed
	done    chan struct{} // closed when the commit succeeded or failed
	err     error         // the outcome, once done is closed
}

func newGroup(prev *group) *group {
	return &group{prev: prev, due: math.MaxInt64, done: make(chan struct{})}
}

func (g *group) finished() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// Tx is one update. Its reads see its own writes, then those of all updates before it. It offers point reads only:
// scan a View first and check again what matters. A Tx must not be used when its function has returned.
type Tx struct {
	s    *Store
	own  map[string][]byte
	size int64
	due  feedback.Time // the earliest timer that was set
	err  error         // of the first Set or Delete that cannot be

	open, prev *group
	base       uint64 // commit that is read below the groups
	txn        *badger.Txn
	saw        *group // the latest group whose writes were read
	json       []byte // of the record that was encoded last
}

// begin starts an update; the caller holds the turn.
func (s *Store) begin() *Tx {
	g := s.open
	if g.prev != nil && g.prev.finished() {
		g.prev = nil
	}
	return &Tx{s: s, due: math.MaxInt64, own: make(map[string][]byte, s.hint), open: g, prev: g.prev, base: s.durable.Load()}
}

func (t *Tx) end() {
	if t.txn != nil {
		t.s.discard(t.txn)
	}
}

// Get returns the payload of the record under key, or ErrNotFound. The payload must not be changed.
func (t *Tx) Get(key []byte) ([]byte, error) {
	if v, ok := t.own[string(key)]; ok {
		return overlaid(v)
	}
	for _, g := range [2]*group{t.open, t.prev} {
		if g == nil {
			continue
		}
		if v, ok := g.writes[string(key)]; ok {
			if t.saw == nil || g == t.open {
				t.saw = g
			}
			return overlaid(v)
		}
	}
	if t.txn == nil {
		t.txn = t.s.db.NewTransactionAt(t.base, false)
	}
	return t.s.get(t.txn, key)
}

func overlaid(record []byte) ([]byte, error) {
	if record == nil {
		return nil, ErrNotFound
	}
	return record[recordHeader:], nil
}

// Set writes a record. Key and payload are copied. A key or payload that is not allowed fails the update.
func (t *Tx) Set(key, payload []byte) {
	if len(payload) > MaxValueBytes {
		t.fail(errorf(ErrTooLarge, "", "record %.60q has %d bytes, expected at most %d", key, len(payload), MaxValueBytes))
		return
	}
	if !t.checkKey(key) {
		return
	}
	b := t.s.arena.alloc(len(key) + recordHeader + len(payload))
	n := copy(b, key)
	record := b[n:]
	copy(record[recordHeader:], payload)
	seal(record, key)
	t.put(b[:n:n], record)
}

// Delete removes the record under key, if there is one.
func (t *Tx) Delete(key []byte) {
	if t.checkKey(key) {
		b := t.s.arena.alloc(len(key))
		copy(b, key)
		t.put(b, nil)
	}
}

// Size returns the number of keys that the update writes so far and about how many bytes.
func (t *Tx) Size() (keys int, bytes int64) { return len(t.own), t.size }

// Fits reports whether an update of so many keys and bytes of keys and payloads is within the limits of one commit.
func (s *Store) Fits(keys int, bytes int64) bool {
	return s.limits.fits(bytes+int64(keys)*(entryOverhead+recordHeader), keys)
}

func (t *Tx) put(key, record []byte) {
	k := unsafe.String(unsafe.SliceData(key), len(key)) // the arena is never written twice
	if old, ok := t.own[k]; ok {
		t.size -= entrySize(len(k), len(old))
	}
	if key[0] == KeyTimer && record != nil {
		t.due = min(t.due, ReadKey(key).Time())
	}
	t.own[k] = record
	t.size += entrySize(len(k), len(record))
}

func (t *Tx) checkKey(key []byte) bool {
	switch {
	case len(key) == 0 || key[0] == 0 || bytes.HasPrefix(key, []byte("!badger!")):
		t.fail(errorf(ErrKey, "", "%.60q", key))
	case len(key) > MaxKeyBytes:
		t.fail(errorf(ErrTooLarge, "", "key %.60q... has %d bytes, expected at most %d", key, len(key), MaxKeyBytes))
	default:
		return true
	}
	return false
}

func (t *Tx) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// limits are what one commit may hold.
type limits struct {
	size  int64
	count int
}

// entryOverhead is what Badger adds to key and value when it sizes a transaction.
const entryOverhead = 12

// entrySize is what a write adds to a commit. A deletion, whose record is empty, is noted in the log of what is gone.
func entrySize(key, record int) int64 {
	if record == 0 {
		record = hashBytes
	}
	return int64(key + record + entryOverhead)
}

func limitsOf(db *badger.DB) limits {
	const own = 1 << 10 // the store's own records and Badger's end mark
	return limits{size: db.MaxBatchSize() - own, count: int(db.MaxBatchCount()) - 8}
}

func (l limits) fits(size int64, count int) bool { return size <= l.size && count <= l.count }

// join adds an update to the open group, or to a new one when that is full; the caller holds the turn.
func (s *Store) join(tx *Tx) *group {
	if g := s.open; !s.limits.fits(g.size+tx.size, len(g.writes)+len(tx.own)) {
		s.sealed <- g
		g.prev = nil // it is durable, or the committer would not have taken g
		s.open = newGroup(g)
	}
	g := s.open
	g.updates++
	g.size += tx.size
	g.due = min(g.due, tx.due)
	s.hint = len(tx.own)
	if len(g.writes) == 0 {
		g.writes = tx.own
	} else {
		for k, v := range tx.own {
			if old, ok := g.writes[k]; ok {
				g.size -= entrySize(len(k), len(old))
			}
			g.writes[k] = v
		}
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return g
}

// arena hands out memory in large pieces. What it handed out is never handed out again.
type arena struct{ free []byte }

func (a *arena) alloc(n int) []byte {
	const chunk = 64 << 10
	if n > len(a.free) {
		if n > chunk/4 {
			return make([]byte, n)
		}
		a.free = make([]byte, chunk)
	}
	b := a.free[:n:n]
	a.free = a.free[n:]
	return b
}

// poison returns the error that makes updates impossible until the directory is opened anew.
func (s *Store) poison() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

var errInternal = errors.New("store: sizes of a commit were miscounted")
