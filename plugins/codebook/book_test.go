package codebook

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// manifestOf reads plugin.yaml.
func manifestOf(t testing.TB) *sdk.Manifest {
	t.Helper()
	var raw any
	if err := yaml.Unmarshal(manifest, &raw); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	m := &sdk.Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// completed returns settings as a program gives them in the form that an instance takes.
func completed(t testing.TB, settings string) string {
	t.Helper()
	var raw map[string]any
	if err := yaml.Unmarshal([]byte(settings), &raw); err != nil {
		t.Fatal(err)
	}
	complete, errs := manifestOf(t).Settings.Complete(raw)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	b, err := json.Marshal(complete)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// openYAML makes an instance from settings as a program gives them.
func openYAML(t testing.TB, settings string) (*book, error) {
	t.Helper()
	c, err := Plugin.New(context.Background(), nil, []byte(completed(t, settings)))
	if err != nil {
		return nil, err
	}
	return c.(*book), nil
}

func mustOpen(t testing.TB, settings string) *book {
	t.Helper()
	b, err := openYAML(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// label runs one item.
func label(t testing.TB, b *book, it feedback.Item) feedback.Labels {
	t.Helper()
	out := make([]sdk.Result, 1)
	if err := b.Categorize(context.Background(), []feedback.Item{it}, out); err != nil {
		t.Fatal(err)
	}
	return out[0].Labels
}

// marked writes the text of each evidence in brackets after its theme.
func marked(l feedback.Labels, text string) string {
	var parts []string
	for _, th := range l.Themes {
		s := string(th.Path)
		for _, e := range th.Evidence {
			s += fmt.Sprintf(" [%s]", text[e.Start:e.End])
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

func TestManifest(t *testing.T) {
	t.Parallel()
	if errs := manifestOf(t).Check(); len(errs) > 0 {
		t.Fatal(errs)
	}
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	tests := []struct{ expression, text, want string }{
		{"refund", "No Refund, no REFUND!", "[Refund] [REFUND]"},
		{"refund", "refunds are unrefunded", "-"},
		{"refund*", "refunds are unrefunded", "[refunds]"},
		{"*refund", "unrefund it, refunded", "[unrefund]"},
		{"*pack*", "Repackaging the pack, repacked", "[Repackaging] [pack] [repacked]"},
		{"colo?r", "color, colour, colouur", "[colour]"},
		{"l?te", "late lite lte l-te låte", "[late] [lite] [låte]"},
		{"del*ed", "delivered, delayed and delighted deed", "[delivered] [delayed] [delighted]"},
		{"late delivery", "Late  delivery. Late: delivery; late\ndelivery, late-deliveries", "[Late  delivery] [Late: delivery] [late\ndelivery]"},
		{"late deliver*", "late-deliveries", "[late-deliveries]"},
		{"box* open*", "boxes opening a box now open", "[boxes opening]"},
		{"not open* box", "could not open. Box not opened, box", "[not open. Box] [not opened, box]"},
		{"don't work", "It don’t work; don't  WORK; dont work", "[don’t work] [don't  WORK]"},
		{`"AND" AND "or not"`, "and, or not", "[and] [or not]"},
		{"late AND box", "late box late", "[late] [box] [late]"},
		{"late AND box", "late bag", "-"},
		{"late OR box", "a box, late", "[box] [late]"},
		{"late OR box", "", "-"},
		{"refund NOT policy", "the refund policy", "-"},
		{"refund AND NOT policy", "the refund", "[refund]"},
		{"refund NOT (policy OR terms) AND late", "late refund", "[late] [refund]"},
		{"box NEAR/2 open", "open the damn box", "[open the damn box]"},
		{"box NEAR/1 open", "open the damn box", "-"},
		{"box NEAR/0 open", "box, open box", "[box, open box]"},
		{"box NEAR/3 (open* OR tear)", "The box cannot tear. Nobody ever opened that box", "[box cannot tear] [opened that box]"},
		{"a NEAR/1 b NEAR/1 c", "a x b x c", "[a x b x c]"},
		{"late box NEAR/0 a", "late  box a. x x x late box a. late \n box: a", "[late  box a] [late box a. late \n box: a]"},
		{"pack* NEAR/5 package", "package", "-"},
		{"straße", "STRAßE, STRAẞE, STRASSE", "[STRAßE] [STRAẞE]"},
		{"müll", "MÜLL, Mu\u0308ll, Mull", "[MÜLL] [Mu\u0308ll]"},
		{"mull*", "Mu\u0308ll", "-"},
		{"cafe*", "caf\u00e9 cafe\u0301 cafes", "[cafes]"},
		{"emballage", "l'emballage, l’EMBALLAGE", "[emballage] [EMBALLAGE]"},
		{"доставк*", "ДОСТАВКА опоздала", "[ДОСТАВКА]"},
		{"ελλάς", "ΕΛΛΆΣ ελλάσ", "[ΕΛΛΆΣ] [ελλάσ]"},
		{"配送", "配送が遅い。配 送", "[配送] [配 送]"},
		{"配送 NEAR/2 遅い", "配送が遅い", "[配送が遅い]"},
		{"👎", "bad👎👎🏽, ok", "[👎] [👎🏽]"},
		{"한국", "한국 \u1112\u1161\u11ab\u1100\u116e\u11a8", "[한국] [\u1112\u1161\u11ab\u1100\u116e\u11a8]"},
		{"delivery", "deli\u00advery", "[deli\u00advery]"},
		{"kelvin", "\u212aelvin \u017felvin", "[\u212aelvin]"},
		{"self", "\u017felf", "[\u017felf]"},
		{"5 stars", "5 stars, 5stars, 15 stars", "[5 stars]"},
		{"late", strings.Repeat("late ", 40), strings.TrimSpace(strings.Repeat("[late] ", 32))},
	}
	for _, tt := range tests {
		b := mustOpen(t, fmt.Sprintf("themes: {x: {phrases: [%q]}}", tt.expression))
		want := "x " + tt.want
		if tt.want == "-" {
			want = ""
		}
		if got := marked(label(t, b, feedback.Item{Text: tt.text}), tt.text); got != want {
			t.Errorf("%s in %q: got %s, want %s", tt.expression, tt.text, got, want)
		}
		checkReference(t, b, tt.expression, tt.text)
	}
}

// checkReference compares a book with the one theme x and the one expression to the reference.
func checkReference(t testing.TB, b *book, expression, text string) {
	t.Helper()
	want, holds, err := refEvidence(expression, text)
	if err != nil {
		t.Fatalf("%q: %v", expression, err)
	}
	l := label(t, b, feedback.Item{Text: text})
	if (len(l.Themes) > 0) != holds {
		t.Fatalf("%q in %q: got %v, want %v", expression, text, l.Themes, want)
	}
	if holds && !reflect.DeepEqual(l.Themes[0].Evidence, want) {
		t.Fatalf("%q in %q: got %v, want %v", expression, text, l.Themes[0].Evidence, want)
	}
	for _, th := range l.Themes {
		for _, e := range th.Evidence {
			if e.Start >= e.End || !boundary(text, e.Start) || !boundary(text, e.End) {
				t.Fatalf("%q in %q: evidence %v cuts a character", expression, text, e)
			}
		}
	}
}

var (
	randomWords = []string{"a", "b", "ab", "aB", "ba", "é", "e\u0301", "É", "aé", "ß", "漢", "字", "k", "\u212a", "👍", "a\u0302b", "1"}
	randomJoins = []string{" ", "  ", ", ", "-", "'", "’", "\n", ". ", "", "\u00a0", "\u00ad", "\u200d"}
	randomWild  = []string{"a*", "*b", "*ab*", "a?b", "é*", "ab*a", "*a?b*", "b?a"}
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func randomExpression(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(3) == 0 {
		words := []string{pick(r, randomWords)}
		for r.IntN(3) == 0 {
			words = append(words, pick(r, append(randomWild[:3:3], randomWords...)))
		}
		if r.IntN(3) == 0 {
			words[0] = pick(r, randomWild)
		}
		return strings.Join(words, " ")
	}
	if r.IntN(4) == 0 { // words that are found often, so that places of many kinds come together
		return fmt.Sprintf("%s %s NEAR/%d %s", pick(r, randomWords[:4]), pick(r, randomWords[:4]), r.IntN(3), pick(r, randomWords[:4]))
	}
	left, right := randomExpression(r, depth-1), randomExpression(r, depth-1)
	return fmt.Sprintf("(%s) %s (%s)", left, pick(r, []string{"AND", "OR", "NOT", "NEAR/0", "NEAR/1", "NEAR/3"}), right)
}

func TestAgainstReference(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	compared := 0
	for range 1000 {
		expression := randomExpression(r, 3)
		if _, _, err := refEvidence(expression, ""); err != nil {
			continue // such as AND beside NEAR
		}
		b := mustOpen(t, fmt.Sprintf("themes: {x: {phrases: [%q]}}", expression))
		for i := range 8 {
			words, joins := randomWords, randomJoins
			if i >= 4 { // few words and divisions, so that much is found
				words, joins = words[:4], joins[:3]
			}
			var text strings.Builder
			for range r.IntN(20) {
				text.WriteString(pick(r, words) + pick(r, joins))
			}
			checkReference(t, b, expression, text.String())
			compared++
		}
	}
	if compared < 3000 {
		t.Fatalf("compared %d texts only", compared)
	}
}

// TestManyThemes checks that themes sharing words, in one automaton, answer as each does alone.
func TestManyThemes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 12 {
		var settings strings.Builder
		settings.WriteString("themes:\n")
		expressions := map[feedback.ThemePath]string{}
		for i := range 40 {
			expression := randomExpression(r, 2)
			if _, _, err := refEvidence(expression, ""); err == nil {
				path := fmt.Sprintf("t%02d", i)
				expressions[feedback.ThemePath(path)] = expression
				fmt.Fprintf(&settings, "  %s: {phrases: [%q]}\n", path, expression)
			}
		}
		b := mustOpen(t, settings.String())
		for range 20 {
			var text strings.Builder
			for range r.IntN(30) {
				text.WriteString(pick(r, randomWords) + pick(r, randomJoins))
			}
			got := map[feedback.ThemePath][]feedback.Span{}
			for _, th := range label(t, b, feedback.Item{Text: text.String()}).Themes {
				got[th.Path] = th.Evidence
			}
			for path, expression := range expressions {
				if want, _, _ := refEvidence(expression, text.String()); !reflect.DeepEqual(got[path], want) {
					t.Fatalf("%q in %q: got %v, want %v", expression, text.String(), got[path], want)
				}
			}
		}
	}
}

func FuzzCategorize(f *testing.F) {
	for _, s := range [][2]string{
		{"refund* NEAR/3 (late OR slow)", "Refunded far too late"}, {"a AND NOT b?c", "a b c bxc"}, {`"é" *x*`, "e\u0301 axb"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		if len(expression) > 200 || len(text) > 500 {
			return
		}
		if _, _, err := refEvidence(expression, ""); err != nil {
			return
		}
		var s settings
		s.Themes = map[string]themeSettings{"x": {Phrases: []string{expression}}}
		b, errs := compile(&s)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		checkReference(t, b, expression, strings.ToValidUTF8(text, "\ufffd"))
	})
}
