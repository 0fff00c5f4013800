// Command faulty is a categorizer with one fault, that its settings choose.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"os"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/serve"
)

//go:embed plugin.yaml
var manifest []byte

type faulty struct {
	Fault string `json:"fault"`

	calls int
	hoard []string
}

func open(_ context.Context, _ sdk.Host, settings []byte) (any, error) {
	f := &faulty{}
	if err := json.Unmarshal(settings, f); err != nil {
		if strings.Contains(string(settings), "\u202e") {
			return f, nil // the wrong type, but no crash
		}
		return nil, err
	}
	if f.Fault == "" {
		panic("settings that were not expected")
	}
	return f, nil
}

// Categorize labels texts that hold the word open, and goes wrong in its own way.
func (f *faulty) Categorize(_ context.Context, items []feedback.Item, out []sdk.Result) error {
	f.calls++
	for i := range items {
		text := items[i].Text
		at := strings.Index(text, "open")
		switch {
		case f.Fault == "hoard":
			f.hoard = append(f.hoard, strings.Clone(text))
		case f.Fault == "count":
			out[i].AddTheme(feedback.ThemePath("call/"+strconv.Itoa(f.calls)), 1)
		case f.Fault == "exit" && strings.Contains(text, "👩"):
			os.Exit(3)
		case f.Fault == "characters" && strings.HasPrefix(text, "ö"):
			out[i].AddTheme("umlaut", 1, feedback.Span{Start: 0, End: 1})
		}
		if at >= 0 {
			out[i].AddTheme("opening", 0.5, feedback.Span{Start: uint32(at), End: uint32(at + 4)})
		}
	}
	return nil
}

func init() { serve.Register(sdk.Plugin{Manifest: manifest, New: open}) }

func main() { serve.Main() }
