package codebook

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func tone(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'g', 4, 64)
}

// words50 are 50 phrases of twelve themes.
var words50 = map[string][]string{
	"checkout":      {"checkout crash*", "app crashed", "keeps freezing", "error message", "does not work", "bug*"},
	"price":         {"too expensive", "hidden fee*", "good value", "price*", "overcharged"},
	"delivery":      {"late delivery", "never arrived", "fast shipping", "delivery", "courier"},
	"support":       {"helpful support", "rude agent", "no response", "waiting on hold", "support team"},
	"navigation":    {"confusing", "easy to use", "hard to find", "intuitive", "navigation"},
	"login":         {"password reset", "locked out", "login", "verification code"},
	"returns":       {"refund*", "return label", "cancel my order"},
	"praise":        {"love it", "amazing", "great", "recommend*", "excellent"},
	"speed":         {"slow", "takes forever", "loading", "lightning fast"},
	"complaint":     {"terrible", "worst", "disappointed", "frustrated"},
	"features":      {"dark mode", "export to csv", "integration*"},
	"privacy/trust": {"privacy"},
}

var codebook50 = func() string {
	var b strings.Builder
	b.WriteString("themes:\n")
	for path, phrases := range words50 {
		fmt.Fprintf(&b, "  %s:\n    phrases:\n", path)
		for _, p := range phrases {
			fmt.Fprintf(&b, "      - %s\n", p)
		}
	}
	b.WriteString("sentiment: {positive: [kind, amazing, love, recommend*, lightning fast], negative: [crash*, damaged, confusing, disappointed, forever, hidden], negators: [not, no]}\n")
	return b.String()
}()

var sentences = []string{
	"I have been a customer for six years and this is the first time I felt I had to write to you about it.",
	"The app crashed twice while I was paying and the checkout crash lost my cart.",
	"Your support team was very kind but I was waiting on hold for forty minutes.",
	"The price went up again and there is a hidden fee that nobody told me about when I signed up.",
	"The delivery was two days late and one of the boxes was damaged, the courier just left it in the rain.",
	"Honestly I love it, the new dark mode looks amazing and my colleagues recommend it to everyone.",
	"The account page is confusing and it is hard to find the place for the invoice.",
	"I tried a password reset but the verification code never came so I was locked out over the weekend.",
	"Can you add an export to csv please, we move the numbers by hand into our own sheet every Monday.",
	"The report takes forever in the afternoon, in the morning it is lightning fast.",
	"We will see how it goes next month, nothing more to add from my side.",
	"I asked for a refund and got no response for a week, I am disappointed to say the least.",
}

// corpus makes items of some 300 bytes of text.
func corpus(n int) []feedback.Item {
	r := rand.New(rand.NewPCG(42, 0))
	items := make([]feedback.Item, n)
	for i := range items {
		var b strings.Builder
		for b.Len() < 250 {
			b.WriteString(sentences[r.IntN(len(sentences))] + " ")
		}
		items[i] = feedback.Item{Source: "bench", ExternalID: strconv.Itoa(i), Language: "en", Text: b.String()}
	}
	return items
}

// naive is the baseline: the text in lower case, and strings.Index for every phrase.
type naive struct {
	path   feedback.ThemePath
	phrase string
}

func naiveBook(words map[string][]string) (out []naive) {
	for path, phrases := range words {
		for _, p := range phrases {
			out = append(out, naive{feedback.ThemePath(path), strings.TrimSuffix(p, "*")})
		}
	}
	return out
}

func (n *naive) find(text string, out *sdk.Result) {
	if i := strings.Index(text, n.phrase); i >= 0 {
		out.AddTheme(n.path, 1, feedback.Span{Start: uint32(i), End: uint32(i + len(n.phrase))})
	}
}

// BenchmarkCategorize prints how many times longer the naive loop takes for the same items.
// Run: go test -bench Categorize ./plugins/codebook
func BenchmarkCategorize(b *testing.B) {
	many := map[string][]string{}
	for i := range 10 {
		for path, phrases := range words50 {
			for _, p := range phrases {
				if i > 0 {
					p = strings.ReplaceAll(p, "e", string(rune('f'+i)))
				}
				many[fmt.Sprintf("%s/%d", path, i)] = append(many[fmt.Sprintf("%s/%d", path, i)], p)
			}
		}
	}
	var settings strings.Builder
	settings.WriteString("themes:\n")
	for path, phrases := range many {
		fmt.Fprintf(&settings, "  %s: {phrases: [%s]}\n", path, strings.Join(phrases, ", "))
	}
	german := corpus(64)
	for i := range german {
		german[i].Text = strings.NewReplacer("a ", "ä ", "o", "ö").Replace(german[i].Text)
	}
	for _, bench := range []struct {
		name, settings string
		words          map[string][]string
		items          []feedback.Item
	}{
		{"50 phrases", codebook50, words50, corpus(64)},
		{"500 phrases", settings.String(), many, corpus(64)},
		{"50 phrases/umlauts", codebook50, words50, german},
	} {
		b.Run(bench.name, func(b *testing.B) {
			book, baseline := mustOpen(b, bench.settings), naiveBook(bench.words)
			out := make([]sdk.Result, len(bench.items))
			reset := func() {
				for i := range out {
					out[i].Reset()
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				reset()
				if err := book.Categorize(context.Background(), bench.items, out); err != nil {
					b.Fatal(err)
				}
			}
			perItem := float64(b.Elapsed().Nanoseconds()) / float64(b.N*len(bench.items))
			b.StopTimer()
			const rounds = 50
			start := time.Now()
			for range rounds {
				reset()
				for i := range bench.items {
					text := strings.ToLower(bench.items[i].Text)
					for j := range baseline {
						baseline[j].find(text, &out[i])
					}
				}
			}
			slow := float64(time.Since(start).Nanoseconds()) / float64(rounds*len(bench.items))
			b.ReportMetric(perItem, "ns/item")
			b.ReportMetric(slow/perItem, "naive/this")
		})
	}
}
