package records

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Waiting returns the first items that wait for the categorizer.
func Waiting(s *store.Snapshot, categorizer string, limit int) ([]feedback.ItemID, error) {
	var ids []feedback.ItemID
	prefix := store.NewKey('i').Str(byWaiting).Str(categorizer).Bytes()
	err := s.Scan(prefix, nil, false, func(key, _ []byte) (bool, error) {
		if len(ids) == limit {
			return false, nil
		}
		id, err := lastString(key, 3)
		ids = append(ids, feedback.ItemID(id))
		return err == nil, err
	})
	return ids, err
}

// ItemsSince returns at most limit items that occurred at a time or later, of those whose id is greater than after, in
// the order of their ids, and the id to go on after, which is empty at the end.
func ItemsSince(s *store.Snapshot, after feedback.ItemID, since feedback.Time, limit int) (ids []feedback.ItemID, next feedback.ItemID, err error) {
	var from []byte
	if after != "" {
		from = append(ItemKey(after), 0)
	}
	err = s.Scan(store.NewKey('f').Bytes(), from, false, func(key, val []byte) (bool, error) {
		id, err := lastString(key, 1)
		if err != nil {
			return false, err
		}
		var it struct {
			Feedback struct {
				OccurredAt feedback.Time `json:"occurred_at"`
			} `json:"item"`
		}
		if err := json.Unmarshal(val, &it); err != nil {
			return false, fmt.Errorf("item %s: %w", id, err)
		}
		if it.Feedback.OccurredAt >= since {
			ids = append(ids, feedback.ItemID(id))
		}
		next = feedback.ItemID(id)
		return len(ids) < limit, nil
	})
	if len(ids) < limit {
		next = ""
	}
	return ids, next, err
}

// LastField returns the last of the strings in the key of an index, or "".
func LastField(key []byte) (last string) {
	end := []byte{0, 1}
	if !bytes.HasSuffix(key, end) {
		return ""
	}
	from := bytes.LastIndex(key[:len(key)-len(end)], end)
	if from < 0 {
		return ""
	}
	return string(key[from+len(end) : len(key)-len(end)])
}

// lastString returns the n-th string of a key, from 1.
func lastString(key []byte, n int) (string, error) {
	r := store.ReadKey(key)
	var s string
	for range n {
		s = r.Str()
	}
	return s, r.Err()
}

// EffectiveLabels returns what an item means, and how the labels came to be.
func EffectiveLabels(r Reader, id feedback.ItemID) (feedback.Labels, *Labels, error) {
	l, err := store.Load[Labels](r, LabelsKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return feedback.Labels{}, &Labels{}, nil
	}
	if err != nil {
		return feedback.Labels{}, nil, err
	}
	return feedback.Fold(l.Changes), l, nil
}

func decode[T any](key, val []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(val, v); err != nil {
		return nil, fmt.Errorf("record %q: %w", key, err)
	}
	return v, nil
}

// Each calls yield with every record below a prefix, in the order of the keys or against it, until yield returns false.
func Each[T any](s *store.Snapshot, prefix, from []byte, reverse bool, yield func(*T) (bool, error)) error {
	return s.Scan(prefix, from, reverse, func(key, val []byte) (bool, error) {
		v, err := decode[T](key, val)
		if err != nil {
			return false, err
		}
		return yield(v)
	})
}

// NextSequence returns a destination's next sequence number, from 1. The caller writes it to SequenceKey.
func NextSequence(r Reader, destination string) (uint64, error) {
	b, err := r.Get(SequenceKey(destination))
	if errors.Is(err, store.ErrNotFound) {
		return 1, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	return n + 1, err
}

// Outgoing returns the destinations for which messages wait, by stepping from one to the next.
func Outgoing(s *store.Snapshot) (destinations []string, err error) {
	var from []byte
	for found := true; found && err == nil; {
		found = false
		err = s.Scan(DeliveriesPrefix(), from, false, func(key, _ []byte) (bool, error) {
			d, err := lastString(key, 1)
			destinations, found = append(destinations, d), err == nil
			from = DeliveryKey(d, math.MaxUint64)
			return false, err
		})
	}
	return destinations, err
}

// Place is an index to look through. The zero value looks through all items.
type Place struct {
	Queue    string
	Customer string
}

// ScanItems calls yield with the items of the place, the latest feedback first, until yield returns false.
func ScanItems(s *store.Snapshot, p Place, yield func(feedback.ItemID) (bool, error)) error {
	prefix, n := store.NewKey('f').Bytes(), 1
	switch {
	case p.Customer != "":
		prefix, n = store.NewKey('i').Str(byCustomer).Str(p.Customer).Bytes(), 3
	case p.Queue != "":
		prefix, n = store.NewKey('i').Str(byQueue).Str(p.Queue).Bytes(), 3
	}
	return s.Scan(prefix, nil, true, func(key, _ []byte) (bool, error) {
		id, err := lastString(key, n)
		if err != nil {
			return false, err
		}
		return yield(feedback.ItemID(id))
	})
}

// EventBeforeRules returns what the rules are handed: the item with what the categorizers and people say of it, and
// no labels while it waits for all of them.
func EventBeforeRules(it *Item, l *Labels) *feedback.Event {
	e := &feedback.Event{Item: &it.Feedback}
	kept := make([]feedback.Change, 0, len(l.Changes))
	for _, c := range l.Changes {
		if c.By.Layer != feedback.LayerRule {
			kept = append(kept, c)
		}
	}
	if len(kept) > 0 || len(it.Waiting) == 0 {
		e.Labels = new(feedback.Fold(kept))
	}
	return e
}

// WaitedFor returns the categorizers that items wait for.
func WaitedFor(s *store.Snapshot) (categorizers []string, err error) {
	err = s.Scan(store.NewKey('i').Str(byWaiting).Bytes(), nil, false, func(key, _ []byte) (bool, error) {
		c, err := lastString(key, 2)
		if n := len(categorizers); err == nil && (n == 0 || categorizers[n-1] != c) {
			categorizers = append(categorizers, c)
		}
		return err == nil, err
	})
	return categorizers, err
}
