package sdktest

import (
	"bytes"
	"context"
	"fmt"
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
// as they come. It runs CategorizerChecks.
func Categorizer(t TB, fresh func() (sdk.Categorizer, error), items ...feedback.Item) {
	t.Helper()
	run(t, CategorizerChecks(fresh, items...))
}

// CategorizerChecks returns the checks of Categorizer one by one, to be run in their order.
//
// An answer is checked for well-formed theme paths, confidence and sentiment within their range, and evidence that lies
// in the text and does not divide a character. It must depend on the item alone: not on the batch, on earlier calls, or
// on the memory that items and results come in. An instance that has a method Grown() error, as those of a loaded module
// can, is asked by it whether its memory grew while it worked.
func CategorizerChecks(fresh func() (sdk.Categorizer, error), items ...feedback.Item) []Check {
	c := &categorizer{fresh: fresh, items: append(slices.Clone(items), sampleItems()...)}
	return []Check{
		opens(fresh),
		c.check("answers an empty batch", c.empty),
		c.check("answers items without text, in every script, and as large as they come", c.answers),
		c.check("gives themes that are paths, each once", c.each(checkThemes)),
		c.check("gives confidence from 0 to 1 and sentiment from -1 to 1", c.each(checkNumbers)),
		c.check("gives evidence within the text that divides no character", c.each(checkEvidence)),
		c.check("leaves the items as they are", c.unchanged),
		c.check("answers alike in batches of 1, 16 and 64", c.batches),
		c.check("answers alike in another instance and at a second call", c.again),
		c.check("answers alike in memory that was used before", c.movingMemory),
		c.check("goes on after a call that was cancelled", c.cancelled),
		c.check("keeps nothing of what it was given", c.keepsNothing),
	}
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
	t     TB // of the check that runs
	fresh func() (sdk.Categorizer, error)
	items []feedback.Item
	want  []sdk.Result // the answers to all items in one batch, once they were taken
}

// check makes a check of a method.
func (c *categorizer) check(name string, f func()) Check {
	return Check{Name: name, Run: func(t TB) {
		t.Helper()
		c.t = t
		f()
	}}
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

// reference returns the answers that the other checks compare with.
func (c *categorizer) reference() []sdk.Result {
	c.t.Helper()
	if c.want == nil {
		c.want = c.call(open(c.t, c.fresh), cloneItems(c.items), nil, "batch")
	}
	return c.want
}

func (c *categorizer) answers() {
	c.t.Helper()
	for i, r := range c.reference() {
		if r.Err != nil {
			c.t.Logf("item %.40q: %v", c.items[i].Text, r.Err)
		}
	}
}

// each looks at every answer.
func (c *categorizer) each(look func(TB, *feedback.Item, *sdk.Result)) func() {
	return func() {
		c.t.Helper()
		want := c.reference()
		for i := range want {
			look(c.t, &c.items[i], &want[i])
		}
	}
}

func (c *categorizer) unchanged() {
	c.t.Helper()
	given := cloneItems(c.items)
	c.call(open(c.t, c.fresh), given, nil, "batch")
	if !reflect.DeepEqual(given, c.items) {
		c.t.Errorf("the items were changed, expected them to be left alone")
	}
}

// batches expects the same answers whatever else is in the batch.
func (c *categorizer) batches() {
	c.t.Helper()
	c.reference()
	instance := open(c.t, c.fresh)
	for i := len(c.items) - 1; i >= 0; i-- {
		got := c.call(instance, cloneItems(c.items[i:i+1]), nil, "batch of one")
		c.same(i, &got[0], "alone in a batch")
	}
	for _, size := range []int{16, 64} {
		batch := make([]feedback.Item, size)
		for i := range batch {
			batch[i] = c.items[i%len(c.items)]
		}
		slices.Reverse(batch)
		got := c.call(instance, cloneItems(batch), nil, fmt.Sprintf("batch of %d", size))
		for i := range got {
			c.same((size-1-i)%len(c.items), &got[i], fmt.Sprintf("in a batch of %d", size))
		}
	}
}

// again expects the same answers of another instance, and of one that has worked, into results that have been used.
func (c *categorizer) again() {
	c.t.Helper()
	c.reference()
	instance := open(c.t, c.fresh)
	out := c.call(instance, cloneItems(c.items), nil, "first call")
	for i := range out {
		c.same(i, &out[i], "by another instance")
		out[i].Reset()
	}
	slices.Reverse(out)
	c.call(instance, cloneItems(c.items), out, "second call")
	for i := range out {
		c.same(i, &out[i], "at a second call, into results that were used")
	}
}

// cancelled expects the same answers after a call whose caller has gone away, whatever that call gives.
func (c *categorizer) cancelled() {
	c.t.Helper()
	c.reference()
	instance := open(c.t, c.fresh)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	err := safely(func() error { return instance.Categorize(gone, cloneItems(c.items), make([]sdk.Result, len(c.items))) })
	if crashed(err) {
		c.t.Errorf("cancelled call: %v", err)
	}
	out := c.call(instance, cloneItems(c.items), nil, "call after a cancelled one")
	for i := range out {
		c.same(i, &out[i], "after a call that was cancelled")
	}
}

// The items that keepsNothing gives away: 16 MiB in all.
const (
	growthCalls = 1024
	growthBatch = 16
	growthText  = 1 << 10
)

// keepsNothing gives an instance much that differs from call to call.
func (c *categorizer) keepsNothing() {
	c.t.Helper()
	instance := open(c.t, c.fresh)
	batch, out := make([]feedback.Item, growthBatch), make([]sdk.Result, growthBatch)
	for call := range growthCalls {
		for i := range batch {
			head := fmt.Sprintf("%d %d ", call, i)
			batch[i] = feedback.Item{ExternalID: head, Survey: feedback.NPS, Score: new(3.0),
				Text: head + strings.Repeat("packaging ", (growthText-len(head))/10)}
			out[i].Reset()
		}
		if err := safely(func() error { return instance.Categorize(context.Background(), batch, out) }); err != nil {
			c.t.Fatalf("call %d of %d: %v", call+1, growthCalls, err)
		}
	}
	if g, ok := instance.(interface{ Grown() error }); ok {
		if err := g.Grown(); err != nil {
			c.t.Errorf("after %d calls with %d MiB: %v", growthCalls, growthCalls*growthBatch*growthText>>20, err)
		}
	}
}

// movingMemory expects the same answers when an earlier item of the same length was in the same memory.
func (c *categorizer) movingMemory() {
	c.t.Helper()
	c.reference()
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

func checkThemes(t TB, it *feedback.Item, r *sdk.Result) {
	t.Helper()
	seen := map[feedback.ThemePath]bool{}
	for i := range r.Labels.Themes {
		path := r.Labels.Themes[i].Path
		if seen[path] {
			t.Errorf("item %.40q: theme %q twice", it.Text, path)
		}
		seen[path] = true
		if !wellFormed(string(path)) {
			t.Errorf("item %.40q: theme %q, expected a path such as packaging/opening", it.Text, path)
		}
	}
}

func checkNumbers(t TB, it *feedback.Item, r *sdk.Result) {
	t.Helper()
	checkSentiment(t, it, "the item", r.Labels.Sentiment)
	for i := range r.Labels.Themes {
		th := &r.Labels.Themes[i]
		if !(th.Confidence >= 0 && th.Confidence <= 1) {
			t.Errorf("item %.40q: theme %q has the confidence %v, expected 0 to 1", it.Text, th.Path, th.Confidence)
		}
		checkSentiment(t, it, string(th.Path), th.Sentiment)
	}
}

func checkEvidence(t TB, it *feedback.Item, r *sdk.Result) {
	t.Helper()
	for i := range r.Labels.Themes {
		for _, s := range r.Labels.Themes[i].Evidence {
			checkSpan(t, it.Text, r.Labels.Themes[i].Path, s)
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
