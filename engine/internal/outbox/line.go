package outbox

import (
	"errors"
	"slices"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// The sizes of a line.
const (
	batch   = 64   // messages that are read at once
	longest = 4096 // messages that are known of at once, most of which wait for another try
)

// line is what is known of the messages of a destination, in their order: a part of those that wait, without their
// bodies. What is gone from it is never read again, so that the marks of deleted records are stepped over once.
type line struct {
	strict  bool // only the first one may be tried
	entries []*entry
	read    uint64 // the last sequence number that was read
	end     bool   // there were no more when it was read
	ready   int    // entries that are neither on their way nor wait for another try
	gone    int    // entries that are gone, and not yet taken out
	held    map[string]bool
}

// entry is one message of a line.
type entry struct {
	seq      uint64
	subjects []string
	next     feedback.Time // not to be tried before; 0 when it has not failed
	state    entryState
}

type entryState uint8

const (
	waiting entryState = iota
	busy               // on its way
	gone               // sent, given up or dropped
)

// subjectsOf returns what a message is about. Messages about the same keep their order.
func subjectsOf(d *feedback.Delivery) (subjects []string) {
	if d.Item != "" {
		subjects = append(subjects, string(d.Item))
	}
	if d.Case != "" {
		subjects = append(subjects, string(d.Case))
	}
	if d.Subject != "" {
		subjects = append(subjects, d.Subject)
	}
	return subjects
}

// fill reads on until there is enough to do for so many at once.
func (l *line) fill(st *store.Store, destination string, want int) error {
	if l.strict && len(l.entries) > l.gone {
		return nil
	}
	for !l.end && l.ready < want && len(l.entries)-l.gone < longest {
		if err := l.more(st, destination); err != nil {
			return err
		}
	}
	return nil
}

// head is what a line needs to know of a delivery.
type head struct {
	Sequence uint64          `json:"sequence"`
	Item     feedback.ItemID `json:"item"`
	Case     feedback.CaseID `json:"case"`
	Subject  string          `json:"subject"`
	NextAt   feedback.Time   `json:"next_at"`
}

func (l *line) more(st *store.Store, destination string) error {
	l.compact()
	n := 0
	from := records.DeliveryKey(destination, l.read+1)
	err := st.View(func(s *store.Snapshot) error {
		return records.Each(s, records.DeliveryPrefix(destination), from, false, func(h *head) (bool, error) {
			e := &entry{seq: h.Sequence, next: h.NextAt}
			if !l.strict {
				e.subjects = subjectsOf(&feedback.Delivery{Item: h.Item, Case: h.Case, Subject: h.Subject})
			}
			l.entries = append(l.entries, e)
			l.read = h.Sequence
			if e.next == 0 {
				l.ready++
			}
			n++
			return n < batch, nil
		})
	})
	l.end = err == nil && n < batch
	return err
}

// compact takes out what is gone.
func (l *line) compact() {
	l.entries = slices.DeleteFunc(l.entries, func(e *entry) bool { return e.state == gone })
	l.gone = 0
}

// pick returns the first message that may be tried now, or else nil and when one may be, as a wait of at most look.
// limit bounds what is a wait: a clock that was set back does not make messages wait longer.
func (l *line) pick(now feedback.Time, limit time.Duration) (*entry, time.Duration) {
	clear(l.held)
	least := look
	for _, e := range l.entries {
		if e.state == gone {
			continue
		}
		if e.state == waiting && !slices.ContainsFunc(e.subjects, func(s string) bool { return l.held[s] }) {
			left := e.next.Std().Sub(now.Std())
			if e.next == 0 || left <= 0 || left > limit {
				return e, 0
			}
			least = min(least, left)
		}
		if l.strict {
			break
		}
		for _, s := range e.subjects {
			l.held[s] = true
		}
	}
	return nil, least
}

// begin marks an entry as on its way.
func (l *line) begin(e *entry) {
	if e.next == 0 {
		l.ready--
	}
	e.state = busy
}

// later has an entry wait for another try.
func (l *line) later(e *entry, next feedback.Time) {
	e.state, e.next = waiting, next
	if next == 0 {
		l.ready++
	}
}

// drop takes an entry out that was on its way.
func (l *line) drop(e *entry) {
	e.state = gone
	if l.gone++; e == l.entries[0] {
		l.trim()
	}
	if l.gone > batch && 2*l.gone > len(l.entries) {
		l.compact()
	}
}

// trim takes what is gone from the front.
func (l *line) trim() {
	for len(l.entries) > 0 && l.entries[0].state == gone {
		l.entries[0] = nil
		l.entries = l.entries[1:]
		l.gone--
	}
}

// hurry has messages wait no longer: those with the sequence numbers, or all.
func (l *line) hurry(all bool, seqs []uint64) {
	for _, e := range l.entries {
		if e.state == waiting && e.next != 0 && (all || slices.Contains(seqs, e.seq)) {
			l.later(e, 0)
		}
	}
}

// forget takes out what waits no more in the store, so that it holds nobody back.
func (l *line) forget(st *store.Store, destination string) error {
	err := st.View(func(s *store.Snapshot) error {
		for _, e := range l.entries {
			if e.state != waiting {
				continue
			}
			switch _, err := s.Get(records.DeliveryKey(destination, e.seq)); {
			case errors.Is(err, store.ErrNotFound):
				l.begin(e)
				e.state = gone
			case err != nil:
				return err
			}
		}
		return nil
	})
	l.compact()
	return err
}
