package wire

import (
	"math"
	"strings"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// A results frame has no head of its own.
const resultsHead = HeaderSize

// A result's record.
const (
	resultFlags     = 0  // u64: 1 has sentiment, 2 has error, 4 the error is fatal
	resultSentiment = 8  // f64
	resultThemes    = 16 // list of themes
	resultDrop      = 24 // string
	resultCode      = 32 // string
	resultMessage   = 40 // string
	resultAfter     = 48 // u64: milliseconds
	resultSize      = 56
)

// A theme.
const (
	themeFlags      = 0  // u64: 1 has sentiment
	themePath       = 8  // string
	themeConfidence = 16 // f64
	themeSentiment  = 24 // f64
	themeSpans      = 32 // list of spans
	themeSize       = 40
)

// A span: start u32, end u32.
const spanSize = 8

// AppendResults appends a frame with the results of a call to categorize. What a frame cannot carry becomes a failure
// frame. The authors of labels do not travel: they are for the host to say.
func AppendResults(dst []byte, rs []sdk.Result) []byte {
	w := begin(dst, KindResults, resultsHead, len(rs), resultSize)
	for i := range rs {
		if w.full {
			break
		}
		w.result(resultsHead+i*resultSize, &rs[i])
	}
	return w.end()
}

func (w *writer) result(at int, r *sdk.Result) {
	flags := uint64(0)
	if r.Err != nil {
		f := sdk.FailureOf(r.Err)
		flags = 2
		if f.Fatal {
			flags |= 4
		}
		w.str(at+resultCode, cutText(f.Code, MaxCode))
		w.str(at+resultMessage, cutText(f.Message, MaxMessage))
		w.u64(at+resultAfter, millis(f.After))
	}
	if s := r.Labels.Sentiment; s != nil {
		flags |= 1
		w.u64(at+resultSentiment, math.Float64bits(*s))
	}
	w.u64(at+resultFlags, flags)
	if r.Drop != "" {
		w.str(at+resultDrop, r.Drop)
	}
	if len(r.Labels.Themes) == 0 {
		return
	}
	themes, ok := w.list(at+resultThemes, len(r.Labels.Themes), themeSize)
	if !ok {
		return
	}
	for i := range r.Labels.Themes {
		w.theme(themes+i*themeSize, &r.Labels.Themes[i])
	}
}

func (w *writer) theme(at int, t *feedback.Theme) {
	b := (*[themeSize]byte)(w.buf[w.start+at:])
	if t.Sentiment != nil {
		le.PutUint64(b[themeFlags:], 1)
		le.PutUint64(b[themeSentiment:], math.Float64bits(*t.Sentiment))
	}
	le.PutUint64(b[themeConfidence:], math.Float64bits(t.Confidence))
	w.str(at+themePath, string(t.Path))
	if len(t.Evidence) == 0 {
		return
	}
	spans, ok := w.list(at+themeSpans, len(t.Evidence), spanSize)
	if !ok {
		return
	}
	for i, s := range t.Evidence {
		w.u64(spans+i*spanSize, uint64(s.Start)|uint64(s.End)<<32)
	}
}

// ResultReader reads frames of results into memory that it uses again. The zero value is ready for use; it is for one
// goroutine at a time.
type ResultReader struct {
	results []sdk.Result
	themes  []feedback.Theme
	spans   []feedback.Span
	nums    []float64
	names   names
	r       reader
}

// Read returns the results of a call to categorize n items. They are valid until the next Read; their strings stay
// valid and do not alias b.
func (rr *ResultReader) Read(b []byte, n int) ([]sdk.Result, error) {
	r := &rr.r
	if _, err := r.expect(b, KindResults, resultsHead); err != nil {
		return nil, err
	}
	if r.count != n {
		return nil, r.bad(atCount, "found another number of results than items")
	}
	if cap(rr.results) < n {
		rr.results = make([]sdk.Result, n)
	}
	rr.results = rr.results[:n]
	rr.themes, rr.spans, rr.nums = rr.themes[:0], rr.spans[:0], rr.nums[:0]
	for i := range rr.results {
		rr.result(i, &rr.results[i])
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return rr.results, nil
}

func (rr *ResultReader) result(i int, out *sdk.Result) {
	r := &rr.r
	at, b := r.record(i, resultSize)
	rec := (*[resultSize]byte)(b)
	*out = sdk.Result{}
	flags := le.Uint64(rec[resultFlags:])
	if flags&1 != 0 {
		out.Labels.Sentiment = rr.num(at+resultSentiment, le.Uint64(rec[resultSentiment:]))
	}
	out.Drop = rr.names.own(r.str(le.Uint64(rec[resultDrop:])))
	if flags&2 != 0 {
		out.Err = &sdk.Failure{
			Fatal:   flags&4 != 0,
			Code:    strings.Clone(cutText(r.str(le.Uint64(rec[resultCode:])), MaxCode)),
			Message: strings.Clone(cutText(r.str(le.Uint64(rec[resultMessage:])), MaxMessage)),
			After:   r.duration(at+resultAfter, le.Uint64(rec[resultAfter:])),
		}
	}
	l := r.list(le.Uint64(rec[resultThemes:]))
	if l.count == 0 {
		return
	}
	rr.themes = room(rr.themes, l.count)
	first := len(rr.themes)
	rr.themes = rr.themes[:first+l.count]
	for i := range l.count {
		rr.theme(l, i, &rr.themes[first+i])
	}
	out.Labels.Themes = rr.themes[first:len(rr.themes):len(rr.themes)]
}

func (rr *ResultReader) theme(l list, i int, t *feedback.Theme) {
	r := &rr.r
	at, b := r.element(l, i, themeSize)
	e := (*[themeSize]byte)(b)
	*t = feedback.Theme{
		Path:       feedback.ThemePath(rr.names.own(r.str(le.Uint64(e[themePath:])))),
		Confidence: r.num(at+themeConfidence, le.Uint64(e[themeConfidence:])),
	}
	if le.Uint64(e[themeFlags:])&1 != 0 {
		t.Sentiment = rr.num(at+themeSentiment, le.Uint64(e[themeSentiment:]))
	}
	s := r.list(le.Uint64(e[themeSpans:]))
	if s.count == 0 {
		return
	}
	rr.spans = room(rr.spans, s.count)
	first := len(rr.spans)
	for i := range s.count {
		v := le.Uint64(r.b[s.at+i*s.stride:])
		rr.spans = append(rr.spans, feedback.Span{Start: uint32(v), End: uint32(v >> 32)})
	}
	t.Evidence = rr.spans[first:len(rr.spans):len(rr.spans)]
}

func (rr *ResultReader) num(at int, bits uint64) *float64 {
	rr.nums = append(room(rr.nums, 1), rr.r.num(at, bits))
	return &rr.nums[len(rr.nums)-1]
}

// room returns s, or when n more elements do not fit, an empty slice that holds more. What refers to s keeps it.
func room[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	return make([]T, 0, max(16, n, 2*cap(s)))
}

// names keeps one copy of each string that comes again and again, such as theme paths. It is bounded: when it is full
// it starts anew.
type names struct{ known map[string]string }

// The bounds of names: entries, and bytes of one entry.
const maxNames, maxName = 4096, 256

// own returns a string equal to s that does not alias it.
func (n *names) own(s string) string {
	if s == "" {
		return ""
	}
	if k, ok := n.known[s]; ok {
		return k
	}
	k := strings.Clone(s)
	if len(k) > maxName {
		return k
	}
	if n.known == nil {
		n.known = make(map[string]string)
	}
	if len(n.known) >= maxNames {
		clear(n.known)
	}
	n.known[k] = k
	return k
}
