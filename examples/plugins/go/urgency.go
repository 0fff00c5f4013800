// Package urgency is a categorizer that finds customers who wait for help: by words of urgency, and by capitals.
//
//	closedloop plugin build examples/plugins/go -o urgency.wasm
package urgency

import (
	"context"
	_ "embed" // for plugin.yaml
	"encoding/json"
	"regexp"
	"strings"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

//go:embed plugin.yaml
var manifest []byte

// Plugin is what a host loads.
var Plugin = sdk.Plugin{Manifest: manifest, New: open}

type urgency struct {
	words    *regexp.Regexp // nil for none
	capitals *regexp.Regexp
	shouting int
}

var _ sdk.Categorizer = (*urgency)(nil)

func open(_ context.Context, _ sdk.Host, raw []byte) (any, error) {
	var settings struct {
		Words    []string `json:"words"`
		Shouting int      `json:"shouting"`
	}
	if err := json.Unmarshal(raw, &settings); err != nil {
		return nil, sdk.Fatal("settings: %w", err)
	}
	u := &urgency{capitals: regexp.MustCompile(`\b[A-Z]{4,}\b`), shouting: settings.Shouting}
	if len(settings.Words) > 0 {
		for i, w := range settings.Words {
			settings.Words[i] = regexp.QuoteMeta(w)
		}
		u.words = regexp.MustCompile(`(?i)\b(` + strings.Join(settings.Words, "|") + `)\b`)
	}
	return u, nil
}

// Categorize adds a theme for each sign of urgency, and shows where it stands.
func (u *urgency) Categorize(_ context.Context, items []feedback.Item, out []sdk.Result) error {
	for i := range items {
		if u.words != nil {
			add(&out[i], "urgency/asked", u.words.FindAllStringIndex(items[i].Text, -1), 1)
		}
		if u.shouting > 0 {
			add(&out[i], "urgency/shouting", u.capitals.FindAllStringIndex(items[i].Text, -1), u.shouting)
		}
	}
	return nil
}

func add(r *sdk.Result, path feedback.ThemePath, found [][]int, least int) {
	if len(found) < least {
		return
	}
	t := r.AddTheme(path, 0.8)
	for _, place := range found {
		t.Evidence = append(t.Evidence, feedback.Span{Start: uint32(place[0]), End: uint32(place[1])})
	}
}
