package lang

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"golang.org/x/text/unicode/norm"
)

// folded is a text as contains, startsWith and endsWith see it: in Unicode's form NFC, letters of one simple case
// folding alike. Its memory is used again for the next event.
type folded struct {
	text  []byte
	form  []byte // scratch for a text that is not in NFC
	raw   string
	known bool
	ascii bool
	plain bool   // raw is in NFC
	event uint64 // the Frame.serial that it belongs to
}

// maxKept bounds the memory that a folded text keeps for the next event.
const maxKept = 64 << 10

// set folds a text. It allocates nothing once its memory has grown.
func (d *folded) set(s string) {
	d.raw, d.ascii, d.plain = s, true, true
	if cap(d.text) > maxKept {
		d.text, d.form = nil, nil
	}
	d.text = slices.Grow(d.text[:0], len(s))[:len(s)]
	if d.ascii = lowered(d.text, s); d.ascii {
		return
	}
	if norm.NFC.QuickSpanString(s) < len(s) {
		d.plain = false
		d.form = norm.NFC.AppendString(d.form[:0], s)
		d.text = d.text[:0]
		for i := 0; i < len(d.form); {
			r, size := utf8.DecodeRune(d.form[i:])
			d.text = utf8.AppendRune(d.text, fold(r))
			i += size
		}
		return
	}
	d.text = appendFolded(d.text[:0], s)
}

// lowered writes a text in ASCII to dst, which is as long, in lower case. It reports whether the text is in ASCII.
func lowered(dst []byte, s string) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	for len(s) >= 8 { // eight characters at once: the highest bit of each tells which are letters in upper case
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if w&highs != 0 {
			return false
		}
		fromA, behindZ := w+(0x80-'A')*ones, w+(0x7f-'Z')*ones
		binary.LittleEndian.PutUint64(dst, w|(fromA^behindZ)&highs>>2)
		dst, s = dst[8:], s[8:]
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			return false
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst[i] = c
	}
	return true
}

// appendFolded folds a text as it is, without bringing it to NFC.
func appendFolded(dst []byte, s string) []byte {
	for _, r := range s {
		dst = utf8.AppendRune(dst, fold(r))
	}
	return dst
}

// fold returns the representative of all characters that differ in case only: the least of them, in lower case if it
// is a Latin letter of ASCII.
func fold(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	least := r
	for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
		least = min(least, o)
	}
	if 'A' <= least && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}

// Fold returns a text as contains sees it: in NFC, with simple case folding.
func Fold(s string) []byte { return foldString(s) }

func foldString(s string) []byte {
	var d folded
	d.set(s)
	return d.text
}

// search compiles contains, startsWith and endsWith.
func (x *expression) search(n *ast.BinaryNode) *term {
	a, b := x.term(n.Left), x.term(n.Right)
	if a == nil || b == nil {
		return nil
	}
	if a.kind == kindThemes || a.kind == kindThemeList {
		return x.problem(n, "wrong_type", `write "path" in themes`, "%s takes a text on its left, found %s", n.Operator, a.describe())
	}
	if a.kind != kindString || b.kind != kindString {
		return x.problem(n, "wrong_type", "", "%s takes texts, found %s (%s) and %s (%s)", n.Operator, a.text, a.kind, b.text, b.kind)
	}
	if b.constant && b.string == "" {
		return x.problem(n.Right, "wrong_value", "", "found an empty text, which every text %s", n.Operator)
	}
	t := &term{kind: kindBool, key: keyOf(n.Operator, a, b), text: n.String(), cost: a.through(costSearch)}
	find := map[string]func(s, part []byte) bool{"contains": bytes.Contains, "startsWith": bytes.HasPrefix, "endsWith": bytes.HasSuffix}[n.Operator]
	get := x.compiler.foldedText(a)
	if b.constant {
		part := foldString(b.string)
		t.truth = func(f *Frame) Truth {
			d := get(f)
			if !d.known {
				return Unknown
			}
			return truthOf(find(d.text, part))
		}
		t.test = containsTest(n.Operator == "contains", a, part)
		return t.from(a)
	}
	part := b.str
	t.truth = func(f *Frame) Truth {
		p, ok := part(f)
		if !ok {
			return Unknown
		}
		f.part.set(p)
		d := get(f)
		if !d.known {
			return Unknown
		}
		return truthOf(find(d.text, f.part.text))
	}
	return t.from(a, b)
}

// foldedText returns the way to a term's folded text, which is made once per event unless it may change within it.
func (c *Compiler) foldedText(t *term) func(*Frame) *folded {
	get := t.str
	if t.local || t.varies {
		return func(f *Frame) *folded {
			s, ok := get(f)
			f.scratch.known = ok
			f.scratch.set(s)
			return &f.scratch
		}
	}
	id, ok := c.folds[t.key]
	if !ok {
		id = int32(len(c.folds))
		c.folds[t.key] = id
	}
	return func(f *Frame) *folded {
		d := &f.folds[id]
		if d.event != f.serial {
			d.event = f.serial
			s, ok := get(f)
			d.known = ok
			d.set(s)
		}
		return d
	}
}

// matches compiles the match of a constant regular expression, on the text as it was received.
func (x *expression) matches(n *ast.BinaryNode) *term {
	a, b := x.term(n.Left), x.term(n.Right)
	if a == nil || b == nil {
		return nil
	}
	if a.kind != kindString {
		return x.problem(n, "wrong_type", "", "matches takes a text on its left, found %s", a.describe())
	}
	if !b.constant || b.kind != kindString {
		return x.problem(n.Right, "not_allowed", "", "matches takes a constant regular expression on its right, found %s", b.describe())
	}
	syntaxTree, err := syntax.Parse(b.string, syntax.Perl)
	size := 0
	if err == nil {
		size = sizeOf(syntaxTree)
	}
	if size > maxRegexp {
		return x.problem(n.Right, "too_costly", "count fewer repetitions, or divide it", "found a regular expression of more than %d instructions", maxRegexp)
	}
	re, err := regexp.Compile(b.string)
	if err != nil {
		return x.problem(n.Right, "regexp", "the syntax is that of RE2", "this is no regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	t := &term{kind: kindBool, key: keyOf("matches", a, b), text: n.String(), cost: a.through(costSearch) + a.through(costInstruction)*int64(size)}
	plan := planOf(syntaxTree)
	t.test = matchTest(plan, a)
	if plan == nil || !plan.anyCase {
		t.truth = matching(re, plan, a.str)
	} else {
		t.truth = matchingAnyCase(re, plan, x.compiler.foldedText(a))
	}
	return t.from(a)
}

// matching matches the text as it is. An expression that lists fixed texts, such as box|packag, is answered by a search
// alone; for another a search may show that it cannot match.
func matching(re *regexp.Regexp, plan *plan, get func(*Frame) (string, bool)) func(*Frame) Truth {
	return func(f *Frame) Truth {
		s, ok := get(f)
		switch {
		case !ok:
			return Unknown
		case plan != nil && plan.excludes(s):
			return False
		case plan != nil && plan.whole:
			return True
		}
		return truthOf(re.MatchString(s))
	}
}

// matchingAnyCase is matching for an expression in any case, such as (?i)box|packag: for a text in ASCII the search is
// done in the folded text.
func matchingAnyCase(re *regexp.Regexp, plan *plan, get func(*Frame) *folded) func(*Frame) Truth {
	return func(f *Frame) Truth {
		d := get(f)
		switch {
		case !d.known:
			return Unknown
		case d.ascii && plan.excludesFolded(d.text):
			return False
		case d.ascii && plan.whole:
			return True
		}
		return truthOf(re.MatchString(d.raw))
	}
}
