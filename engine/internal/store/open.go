package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Open opens the directory and creates it when it is not there. Errors: ErrFull, ErrLocked, ErrLost, ErrCorrupt,
// ErrNewer, or one of the operating system.
func Open(dir string, o Options) (*Store, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := newStore(dir, o, lock)
	if err := s.openTree(); err != nil {
		return nil, errors.Join(err, lock.unlock())
	}
	if err := s.takeUp(); err != nil {
		if s.mark != nil {
			err = errors.Join(err, s.mark.close())
		}
		return nil, errors.Join(err, closeBadger(s.db), lock.unlock())
	}
	s.limits = limitsOf(s.db)
	go s.commitLoop()
	return s, nil
}

// openTree opens the tree that counts, in a directory that is locked, and removes what was left of others.
func (s *Store) openTree() (err error) {
	if s.tree, err = currentTree(s.dir); err != nil {
		return err
	}
	if err := s.space.checkOpen(); err != nil {
		return err
	}
	if err := removeLeftovers(s.dir, s.tree); err != nil {
		return err
	}
	tree := s.path(s.tree)
	if err := errors.Join(os.MkdirAll(tree, 0o700), os.Chmod(tree, 0o700)); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	s.db, err = s.openBadger(tree)
	return err
}

func newStore(dir string, o Options, lock *dirLock) *Store {
	s := &Store{
		dir:   dir,
		opts:  o,
		lock:  lock,
		space: &space{dir: dir, reserve: o.Reserve, ballast: o.Ballast, free: o.Free},
		turn:  make(chan struct{}, 1), open: newGroup(nil),
		sealed: make(chan *group), wake: make(chan struct{}, 1),
		quit: make(chan struct{}), stopped: make(chan struct{}),
		leastLog: leastLog, chores: make(chan func()),
		readers: map[uint64]int{}, views: map[*badger.DB]int{}, wheel: newWheel(),
	}
	s.idle = sync.NewCond(&s.mu)
	return s
}

// takeUp checks that what was acknowledged is there, and takes up the ballast.
func (s *Store) takeUp() error {
	m, marked, err := openMark(s.dir)
	if err != nil {
		return err
	}
	s.mark = m
	last, floor, err := readHistory(s.db)
	if err != nil {
		return err
	}
	if marked > last {
		return errorf(ErrLost, "restore a backup, or delete "+m.path+" to accept the loss",
			"commits %d to %d", last+1, marked)
	}
	s.durable.Store(last)
	s.floor = floor
	if err := errors.Join(s.readIdentity(), s.readGone()); err != nil {
		return err
	}
	s.space.openBallast()
	return s.scrub()
}

// badgerLocked is a part of Badger's error for a directory that is in use.
const badgerLocked = "Another process is using this Badger database"

// openBadger opens the database, whose directory nobody else uses.
func (s *Store) openBadger(dir string) (db *badger.DB, err error) {
	opts, err := s.opts.Profile.badgerOptions(dir)
	if err != nil {
		return nil, err
	}
	if err := removeEmptyLogs(dir); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	// Badger panics on some damaged files.
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, errorf(ErrCorrupt, corruptHint, "opening %s: %v", dir, r)
		}
	}()
	log := newLogger(s.opts.Logger, s.space)
	// Badger's own lock may outlive a Close by an instant, while a process that was just started still shares it.
	for range 50 {
		if db, err = badger.OpenManaged(opts.WithLogger(log)); err == nil || !strings.Contains(err.Error(), badgerLocked) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	switch {
	case err != nil && strings.Contains(err.Error(), badgerLocked):
		return nil, errorf(ErrLocked, "end what reads Badger's files", "%s is used by another program", dir)
	case err != nil:
		return nil, fmt.Errorf("store: opening %s: %w", dir, err)
	}
	if ignored := log.ignored(); ignored != "" {
		return nil, errors.Join(errorf(ErrCorrupt, corruptHint, "%s has a wrong checksum", ignored), db.Close())
	}
	return db, nil
}

// removeEmptyLogs removes the empty logs of a process that was killed while it made them: Badger would not open.
func removeEmptyLogs(dir string) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			fi, err := os.Stat(name)
			if err == nil && fi.Size() == 0 {
				err = os.Remove(name)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// closeBadger ends the database, and no longer holds its compactions back.
func closeBadger(db *badger.DB) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("store: closing %s: %v", db.Opts().Dir, r)
		}
	}()
	if log, ok := db.Opts().Logger.(*logger); ok {
		log.release()
	}
	if err := db.Close(); err != nil {
		return fmt.Errorf("store: closing %s: %w", db.Opts().Dir, err)
	}
	return nil
}

// logger routes what Badger says to a function, and listens itself.
type logger struct {
	to      func(slog.Level, string)
	space   *space
	closing chan struct{}
	release func() // closes closing

	mu    sync.Mutex
	table string
}

func newLogger(to func(slog.Level, string), space *space) *logger {
	closing := make(chan struct{})
	return &logger{to: to, space: space, closing: closing, release: sync.OnceFunc(func() { close(closing) })}
}

// ignored returns the name of a table that Badger left out, because its index is damaged, and only said so.
func (l *logger) ignored() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table
}

func (l *logger) say(level slog.Level, format string, args []any) {
	if l.to != nil {
		l.to(level, "badger: "+strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

// Errorf implements badger.Logger.
func (l *logger) Errorf(format string, args ...any) {
	if name, ok := strings.CutPrefix(fmt.Sprintf(format, args...), "Ignoring table "); ok {
		l.mu.Lock()
		l.table = name
		l.mu.Unlock()
	}
	l.say(slog.LevelError, format, args)
}

// Warningf implements badger.Logger.
func (l *logger) Warningf(format string, args ...any) { l.say(slog.LevelWarn, format, args) }

// Infof implements badger.Logger. What Badger takes for information is of use in a search for errors only.
func (l *logger) Infof(format string, args ...any) { l.say(slog.LevelDebug, format, args) }

// Debugf implements badger.Logger. Badger says so when a compaction is about to write a table, and waits for the answer:
// the one place where the table can be held back until the disk has room for it.
func (l *logger) Debugf(format string, _ ...any) {
	if strings.HasPrefix(format, aboutToWrite) {
		l.space.await(l.closing)
	}
}

// aboutToWrite begins what Badger says when the keys of a table are collected.
const aboutToWrite = "[%d] LOG Compact. Added "

var _ badger.Logger = (*logger)(nil)
