package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/closedloop/closedloop/engine/internal/admin"
	"github.com/closedloop/closedloop/engine/internal/outbox"
	"github.com/closedloop/closedloop/engine/internal/pipeline"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const (
	// serverChunk and smallChunk are how many items are polled, prepared and committed together: as many as fit one
	// synced commit of the profile.
	serverChunk = 320
	smallChunk  = 128
	// timerBatch bounds how many timers one update fires.
	timerBatch = 256
	// leastWait and mostWait bound the wait after a failure, which doubles each time.
	leastWait = time.Second
	// shortestWait is the least that a source may ask to wait.
	shortestWait = 100 * time.Millisecond
	mostWait     = time.Minute
	// overTimeEvery is how often what holds over time is looked at.
	overTimeEvery = time.Minute
)

// Run polls the sources, fires timers, labels what waits and delivers messages, until ctx ends. Then it finishes the
// commits under way and returns nil. It returns an error when the store is poisoned and the engine must be opened again.
// While it runs, commands of other processes can ask and replay through the state directory's socket. A second Run or
// RunOnce at the same time is refused.
func (e *Engine) Run(ctx context.Context) error {
	ctx, server, stop, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	e.opts.Logger.Info().Str("program", e.Name()).Str("socket", server.Path()).Msg("running")
	return e.loop(ctx)
}

// loop is all that Run does until ctx ends.
func (e *Engine) loop(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range e.program.Sources {
		if src := &e.program.Sources[i]; src.Manifest.Can(sdk.AbilityPoll) {
			g.Go(func() error { return e.follow(ctx, src) })
		}
	}
	g.Go(func() error { e.outbox.Run(ctx); return nil })
	g.Go(func() error {
		if err := e.resumeUndos(ctx); err != nil && ctx.Err() == nil {
			e.opts.Logger.Error().Err(err).Msg("an import that is being taken back waits for the next start")
		}
		return nil
	})
	g.Go(func() error { return e.tick(ctx) })
	g.Go(func() error { return e.tidy(ctx) })
	if e.opts.Watch {
		g.Go(func() error { return e.watch(ctx) })
	}
	return g.Wait()
}

func (e *Engine) chunk() int {
	if e.opts.Profile == Small {
		return smallChunk
	}
	return serverChunk
}

var errRuns = errors.New("engine: it runs already")

// begin opens the socket. The returned context ends with ctx, with Close, and when stop is called, which also closes
// the socket.
func (e *Engine) begin(ctx context.Context) (context.Context, *admin.Server, func(), error) {
	select {
	case e.running <- struct{}{}:
	default:
		return nil, nil, nil, errRuns
	}
	if e.life.Err() != nil {
		<-e.running
		return nil, nil, nil, ErrClosed
	}
	server, err := e.serveAdmin()
	if err != nil {
		<-e.running
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(e.life, cancel)
	return ctx, server, func() {
		unlink()
		cancel()
		_ = server.Close() // what it leaves is replaced by the next one
		<-e.running
	}, nil
}

// RunOnce polls every source until it has no more, labels what waits, fires due timers and tries what is due at each
// destination once. It returns what this pass did, also when a source failed; the failures are joined.
func (e *Engine) RunOnce(ctx context.Context) (*Summary, error) {
	ctx, _, stop, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	from := e.opts.Now()
	e.meter.begin()
	if err := e.resumeUndos(ctx); err != nil {
		return nil, err
	}
	g := errgroup.Group{}
	errs := make([]error, len(e.program.Sources))
	for i := range e.program.Sources {
		src := &e.program.Sources[i]
		if !src.Manifest.Can(sdk.AbilityPoll) {
			continue
		}
		g.Go(func() error {
			if _, err := e.drain(ctx, src); err != nil {
				errs[i] = fmt.Errorf("source %s: %w", src.ID, err)
			}
			return nil
		})
	}
	_ = g.Wait()
	err = errors.Join(errs...)
	for n := 1; n > 0 && err == nil; {
		n, err = e.pipe.LabelWaiting(ctx, e.now(), e.chunk())
	}
	err = errors.Join(err, e.pipe.Tick(ctx, e.now()), e.fireDue(ctx), e.retainDue(ctx))
	sent, failed := e.outbox.Drain(ctx)
	summary, unread := e.summary(ctx, from, sent)
	return summary, errors.Join(err, failed, unread)
}

// follow polls one source for ever.
func (e *Engine) follow(ctx context.Context, src *program.Plugin) error {
	wait := leastWait
	for {
		rest, err := e.drain(ctx, src)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrPoisoned):
			return err
		case err != nil:
			e.sourceFailed(src.ID, err)
			rest = max(wait, sdk.FailureOf(err).After)
			wait = min(2*wait, mostWait)
		default:
			wait = leastWait
		}
		if !sleep(ctx, rest) {
			return nil
		}
	}
}

func (e *Engine) sourceFailed(id string, err error) {
	e.opts.Logger.Error().Str("source", id).Err(err).Msg("source failed, trying again")
	if f := e.opts.Events.SourceFailed; f != nil {
		f(id, err)
	}
}

// drain polls a source until it has no more and everything is durable. It prepares one chunk while the one before is
// decided on, and decides on that while the one before it is on its way to the disk. It returns how long to wait before
// the next poll.
func (e *Engine) drain(ctx context.Context, src *program.Plugin) (wait time.Duration, err error) {
	checkpoint, err := e.checkpoint(src.ID)
	if err != nil {
		return 0, err
	}
	fetching, stop := context.WithCancel(ctx)
	defer stop()
	ready := make(chan *pipeline.Prepared, 1)
	fetched := make(chan error, 1)
	go func() {
		defer close(ready)
		var err error
		wait, err = e.fetch(fetching, src, checkpoint, ready)
		fetched <- err
	}()
	var last *commitment
	var got reading
	defer func() { e.tellRead(src.ID, &got) }()
	for p := range ready {
		if err != nil {
			continue // what follows a failed commit is fetched again
		}
		next, failed := e.startCommit(ctx, last, p)
		if err = e.landed(src.ID, last, &got); err == nil {
			err = failed
		}
		if last = next; err != nil {
			stop()
		}
	}
	for _, failed := range []error{e.landed(src.ID, last, &got), <-fetched} {
		if err == nil {
			err = failed
		}
	}
	return wait, err
}

// reading is what a source brought until it had no more.
type reading struct {
	feedback.Counts
	reasons []string // why the first of its items were held back
}

// mostReasons is how many items that were held back are logged of one reading.
const mostReasons = 10

// landed waits for a chunk of a source to be durable and adds what it brought.
func (e *Engine) landed(source string, c *commitment, got *reading) error {
	if c == nil {
		return nil
	}
	r, err := e.finishCommit(c)
	if err != nil {
		return err
	}
	e.meter.progress(source, &r)
	got.Counts.Add(r.Import.Counts)
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Outcome == pipeline.OutcomeRejected && len(got.reasons) < mostReasons {
			got.reasons = append(got.reasons, row.Reason)
		}
	}
	return nil
}

// tellRead logs what a source brought.
func (e *Engine) tellRead(source string, got *reading) {
	if got.Read == 0 {
		return
	}
	e.opts.Logger.Info().Str("source", source).Int("read", got.Read).Int("new", got.New).Int("revised", got.Revised).
		Int("duplicate", got.Duplicate).Int("stale", got.Stale).Int("rejected", got.Rejected).Msg("source was read")
	for _, reason := range got.reasons {
		e.opts.Logger.Warn().Str("source", source).Str("reason", reason).Msg("item is held back")
	}
}

// fetch polls and prepares until the source has no more.
func (e *Engine) fetch(ctx context.Context, src *program.Plugin, checkpoint []byte, ready chan<- *pipeline.Prepared) (time.Duration, error) {
	plugin, source := e.plugins.byID[src.ID], e.source(src.ID)
	for {
		polled, err := plugin.Poll(ctx, sdk.PollRequest{Checkpoint: checkpoint, Limit: e.chunk()})
		if err != nil {
			return 0, err
		}
		if polled.More && len(polled.Items)+len(polled.Rejects) == 0 && bytes.Equal(polled.Next, checkpoint) {
			return 0, sdk.Fatal("the source says that there is more, and gives nothing")
		}
		if n := len(polled.Next); n > sdk.MaxCheckpoint {
			return 0, sdk.Fatal("checkpoint of %d bytes, expected at most %d", n, sdk.MaxCheckpoint)
		}
		p, err := e.prepare(ctx, pipeline.Chunk{
			Source: source, Batch: polled.Batch, Items: polled.Items, Rejects: polled.Rejects, Notices: polled.Notices,
			Checkpoint: polled.Next, ReceivedAt: e.now(),
		})
		if err != nil {
			return 0, err
		}
		select {
		case ready <- p:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if !polled.More {
			if polled.Wait > 0 {
				return max(polled.Wait, shortestWait), nil
			}
			return src.Every, nil
		}
		checkpoint = polled.Next
	}
}

func (e *Engine) checkpoint(source string) (b []byte, err error) {
	err = e.store.View(func(s *store.Snapshot) error {
		v, err := s.Get(records.CheckpointKey(source))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		b = append(b, v...)
		return err
	})
	return b, err
}

// tick fires due timers and labels waiting items until ctx ends. Timers fire within a second of their time, and what
// holds over time is looked at every minute.
func (e *Engine) tick(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var looked feedback.Time
	for {
		if err := e.store.Healthy(); errors.Is(err, ErrPoisoned) {
			return err
		}
		if err := e.fireDue(ctx); errors.Is(err, ErrPoisoned) {
			return err
		} else if err != nil && ctx.Err() == nil {
			e.opts.Logger.Error().Err(err).Msg("timers wait")
		}
		if now := e.now(); now < looked || now >= looked.Add(overTimeEvery) {
			looked = now
			if err := e.pipe.Tick(ctx, now); err != nil && ctx.Err() == nil {
				e.opts.Logger.Error().Err(err).Msg("alerts over time wait")
			}
		}
		if _, err := e.pipe.LabelWaiting(ctx, e.now(), e.chunk()); err != nil && ctx.Err() == nil {
			e.opts.Logger.Warn().Err(err).Msg("unlabelled items wait")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// fireDue fires the timers that are due, so many in one update that it stays short. Each deletes its key and has its
// effect in one update. The one of retention is left to retainDue.
func (e *Engine) fireDue(ctx context.Context) error {
	for {
		due, err := e.store.Due(e.now(), timerBatch)
		if err != nil {
			return err
		}
		due = slices.DeleteFunc(due, func(t store.Timer) bool { return t.Kind == pipeline.TimerRetain })
		if len(due) == 0 {
			return nil
		}
		overTime := slices.DeleteFunc(slices.Clone(due), func(t store.Timer) bool { return t.Kind == outbox.TimerRetry })
		if len(overTime) > 0 {
			if err := e.pipe.Wake(ctx, overTime, e.now()); err != nil {
				return err
			}
		}
		var wake []string
		err = e.store.Update(ctx, func(tx *store.Tx) error {
			wake = nil
			for _, t := range due {
				if t.Kind != outbox.TimerRetry {
					continue
				}
				ours, err := tx.TakeTimer(t)
				if err != nil {
					return err
				}
				if ours {
					wake = append(wake, t.Ref)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, destination := range wake {
			e.outbox.Wake(destination)
		}
	}
}

// sleep waits, and reports false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
