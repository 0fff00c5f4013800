package rules

import (
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/window"
)

// Stating is a View or a Board that may itself say what a window tells under a key, in place of the observations: for
// trying rules out.
type Stating interface {
	// Stated returns the figures of the window of that WindowInfo.ID, and false to have the observations asked.
	Stated(window, key string) (window.Figure, bool)
}

// statement returns what the view states of a window, for the event and the theme.
func (g *figures) statement(w *windowDecl) (f window.Figure, ok bool) {
	if g.stated == nil || w.theme >= 0 && !g.themed {
		return f, false
	}
	key, ok := w.key(g.frame, g.theme)
	if !ok {
		return f, false
	}
	return g.stated.Stated(w.info.ID, key)
}

// partOf returns one of the figures.
func partOf(f window.Figure, part lang.Part) (float64, bool) {
	switch part {
	case lang.WindowN:
		return float64(f.N), true
	case lang.WindowValue:
		return f.Value, f.Known
	case lang.WindowLo:
		return f.Lo, f.Interval
	}
	return f.Hi, f.Interval
}

// viewOf returns what a Board lets a rule that holds over time see.
func viewOf(b Board) View {
	if s, ok := b.(Stating); ok {
		return statingView{windowsOnly{windows: b.Window}, s}
	}
	return windowsOnly{windows: b.Window}
}

type statingView struct {
	windowsOnly
	Stating
}
