package store

import (
	"encoding/binary"

	"github.com/dgraph-io/badger/v4"
)

// Every commit writes one record of the store's own, the history: its number and a floor. So the newest version of
// the history is the last commit, also when all else of that commit was deletions that are compacted away.
//
// The floor is a commit up to which everything was in tables, no longer in logs, when the record was written. No
// version above the floor of the last durable commit is ever discarded, so all versions of the history above the
// floor of the newest one must be there: a gap is a log that was cut short in the middle.

// historyKey is below every key of a caller.
func historyKey() []byte { return []byte{0, 'h'} }

func historyRecord(commit, floor uint64) []byte {
	b := make([]byte, recordHeader+16)
	binary.BigEndian.PutUint64(b[recordHeader:], commit)
	binary.BigEndian.PutUint64(b[recordHeader+8:], floor)
	seal(b, historyKey())
	return b
}

// readHistory returns the last commit and its floor, and ErrLost when commits between are missing.
func readHistory(db *badger.DB) (last, floor uint64, err error) {
	defer recovered(&err)
	last = db.MaxVersion()
	if last == 0 {
		return 0, 0, nil
	}
	txn := db.NewTransactionAt(last, false)
	defer txn.Discard()
	it := txn.NewKeyIterator(historyKey(), badger.IteratorOptions{})
	defer it.Close()
	want := last
	for it.Rewind(); it.Valid() && (want == last || want > floor); it.Next() {
		item := it.Item()
		if item.Version() != want {
			return 0, 0, lost(item.Version()+1, want)
		}
		if want == last {
			if floor, err = readFloor(item, last); err != nil {
				return 0, 0, err
			}
		}
		want--
	}
	if want == last || want > floor {
		return 0, 0, lost(floor+1, want)
	}
	return last, floor, nil
}

func readFloor(item *badger.Item, last uint64) (floor uint64, err error) {
	record, err := item.ValueCopy(nil)
	if err != nil {
		return 0, err
	}
	p, err := payload(historyKey(), record)
	if err != nil {
		return 0, err
	}
	if len(p) < 16 || binary.BigEndian.Uint64(p) != last {
		return 0, errorf(ErrCorrupt, corruptHint, "history of commits does not name commit %d", last)
	}
	return binary.BigEndian.Uint64(p[8:]), nil
}

func lost(from, to uint64) error {
	return errorf(ErrLost, "restore a backup", "commits %d to %d", from, to)
}

// nextFloor returns the floor to record with a commit of so many bytes. Tables are asked now and then: logs become
// tables in their order, so the newest commit of any table bounds what is in tables.
func (s *Store) nextFloor(bytes int64) uint64 {
	if s.floorBytes -= bytes; s.floorBytes > 0 {
		return s.floor
	}
	s.floorBytes = s.db.Opts().MemTableSize / 2
	floor := s.floor
	s.tabled = 0
	for _, t := range s.db.Tables() {
		floor = max(floor, t.MaxVersion)
		s.tabled += int64(t.UncompressedSize)
	}
	return min(floor, s.durable.Load())
}
