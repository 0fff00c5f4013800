package engine

import (
	"context"
	"fmt"
	"regexp"

	"github.com/closedloop/closedloop/engine/internal/pipeline"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Outcome says what became of an item.
type Outcome string

// The outcomes. Each item has exactly one.
const (
	OutcomeNew       = Outcome(pipeline.OutcomeNew)
	OutcomeRevised   = Outcome(pipeline.OutcomeRevised)
	OutcomeDuplicate = Outcome(pipeline.OutcomeDuplicate)
	OutcomeStale     = Outcome(pipeline.OutcomeStale)
	OutcomeRejected  = Outcome(pipeline.OutcomeRejected)
)

// Row is what became of one item.
type Row struct {
	ID      feedback.ItemID `json:"id,omitempty"` // empty when rejected
	Outcome Outcome         `json:"outcome"`
	Reason  string          `json:"reason,omitempty"` // why it was rejected, or is stale although it is not there
}

// Report says what Ingest did.
type Report struct {
	feedback.Counts
	Rows []Row `json:"rows"` // one for each item, in order
	// Cases, Alerts and Messages count what began: cases opened, alerts raised, messages put into the outbox.
	Cases    int `json:"cases"`
	Alerts   int `json:"alerts"`
	Messages int `json:"messages"`
}

// sourceID is the form of a source's id, as in a program.
var sourceID = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// Ingest takes items that the host pushes, under a source's stable id. When it returns nil, every item of the report is
// durable with its decision, its case and its messages; when it fails, none is, or, of more items than one update
// holds, a first part. Calling it again with the same items is safe when they have external ids: what was taken before
// is then a duplicate. An item without one is a new item each time.
//
// It blocks while the store commits and returns ErrBusy when Options.Intake calls wait already, ErrFull when the disk
// is full, ErrClosed once Close was called, and the context's error. A categorizer that is down fails it unless the program lets items pass unlabelled.
func (e *Engine) Ingest(ctx context.Context, source string, items ...feedback.Item) (Report, error) {
	if !sourceID.MatchString(source) {
		return Report{}, fmt.Errorf("engine: found the source %q, expected lower-case letters, digits and hyphens", source)
	}
	leave, err := e.enter()
	if err != nil {
		return Report{}, err
	}
	defer leave()
	var total Report
	for len(items) > 0 {
		n := min(len(items), e.chunk())
		chunk := pipeline.Chunk{Source: e.source(source), Batch: "push", Items: items[:n], ReceivedAt: e.now()}
		r, err := e.take(ctx, chunk)
		total.add(&r)
		if err != nil {
			return total, err
		}
		items = items[n:]
	}
	return total, nil
}

// Receive hands a request that another system sent to the source that understands it, and ingests what it holds. The
// caller has ended HTTP and checked the request's signature. What the source cannot read is reported as rejected. It is
// bounded, and fails, as Ingest is and does.
func (e *Engine) Receive(ctx context.Context, source string, req sdk.ReceiveRequest) (Report, error) {
	guard := e.plugins.byID[source]
	if guard == nil || !guard.Manifest().Can(sdk.AbilityReceive) {
		return Report{}, fmt.Errorf("source %q: %w, or it receives nothing", source, ErrNotFound)
	}
	leave, err := e.enter()
	if err != nil {
		return Report{}, err
	}
	defer leave()
	res, err := guard.Receive(ctx, req)
	if err != nil {
		return Report{}, e.orClosed(err)
	}
	total := Report{}
	for first := true; first || len(res.Items) > 0; first = false {
		n := min(len(res.Items), e.chunk())
		chunk := pipeline.Chunk{Source: e.source(source), Batch: "received", Items: res.Items[:n], Rejects: res.Rejects, ReceivedAt: e.now()}
		r, err := e.take(ctx, chunk)
		total.add(&r)
		if err != nil {
			return total, err
		}
		res.Items, res.Rejects = res.Items[n:], nil
	}
	return total, nil
}

// enter takes a place in the intake, which leave gives back.
func (e *Engine) enter() (leave func(), err error) {
	if e.life.Err() != nil {
		return nil, ErrClosed
	}
	select {
	case e.intake <- struct{}{}:
		return func() { <-e.intake }, nil
	default:
		return nil, ErrBusy
	}
}

// take prepares and commits one chunk.
func (e *Engine) take(ctx context.Context, c pipeline.Chunk) (pipeline.Report, error) {
	prepared, err := e.prepare(ctx, c)
	if err != nil {
		return pipeline.Report{}, e.orClosed(err)
	}
	return e.commit(ctx, prepared)
}

func (e *Engine) prepare(ctx context.Context, c pipeline.Chunk) (*pipeline.Prepared, error) {
	defer e.meter.stage(stagePrepare)()
	return e.pipe.Prepare(ctx, c)
}

func (e *Engine) commit(ctx context.Context, p *pipeline.Prepared) (pipeline.Report, error) {
	c, err := e.startCommit(ctx, nil, p)
	if err != nil {
		return pipeline.Report{}, err
	}
	return e.finishCommit(c)
}

// commitment is a chunk on its way to the disk.
type commitment struct {
	*pipeline.Commitment
	measured func()
}

// startCommit decides on a chunk and hands it to the store, after the one before it of the same source. finishCommit
// must be called.
func (e *Engine) startCommit(ctx context.Context, after *commitment, p *pipeline.Prepared) (*commitment, error) {
	c := &commitment{measured: e.meter.stage(stageCommit)}
	var before *pipeline.Commitment
	if after != nil {
		before = after.Commitment
	}
	var err error
	if c.Commitment, err = e.pipe.Begin(ctx, before, p); err != nil {
		c.measured()
		return nil, err
	}
	return c, nil
}

func (e *Engine) finishCommit(c *commitment) (pipeline.Report, error) {
	defer c.measured()
	r, err := c.Wait()
	e.meter.count(&r)
	return r, err
}

// source returns the source of that id with the defaults that the program gives it.
func (e *Engine) source(id string) pipeline.Source {
	s := pipeline.Source{ID: id, Redact: e.program.Redact}
	for i := range e.program.Sources {
		if e.program.Sources[i].ID == id {
			s.Defaults, s.Redact = e.program.Sources[i].Defaults, e.program.Sources[i].Redact
		}
	}
	return s
}

func (r *Report) add(p *pipeline.Report) {
	r.Counts.Add(p.Import.Counts)
	for _, row := range p.Rows {
		r.Rows = append(r.Rows, Row{ID: row.ID, Outcome: Outcome(row.Outcome), Reason: row.Reason})
	}
	r.Cases += p.Cases
	r.Alerts += p.Alerts
	r.Messages += p.Messages
}
