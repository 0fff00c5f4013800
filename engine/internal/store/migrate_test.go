package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// migrated is how many records the migration of these tests changes.
const migrated = 600

// increments adds 1 to every record: a part that is done twice shows.
func increments() []Migration {
	return []Migration{{To: 2, Name: "one more", Plan: func(sn *Snapshot, cursor []byte) (Part, error) {
		from := key("n")
		if cursor != nil {
			from = append(bytes.Clone(cursor), 0)
		}
		var keys [][]byte
		err := sn.Scan(key("n"), from, false, func(k, _ []byte) (bool, error) {
			keys = append(keys, bytes.Clone(k))
			return len(keys) < 10, nil
		})
		p := Part{Last: len(keys) < 10, Do: func(tx *Tx) error {
			for _, k := range keys {
				v, err := tx.Get(k)
				if err != nil {
					return err
				}
				n, err := strconv.Atoi(string(v))
				if err != nil {
					return err
				}
				tx.Set(k, strconv.AppendInt(nil, int64(n+1), 10))
			}
			return nil
		}}
		if !p.Last {
			p.Cursor = keys[len(keys)-1]
		}
		return p, err
	}}}
}

// ofFormat1 makes a store of format 1 with records for increments.
func ofFormat1(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	s.identity.Format = 1
	must(t, s, func(tx *Tx) {
		for i := range migrated {
			tx.Set(key("n", i), fmt.Append(nil, i))
		}
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sameMigrated checks that every record was changed once.
func sameMigrated(t *testing.T, s *Store) {
	t.Helper()
	for i := range migrated {
		if got := read(t, s, key("n", i)); got != strconv.Itoa(i+1) {
			t.Fatalf("record %d is %s, want %d", i, got, i+1)
		}
	}
}

// migrateSlowly is the part of a child that migrates and says so after every part.
func migrateSlowly(dir string) error {
	fmt.Println("opening")
	s, err := Open(dir, small())
	if err != nil {
		return err
	}
	ms := increments()
	plan := ms[0].Plan
	ms[0].Plan = func(sn *Snapshot, cursor []byte) (Part, error) {
		fmt.Println("open")
		fmt.Println("ack", 0, 8) // one writer, so that the watcher is told
		return plan(sn, cursor)
	}
	if err := s.Migrate(context.Background(), ms); err != nil {
		return err
	}
	fmt.Println("error: it is done")
	return s.Close()
}

// TestKilledWhileMigrating kills a process that migrates, again and again until it comes to the end: every part is done
// once.
func TestKilledWhileMigrating(t *testing.T) {
	t.Parallel()
	r := random(t)
	kills := 0
	for range rounds(t, 1, 20) {
		dir := ofFormat1(t)
		for done := false; !done; kills++ {
			o := oracle{part: "migrate slowly"}
			wait := time.Duration(r.Int64N(int64(60 * time.Millisecond)))
			var once sync.Once
			said := o.watch(t, dir, func(c *exec.Cmd, open bool) {
				if open {
					once.Do(func() { time.AfterFunc(wait, func() { _ = c.Process.Kill() }) })
				}
			})
			if done = strings.Contains(said, "it is done"); said != "" && !done {
				t.Fatal(said)
			}
		}
		s := reopen(t, dir, small())
		if s.identity.Format != CurrentFormat || s.identity.Migration != nil {
			t.Errorf("%+v", s.identity)
		}
		sameMigrated(t, s)
	}
	t.Logf("%d kills", kills)
}

// A migration that is cut off goes on where it was. A version that does not know the new format refuses the store from
// the first part on, and so it refuses its backups.
func TestMigrationIsCutOff(t *testing.T) {
	t.Parallel()
	dir := ofFormat1(t)
	s := reopen(t, dir, small())
	enough := errors.New("enough")
	ms := increments()
	plan, parts := ms[0].Plan, 0
	ms[0].Plan = func(sn *Snapshot, cursor []byte) (Part, error) {
		if parts++; parts > 20 {
			return Part{}, enough
		}
		return plan(sn, cursor)
	}
	if err := s.Migrate(t.Context(), ms); !errors.Is(err, enough) {
		t.Fatal(err)
	}
	file := backedUp(t, s, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*Store{"the store": reopen(t, dir, small()), "a restored one": restored(t, file)} {
		if m := s.identity.Migration; s.identity.Format != 1 || m == nil || m.To != 2 {
			t.Errorf("%s: %+v", name, s.identity)
		}
		if err := s.Migrate(t.Context(), increments()); err != nil {
			t.Fatal(name, err)
		}
		sameMigrated(t, s)
		if err := s.Migrate(t.Context(), increments()); err != nil {
			t.Error(name, "again:", err)
		}
		sameMigrated(t, s)
	}
}

// A store of a newer format, or on its way to one, is refused with both numbers; so is a backup of one.
func TestNewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]identity{
		"newer":         {ID: "x", Format: CurrentFormat + 1},
		"on its way":    {ID: "x", Format: CurrentFormat, Migration: &Migrating{To: CurrentFormat + 1, Cursor: []byte("c")}},
		"long since so": {ID: "x", Format: CurrentFormat + 7, Migration: &Migrating{To: CurrentFormat + 8}},
	} {
		dir := t.TempDir()
		s, err := Open(dir, small())
		if err != nil {
			t.Fatal(err)
		}
		s.identity = id
		must(t, s, func(tx *Tx) { tx.Set(key("a"), []byte("x")) })
		file := backedUp(t, s, "")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, opening := Open(dir, small())
		_, restoring := Restore(t.Context(), dir+"-r", []string{file}, RestoreOptions{Options: small()})
		for what, err := range map[string]error{"open": opening, "restore": restoring} {
			if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), fmt.Sprintf("reads up to %d", CurrentFormat)) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

// A format without a way to it is an error, and a new store needs no migration.
func TestMigrationsThatAreMissing(t *testing.T) {
	t.Parallel()
	s := reopen(t, ofFormat1(t), small())
	if err := s.Migrate(t.Context(), nil); err == nil {
		t.Error("no migration")
	}
	if err := s.Migrate(t.Context(), []Migration{{To: 3}}); err == nil {
		t.Error("a hole")
	}
	if err := setup(t).Migrate(t.Context(), increments()); err != nil {
		t.Error(err)
	}
}
