package store

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// space guards against a full disk. Badger writes through memory maps of sparse files, so a disk that runs full
// kills the process with SIGBUS; the guard refuses updates while there is still room for what Badger does in the
// background, and holds compactions back while there is none.
//
// The ballast is a file that is given up when others have eaten half of the reserve, so that what Badger still has to
// flush and compact finds room. Until the ballast can be written again no update is accepted.
type space struct {
	dir     string // whose file system is measured
	reserve int64
	ballast int64 // size; 0 for none
	free    func(dir string) (int64, error)

	mu   sync.Mutex
	held bool  // the ballast is on disk
	last int64 // free bytes when last measured
}

func (s *space) path() string { return filepath.Join(s.dir, "ballast") }

// check returns ErrFull unless need bytes can be written now.
func (s *space) check(need int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, err := s.measure()
	if err != nil {
		return err
	}
	if s.held || s.ballast == 0 {
		if free-need >= s.reserve {
			return nil
		}
		if free < s.reserve/2 {
			s.drop()
		}
		return s.full(free, s.reserve+need)
	}
	if free-need < s.reserve+s.ballast {
		return s.full(free, s.reserve+s.ballast+need)
	}
	if err := s.fill(); err != nil {
		return errorf(ErrFull, fullHint, "writing the ballast file: %v", err)
	}
	return nil
}

// checkOpen returns ErrFull unless there is room to open the directory.
func (s *space) checkOpen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, err := s.measure()
	if err != nil {
		return err
	}
	if free < s.reserve {
		return s.full(free, s.reserve)
	}
	return nil
}

// openBallast adopts the ballast of an earlier run, or writes it when there is room. Without it the first update finds
// out why there is none.
func (s *space) openBallast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fi, err := os.Stat(s.path()); err == nil && fi.Size() == s.ballast && s.ballast > 0 {
		s.held = true
		return
	}
	s.drop()
	if s.ballast > 0 && s.last >= s.reserve+s.ballast {
		_ = s.fill()
	}
}

// makeRoom gives up the ballast when less than need is free, and reports whether need is free then.
func (s *space) makeRoom(need int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if free, err := s.measure(); err == nil && free < need && s.held {
		s.drop()
	}
	free, err := s.measure()
	return err != nil || free >= need
}

// await waits until half of the reserve is free, which is room for the tables of all compactions that may run, or until
// stop is closed.
func (s *space) await(stop <-chan struct{}) {
	for !s.makeRoom(s.reserve / 2) {
		select {
		case <-stop:
			return
		case <-time.After(awaitEvery):
		}
	}
}

// awaitEvery is how often a full disk is measured again.
const awaitEvery = 100 * time.Millisecond

func (s *space) measure() (int64, error) {
	free, err := s.free(s.dir)
	if err != nil {
		return 0, fmt.Errorf("store: free space of %s: %w", s.dir, err)
	}
	s.last = free
	return free, nil
}

func (s *space) drop() {
	_ = os.Remove(s.path()) // nothing is lost when it cannot be removed
	s.held = false
}

func (s *space) fill() error {
	f, err := os.OpenFile(s.path(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = preallocate(f, s.ballast)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		s.drop()
		return err
	}
	s.held = true
	return nil
}

// measured returns the free bytes when last measured.
func (s *space) measured() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

const fullHint = "free some space; intake resumes by itself"

func (s *space) full(free, need int64) error {
	return errorf(ErrFull, fullHint, "%s has %d MiB free, %d MiB are needed", s.dir, free>>20, (need+1<<20-1)>>20)
}

// writeBlocks fills the file with n bytes that a file system cannot leave out.
func writeBlocks(f *os.File, n int64) error {
	b := make([]byte, 1<<20)
	x := uint32(1)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	for n > 0 {
		k := min(n, int64(len(b)))
		if _, err := f.Write(b[:k]); err != nil {
			return err
		}
		n -= k
	}
	return f.Sync()
}
