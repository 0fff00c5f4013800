// Command quiet is a categorizer that asks nothing of its host.
package main

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/serve"
)

type shouting struct {
	Theme feedback.ThemePath `json:"theme"`
}

func (s *shouting) Categorize(_ context.Context, items []feedback.Item, out []sdk.Result) error {
	for i := range items {
		if text := items[i].Text; text != "" && strings.ToUpper(text) == text {
			out[i].AddTheme(s.Theme, 1, feedback.Span{End: uint32(len(text))})
		}
	}
	return nil
}

func init() {
	serve.Register(sdk.Plugin{New: func(_ context.Context, _ sdk.Host, settings []byte) (any, error) {
		s := &shouting{}
		return s, json.Unmarshal(settings, s)
	}})
}

func main() { serve.Main() }
