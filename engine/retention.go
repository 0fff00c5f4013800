package engine

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/closedloop/closedloop/engine/internal/pipeline"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const (
	// retainEvery is how often what is too old is taken out.
	retainEvery = 24 * time.Hour
	// retainMost is how much of each kind one round takes out; the next one follows after retainMore.
	retainMost = 20_000
	retainMore = time.Minute
	// retainAgain is when a round that failed is tried again.
	retainAgain = time.Hour
)

// RetentionCounts counts what retention took out, or would.
type RetentionCounts struct {
	Items       int64 `json:"items"`
	Cases       int64 `json:"cases"`
	Decisions   int64 `json:"decisions"`
	DeadLetters int64 `json:"dead_letters"`
}

// RetentionReport says what retention would take out now.
type RetentionReport struct {
	RetentionCounts
	Held int64 `json:"held,omitempty"` // items that stay because of a hold
	Open int64 `json:"open,omitempty"` // items that stay while their case is open
	// NextAt is when the engine looks next; zero when nothing has an age.
	NextAt feedback.Time `json:"next_at,omitzero"`
}

// Retention returns what is older than the program keeps it: what the engine takes out once a day while it runs.
func (s *State) Retention(ctx context.Context) (*RetentionReport, error) {
	if s.casework == nil {
		return nil, errNoRules
	}
	swept, err := s.casework.Retain(ctx, feedback.TimeOf(s.Clock()), int(^uint(0)>>1), true)
	if err != nil {
		return nil, err
	}
	r := &RetentionReport{RetentionCounts: countsOf(&swept), Held: int64(swept.Held), Open: int64(swept.Open)}
	err = s.store.View(func(snap *store.Snapshot) (err error) {
		r.NextAt, err = retainsAt(snap)
		return err
	})
	return r, err
}

func countsOf(s *pipeline.Swept) RetentionCounts {
	return RetentionCounts{int64(s.Items), int64(s.Cases), int64(s.Decisions), int64(s.DeadLetters)}
}

func retentionOf(r program.Retention) pipeline.Retention {
	return pipeline.Retention{Items: r.Items, Sources: r.Sources, Cases: r.Cases, Decisions: r.Decisions, DeadLetters: r.DeadLetters}
}

// retainsAt returns the instant for which the timer of retention is set, or 0.
func retainsAt(r store.Reader) (feedback.Time, error) {
	b, err := r.Get(records.RetentionKey())
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return feedback.Time(n), err
}

// setRetention sets the timer of retention to an instant, or takes it away when that is 0.
func setRetention(tx *store.Tx, at feedback.Time) error {
	was, err := retainsAt(tx)
	if err != nil {
		return err
	}
	if was != 0 {
		tx.ClearTimer(was, pipeline.TimerRetain, "")
	}
	if at == 0 {
		tx.Delete(records.RetentionKey())
		return nil
	}
	tx.SetTimer(at, pipeline.TimerRetain, "", nil)
	tx.Set(records.RetentionKey(), strconv.AppendInt(nil, int64(at), 10))
	return nil
}

// beginRetention sets the timer when the program has ages and there is none, and takes it away when it has none.
func (e *Engine) beginRetention(ctx context.Context) error {
	ages := retentionOf(e.keep)
	return e.store.Update(ctx, func(tx *store.Tx) error {
		was, err := retainsAt(tx)
		if err != nil || (was == 0) == ages.IsZero() {
			return err
		}
		if ages.IsZero() {
			return setRetention(tx, 0)
		}
		return setRetention(tx, e.now())
	})
}

// tidy works retention when it is due, until ctx ends. However long that takes, other timers fire meanwhile.
func (e *Engine) tidy(ctx context.Context) error {
	for {
		switch err := e.retainDue(ctx); {
		case errors.Is(err, ErrPoisoned):
			return err
		case err != nil && ctx.Err() == nil:
			e.opts.Logger.Error().Err(err).Msg("retention waits")
		}
		if !sleep(ctx, time.Second) {
			return nil
		}
	}
}

// retainDue works one round of retention when its timer is due.
func (e *Engine) retainDue(ctx context.Context) error {
	var at feedback.Time
	err := e.store.View(func(snap *store.Snapshot) (err error) {
		at, err = retainsAt(snap)
		return err
	})
	if err != nil || at == 0 || at > e.now() {
		return err
	}
	return e.retain(ctx)
}

// retain takes out what is too old and sets the timer anew. One that fails is tried again later.
func (e *Engine) retain(ctx context.Context) error {
	at := e.now()
	swept, err := e.pipe.Retain(ctx, at, retainMost, false)
	next := at.Add(retainEvery)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrPoisoned):
		return err
	case err != nil:
		e.opts.Logger.Error().Err(err).Msg("retention waits")
		next = at.Add(retainAgain)
	case swept.More:
		next = at.Add(retainMore)
	}
	if done := countsOf(&swept); err == nil && done != (RetentionCounts{}) {
		e.meter.sweep(done)
		e.opts.Logger.Info().Int64("items", done.Items).Int64("cases", done.Cases).Int64("decisions", done.Decisions).
			Int64("dead_letters", done.DeadLetters).Msg("what was too old is gone")
	}
	return e.store.Update(ctx, func(tx *store.Tx) error { return setRetention(tx, next) })
}

// Retention asks as State.Retention does.
func (c *Client) Retention(ctx context.Context) (*RetentionReport, error) {
	return call[*RetentionReport](ctx, c, "retention", struct{}{})
}
