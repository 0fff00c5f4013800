package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Prepared is a chunk that is ready to be committed.
type Prepared struct {
	chunk Chunk
	items []accepted

	done   int          // rows of the chunk that are durable already
	parted bool         // it is a part of a chunk that was too large for one update
	whole  records.Hash // the identity of that chunk, when its progress is to be remembered
}

// Prepare accepts the items of a chunk, sets those aside that are known already, and has the others categorized. It
// changes no state. It fails when a categorizer is down whose items are to wait, and when ctx ends.
func (p *Pipeline) Prepare(ctx context.Context, c Chunk) (*Prepared, error) {
	concealRows(&c)
	pr := &Prepared{chunk: c, items: make([]accepted, len(c.Items))}
	h := &hasher{}
	for i := range c.Items {
		pr.items[i] = p.accept(&pr.chunk, &c.Items[i], h)
		pr.items[i].row = i + 1
	}
	if err := p.filter(pr); err != nil {
		return nil, err
	}
	return pr, p.categorize(ctx, pr)
}

// filter marks items whose content was accepted before, so that no plugin works on them. What it does not see, because
// it is not yet durable or has no id of its own, the commit finds.
func (p *Pipeline) filter(pr *Prepared) error {
	return p.cfg.Store.View(func(s *store.Snapshot) error {
		tombs, err := records.TombsOf(s)
		if err != nil {
			return err
		}
		for i := range pr.items {
			a := &pr.items[i]
			if a.refused != nil {
				continue
			}
			if a.known, err = isErased(s, tombs, &a.item); a.known || err != nil || a.item.ExternalID == "" {
				if err != nil {
					return err
				}
				continue
			}
			id, err := store.Load[records.Identity](s, records.IdentityKey(a.item.Source, a.item.ExternalID))
			if errors.Is(err, store.ErrNotFound) {
				a.known = p.tooOld(&a.item, pr.chunk.ReceivedAt)
				continue
			}
			if err != nil {
				return err
			}
			a.known = slices.Contains(id.Hashes, a.hash)
		}
		return nil
	})
}

// categorize labels what has no labels yet, in batches side by side.
func (p *Pipeline) categorize(ctx context.Context, pr *Prepared) error {
	todo := make([]int, 0, len(pr.items))
	for i := range pr.items {
		if a := &pr.items[i]; a.refused == nil && !a.known && !a.labelled {
			todo = append(todo, i)
		}
	}
	if len(p.cfg.Categorizer) == 0 {
		for _, i := range todo {
			pr.items[i].labelled = true
		}
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.cfg.Parallel)
	for batch := range slices.Chunk(todo, p.batchSize(len(todo))) {
		g.Go(func() error { return p.categorizeBatch(ctx, pr.items, batch) })
	}
	return g.Wait()
}

// batchSize divides n items evenly over the workers, in batches of 16 to BatchSize.
func (p *Pipeline) batchSize(n int) int {
	return min(max((n+p.cfg.Parallel-1)/p.cfg.Parallel, 16), BatchSize)
}

func (p *Pipeline) categorizeBatch(ctx context.Context, items []accepted, batch []int) error {
	for i := range p.cfg.Categorizer {
		if err := p.ask(ctx, &p.cfg.Categorizer[i], items, batch); err != nil {
			return err
		}
	}
	for _, i := range batch {
		items[i].labelled = true
	}
	return nil
}

// ask has one categorizer label items[i] for each i of the batch, as far as they are still in.
func (p *Pipeline) ask(ctx context.Context, c *Categorizer, items []accepted, batch []int) error {
	in := make([]feedback.Item, 0, len(batch))
	at := make([]int, 0, len(batch))
	for _, i := range batch {
		if items[i].refused == nil {
			in, at = append(in, items[i].item), append(at, i)
		}
	}
	plugin, release := host.Pin(c.Plugin)
	defer release()
	by := feedback.Author{Layer: feedback.LayerModel, Name: c.ID, Version: plugin.Version()}
	told := make([]bool, len(in))
	err := host.CategorizeEach(ctx, plugin, in, func(n int, r *sdk.Result, err error) {
		told[n] = true
		items[at[n]].take(c, by, r, err)
	})
	if err == nil {
		return nil
	}
	if !c.PassUnlabelled || ctx.Err() != nil {
		return fmt.Errorf("categorizer %s: %w", c.ID, err)
	}
	for n, ok := range told {
		if !ok {
			items[at[n]].waiting = append(items[at[n]].waiting, c.ID)
		}
	}
	return nil
}

// take keeps what a categorizer says of the item.
func (a *accepted) take(c *Categorizer, by feedback.Author, r *sdk.Result, err error) {
	switch {
	case err != nil:
		a.refused = &refusal{"poison", fmt.Sprintf("categorizer %s: %v", c.ID, err)}
		a.poison = true
	case r.Drop != "":
		a.refused = &refusal{"dropped", fmt.Sprintf("categorizer %s: %s", c.ID, r.Drop)}
	case len(r.Labels.Themes) > 0 || r.Labels.Sentiment != nil:
		a.labels = append(a.labels, change(by, a.item.ReceivedAt, &r.Labels, len(a.item.Text)))
	}
}

// The bounds of labels. What is beyond them is dropped.
const (
	maxThemes   = 256 // of one change
	maxPath     = 256 // bytes of a theme's path
	maxSegments = 16  // of a theme's path
)

func validPath(p feedback.ThemePath) bool {
	return p != "" && len(p) <= maxPath && strings.Count(string(p), "/") < maxSegments && utf8.ValidString(string(p))
}

// change copies a plugin's labels, whose memory is the plugin's, and brings them into range: confidences and
// sentiments are clipped, evidence outside of the text and paths that are none are dropped.
func change(by feedback.Author, at feedback.Time, l *feedback.Labels, textLen int) feedback.Change {
	c := feedback.Change{By: by, At: at, Sentiment: clip(l.Sentiment), Add: make([]feedback.Theme, 0, len(l.Themes))}
	spans := 0
	for i := range l.Themes {
		spans += len(l.Themes[i].Evidence)
	}
	evidence := make([]feedback.Span, 0, spans)
	for i := range l.Themes {
		t := l.Themes[i]
		if !validPath(t.Path) || len(c.Add) == maxThemes {
			continue
		}
		from := len(evidence)
		for _, s := range t.Evidence {
			if s.Start < s.End && s.End <= uint32(textLen) {
				evidence = append(evidence, s)
			}
		}
		t.Evidence = evidence[from:len(evidence):len(evidence)]
		t.Confidence = fraction(t.Confidence)
		t.Sentiment = clip(t.Sentiment)
		t.By = feedback.Author{}
		c.Add = append(c.Add, t)
	}
	return c
}

func fraction(f float64) float64 {
	if f != f {
		return 0
	}
	return min(max(f, 0), 1)
}

func clip(f *float64) *float64 {
	if f == nil || *f != *f {
		return nil
	}
	return new(min(max(*f, -1), 1))
}
