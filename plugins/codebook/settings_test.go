package codebook

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/sdk"
)

func TestBadCodebooks(t *testing.T) {
	t.Parallel()
	phrase := func(e string) string { return fmt.Sprintf("themes: {x: {phrases: [ok, %q]}}", e) }
	tests := []struct{ settings, want string }{
		{phrase("late AND"), `themes.x.phrases[1]: column 9: found the end, expected a word, a phrase in quotes or ( in "late AND"`},
		{phrase(""), `themes.x.phrases[1]: column 1: found the end, expected a word, a phrase in quotes or ( in ""`},
		{phrase("(late OR box"), `themes.x.phrases[1]: column 13: found the end, expected the ) of column 1 in "(late OR box"`},
		{phrase("late) box"), `themes.x.phrases[1]: column 5: found ), expected AND, OR, NOT, NEAR/n or the end in "late) box"`},
		{phrase("öl (box)"), `themes.x.phrases[1]: column 4: found ( after "öl", expected AND, OR, NOT or NEAR/n between them in "öl (box)"`},
		{phrase(`öl "box"`), `themes.x.phrases[1]: column 4: found "box" after "öl", expected AND, OR, NOT or NEAR/n between them in "öl \"box\""`},
		{phrase("(a) b"), `themes.x.phrases[1]: column 5: found "b" after ), expected AND, OR, NOT or NEAR/n between them in "(a) b"`},
		{phrase(`box "late`), `themes.x.phrases[1]: column 5: found a quote that is not closed in "box \"late"`},
		{phrase("NOT late"), `themes.x.phrases[1]: column 1: found NOT, expected what it takes away from before it, as in: refund NOT policy in "NOT late"`},
		{phrase("a OR NOT b"), `themes.x.phrases[1]: column 6: found NOT, expected what it takes away from before it, as in: refund NOT policy in "a OR NOT b"`},
		{phrase("a NEAR b"), `themes.x.phrases[1]: column 3: found NEAR, expected NEAR/ and how many words may stand between, 0 to 100 in "a NEAR b"`},
		{phrase("a NEAR/1000 b"), `themes.x.phrases[1]: column 3: found NEAR/1000, expected NEAR/ and how many words may stand between, 0 to 100 in "a NEAR/1000 b"`},
		{phrase("(a AND b) NEAR/2 c"), `themes.x.phrases[1]: column 1: found AND or NOT beside NEAR/2, expected words, or words joined by OR or NEAR/n in "(a AND b) NEAR/2 c"`},
		{phrase("c NEAR/2 (d OR (a NOT b))"), `themes.x.phrases[1]: column 10: found AND or NOT beside NEAR/2, expected words, or words joined by OR or NEAR/n in "c NEAR/2 (d OR (a NOT b))"`},
		{phrase("- !"), `themes.x.phrases[1]: column 1: found "- !", expected letters or digits in "- !"`},
		{phrase("late * box"), `themes.x.phrases[1]: column 1: found the word "*", expected letters or digits beside the wildcard in "late * box"`},
		{phrase("a*"), `themes.x.phrases[1]: column 1: found "a*", expected at least two letters side by side where there are wildcards in "a*"`},
		{phrase(strings.Repeat("(", 40) + "a"), `themes.x.phrases[1]: column 33: found more than 32 parentheses within each other`},
		{phrase(strings.Repeat("word ", 1000)), `themes.x.phrases[1]: column 1: found 5000 bytes, expected at most 4096`},
		{"themes: {Pack: {phrases: [a]}, pack: {phrases: [a]}}", `themes.pack: found theme "pack" beside "Pack", expected each theme once`},
		{"themes: {a//b: {phrases: [a]}}", `themes.a//b: found theme "a//b", expected a path such as packaging/opening: letters, digits, _ and - between slashes`},
		{"themes: {x: {}}", `themes.x: found no phrases, expected some in phrases or by_language`},
		{"themes: {x: {by_language: {german!: [gut]}}}", `themes.x.by_language.german!: found "german!", expected a language such as de or pt-BR`},
		{"themes: {x: {languages: [en], by_language: {de: [gut]}}}", `themes.x.by_language.de: found phrases for "de", expected one of the theme's languages [en]`},
		{"{themes: {x: {phrases: [a]}}, sentiment: {positive: [good, fine], negative: [bad, GOOD]}}", `sentiment.negative[1]: found "GOOD", which is positive as well as negative`},
		{"{themes: {x: {phrases: [a]}}, sentiment: {negators: [not OR no]}}", `sentiment.negators[0]: found the expression "not OR no", expected a word or a phrase`},
		{"themes: {x: {phrases: [a], positive: [cheap], negative: [cheap]}}", `themes.x.negative[0]: found "cheap", which is positive as well as negative`},
	}
	for _, tt := range tests {
		_, err := openYAML(t, tt.settings)
		if err == nil {
			t.Errorf("%.80s: no error, want %s", tt.settings, tt.want)
			continue
		}
		if f := sdk.FailureOf(err); !f.Fatal || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%.80s: got fatal %v\n%s, want\n%s", tt.settings, f.Fatal, err, tt.want)
		}
		if se := (sdk.SettingError{}); !errors.As(err, &se) || se.Path == "" {
			t.Errorf("%.80s: %T carries no setting error", tt.settings, err)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := openYAML(t, "themes: {x: {phrases: [a AND, OR b], exclude: ['(']}, y: {}}")
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Fatalf("got %v, want four problems", err)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	var s settings
	var phrases []string
	for i := range 4000 {
		phrases = append(phrases, fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)})))
	}
	s.Themes = map[string]themeSettings{"x": {Phrases: phrases}}
	if _, errs := compile(&s); len(errs) != 1 || !errors.Is(errs[0], errTooLarge) && !strings.Contains(errs[0].Error(), errTooLarge.Error()) {
		t.Fatalf("got %v, want %v", errs, errTooLarge)
	}
}
