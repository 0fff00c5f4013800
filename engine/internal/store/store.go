package store

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// Options of a store. The zero value works.
type Options struct {
	// Profile sizes memory and files. Defaults to Server.
	Profile Profile
	// Reserve is the number of free bytes below which nothing is written. Defaults to 256 MiB, or 64 MiB for Small.
	// Negative means none.
	Reserve int64
	// Ballast is the size in bytes of a file that is given up when the disk is full. Defaults to a quarter of
	// Reserve. Negative means none.
	Ballast int64
	// Logger is told what Badger says. Defaults to silence.
	Logger func(level slog.Level, message string)
	// Free returns the free bytes of a directory's file system. Defaults to what the operating system says.
	Free func(dir string) (int64, error)

	scrubAtOnce uint64 // bytes of tables that are checked within Open
}

func (o Options) withDefaults() Options {
	if o.Reserve == 0 {
		o.Reserve = 256 << 20
		if o.Profile == Small {
			o.Reserve = 64 << 20
		}
	}
	o.Reserve = max(o.Reserve, 0)
	if o.Ballast == 0 {
		o.Ballast = o.Reserve / 4
	}
	o.Ballast = max(o.Ballast, 0)
	if o.Free == nil {
		o.Free = freeSpace
	}
	if o.scrubAtOnce == 0 {
		o.scrubAtOnce = scrubAtOnce
	}
	return o
}

// Store is an open directory. It is safe for concurrent use.
type Store struct {
	dir   string
	opts  Options
	lock  *dirLock
	db    *badger.DB // changed by Compact, between commits and with mu held
	tree  string     // where db is, within dir; changed with it
	mark  *mark
	space *space

	// turn is held by whoever runs an update's function or takes the open group; the fields below belong to it.
	turn    chan struct{}
	open    *group // collects updates until the committer takes it
	arena   arena  // keys and records of updates
	hint    int    // keys of the last update
	closing bool
	epoch   uint64 // how often a group has failed, and those that stood on it

	sealed  chan *group   // a full group, handed to the committer
	wake    chan struct{} // the open group holds something
	chores  chan func()   // run by the committer between two commits, while no update runs
	quit    chan struct{} // closed when no more updates will come
	stopped chan struct{} // closed when the committer has ended

	limits   limits
	durable  atomic.Uint64 // the last commit that is on disk
	schemas  sync.Map      // reflect.Type to *schema
	encoders sync.Map      // reflect.Type to *quickjson.Encoder of it

	// floor is a commit up to which everything is in tables, as recorded with the last durable commit; see history.go.
	floor      uint64
	floorBytes int64 // bytes committed since floor was looked up
	tabled     int64 // about the bytes in tables then

	leastLog uint64 // bytes of the log of deletions that are kept in any case; see gone.go

	identity identity // changed between commits
	unnamed  bool     // the next commit writes the identity

	upkeep sync.Mutex // held by Compact, and by Close at its end

	mu      sync.Mutex
	readers map[uint64]int     // open snapshots by commit
	views   map[*badger.DB]int // open snapshots by database
	idle    *sync.Cond         // a snapshot was closed
	closed  bool
	failed  error // the first I/O error of a commit
	lastErr error // of the last commit; nil when it succeeded
	stats   Stats
	wheel   wheel
	gone    goneLog // written by the committer

	scrubbing sync.WaitGroup

	below *below // what this store lies over, or nil

	backups sync.Map // absolute paths of backups that are being written

	waiting atomic.Int64  // callers of Update
	arrived atomic.Uint64 // calls of Update, ever
}

// Stats is what a store counted since Open.
type Stats struct {
	Commits    uint64 // synced commits
	Updates    uint64 // updates that wrote something
	Bytes      uint64 // about the bytes of keys and records committed
	Waiting    int    // callers of Update now waiting or running
	Commit     uint64 // number of the last durable commit, over all time
	FreeBytes  int64  // free bytes on the disk when last measured
	LastError  string // of the last commit, "" when it succeeded
	OldestView uint64 // the oldest commit that an open View sees
}

// Close ends the store: updates that run or wait are finished, open Views are waited for. Closing again does nothing.
func (s *Store) Close() error {
	s.turn <- struct{}{}
	again := s.closing
	s.closing = true
	<-s.turn
	if again {
		<-s.stopped
		return nil
	}
	if s.below != nil {
		defer s.below.s.unpin(s.below.pinned)
	}
	close(s.quit)
	<-s.stopped
	s.scrubbing.Wait()
	s.upkeep.Lock() // a Compact that is under way ends soon
	defer s.upkeep.Unlock()
	s.mu.Lock()
	s.closed = true
	for len(s.readers) > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	// Closing writes what the log holds into a table; without room for it that would be a SIGBUS. The log is durable.
	if !s.space.makeRoom(2 * s.db.Opts().MemTableSize) {
		return errors.Join(s.mark.close(), errorf(ErrFull, "the directory stays locked until this process ends; nothing is lost",
			"no room to close %s cleanly", s.dir))
	}
	return errors.Join(closeBadger(s.db), s.mark.close(), s.lock.unlock())
}

// Healthy returns nil when the last commit succeeded: else ErrClosed, ErrPoisoned, or its error, such as ErrFull. Whether
// there is space again shows in the next update.
func (s *Store) Healthy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.failed != nil:
		return s.failed
	}
	return s.lastErr
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	free := s.space.measured()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Waiting = int(s.waiting.Load())
	st.Commit = s.durable.Load()
	st.OldestView = s.oldest()
	st.FreeBytes = free
	if s.lastErr != nil {
		st.LastError = s.lastErr.Error()
	}
	return st
}
