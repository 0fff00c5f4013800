package lang

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestFoldedSearch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, part string
		found      bool
	}{
		{"ÄRGERLICH", "ärger", true},
		{"a\u0308rger", "är", true},         // decomposed in the text
		{"ärger", "a\u0308R", true},         // decomposed in the rule
		{"Ångström", "\u212bngström", true}, // the Angstrom sign is the letter in NFC
		{"caf\u0065\u0301", "cafe", false},  // é is another letter
		{"Straße", "STRASSE", false},        // simple folding keeps ß
		{"STRAẞE", "straße", true},          // capital sharp s folds simply
		{"ΣΊΣΥΦΟΣ", "σίσυφος", true},        // both small sigmas are one
		{"\u212aelvin", "kelvin", true},     // the Kelvin sign is K in NFC
		{"ſehr", "sehr", true},              // long s folds to s
		{"İstanbul", "istanbul", false},     // dotted capital I folds to itself only
		{"配送が遅い", "遅い", true},
		{"Привет МИР", "мир", true},
		{"no", "nope", false},
		{"", "x", false},
	} {
		var d folded
		d.set(c.text)
		if got := strings.Contains(string(d.text), string(foldString(c.part))); got != c.found {
			t.Errorf("%q contains %q: got %v", c.text, c.part, got)
		}
	}
}

// pieces make random texts and expressions with letters whose case folding is special.
var pieces = []string{"box", "BOX", "Packag", "late", " ", "k", "K", "\u212a", "s", "ſ", "ß", "ẞ", "é", "e\u0301", "É", "ä", "Ä", "1", "i", "İ", "ı", "σ", "ς", "Σ", "遅", "\n", "\ufffd"}

func randomText(r *rand.Rand, n int) string {
	var b strings.Builder
	for range r.IntN(n) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func randomRegexp(r *rand.Rand, depth int) string {
	piece := func() string { return regexp.QuoteMeta(pieces[r.IntN(len(pieces))]) }
	if depth == 0 {
		return piece()
	}
	switch r.IntN(9) {
	case 0:
		return "(" + randomRegexp(r, depth-1) + "|" + randomRegexp(r, depth-1) + ")"
	case 1:
		return "(?:" + randomRegexp(r, depth-1) + ")" + []string{"*", "+", "?", "{2}", "{1,3}", "{0,2}"}[r.IntN(6)]
	case 2:
		return "[" + piece() + piece() + "]"
	case 3:
		return "(?i:" + randomRegexp(r, depth-1) + ")"
	case 4:
		return []string{`\s`, `.`, `^`, `$`, `\b`, `[^x]`}[r.IntN(6)]
	default:
		return randomRegexp(r, depth-1) + randomRegexp(r, depth-1)
	}
}

// Whatever the plan of a regular expression is, the answer is that of the expression on the text as it is.
func TestPlansAnswerAsRegularExpressions(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	planned, whole := 0, 0
	for range 4000 {
		pattern := []string{"", "(?i)"}[r.IntN(2)] + randomRegexp(r, r.IntN(4))
		re, err := regexp.Compile(pattern)
		if err != nil {
			continue
		}
		tree, _ := syntax.Parse(pattern, syntax.Perl)
		p := planOf(tree)
		if p == nil {
			continue
		}
		planned++
		if p.whole {
			whole++
		}
		get := func(f *Frame) (string, bool) { return f.event.Item.Text, true }
		match := matching(re, p, get)
		if p.anyCase {
			match = matchingAnyCase(re, p, func(f *Frame) *folded {
				f.scratch.known = true
				f.scratch.set(f.event.Item.Text)
				return &f.scratch
			})
		}
		for range 12 {
			f := &Frame{event: feedback.Event{Item: &feedback.Item{Text: randomText(r, 8)}}}
			if got, want := match(f), truthOf(re.MatchString(f.event.Item.Text)); got != want {
				t.Fatalf("%q on %q: got %d, want %d, plan %+v", pattern, f.event.Item.Text, got, want, p)
			}
		}
	}
	if planned < 1000 || whole < 300 {
		t.Errorf("only %d of the expressions had a plan, %d a whole one", planned, whole)
	}
}

func TestPlans(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]struct {
		texts []string
		whole bool
	}{
		`(?i)box|packag|wrapp`:       {[]string{"box", "packag", "wrapp"}, true},
		`refund|cancel`:              {[]string{"refund", "cancel"}, true},
		`(?i)boxes?`:                 {[]string{"boxes", "boxe"}, true},
		`(?i)never\s+arrived`:        {[]string{"arrived"}, false},
		`(?i)(very|too) (late|slow)`: {[]string{"very late", "very slow", "too late", "too slow"}, true},
		`^late`:                      {[]string{"late"}, false},
		`\d+ days`:                   {[]string{" days"}, false},
		`a*`:                         {nil, false},
		`.`:                          {nil, false},
	} {
		tree, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		p := planOf(tree)
		if p == nil {
			p = &plan{}
		}
		if !slices.Equal(p.texts, want.texts) || p.whole != want.whole || p.anyCase && len(p.folded) != len(p.texts) {
			t.Errorf("%s: got %q whole %v, want %q whole %v", pattern, p.texts, p.whole, want.texts, want.whole)
		}
	}
}

// sizeOf is never far below the size of the program that the expression becomes.
func TestSizeOfRegularExpressions(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		pattern := randomRegexp(r, r.IntN(5))
		tree, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			continue
		}
		size := sizeOf(tree)
		prog, err := syntax.Compile(tree.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		if len(prog.Inst) > 2*size+10 {
			t.Errorf("%q: estimated %d, is %d", pattern, size, len(prog.Inst))
		}
	}
}

func FuzzFold(f *testing.F) {
	f.Add("Straße", "STRASSE")
	f.Add("e\u0301", "É")
	f.Fuzz(func(t *testing.T, a, b string) {
		a, b = strings.ToValidUTF8(a, ""), strings.ToValidUTF8(b, "")
		same := strings.EqualFold(norm.NFC.String(a), norm.NFC.String(b))
		if got := string(foldString(a)) == string(foldString(b)); got != same {
			t.Errorf("%q and %q: folded alike %v, equal %v", a, b, got, same)
		}
	})
}
