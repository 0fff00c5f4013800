package pipeline

import (
	"errors"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// The reasons for which an item is stale although the store does not have it.
const (
	reasonErased = "erased: the person was erased"
	reasonOld    = "old: it is older than items are kept"
)

// refusesReturn returns why an item does not come back that is not in the store any more, or "". It is asked before
// anything is written or read of the item; of an item without an external id, again once it has one.
func (w *writer) refusesReturn(it *feedback.Item) (string, error) {
	if !w.tombsRead {
		var err error
		if w.tombs, err = records.TombsOf(w.tx); err != nil {
			return "", err
		}
		w.tombsRead = true
	}
	erased, err := isErased(w.tx, w.tombs, it)
	if err != nil || !erased {
		return "", err
	}
	return reasonErased, nil
}

// isErased reports whether an item was erased, or is of before its customer was.
func isErased(r records.Reader, tombs *records.Tombs, it *feedback.Item) (bool, error) {
	if tombs == nil {
		return false, nil
	}
	if it.ExternalID != "" {
		if _, found, err := tombstone(r, tombs.Item(it.Source, it.ExternalID)); found || err != nil {
			return found, err
		}
	}
	key := tombs.Customer(it.Customer.ID)
	switch {
	case it.Customer.ID != "":
	case it.Customer.Email != "":
		key = tombs.Email(it.Customer.Email)
	default:
		return false, nil
	}
	tomb, found, err := tombstone(r, key)
	return found && !it.OccurredAssumed && it.OccurredAt <= tomb.At, err
}

func tombstone(r records.Reader, key []byte) (tomb records.Tombstone, found bool, err error) {
	t, err := store.Load[records.Tombstone](r, key)
	if errors.Is(err, store.ErrNotFound) {
		return tomb, false, nil
	}
	if err != nil {
		return tomb, false, err
	}
	return *t, true, nil
}
