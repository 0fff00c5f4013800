package sdktest

import (
	"bytes"
	"context"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Categorizer checks a categorizer with the items, besides its own: items without text, in other scripts, and as large
// as they come.
//
// An answer is checked for well-formed theme paths, confidence and sentiment within their range, and evidence that lies
// in the text and does not divide a character. It must depend on the item alone: not on the batch, on earlier calls, or
// on the memory that items and results come in.
func Categorizer(t TB, fresh func() (sdk.Categorizer, error), items ...feedback.Item) {
	t.Helper()
	c := &categorizer{t: t, fresh: fresh, items: append(slices.Clone(items), sampleItems()...)}
	c.empty()
	c.reference()
	c.alone()
	c.again()
	c.movingMemory()
}

// sampleItems returns items that plugins tend to stumble over.
func sampleItems() []feedback.Item {
	texts := []string{
		"",
		" \t\r\n",
		"a",
		"The box was impossible to open. THE BOX WAS IMPOSSIBLE TO OPEN!",
		"Die Schachtel ließ sich nicht öffnen – schade. STRASSE und Straße.",
		"包装がとても開けにくかったです。",
		"التغليف صعب الفتح",
		"👩‍👩‍👧‍👦👍🏽 ❤️ e\u0301 \u200b\u202e",
		"\x00\x01 <b>&amp;</b> \"quoted\" \\ {\"json\": true}",
		strings.Repeat("packaging ", 100),
		strings.Repeat("ö", feedback.MaxItemBytes/2-64),
	}
	items := make([]feedback.Item, 0, len(texts)+1)
	for _, text := range texts {
		items = append(items, feedback.Item{Source: "sdktest", Survey: feedback.NPS, Score: new(3.0), Text: text})
	}
	return append(items, feedback.Item{Title: "only a title"}, feedback.Item{})
}

type categorizer struct {
	t     TB
	fresh func() (sdk.Categorizer, error)
	items []feedback.Item
	want  []sdk.Result // the answers to all items in one batch
}

// call categorizes items into out, empty results unless given.
func (c *categorizer) call(instance sdk.Categorizer, items []feedback.Item, out []sdk.Result, what string) []sdk.Result {
	c.t.Helper()
	if out == nil {
		out = make([]sdk.Result, len(items))
	}
	err := safely(func() error { return instance.Categorize(context.Background(), items, out) })
	if err != nil {
		c.t.Errorf("%s: %v", what, err)
	}
	return out
}

func (c *categorizer) empty() {
	c.t.Helper()
	c.call(open(c.t, c.fresh), nil, []sdk.Result{}, "empty batch")
}

// reference takes the answers that the other checks compare with, and checks them.
func (c *categorizer) reference() {
	c.t.Helper()
	given := cloneItems(c.items)
	c.want = c.call(open(c.t, c.fresh), c.items, nil, "batch")
	if !reflect.DeepEqual(given, c.items) {
		c.t.Errorf("batch: the items were changed, expected them to be left alone")
		c.items = given
	}
	for i := range c.want {
		checkResult(c.t, &c.items[i], &c.want[i])
	}
}

// alone expects the same answers whatever else is in the batch.
func (c *categorizer) alone() {
	c.t.Helper()
	instance := open(c.t, c.fresh)
	for i := len(c.items) - 1; i >= 0; i-- {
		got := c.call(instance, c.items[i:i+1], nil, "batch of one")
		c.same(i, &got[0], "alone in a batch")
	}
}

// again expects the same answers of an instance that has worked, into results that have been used.
func (c *categorizer) again() {
	c.t.Helper()
	instance := open(c.t, c.fresh)
	out := c.call(instance, c.items, nil, "first call")
	for i := range out {
		out[i].Reset()
	}
	slices.Reverse(out)
	c.call(instance, c.items, out, "second call")
	for i := range out {
		c.same(i, &out[i], "at a second call, into results that were used")
	}
}

// movingMemory expects the same answers when an earlier item of the same length was in the same memory.
func (c *categorizer) movingMemory() {
	c.t.Helper()
	instance := open(c.t, c.fresh)
	for i := range c.items {
		it := c.items[i]
		if it.Text == "" {
			continue
		}
		memory := bytes.Repeat([]byte{'x'}, len(it.Text))
		it.Text = unsafe.String(&memory[0], len(memory))
		c.call(instance, []feedback.Item{it}, nil, "call")
		copy(memory, c.items[i].Text)
		got := c.call(instance, []feedback.Item{it}, nil, "call")
		c.same(i, &got[0], "in memory that an earlier call has used: does the plugin keep a string?")
	}
}

func (c *categorizer) same(i int, got *sdk.Result, when string) {
	c.t.Helper()
	want := &c.want[i]
	if !sameLabels(&got.Labels, &want.Labels) || got.Drop != want.Drop || (got.Err == nil) != (want.Err == nil) {
		c.t.Errorf("item %d (%.40q) is answered otherwise %s:\n got %+v\nwant %+v", i, c.items[i].Text, when, *got, *want)
	}
}

func sameLabels(a, b *feedback.Labels) bool {
	return samePointer(a.Sentiment, b.Sentiment) && slices.EqualFunc(a.Themes, b.Themes, func(x, y feedback.Theme) bool {
		return x.Path == y.Path && x.Confidence == y.Confidence && samePointer(x.Sentiment, y.Sentiment) &&
			slices.Equal(x.Evidence, y.Evidence)
	})
}

func samePointer(a, b *float64) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func checkResult(t TB, it *feedback.Item, r *sdk.Result) {
	t.Helper()
	if r.Err != nil {
		t.Logf("item %.40q: %v", it.Text, r.Err)
	}
	checkSentiment(t, it, "the item", r.Labels.Sentiment)
	seen := map[feedback.ThemePath]bool{}
	for i := range r.Labels.Themes {
		th := &r.Labels.Themes[i]
		if seen[th.Path] {
			t.Errorf("item %.40q: theme %q twice", it.Text, th.Path)
		}
		seen[th.Path] = true
		if !wellFormed(string(th.Path)) {
			t.Errorf("item %.40q: theme %q, expected a path such as packaging/opening", it.Text, th.Path)
		}
		if !(th.Confidence >= 0 && th.Confidence <= 1) {
			t.Errorf("item %.40q: theme %q has the confidence %v, expected 0 to 1", it.Text, th.Path, th.Confidence)
		}
		checkSentiment(t, it, string(th.Path), th.Sentiment)
		for _, s := range th.Evidence {
			checkSpan(t, it.Text, th.Path, s)
		}
	}
}

func checkSentiment(t TB, it *feedback.Item, of string, s *float64) {
	t.Helper()
	if s != nil && !(math.Abs(*s) <= 1) {
		t.Errorf("item %.40q: %s has the sentiment %v, expected -1 to 1", it.Text, of, *s)
	}
}

func checkSpan(t TB, text string, path feedback.ThemePath, s feedback.Span) {
	t.Helper()
	start, end := int(s.Start), int(s.End)
	switch {
	case start >= end || end > len(text):
		t.Errorf("item %.40q: theme %q has the evidence %d:%d, expected a range within the %d bytes of the text", text, path, start, end, len(text))
	case !utf8.RuneStart(text[start]) || end < len(text) && !utf8.RuneStart(text[end]):
		t.Errorf("item %.40q: theme %q has the evidence %d:%d, which divides a character: spans count bytes", text, path, start, end)
	}
}

func wellFormed(path string) bool {
	if !utf8.ValidString(path) {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if strings.TrimSpace(segment) == "" {
			return false
		}
	}
	return true
}

// cloneItems copies items and what they point to.
func cloneItems(items []feedback.Item) []feedback.Item {
	out := slices.Clone(items)
	for i := range out {
		it := &out[i]
		for _, p := range [...]**float64{&it.Score, &it.ScaleMin, &it.ScaleMax, &it.Customer.ARR, &it.Customer.TenureDays} {
			if *p != nil {
				*p = new(**p)
			}
		}
		it.Attributes = maps.Clone(it.Attributes)
		it.Customer.Attributes = maps.Clone(it.Customer.Attributes)
	}
	return out
}
