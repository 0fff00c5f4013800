package main

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const topicsManifest = `
name: topics
version: 1.0.0
contract: "1.0"
description: finds what a text is about by words
abilities: [categorize]
settings:
  words:
    type: map
    items: {type: string}
    description: the theme of each word, in lower case
    default: {invoice: billing, charged: billing, refund: billing, search: product/search}
`

// topics is a categorizer. The same type could be built as a WASM plugin: nothing in it is the host's.
type topics struct {
	Words map[string]feedback.ThemePath `json:"words"`
}

func openTopics(_ context.Context, _ sdk.Host, settings []byte) (any, error) {
	t := &topics{}
	return t, json.Unmarshal(settings, t)
}

// Categorize implements sdk.Categorizer.
func (t *topics) Categorize(_ context.Context, items []feedback.Item, out []sdk.Result) error {
	for i := range items {
		found := map[feedback.ThemePath][]feedback.Span{}
		text := items[i].Text
		for at := 0; at < len(text); {
			word := text[at:]
			if end := strings.IndexAny(word, " .,!?"); end >= 0 {
				word = word[:end]
			}
			if theme, ok := t.Words[strings.ToLower(word)]; ok {
				found[theme] = append(found[theme], feedback.Span{Start: uint32(at), End: uint32(at + len(word))})
			}
			at += len(word) + 1
		}
		for theme, evidence := range found {
			out[i].AddTheme(theme, 1, evidence...)
		}
	}
	return nil
}
