package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/store"
)

// old writes an entry as it was written before bodies stood apart.
func old(t *testing.T, s *store.Store, what string) {
	t.Helper()
	update(t, s, func(tx *store.Tx) error {
		head, err := audit.HeadOf(tx)
		if err != nil {
			return err
		}
		payload := fmt.Appendf(nil, `{"n":%d,"at":"2026-03-02T10:00:00Z","kind":"test","who":"anna","what":%q,"why":"so","data":{"a":1},"prev":%q}`,
			head.N+1, what, head.Digest)
		sum := sha256.Sum256(append([]byte("closedloop audit 1\n"), payload...))
		tx.Set(entryKey(head.N+1), payload)
		return store.Put(tx, store.NewKey(store.KeyAudit).Str("head").Bytes(), &audit.Head{N: head.N + 1, Digest: hex.EncodeToString(sum[:])})
	})
}

// erase takes bodies out, and says so.
func erase(t *testing.T, s *store.Store, entries ...uint64) (done []uint64) {
	t.Helper()
	update(t, s, func(tx *store.Tx) (err error) {
		if done, err = audit.Erase(tx, entries); err != nil || len(done) == 0 {
			return err
		}
		data, err := json.Marshal(audit.Erasure{Entries: done})
		if err != nil {
			return err
		}
		_, err = audit.Append(tx, audit.Entry{Kind: audit.KindErased, Who: "engine", Data: data})
		return err
	})
	return done
}

func TestErasedBodiesLeaveTheChainWhole(t *testing.T) {
	t.Parallel()
	s := open(t)
	old(t, s, "c-anna 1")
	old(t, s, "c-ben 1")
	fill2 := func(what string) {
		update(t, s, func(tx *store.Tx) error {
			_, err := audit.Append(tx, audit.Entry{Kind: "test", Who: "mark", What: what, Why: "because of " + what, Data: json.RawMessage(`{"of":"` + what + `"}`)})
			return err
		})
	}
	fill2("c-anna 2")
	fill2("c-ben 2")
	fill2("c-anna 3")
	was, err := verify(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if done := erase(t, s, 1, 3, 5, 99); fmt.Sprint(done) != "[1 3 5]" {
		t.Errorf("erased %v", done)
	}
	if done := erase(t, s, 1, 3, 6); len(done) != 0 {
		t.Errorf("erased %v again", done)
	}
	now, err := verify(t, s)
	if err != nil || now.N != was.N+1 {
		t.Errorf("%+v, %v", now, err)
	}
	var list []string
	if err := s.View(func(snap *store.Snapshot) error {
		if _, n, err := audit.Verify(t.Context(), snap); n != 3 || err != nil {
			t.Errorf("%d erased, %v", n, err)
		}
		err := snap.Scan(nil, nil, false, func(_, payload []byte) (bool, error) {
			if bytes.Contains(payload, []byte("anna ")) {
				t.Errorf("found %s", payload)
			}
			return true, nil
		})
		return errors.Join(err, audit.Each(snap, true, func(e audit.Entry) (bool, error) {
			list = append(list, fmt.Sprintf("%s %q %v", e.Who, e.What, e.Erased))
			return true, nil
		}))
	}); err != nil {
		t.Fatal(err)
	}
	want := `[anna "" true anna "c-ben 1" false mark "" true mark "c-ben 2" false mark "" true engine "" false]`
	if fmt.Sprint(list) != want {
		t.Errorf("got  %v\nwant %s", list, want)
	}
}

// A body that goes without an entry that says so is damage, as is one that says something else.
func TestABodyThatIsGoneUnsaidIsFound(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"gone":    func(b []byte) []byte { front, _, _ := bytes.Cut(b, []byte("\n")); return front },
		"changed": func(b []byte) []byte { return bytes.Replace(b, []byte(`"a":1`), []byte(`"a":2`), 1) },
		"salted":  func(b []byte) []byte { return bytes.Replace(b, []byte(`"salt":"`), []byte(`"salt":"0`), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			fill(t, s, 5)
			erase(t, s, 2)
			was := read(t, s, entryKey(3))
			update(t, s, func(tx *store.Tx) error { tx.Set(entryKey(3), damage(was)); return nil })
			_, err := verify(t, s)
			if e := (*audit.DamageError)(nil); !errors.As(err, &e) || e.N != 3 {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An entry whose body was erased cannot be made to tell of somebody else, by saying which digest it had.
func TestAnErasedEntryIsNotChanged(t *testing.T) {
	t.Parallel()
	s := open(t)
	fill(t, s, 5)
	erase(t, s, 2)
	was := read(t, s, entryKey(2))
	digest := sha256.Sum256(append([]byte("closedloop audit 1\n"), was...))
	var e map[string]any
	if err := json.Unmarshal(was, &e); err != nil {
		t.Fatal(err)
	}
	e["who"], e["digest"] = "mallory", hex.EncodeToString(digest[:])
	for _, sum := range []bool{true, false} {
		if !sum {
			delete(e, "sum")
		}
		forged, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		update(t, s, func(tx *store.Tx) error { tx.Set(entryKey(2), forged); return nil })
		if _, err := verify(t, s); err == nil {
			t.Errorf("%s verifies", forged)
		}
	}
}

// Bodies that say the same have sums that differ: what an erased one said cannot be tried out.
func TestBodiesAreSalted(t *testing.T) {
	t.Parallel()
	s := open(t)
	fill(t, s, 2)
	sum := func(n uint64) string {
		var e struct{ Sum string }
		front, _, _ := bytes.Cut(read(t, s, entryKey(n)), []byte("\n"))
		if err := json.Unmarshal(front, &e); err != nil || len(e.Sum) != 64 {
			t.Fatalf("%s: %v", front, err)
		}
		return e.Sum
	}
	update(t, s, func(tx *store.Tx) error {
		for range 2 {
			if _, err := audit.Append(tx, audit.Entry{Kind: "test", What: "same"}); err != nil {
				return err
			}
		}
		return nil
	})
	if sum(3) == sum(4) {
		t.Error("the sums are the same")
	}
}
