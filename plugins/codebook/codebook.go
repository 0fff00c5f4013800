// Package codebook finds the themes of a codebook in feedback: a categorizer that people can read, question and change.
//
// A codebook is settings. Each theme, a path such as packaging/opening, has expressions of words, phrases, wildcards,
// AND, OR, NOT, NEAR/n and parentheses; any that holds finds the theme. Words that tell a tone may be listed too.
//
//	themes:
//	  packaging/opening:
//	    phrases:
//	      - (box OR pack* OR lid) NEAR/5 (open* OR tear OR stuck)
//	      - impossible to open
//	    exclude: [opening hours]
//
// These hold:
//
//   - Matching takes canonically equivalent texts (NFC) and upper and lower case (simple folding) for equal. Words are
//     runs of letters, digits and the marks on them; all else divides words, however much of it there is. A character
//     of a script without spaces, and an emoji, is a word of its own.
//   - Evidence is bytes of the item's text as it stands there, whole words, in order and without overlap. Of NEAR it is
//     the stretch from the first word to the last.
//   - A text is read once, whatever the number of phrases. In the steady state nothing is allocated; what Categorize
//     hands out is overwritten by its next call.
package codebook

import (
	"context"
	_ "embed" // for plugin.yaml
	"encoding/json"
	"errors"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

//go:embed plugin.yaml
var manifest []byte

// Plugin is the categorizer.
var Plugin = sdk.Plugin{Manifest: manifest, New: open}

var _ sdk.Categorizer = (*book)(nil)

func open(_ context.Context, _ sdk.Host, raw []byte) (any, error) {
	var s settings
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, sdk.Fatal("settings: %w", err)
	}
	b, errs := compile(&s)
	if len(errs) > 0 {
		return nil, sdk.Fatal("%w", errors.Join(errs...))
	}
	return b, nil
}

// Categorize labels items with the themes of the codebook, by path.
func (b *book) Categorize(_ context.Context, items []feedback.Item, out []sdk.Result) error {
	b.evidence = b.evidence[:0]
	for i := range items {
		b.item(&items[i], &out[i])
	}
	return nil
}
