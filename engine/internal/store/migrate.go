package store

import (
	"context"
	"fmt"
)

// Migration brings a store to a format, in parts that each fit one update.
type Migration struct {
	To   int    // the format; from the one before it
	Name string // for people
	// Plan looks at what is left to do behind a cursor, nil at first, and returns the next part.
	Plan func(sn *Snapshot, cursor []byte) (Part, error)
}

// Part is a part of a migration.
type Part struct {
	// Do writes the part. What it reads is as the snapshot showed it: nothing else is written meanwhile.
	Do     func(*Tx) error
	Cursor []byte // where the next part goes on
	Last   bool
}

// Migrate brings the store to CurrentFormat. It is called before anything else is written. Each part is durable together
// with the cursor behind it: a migration that was cut off goes on where it was, and no part is done twice. From its first
// part on a version that does not know the new format refuses the store. The migrations are in the order of their formats
// and lead up to CurrentFormat.
func (s *Store) Migrate(ctx context.Context, migrations []Migration) error {
	for _, m := range migrations {
		if m.To <= s.identity.Format {
			continue
		}
		if m.To != s.identity.Format+1 {
			return fmt.Errorf("store: there is no migration from format %d to %d", s.identity.Format, m.To)
		}
		for s.identity.Format < m.To {
			if err := s.migrate(ctx, &m); err != nil {
				return fmt.Errorf("store: migration to format %d (%s): %w", m.To, m.Name, err)
			}
		}
	}
	if s.identity.Format != CurrentFormat {
		return fmt.Errorf("store: there is no migration from format %d to %d", s.identity.Format, CurrentFormat)
	}
	return nil
}

// migrate does one part.
func (s *Store) migrate(ctx context.Context, m *Migration) error {
	var cursor []byte
	if s.identity.Migration != nil {
		cursor = s.identity.Migration.Cursor
	}
	var part Part
	if err := s.View(func(sn *Snapshot) (err error) {
		part, err = m.Plan(sn, cursor)
		return err
	}); err != nil {
		return err
	}
	next := s.identity
	next.Migration = &Migrating{To: m.To, Cursor: part.Cursor}
	if part.Last {
		next.Format, next.Migration = m.To, nil
	}
	record, err := next.record()
	if err != nil {
		return err
	}
	err = s.Update(ctx, func(tx *Tx) error {
		if part.Do != nil {
			if err := part.Do(tx); err != nil {
				return err
			}
		}
		tx.put(identityKey(), record)
		return nil
	})
	if err == nil {
		s.identity = next
	}
	return err
}
