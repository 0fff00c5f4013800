package store

// Over opens an empty directory as a store above another one as that is now: what has not been written to it is read from
// there. Its updates leave the other one as it is. Views of it offer point reads of both, and scans of what was written to
// it only. The other store must stay open until it is closed.
func Over(base *Store, dir string, o Options) (*Store, error) {
	p, err := base.pin(nil)
	if err != nil {
		return nil, err
	}
	s, err := Open(dir, o)
	if err != nil {
		base.unpin(p)
		return nil, err
	}
	s.below = &below{base, p}
	return s, nil
}

// below is the commit of a store that another one lies over.
type below struct {
	s *Store
	pinned
}

// tombstone is the record of what was deleted above, and may be there below.
var tombstone = [1]byte{}

func (b *below) get(key []byte) ([]byte, error) {
	txn := b.db.NewTransactionAt(b.at, false)
	defer b.s.discard(txn)
	return b.s.get(txn, key)
}

// bury returns what a commit writes for a deletion.
func (s *Store) bury(record []byte) []byte {
	if record == nil && s.below != nil {
		return tombstone[:]
	}
	return record
}

// isBuried reports whether a record is that of a deletion.
func (s *Store) isBuried(record []byte) bool { return s.below != nil && len(record) == len(tombstone) }
