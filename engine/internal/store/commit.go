package store

import (
	"errors"
	"runtime"
	"time"
	"unsafe"

	"github.com/dgraph-io/badger/v4"
)

// commitLoop is the one committer: it makes groups durable in their order. While it does so the next group fills.
func (s *Store) commitLoop() {
	defer close(s.stopped)
	var last commitInfo
	for {
		select {
		case g := <-s.sealed:
			last = s.finish(g)
		case <-s.wake:
			s.gather(last)
			last = s.finish(s.take())
		case chore := <-s.chores:
			s.alone(chore)
		case <-s.quit:
			// Nobody runs an update any more; what is in the open group is the last.
			s.finish(s.take())
			return
		}
	}
}

// alone runs a function between two commits, while no update runs.
func (s *Store) alone(chore func()) {
	for {
		select {
		case g := <-s.sealed: // whoever handed it over has the turn
			s.finish(g)
		case s.turn <- struct{}{}:
			chore()
			<-s.turn
			return
		}
	}
}

// gather waits for the callers whom the last commit has woken, so that they share the next one with those who came
// meanwhile: for a fraction of what that commit took, and only when there were several.
func (s *Store) gather(last commitInfo) {
	if last.updates < crowd {
		return
	}
	for end := time.Now().Add(last.took / 8); s.arrived.Load() < last.awaited && time.Now().Before(end); {
		runtime.Gosched()
	}
}

// crowd is the number of updates in a commit from which it is worth to wait for their callers.
const crowd = 4

// commitInfo is what the committer remembers of its last commit.
type commitInfo struct {
	updates uint64
	took    time.Duration
	awaited uint64 // calls of Update, ever, once all its callers have come again
}

// take returns the next group to commit: the open one, or one that is full and was sealed meanwhile, or nil.
func (s *Store) take() *group {
	select {
	case g := <-s.sealed:
		s.wakeAgain()
		return g
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
		g := s.open
		if g.updates == 0 {
			return nil
		}
		g.prev = nil // it is durable
		s.open = newGroup(g)
		return g
	}
}

func (s *Store) wakeAgain() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// finish commits a group and tells its callers. A group that fails takes those that may have read it along.
func (s *Store) finish(g *group) commitInfo {
	if g == nil {
		return commitInfo{}
	}
	start := time.Now()
	g.err = s.commit(g)
	s.mu.Lock()
	s.lastErr = g.err
	if g.err == nil {
		s.stats.Commits++
		s.stats.Updates += g.updates
		s.stats.Bytes += uint64(g.size)
	}
	s.mu.Unlock()
	if g.err != nil {
		s.failFollowers(g.err)
	}
	info := commitInfo{g.updates, time.Since(start), s.arrived.Load() + g.updates}
	close(g.done)
	return info
}

// failFollowers fails every group that stands on one that failed.
func (s *Store) failFollowers(err error) {
	for {
		select {
		case g := <-s.sealed:
			g.err = err
			close(g.done)
			continue
		case s.turn <- struct{}{}:
		}
		g := s.open
		s.open = newGroup(nil)
		s.epoch++
		<-s.turn
		g.err = err
		close(g.done)
		return
	}
}

// commit makes a group durable. An I/O error is final: Badger may show readers what it failed to sync.
func (s *Store) commit(g *group) error {
	if err := s.poison(); err != nil {
		return err
	}
	if err := s.space.check(g.size); err != nil {
		return err
	}
	at := s.durable.Load() + 1
	txn := s.db.NewTransactionAt(at-1, true)
	defer txn.Discard()
	floor := s.nextFloor(g.size)
	for k, v := range g.writes {
		if err := write(txn, unsafe.Slice(unsafe.StringData(k), len(k)), s.bury(v)); err != nil {
			return err
		}
	}
	gone := s.gone
	if g.gone != nil {
		gone = *g.gone
	}
	if err := gone.note(txn, s.identity.ID, at, g.writes, max(s.leastLog, uint64(s.tabled/8))); err != nil {
		return err
	}
	if _, named := g.writes[string(identityKey())]; s.unnamed && !named {
		record, err := s.identity.record()
		if err == nil {
			err = write(txn, identityKey(), record)
		}
		if err != nil {
			return err
		}
	}
	if err := write(txn, historyKey(), historyRecord(at, floor)); err != nil {
		return err
	}
	if err := commitAt(txn, at); err != nil {
		return s.fail(at, err)
	}
	if err := s.mark.write(at); err != nil {
		return s.fail(at, err)
	}
	s.floor, s.unnamed = floor, false
	s.mu.Lock()
	s.gone = gone
	s.durable.Store(at)
	s.wheel.set(g.due)
	discard := min(s.oldest(), floor)
	s.mu.Unlock()
	s.db.SetDiscardTs(discard)
	return nil
}

func write(txn *badger.Txn, key, record []byte) error {
	var err error
	if record == nil {
		err = txn.Delete(key)
	} else {
		err = txn.Set(key, record)
	}
	if err != nil {
		return errors.Join(errInternal, err)
	}
	return nil
}

func commitAt(txn *badger.Txn, at uint64) (err error) {
	defer recovered(&err)
	return txn.CommitAt(at, nil)
}

func (s *Store) fail(commit uint64, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = errorf(ErrPoisoned, "look at the disk, then start again", "commit %d: %v", commit, err)
	return s.failed
}
