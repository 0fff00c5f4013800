package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/pipeline"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Import counts what one batch of one source brought.
type Import struct {
	Source  string        `json:"source"`
	Batch   string        `json:"batch"`
	FirstAt feedback.Time `json:"first_at"`
	LastAt  feedback.Time `json:"last_at"`
	feedback.Counts
	Notices map[string]int `json:"notices,omitempty"` // by text
	// Undoing says that the import is being taken back; see Engine.UndoImport.
	Undoing bool `json:"undoing,omitempty"`
}

// importsIn returns what every batch of every source brought, by source and batch.
func importsIn(snap *store.Snapshot) ([]Import, error) {
	out := []Import{}
	undos, err := records.Undos(snap)
	if err != nil {
		return out, err
	}
	err = records.Each(snap, records.ImportPrefix(), nil, false, func(i *records.Import) (bool, error) {
		out = append(out, Import{
			Source: i.Source, Batch: i.Batch, FirstAt: i.FirstAt, LastAt: i.LastAt, Counts: i.Counts, Notices: i.Notices,
			Undoing: slices.ContainsFunc(undos, func(u records.Undo) bool { return u.Source == i.Source && u.Batch == i.Batch }),
		})
		return true, nil
	})
	return out, err
}

// Imports returns what every batch of every source brought, the latest first.
func (s *State) Imports(context.Context) ([]Import, error) {
	var out []Import
	err := s.store.View(func(snap *store.Snapshot) (err error) {
		out, err = importsIn(snap)
		return err
	})
	slices.SortStableFunc(out, func(a, b Import) int { return cmp.Compare(b.LastAt, a.LastAt) })
	return out, err
}

// ImportOptions say what to import.
type ImportOptions struct {
	// Source is one of the program that reads files. Its settings say how, its checkpoint is neither read nor moved.
	Source string `json:"source"`
	// Files are read instead of what the program grants the source. They are relative to the engine's working directory.
	Files []string `json:"files"`
	// DryRun changes nothing, and tells what would happen.
	DryRun bool  `json:"dry_run,omitempty"`
	By     Actor `json:"by"`
}

// Imported is what an import did, or would do.
type Imported struct {
	Source  string   `json:"source"`
	Batches []string `json:"batches"` // one for each file, by which it can be taken back
	DryRun  bool     `json:"dry_run,omitempty"`
	feedback.Counts
	Notices map[string]int `json:"notices,omitempty"` // by text
	// Rejects are the first rows that are no items, and items that a plugin could not survive.
	Rejects  []Reject `json:"rejects,omitempty"`
	Cases    int      `json:"cases"`    // opened
	Alerts   int      `json:"alerts"`   // that began to fire; what they tell waits
	Messages int      `json:"messages"` // put into the outbox
	// Effects tell more of a dry run.
	Effects *ImportEffects `json:"effects,omitempty"`
}

// Reject is a row that was held back.
type Reject struct {
	Batch    string `json:"batch"`
	Position string `json:"position"` // such as line 17
	Reason   string `json:"reason"`
}

// ImportEffects are what a dry run would lead to, of new and revised items.
type ImportEffects struct {
	Themes     map[feedback.ThemePath]int `json:"themes,omitempty"`
	Sentiments map[string]int             `json:"sentiments,omitempty"` // negative, neutral, positive, unknown
	Classes    map[feedback.NPSClass]int  `json:"classes,omitempty"`    // of answers to an nps question
	Rules      map[string]int             `json:"rules,omitempty"`      // how often each fired, without those in shadow
	Queues     map[string]int             `json:"queues,omitempty"`     // that cases were opened in
	Messages   map[string]int             `json:"messages,omitempty"`   // by destination, without alerts and digests that wait
}

// mostRejects is how many rejects are told of an import.
const mostRejects = 20

// Import reads files as a source of the program does and takes in what they hold. Each file is a batch of its own. A dry
// run does the same on a copy that is thrown away: duplicates and revisions are those of the state as it is, and plugins are asked, but
// nothing is written, sent or moved; it needs room in the folder for temporary files. An error leaves what was
// taken in before it; importing the file again then finds it. progress is told how many rows were read; it may be nil.
func (e *Engine) Import(ctx context.Context, o ImportOptions, progress func(done, total int)) (*Imported, error) {
	src, err := e.fileSource(o.Source)
	if err != nil {
		return nil, err
	}
	switch {
	case len(o.Files) == 0:
		return nil, fmt.Errorf("a file to import: %w", ErrMissing)
	case strings.TrimSpace(o.By.Name) == "" && !o.DryRun:
		return nil, fmt.Errorf("who imports: %w", ErrMissing)
	}
	if err := e.allowed(ctx, o.By, ActionImport, feedback.Case{}); err != nil {
		return nil, err
	}
	ctx, stop := e.living(ctx)
	defer stop()
	i := &importing{e: e, src: src, state: e.store, pipe: e.pipe, progress: progress, out: Imported{Source: o.Source, DryRun: o.DryRun}}
	if o.DryRun {
		done, err := i.aside(ctx)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	for _, file := range o.Files {
		if err := i.file(ctx, file); err != nil {
			return &i.out, fmt.Errorf("import of %s: %w", file, err)
		}
	}
	return &i.out, nil
}

// Import asks as Engine.Import does. Files are relative to this process's working directory.
func (c *Client) Import(ctx context.Context, o ImportOptions, progress func(done, total int)) (*Imported, error) {
	o.Files = slices.Clone(o.Files)
	for i := range o.Files {
		if err := absolute(&o.Files[i]); err != nil {
			return nil, err
		}
	}
	return callTold[Imported](ctx, c, "import", o, progress)
}

// absolute makes a path that the engine is to use independent of where it runs. An empty one stays that.
func absolute(path *string) (err error) {
	if *path != "" {
		*path, err = filepath.Abs(*path)
	}
	return err
}

// fileSource returns the source of the program that reads files.
func (e *Engine) fileSource(id string) (*program.Plugin, error) {
	for i := range e.program.Sources {
		src := &e.program.Sources[i]
		if src.ID != id {
			continue
		}
		if !src.Manifest.Can(sdk.AbilityPoll) || !src.Manifest.Wants(sdk.CapabilityFile) {
			return nil, fmt.Errorf("engine: the source %s reads no files", id)
		}
		return src, nil
	}
	return nil, fmt.Errorf("source %q of the program: %w", id, ErrNotFound)
}

// importing is an import that is under way.
type importing struct {
	e        *Engine
	src      *program.Plugin
	state    *store.Store
	pipe     *pipeline.Pipeline
	progress func(done, total int)
	out      Imported
}

// aside has the import work on a store that is thrown away, over the one of the engine.
func (i *importing) aside(ctx context.Context) (done func(), err error) {
	dir, err := os.MkdirTemp("", "closedloop-dry-run-")
	if err != nil {
		return nil, err
	}
	over, err := store.Over(i.e.store, dir, store.Options{Profile: store.Small, Ballast: -1})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	i.state = over
	var loaded []host.Plugin
	done = func() {
		for _, p := range loaded {
			_ = p.Close(context.WithoutCancel(ctx))
		}
		_ = over.Close() // with its folder
		_ = os.RemoveAll(dir)
	}
	categorizers := i.e.pipe.Categorizers()
	for n := range categorizers {
		p := &i.e.program.Categorizers[n]
		if !p.Grants.KV {
			continue
		}
		own, err := i.load(ctx, p) // what it keeps must not be kept
		if err != nil {
			done()
			return nil, err
		}
		loaded, categorizers[n].Plugin = append(loaded, own), own
	}
	i.pipe = i.e.pipe.Over(over, categorizers, i.tally())
	return done, nil
}

// load loads a plugin anew, which keeps its pairs where the import works.
func (i *importing) load(ctx context.Context, p *program.Plugin) (host.Plugin, error) {
	code, _, err := fetchCode(ctx, p)
	if err != nil {
		return nil, err
	}
	return i.e.loadOn(ctx, i.state, i.e.plugins, i.e.program, p, code)
}

// file imports one file.
func (i *importing) file(ctx context.Context, name string) error {
	path, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err != nil {
		return err
	} else if info.IsDir() {
		return errors.New("found a folder, expected a file")
	}
	src := *i.src
	src.Grants.File = path
	plugin, err := i.load(ctx, &src)
	if err != nil {
		return err
	}
	defer func() { _ = plugin.Close(context.WithoutCancel(ctx)) }()
	source, at := i.e.source(src.ID), i.e.now()
	var checkpoint []byte
	for more := true; more; {
		polled, err := plugin.Poll(ctx, sdk.PollRequest{Checkpoint: checkpoint, Limit: i.e.chunk()})
		if err != nil {
			return err
		}
		if more = polled.More; more && len(polled.Items)+len(polled.Rejects) == 0 && string(polled.Next) == string(checkpoint) {
			return sdk.Fatal("the source says that there is more, and gives nothing")
		}
		checkpoint = polled.Next
		err = i.take(ctx, pipeline.Chunk{
			Source: source, Batch: polled.Batch + ", imported " + at.String(), Items: polled.Items, Rejects: polled.Rejects,
			Notices: polled.Notices, ReceivedAt: i.e.now(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// take takes in a chunk, and counts what it leads to.
func (i *importing) take(ctx context.Context, c pipeline.Chunk) error {
	p, err := i.pipe.Prepare(ctx, c)
	if err != nil {
		return err
	}
	r, err := i.pipe.Commit(ctx, p)
	if !i.out.DryRun {
		i.e.meter.count(&r)
	}
	out := &i.out
	if read := r.Import.Read > 0; read && !slices.Contains(out.Batches, c.Batch) {
		out.Batches = append(out.Batches, c.Batch)
	}
	out.Counts.Add(r.Import.Counts)
	for text, n := range r.Import.Notices {
		if out.Notices == nil {
			out.Notices = map[string]int{}
		}
		out.Notices[text] += n
	}
	for _, reject := range c.Rejects {
		i.reject(c.Batch, reject.Position, reject.Code+": "+reject.Message)
	}
	for n, row := range r.Rows {
		if row.Outcome == pipeline.OutcomeRejected {
			i.reject(c.Batch, c.Items[n].Position, row.Reason)
		}
	}
	out.Cases, out.Alerts, out.Messages = out.Cases+r.Cases, out.Alerts+r.Alerts, out.Messages+r.Messages
	if i.progress != nil {
		i.progress(out.Read, 0)
	}
	return err
}

func (i *importing) reject(batch, position, reason string) {
	if len(i.out.Rejects) < mostRejects {
		i.out.Rejects = append(i.out.Rejects, Reject{batch, position, reason})
	}
}

// tally returns hooks that count what a dry run leads to.
func (i *importing) tally() pipeline.Hooks {
	f := &ImportEffects{
		Themes: map[feedback.ThemePath]int{}, Sentiments: map[string]int{}, Classes: map[feedback.NPSClass]int{},
		Rules: map[string]int{}, Queues: map[string]int{}, Messages: map[string]int{},
	}
	i.out.Effects = f
	return pipeline.Hooks{
		Item: func(rec records.Item, l *feedback.Labels, _ pipeline.Outcome) {
			for n := range l.Themes {
				f.Themes[l.Themes[n].Path]++
			}
			f.Sentiments[tone(l.Sentiment)]++
			if class := rec.Feedback.NPSClass(); class != "" {
				f.Classes[class]++
			}
		},
		Decision: func(_ feedback.ItemID, d *rules.Decision) {
			for g := range d.Groups {
				for _, fired := range d.Groups[g].Fired {
					if fired.Mode != rules.Shadow {
						f.Rules[fired.Rule]++
					}
				}
			}
		},
		Case: func(c feedback.Case) {
			if len(c.History) == 1 && c.HistoryBefore == 0 {
				f.Queues[c.Queue]++
			}
		},
		Delivery: func(d feedback.Delivery) { f.Messages[d.Destination]++ },
	}
}

// tone is a sentiment in a word.
func tone(s *float64) string {
	switch {
	case s == nil:
		return "unknown"
	case *s < -0.05:
		return "negative"
	case *s > 0.05:
		return "positive"
	}
	return "neutral"
}
