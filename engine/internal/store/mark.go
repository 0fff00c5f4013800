package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// mark is the high-water mark: a file beside Badger that names the last durable commit. Badger drops the rest of a
// damaged log without a word; the mark tells that commits are missing.
//
// The mark is written after a commit is durable and before it is acknowledged, and is not synced: after a crash of
// the process it names every acknowledged commit, after a power cut it may lag, and it never leads. Two slots, in
// different sectors and pages, are written in turn, so that a torn write leaves the other one.
type mark struct {
	f    *os.File
	path string
}

const (
	markFile  = "mark"
	markSlot  = 4096
	markBytes = 16 // "clmk", CRC32C of the rest, commit
)

// openMark opens or creates the mark and returns the commit that it names, 0 for none.
func openMark(dir string) (*mark, uint64, error) {
	m := &mark{path: filepath.Join(dir, markFile)}
	f, err := os.OpenFile(m.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("store: high-water mark: %w", err)
	}
	m.f = f
	if err := m.allocate(dir); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("store: high-water mark: %w", err), f.Close())
	}
	at, err := m.read()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return m, at, nil
}

// allocate gives a new file its size, so that writing the mark on a full disk needs no space.
func (m *mark) allocate(dir string) error {
	fi, err := m.f.Stat()
	if err != nil || fi.Size() >= 2*markSlot {
		return err
	}
	if _, err := m.f.WriteAt(make([]byte, 2*markSlot-fi.Size()), fi.Size()); err != nil {
		return err
	}
	return errors.Join(m.f.Sync(), syncDir(dir))
}

func (m *mark) read() (uint64, error) {
	var at uint64
	written, valid := 0, 0
	for slot := range int64(2) {
		var b [markBytes]byte
		if _, err := m.f.ReadAt(b[:], slot*markSlot); err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("store: high-water mark: %w", err)
		}
		if b == [markBytes]byte{} {
			continue
		}
		written++
		if string(b[:4]) == "clmk" && binary.BigEndian.Uint32(b[4:]) == markSum(b[8:]) {
			valid++
			at = max(at, binary.BigEndian.Uint64(b[8:]))
		}
	}
	if written > 0 && valid == 0 {
		return 0, errorf(ErrCorrupt, "delete the file to go on without knowing whether commits are missing",
			"high-water mark %s has a wrong checksum", m.path)
	}
	return at, nil
}

func (m *mark) write(commit uint64) error {
	var b [markBytes]byte
	copy(b[:], "clmk")
	binary.BigEndian.PutUint64(b[8:], commit)
	binary.BigEndian.PutUint32(b[4:], markSum(b[8:]))
	_, err := m.f.WriteAt(b[:], int64(commit%2)*markSlot)
	return err
}

func markSum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func (m *mark) close() error { return m.f.Close() }
