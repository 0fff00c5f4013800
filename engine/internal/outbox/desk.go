package outbox

import (
	"fmt"
	"strconv"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// LetterID returns the id that a delivery has as a dead letter.
func LetterID(d *feedback.Delivery) string { return records.DeadLetterID(d.Destination, "", d.Key, "") }

// Replay puts a dead delivery back at the end of its destination's line, under the same key and with the same body: its
// attempts and its age count anew. Call Expedited after the update. The error wraps store.ErrNotFound when there
// is no such letter.
func Replay(tx *store.Tx, letter string, at feedback.Time) (*feedback.Delivery, error) {
	l, err := store.Load[feedback.DeadLetter](tx, records.DeadLetterKey(letter))
	if err != nil {
		return nil, fmt.Errorf("dead letter %s: %w", letter, err)
	}
	d := l.Delivery
	if d == nil {
		return nil, fmt.Errorf("dead letter %s is no delivery: %w", letter, store.ErrNotFound)
	}
	d.Attempts, d.NextAt, d.LastError, d.ReplayedAt = 0, 0, "", at
	if d.Sequence, err = records.NextSequence(tx, d.Destination); err != nil {
		return nil, err
	}
	tx.Set(records.SequenceKey(d.Destination), strconv.AppendUint(nil, d.Sequence, 10))
	tx.Delete(records.DeadLetterKey(letter))
	return d, store.PutNew(tx, records.DeliveryKey(d.Destination, d.Sequence), d)
}

// Expedite makes a waiting delivery due at once. Call Expedited after the update. The error wraps store.ErrNotFound when
// it does not wait any more.
func Expedite(tx *store.Tx, destination string, sequence uint64) (*feedback.Delivery, error) {
	key := records.DeliveryKey(destination, sequence)
	d, err := store.Load[feedback.Delivery](tx, key)
	if err != nil || d.NextAt == 0 {
		return d, err
	}
	d.NextAt = 0
	return d, store.Put(tx, key, d)
}
