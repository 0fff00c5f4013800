package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// WindowFigure is what a window tells under one key.
type WindowFigure struct {
	Window string   `json:"window"`
	Key    []string `json:"key,omitempty"` // the values of WindowInfo.By
	N      int64    `json:"n"`
	// Value, Lo and Hi are in the units of the metric, and nil when they are not known.
	Value *float64 `json:"value,omitempty"`
	Lo    *float64 `json:"lo,omitempty"`
	Hi    *float64 `json:"hi,omitempty"`
}

// Tell returns what a window of the set tells at an instant, by its observations under each key, in the order of the
// keys. It returns nil for a window that the set does not have.
func (s *Set) Tell(name string, now feedback.Time, rings map[string]*window.Ring) []WindowFigure {
	i := slices.IndexFunc(s.windows, func(w *windowDecl) bool { return w.info.Name == name })
	if i < 0 {
		return nil
	}
	w := s.windows[i]
	out := []WindowFigure{}
	for _, key := range slices.Sorted(maps.Keys(rings)) {
		values := strings.Split(key, keySeparator)
		if len(w.info.By) == 0 {
			values = nil
		}
		hits := rings[key].Read(now)
		base := hits
		if w.info.Metric == window.Rate {
			hits.N = base.Pos
			if w.theme >= 0 {
				if values[w.theme] == "" {
					continue
				}
				hits, base = base, window.Sums{}
				all := slices.Clone(values)
				all[w.theme] = ""
				if r := rings[joinKey(all)]; r != nil {
					base = r.Read(now)
				}
			}
		}
		out = append(out, figureOf(name, values, w.info.Metric.Figure(base, hits, w.confidence)))
	}
	return out
}

func figureOf(name string, key []string, f window.Figure) WindowFigure {
	out := WindowFigure{Window: name, Key: key, N: f.N}
	if f.Known {
		out.Value = &f.Value
	}
	if f.Interval {
		out.Lo, out.Hi = &f.Lo, &f.Hi
	}
	return out
}
