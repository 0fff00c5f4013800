package grants

import (
	"net/url"
	"slices"
	"strings"
)

// veil stands for a piece of a secret in an answer.
const veil = "[secret]"

// The shortest pieces of a secret URL that are taken out of an answer, in bytes: of its path as a whole, and of one of
// its segments or parameters alone. What is shorter is a common word, and no secret.
const (
	leastPath  = 4
	leastPiece = 12
)

// veilOf returns what takes a secret URL out of text, as servers repeat it: whole, from its path on, and in pieces where
// slashes and ampersands are escaped.
func veilOf(u *url.URL) *strings.Replacer {
	var found []string
	add := func(least int, texts ...string) {
		for _, s := range texts {
			if len(s) >= least {
				found = append(found, s)
			}
		}
	}
	add(leastPath, u.String(), u.RequestURI(), u.EscapedPath(), u.Path)
	for _, path := range []string{u.EscapedPath(), u.Path} {
		add(leastPiece, strings.Split(path, "/")...)
	}
	add(leastPiece, strings.FieldsFunc(u.RawQuery, func(r rune) bool { return r == '&' || r == '=' })...)
	for _, values := range u.Query() {
		add(leastPiece, values...)
	}
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) }) // the replacer prefers what comes first
	pairs := make([]string, 0, 2*len(found))
	for _, s := range found {
		pairs = append(pairs, s, veil)
	}
	return strings.NewReplacer(pairs...)
}
