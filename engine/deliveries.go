package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// DeliveryState is where a delivery stands that has not reached its destination.
type DeliveryState string

// The states of deliveries. One that was delivered is gone.
const (
	DeliveryWaiting  DeliveryState = "waiting"  // it was not tried yet
	DeliveryRetrying DeliveryState = "retrying" // it has failed, and is tried again
	DeliveryDead     DeliveryState = "dead"     // it was given up
)

// DeliveryStates returns all states.
func DeliveryStates() []DeliveryState {
	return []DeliveryState{DeliveryWaiting, DeliveryRetrying, DeliveryDead}
}

// Delivery is a message that has not reached its destination.
type Delivery struct {
	feedback.Delivery
	State DeliveryState `json:"state"`
	// Of one that was given up: its dead letter, a short code that is stable, such as refused, attempts, too_old or
	// no_destination, why in words, and when.
	Letter string        `json:"letter,omitempty"`
	Code   string        `json:"code,omitempty"`
	Reason string        `json:"reason,omitempty"`
	DiedAt feedback.Time `json:"died_at,omitzero"`
}

// DeliveryQuery chooses deliveries. Zero members choose all.
type DeliveryQuery struct {
	Key         string        `json:"key,omitempty"` // the beginning of the key, or a dead letter's id
	Destination string        `json:"destination,omitempty"`
	State       DeliveryState `json:"state,omitempty"`
	Kind        string        `json:"kind,omitempty"`   // such as notify, alert, digest or escalation
	Code        string        `json:"code,omitempty"`   // of those that were given up
	Since       feedback.Time `json:"since,omitzero"`   // of the time at which it was put into the outbox
	Before      feedback.Time `json:"before,omitzero"`  // likewise, exclusive
	After       string        `json:"after,omitempty"`  // DeliveryPage.Next of the page before
	Limit       int           `json:"limit,omitempty"`  // Defaults to 50.
	NoBody      bool          `json:"no_body,omitzero"` // leave out what they say
}

// DeliveryPage is a part of the chosen deliveries.
type DeliveryPage struct {
	Deliveries []Delivery `json:"deliveries"`
	Next       string     `json:"next,omitempty"` // where the next page begins; empty at the end
}

// Deliveries returns the chosen deliveries: those that wait, by destination in their order, and then the dead ones, the
// one that died last first. A state that there is not, or a place that no page has named, is an ErrQuery.
func (s *State) Deliveries(ctx context.Context, q DeliveryQuery) (DeliveryPage, error) {
	if err := oneOf("state", q.State, DeliveryStates()...); err != nil {
		return DeliveryPage{}, err
	}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	page := DeliveryPage{Deliveries: []Delivery{}}
	err := s.store.View(func(snap *store.Snapshot) error {
		return q.each(ctx, snap, func(d Delivery) bool {
			if len(page.Deliveries) == q.Limit {
				page.Next = cursorOf(&page.Deliveries[q.Limit-1])
				return false
			}
			page.Deliveries = append(page.Deliveries, d)
			return true
		})
	})
	return page, err
}

// Delivery returns the delivery with that key, or of that dead letter, or ErrNotFound.
func (s *State) Delivery(ctx context.Context, key string) (*Delivery, error) {
	page, err := s.Deliveries(ctx, DeliveryQuery{Key: key, Limit: 2})
	if err != nil {
		return nil, err
	}
	for i := range page.Deliveries {
		if d := &page.Deliveries[i]; d.Key == key || d.Letter == key {
			return d, nil
		}
	}
	return nil, fmt.Errorf("delivery %s: %w", key, ErrNotFound)
}

// cursorOf names the delivery behind which the next page begins.
func cursorOf(d *Delivery) string {
	if d.State == DeliveryDead {
		return fmt.Sprintf("x/%d/%s", d.DiedAt, d.Letter)
	}
	return fmt.Sprintf("o/%d/%s", d.Sequence, d.Destination)
}

// cursor is the position behind which a page begins.
type cursor struct {
	dead   bool
	number int64 // a sequence number, or the time of a death
	name   string
}

func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		return cursor{}, nil
	}
	space, rest, _ := strings.Cut(text, "/")
	number, name, ok := strings.Cut(rest, "/")
	if c.number, err = strconv.ParseInt(number, 10, 64); err != nil || !ok || space != "o" && space != "x" {
		return cursor{}, fmt.Errorf("%w: found the place %q, expected that which the page before names", ErrQuery, text)
	}
	c.dead, c.name = space == "x", name
	return c, nil
}

// each calls yield with the chosen deliveries behind the cursor until it returns false.
func (q *DeliveryQuery) each(ctx context.Context, snap *store.Snapshot, yield func(Delivery) bool) error {
	after, err := parseCursor(q.After)
	if err != nil {
		return err
	}
	more := true
	if !after.dead && q.State != DeliveryDead && q.Code == "" {
		if more, err = q.eachWaiting(ctx, snap, after, yield); err != nil {
			return err
		}
	}
	if !more || q.State != "" && q.State != DeliveryDead {
		return nil
	}
	dead, err := q.dead(ctx, snap, after)
	if err != nil {
		return err
	}
	for i := range dead {
		if !yield(dead[i]) {
			return nil
		}
	}
	return nil
}

func (q *DeliveryQuery) eachWaiting(ctx context.Context, snap *store.Snapshot, after cursor, yield func(Delivery) bool) (more bool, err error) {
	prefix, from := records.DeliveriesPrefix(), []byte(nil)
	if q.Destination != "" {
		prefix = records.DeliveryPrefix(q.Destination)
	}
	if after.name != "" {
		from = records.DeliveryKey(after.name, uint64(after.number)+1)
	}
	start := []byte(`{"key":` + strings.TrimSuffix(strconv.Quote(q.Key), `"`)) // the member that comes first
	more = true
	err = snap.Scan(prefix, from, false, func(key, value []byte) (bool, error) {
		if q.Key != "" && !bytes.HasPrefix(value, start) {
			return true, ctx.Err()
		}
		d := Delivery{State: DeliveryWaiting}
		if err := json.Unmarshal(value, &d.Delivery); err != nil {
			return false, fmt.Errorf("record %q: %w", key, err)
		}
		if d.Attempts > 0 || d.LastError != "" {
			d.State = DeliveryRetrying
		}
		if q.matches(&d) {
			more = yield(d)
		}
		return more, ctx.Err()
	})
	return more, err
}

// matches also takes the body out, when it is not wanted.
func (q *DeliveryQuery) matches(d *Delivery) bool {
	if q.NoBody {
		d.Body = nil
	}
	return (q.Destination == "" || d.Destination == q.Destination) && (q.State == "" || d.State == q.State) &&
		(q.Kind == "" || d.Kind == q.Kind) && (q.Code == "" || d.Code == q.Code) &&
		d.CreatedAt >= q.Since && (q.Before == 0 || d.CreatedAt < q.Before) &&
		(q.Key == "" || strings.HasPrefix(d.Key, q.Key) || strings.HasPrefix(d.Letter, q.Key))
}

// dead returns the first of the chosen dead deliveries behind the cursor, the one that died last first: as many as a page
// takes, and some more. It never holds many more than that.
func (q *DeliveryQuery) dead(ctx context.Context, snap *store.Snapshot, after cursor) (out []Delivery, err error) {
	most := max(q.Limit, deadBatch)
	err = records.Each(snap, records.DeadLetterPrefix(), nil, false, func(l *feedback.DeadLetter) (bool, error) {
		if l.Kind != feedback.DeadDelivery || l.Delivery == nil {
			return true, nil
		}
		d := Delivery{Delivery: *l.Delivery, State: DeliveryDead, Letter: l.ID, Code: l.Code, Reason: l.Reason, DiedAt: l.At}
		behind := cmp.Or(cmp.Compare(after.number, int64(d.DiedAt)), cmp.Compare(d.Letter, after.name)) > 0
		if (!after.dead || behind) && q.matches(&d) {
			out = append(out, d)
		}
		if len(out)/2 > most {
			sortDead(out)
			clear(out[most+1:])
			out = out[:most+1]
		}
		return true, ctx.Err()
	})
	sortDead(out)
	return out, err
}

// deadBatch is how many dead deliveries are held at least while they are sorted.
const deadBatch = 64

func sortDead(ds []Delivery) {
	slices.SortFunc(ds, func(a, b Delivery) int {
		return cmp.Or(cmp.Compare(b.DiedAt, a.DiedAt), cmp.Compare(a.Letter, b.Letter))
	})
}

// DestinationState is how a destination stands.
type DestinationState struct {
	ID string `json:"id"`
	// Gone says that the destination is not in the program.
	Gone      bool          `json:"gone,omitempty"`
	Waiting   int           `json:"waiting"` // messages that wait, also for another try
	Oldest    feedback.Time `json:"oldest,omitzero"`
	NextAt    feedback.Time `json:"next_at,omitzero"`     // when the first in line is tried again
	LastError string        `json:"last_error,omitempty"` // of the first in line
	Dead      int           `json:"dead"`                 // messages that were given up
	// Serving is what the engine has done for it since it was opened; nil where none runs.
	Serving *DestinationMetrics `json:"serving,omitempty"`
}

// DestinationMetrics is what an engine has done for a destination since it was opened.
type DestinationMetrics struct {
	Breaker  string        `json:"breaker"`          // closed, open or half_open
	Resting  feedback.Time `json:"resting,omitzero"` // it is left alone until then
	InFlight int           `json:"in_flight"`        // messages on their way
	Sent     int64         `json:"sent"`             //
	Failed   int64         `json:"failed"`           // attempts that are tried again
	Dead     int64         `json:"dead"`             // messages that were given up
	Opened   int64         `json:"opened"`           // how often the breaker has opened
	LastSent feedback.Time `json:"last_sent,omitzero"`
	Trouble  string        `json:"trouble,omitempty"` // of the store, while nothing is sent because of it
}

// Destinations returns how the destinations stand: those of the program, and those that are gone and left something, by
// id.
func (s *State) Destinations(context.Context) ([]DestinationState, error) {
	found := map[string]*DestinationState{}
	of := func(id string) *DestinationState {
		if found[id] == nil {
			found[id] = &DestinationState{ID: id, Gone: !slices.Contains(s.destinations, id)}
		}
		return found[id]
	}
	for _, id := range s.destinations {
		of(id)
	}
	err := s.store.View(func(snap *store.Snapshot) error {
		waiting, err := records.Outgoing(snap)
		if err != nil {
			return err
		}
		for _, id := range waiting {
			if err := of(id).count(snap); err != nil {
				return err
			}
		}
		return records.Each(snap, records.DeadLetterPrefix(), nil, false, func(l *feedback.DeadLetter) (bool, error) {
			if l.Kind == feedback.DeadDelivery && l.Delivery != nil {
				of(l.Delivery.Destination).Dead++
			}
			return true, nil
		})
	})
	serving := s.serving()
	out := make([]DestinationState, 0, len(found))
	for id, d := range found {
		if m, ok := serving[id]; ok {
			d.Serving = &m
		}
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b DestinationState) int { return cmp.Compare(a.ID, b.ID) })
	return out, err
}

// count counts what waits for the destination.
func (d *DestinationState) count(snap *store.Snapshot) error {
	return snap.Scan(records.DeliveryPrefix(d.ID), nil, false, func(key, value []byte) (bool, error) {
		if d.Waiting++; d.Waiting > 1 {
			return true, nil
		}
		var first feedback.Delivery
		if err := json.Unmarshal(value, &first); err != nil {
			return false, fmt.Errorf("record %q: %w", key, err)
		}
		d.Oldest, d.NextAt, d.LastError = first.CreatedAt, first.NextAt, first.LastError
		return true, nil
	})
}

// serving returns what the engine has done for each destination, if there is one.
func (s *State) serving() map[string]DestinationMetrics {
	out := map[string]DestinationMetrics{}
	if s.outbox == nil {
		return out
	}
	for id, st := range s.outbox.Status() {
		m := DestinationMetrics{
			Breaker: string(st.Breaker), Resting: st.Resting, InFlight: st.InFlight, Sent: st.Sent, Failed: st.Failed,
			Dead: st.Dead, Opened: st.Opened, LastSent: st.LastSent,
		}
		if st.Trouble != nil {
			m.Trouble = st.Trouble.Error()
		}
		out[id] = m
	}
	return out
}

// everything is more deliveries than there are.
const everything = math.MaxInt
