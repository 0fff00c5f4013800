package codebook

import (
	"context"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/sdktest"
)

func TestLanguages(t *testing.T) {
	t.Parallel()
	b := mustOpen(t, `
themes:
  any: {phrases: [gift]}
  german: {languages: [de], phrases: [gift]}
  mixed: {by_language: {en: [gift], pt-BR: [presente]}}
`)
	for language, want := range map[string]string{
		"":      "any [gift]; german [gift]; mixed [gift] [presente]",
		"en":    "any [gift]; mixed [gift]",
		"de-AT": "any [gift]; german [gift]",
		"DE":    "any [gift]; german [gift]",
		"pt":    "any [gift]",
		"pt-br": "any [gift]; mixed [presente]",
		"den":   "any [gift]",
	} {
		text := "gift presente"
		if got := marked(label(t, b, feedback.Item{Text: text, Language: language}), text); got != want {
			t.Errorf("%q: got %s, want %s", language, got, want)
		}
	}
}

func TestExclude(t *testing.T) {
	t.Parallel()
	b := mustOpen(t, "themes: {x: {phrases: [open*], exclude: [opening hours, shop NEAR/3 open]}}")
	for text, want := range map[string]string{
		"hard to open": "x [open]", "Opening hours": "", "the shop was open": "", "shop. I tried very hard to open it": "x [open]",
	} {
		if got := marked(label(t, b, feedback.Item{Text: text}), text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestTitle(t *testing.T) {
	t.Parallel()
	const themes = "{themes: {x: {phrases: [late, box NEAR/3 torn, broken box]}}, title: "
	b := mustOpen(t, themes+"true}")
	for _, tt := range []struct{ title, text, want string }{
		{"Late!", "Nothing more", "x"},
		{"Late!", "Too late.", "x [late]"},
		{"Broken", "box", ""},      // a phrase does not reach from the title into the text
		{"The box", "is torn", ""}, // and NEAR neither
		{"Cafe\u0301 late", "The bo\u0302x, late", "x [late]"},
	} {
		if got := marked(label(t, b, feedback.Item{Title: tt.title, Text: tt.text}), tt.text); got != tt.want {
			t.Errorf("%s | %s: got %q, want %q", tt.title, tt.text, got, tt.want)
		}
	}
	b = mustOpen(t, themes+"false}")
	if got := label(t, b, feedback.Item{Title: "late", Text: "fine"}); len(got.Themes) > 0 {
		t.Errorf("a title that is not read: %v", got)
	}
}

func TestTones(t *testing.T) {
	t.Parallel()
	b := mustOpen(t, `
themes:
  packaging: {phrases: [box*], positive: [sturdy], negative: [cheap]}
  price: {phrases: [price*], positive: [cheap]}
  late: {phrases: [late], sentiment: -0.8, confidence: 0.5}
sentiment:
  positive: [good, nice, "works well", love*]
  negative: [bad, "no good", terrible]
  negators: [not, never, "*n't"]
  window: 4
`)
	tests := []struct{ text, item, themes string }{
		{"A box", "", "packaging"},
		{"The box is good", "0.5", "packaging 0.5"},
		{"The box is not good", "-0.5", "packaging -0.5"},
		{"The box isn't all good", "-0.5", "packaging -0.5"},
		{"Not that I mind, but the box is good", "0.5", "packaging 0.5"},
		{"The box is no good", "-0.5", "packaging -0.5"}, // the longer words win
		{"Never bad: box, good and nice", "0.75", "packaging 0.75"},
		{"Nice price. Terrible box", "0", "packaging -0.5; price 0.5"}, // each in its sentence
		{"Nice staff in the shop that sells the box", "0.5", "packaging"},
		{"Cheap box at a cheap price", "", "packaging -0.6667; price 0.5"},
		{"I do not mind. Good box", "0.5", "packaging 0.5"},
		{"A box, not sturdy", "", "packaging -0.5"},
		{"Late again", "", "late -0.8"},
		{"Late but nice", "0.5", "late 0.5"},
		{"good good good good good good good good good good good good good good good good good good", "0.9375", ""},
	}
	for _, tt := range tests {
		l := label(t, b, feedback.Item{Text: tt.text})
		var themes []string
		for _, th := range l.Themes {
			themes = append(themes, strings.TrimSpace(string(th.Path)+" "+tone(th.Sentiment)))
			if want := map[feedback.ThemePath]float64{"late": 0.5}[th.Path]; want != 0 && th.Confidence != want || want == 0 && th.Confidence != 1 {
				t.Errorf("%s: confidence of %s is %v", tt.text, th.Path, th.Confidence)
			}
		}
		if got := strings.Join(themes, "; "); got != tt.themes || tone(l.Sentiment) != tt.item {
			t.Errorf("%s: got %s | %s, want %s | %s", tt.text, tone(l.Sentiment), got, tt.item, tt.themes)
		}
	}
}

func TestBatchesDoNotMix(t *testing.T) {
	t.Parallel()
	b := mustOpen(t, "{themes: {x: {phrases: [aa]}, y: {phrases: [bb NOT aa]}}, sentiment: {positive: [aa]}}")
	items := []feedback.Item{{Text: "aa"}, {Text: "bb"}, {}, {Text: "bb aa"}, {Text: "\xff aa \xc3"}}
	out := make([]sdk.Result, len(items))
	for range 2 {
		for i := range out {
			out[i].Reset()
		}
		if err := b.Categorize(context.Background(), items, out); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"x [aa]", "y [bb]", "", "x [aa]", "x [aa]"} {
			if got := marked(out[i].Labels, items[i].Text); got != want {
				t.Errorf("item %d: got %q, want %q", i, got, want)
			}
		}
	}
}

// TestLongTexts takes a long text that is nothing but hits through everything that could be slow.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	b := mustOpen(t, `
themes:
  x: {phrases: ["(late OR la*) NEAR/50 (box OR late NEAR/9 box)", "late box AND NOT zz", "l?te box"], positive: [late]}
  y: {phrases: ["box NEAR/100 zz", "late NEAR/100 zz"]}
sentiment: {positive: [late], negative: [box], negators: [late], window: 100}
`)
	text := strings.Repeat("late box ", feedback.MaxItemBytes/4/9)
	if got := label(t, b, feedback.Item{Text: text}); len(got.Themes) != 1 || len(got.Themes[0].Evidence) == 0 {
		t.Fatalf("got %v", got)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	settings := completed(t, codebook50)
	sdktest.Categorizer(t, sdktest.Open[sdk.Categorizer](Plugin, &sdktest.Host{Logf: t.Logf}, settings), corpus(40)...)
}

func TestNoAllocations(t *testing.T) {
	b := mustOpen(t, codebook50)
	items, out := corpus(64), make([]sdk.Result, 64)
	for i := range items {
		items[i].Title = "Größere Kiste, späte Lieferung"
	}
	run := func() {
		for i := range out {
			out[i].Reset()
		}
		if err := b.Categorize(context.Background(), items, out); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(20, run); n != 0 {
		t.Errorf("%v allocations for 64 items, want none", n)
	}
}
