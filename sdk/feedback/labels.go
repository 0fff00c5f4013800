package feedback

import "strings"

// Layer says who a label came from. Later layers override earlier ones.
type Layer string

// The layers, lowest first.
const (
	LayerModel Layer = "model" // a categorizer
	LayerRule  Layer = "rule"  // a relabel action
	LayerHuman Layer = "human" // a correction by a person
)

// Author is who or what said a label.
type Author struct {
	Layer   Layer  `json:"layer,omitempty"`
	Name    string `json:"name,omitempty"`    // categorizer id, rule id or person
	Version string `json:"version,omitempty"` // plugin and model version, or ruleset hash
}

// Span is a half-open range of bytes of an item's text: Text[Start:End].
type Span struct {
	Start uint32 `json:"start"`
	End   uint32 `json:"end"`
}

// ThemePath is a theme of the codebook's hierarchy, such as "packaging/opening". Segments are divided by slashes.
type ThemePath string

// Within reports whether p is ancestor or lies below it: "packaging/opening" is within "packaging".
func (p ThemePath) Within(ancestor ThemePath) bool {
	return strings.HasPrefix(string(p), string(ancestor)) &&
		(len(p) == len(ancestor) || p[len(ancestor)] == '/')
}

// Ancestors calls yield with p and each path above it, the longest first.
func (p ThemePath) Ancestors(yield func(ThemePath) bool) {
	for p != "" {
		if !yield(p) {
			return
		}
		p = p[:max(0, strings.LastIndexByte(string(p), '/'))]
	}
}

// Theme is one thing that an item is about.
type Theme struct {
	Path       ThemePath `json:"path"`
	Confidence float64   `json:"confidence,omitempty"` // 0 to 1
	// Sentiment towards this theme, -1 to 1. Nil means not judged.
	Sentiment *float64 `json:"sentiment,omitempty"`
	Evidence  []Span   `json:"evidence,omitempty"`
	By        Author   `json:"by,omitzero"`
}

// Labels is what an item is taken to mean.
type Labels struct {
	Themes []Theme `json:"themes,omitempty"`
	// Sentiment of the whole item, -1 to 1. Nil means not judged.
	Sentiment   *float64 `json:"sentiment,omitempty"`
	SentimentBy Author   `json:"sentiment_by,omitzero"`
}

// Has reports whether any theme is t or lies below it.
func (l *Labels) Has(t ThemePath) bool {
	for i := range l.Themes {
		if l.Themes[i].Path.Within(t) {
			return true
		}
	}
	return false
}

// Change is one entry of a label layer: themes taken away, then themes added, and the sentiment replaced when given.
type Change struct {
	By        Author      `json:"by"`
	At        Time        `json:"at"`
	Reason    string      `json:"reason,omitempty"`
	Remove    []ThemePath `json:"remove,omitempty"` // with all that lies below
	Add       []Theme     `json:"add,omitempty"`
	Sentiment *float64    `json:"sentiment,omitempty"`
}

// Fold returns the effective labels: changes applied in the order of their layers, and within a layer in the order given.
// A theme that is added again replaces the earlier one. The result shares no slice with changes' Add lists but their Evidence.
func Fold(changes []Change) Labels {
	var l Labels
	for _, layer := range [...]Layer{LayerModel, LayerRule, LayerHuman} {
		for i := range changes {
			if changes[i].By.Layer == layer {
				l.Apply(&changes[i])
			}
		}
	}
	return l
}

// Apply changes the labels as one entry of a layer says. It keeps the memory of l.Themes.
func (l *Labels) Apply(c *Change) {
	for _, gone := range c.Remove {
		l.remove(func(p ThemePath) bool { return p.Within(gone) })
	}
	for _, t := range c.Add {
		l.remove(func(p ThemePath) bool { return p == t.Path })
		t.By = c.By
		l.Themes = append(l.Themes, t)
	}
	if c.Sentiment != nil {
		l.Sentiment, l.SentimentBy = c.Sentiment, c.By
	}
}

func (l *Labels) remove(gone func(ThemePath) bool) {
	kept := l.Themes[:0]
	for _, t := range l.Themes {
		if !gone(t.Path) {
			kept = append(kept, t)
		}
	}
	l.Themes = kept
}

// Event is what a rule sees: an item with its effective labels. Nil labels mean that nobody has labelled it yet.
type Event struct {
	Item   *Item
	Labels *Labels
}
