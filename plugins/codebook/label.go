package codebook

import (
	"cmp"
	"slices"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// find is a place where an expression of a theme holds.
type find struct {
	key uint64 // theme<<32 | start, which is the order of finds
	end uint32
}

func (f find) theme() uint32 { return uint32(f.key >> 32) }
func (f find) span() span    { return span{uint32(f.key), f.end} }

// item labels one item.
func (b *book) item(it *feedback.Item, out *sdk.Result) {
	title := it.Title
	if !b.titles {
		title = ""
	}
	b.read(title, it.Text)
	if len(b.asking) > 0 {
		b.askRules(it.Language)
	}
	if len(b.tonal) > 0 {
		b.settleTones()
		out.Labels.Sentiment = b.itemTone()
	}
	sortFinds(b.finds)
	b.label(out)
}

// askRules evaluates the expressions that may hold.
func (b *book) askRules(language string) {
	languages := b.languagesOf(language)
	for _, id := range b.asking {
		r := &b.rules[id]
		if r.languages != 0 && r.languages&languages == 0 {
			continue
		}
		b.work = b.work[:0]
		b.evaluate(&r.node)
		for _, s := range b.work {
			b.finds = append(b.finds, find{uint64(r.theme)<<32 | uint64(s.start), s.end})
		}
	}
}

// maxEvidence bounds the spans of one theme; the first ones are kept.
const maxEvidence = 32

// label turns the finds into themes with their evidence.
func (b *book) label(out *sdk.Result) {
	finds, evidence, themes := b.finds, b.evidence, out.Labels.Themes
	for i := 0; i < len(finds); {
		id, first, from := finds[i].theme(), i, len(evidence)
		end := uint32(0) // of the evidence so far
		for ; i < len(finds) && finds[i].theme() == id; i++ {
			s := finds[i].span()
			if s.start < b.divide || len(evidence)-from > maxEvidence {
				continue
			}
			s.start, s.end = s.start-b.divide, s.end-b.divide
			if b.pieces != nil {
				s = original(b.pieces, s)
			}
			if s.start < end {
				end = max(end, s.end)
				evidence[len(evidence)-1].End = end
				continue
			}
			end = s.end
			evidence = append(evidence, feedback.Span{Start: s.start, End: end})
		}
		t := &b.themes[id]
		if len(t.exclude) > 0 && b.excluded(t) {
			evidence = evidence[:from]
			continue
		}
		evidence = evidence[:min(len(evidence), from+maxEvidence)]
		th := feedback.Theme{Path: t.path, Confidence: t.confidence, Sentiment: t.tone, Evidence: evidence[from:len(evidence):len(evidence)]}
		if len(b.tonal) > 0 || len(t.words) > 0 {
			th.Sentiment = b.themeTone(t, finds[first:i])
		}
		themes = append(themes, th)
	}
	b.evidence, out.Labels.Themes = evidence, themes
}

func (b *book) excluded(t *theme) bool {
	for i := range t.exclude {
		b.work = b.work[:0]
		if b.evaluate(&t.exclude[i]) {
			return true
		}
	}
	return false
}

// sortFinds orders by theme, then by place. Most items have few finds.
func sortFinds(finds []find) {
	if len(finds) > 24 {
		slices.SortFunc(finds, func(x, y find) int { return cmp.Compare(x.key, y.key) })
		return
	}
	for i := 1; i < len(finds); i++ {
		f, j := finds[i], i
		for ; j > 0 && finds[j-1].key > f.key; j-- {
			finds[j] = finds[j-1]
		}
		finds[j] = f
	}
}
