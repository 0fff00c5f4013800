package codebook

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// settings is the codebook as the program gives it; plugin.yaml says what the members mean.
type settings struct {
	Themes    map[string]themeSettings `json:"themes"`
	Sentiment struct {
		Positive []string `json:"positive"`
		Negative []string `json:"negative"`
		Negators []string `json:"negators"`
		Window   int      `json:"window"`
	} `json:"sentiment"`
	Title bool `json:"title"`
}

type themeSettings struct {
	Phrases    []string            `json:"phrases"`
	ByLanguage map[string][]string `json:"by_language"`
	Exclude    []string            `json:"exclude"`
	Languages  []string            `json:"languages"`
	Confidence float64             `json:"confidence"`
	Sentiment  *float64            `json:"sentiment"`
	Positive   []string            `json:"positive"`
	Negative   []string            `json:"negative"`
}

// book is a codebook ready for use, with the memory of the call at hand.
type book struct {
	folder    *folder
	automaton *automaton
	terms     []term
	rules     []rule
	themes    []theme // by path
	languages []string
	window    int
	titles    bool
	tones     [toneSteps * toneSteps]float64
	scratch
}

// term is one phrase to be looked for, whoever asks for it.
type term struct {
	*pattern
	direct  uint32   // a theme that asks for no more than this term, or none
	rules   []uint32 // expressions that may hold when the term is there
	listed  bool     // somebody needs the list of its hits
	length  uint32   // bytes of its literal without the spaces around, when wildcards and other than ASCII are no concern
	open    bool     // it goes on to the end of the word
	tone    int8     // 1 positive, -1 negative, for every theme
	negator bool
}

const none = ^uint32(0)

// rule is an expression that finds a theme.
type rule struct {
	node
	theme     uint32
	languages uint64 // a bit for each of book.languages; 0 for all
}

type theme struct {
	path       feedback.ThemePath
	confidence float64
	tone       *float64
	exclude    []node
	words      []toneWord
}

// toneWord is a term with a tone of its own near one theme.
type toneWord struct {
	term uint32
	tone int8
}

// compiler makes a book and collects what is wrong with the settings.
type compiler struct {
	*book
	byText map[string]uint32 // terms by their pattern
	errs   []error
}

func compile(s *settings) (*book, []error) {
	c := &compiler{book: &book{folder: newFolder(), window: s.Sentiment.Window, titles: s.Title}, byText: map[string]uint32{}}
	seen := map[string]string{}
	for _, path := range slices.Sorted(maps.Keys(s.Themes)) {
		at := "themes." + path
		if msg := checkPath(path); msg != "" {
			c.bad(at, true, "%s", msg)
		}
		if other, ok := seen[strings.ToLower(path)]; ok {
			c.bad(at, true, "found theme %q beside %q, expected each theme once", path, other)
		}
		seen[strings.ToLower(path)] = path
		c.theme(at, path, s.Themes[path])
	}
	c.general("sentiment.positive", s.Sentiment.Positive, 1)
	c.general("sentiment.negative", s.Sentiment.Negative, -1)
	for i, w := range s.Sentiment.Negators {
		if id, ok := c.word(fmt.Sprintf("sentiment.negators[%d]", i), w); ok {
			c.terms[id].negator = true
		}
	}
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	return c.finish()
}

func (c *compiler) finish() (*book, []error) {
	b := c.book
	literals := make([]string, len(b.terms))
	for i := range b.terms {
		literals[i] = b.terms[i].literal
	}
	for i := range b.rules {
		b.trigger(&b.rules[i].node, uint32(i))
	}
	var err error
	if b.automaton, err = newAutomaton(literals, b.folder); err != nil {
		return nil, []error{sdk.SettingError{Path: "themes", Message: err.Error()}}
	}
	b.prepare()
	return b, nil
}

// trigger tells the terms of a node that the rule may hold when they are there.
func (b *book) trigger(n *node, rule uint32) {
	switch n.op {
	case opTerm:
		if r := &b.terms[n.term].rules; !slices.Contains(*r, rule) {
			*r = append(*r, rule)
		}
	case opNot, opAnd: // without the first there is nothing
		b.trigger(&n.kids[0], rule)
	default:
		for i := range n.kids {
			b.trigger(&n.kids[i], rule)
		}
	}
}

func (c *compiler) theme(at, path string, s themeSettings) {
	t := theme{path: feedback.ThemePath(path), confidence: s.Confidence, tone: s.Sentiment}
	id := uint32(len(c.themes))
	languages := c.languageSet(at+".languages", s.Languages)
	c.phrases(at+".phrases", s.Phrases, id, languages)
	count := len(s.Phrases)
	for _, lang := range slices.Sorted(maps.Keys(s.ByLanguage)) {
		where := at + ".by_language." + lang
		bit := c.language(where, lang)
		if languages != 0 && bit&languages == 0 {
			c.bad(where, true, "found phrases for %q, expected one of the theme's languages %v", lang, s.Languages)
		}
		c.phrases(where, s.ByLanguage[lang], id, bit)
		count += len(s.ByLanguage[lang])
	}
	if count == 0 {
		c.bad(at, false, "found no phrases, expected some in phrases or by_language")
	}
	for i, e := range s.Exclude {
		if n, ok := c.expression(fmt.Sprintf("%s.exclude[%d]", at, i), e); ok {
			t.exclude = append(t.exclude, n)
			c.keep(&n)
		}
	}
	t.words = c.toneWords(at+".positive", s.Positive, 1, nil)
	t.words = c.toneWords(at+".negative", s.Negative, -1, t.words)
	c.themes = append(c.themes, t)
}

func (c *compiler) phrases(at string, phrases []string, theme uint32, languages uint64) {
	for i, e := range phrases {
		n, ok := c.expression(fmt.Sprintf("%s[%d]", at, i), e)
		if !ok {
			continue
		}
		if t := &c.terms[n.term]; n.op == opTerm && languages == 0 && (t.direct == none || t.direct == theme) {
			t.direct = theme
			continue
		}
		c.rules = append(c.rules, rule{n, theme, languages})
		c.keep(&n)
	}
}

func (c *compiler) expression(at, source string) (node, bool) {
	n, err := parse(source, c.term)
	if err != nil {
		c.bad(at, false, "%s in %q", err, source)
	}
	return n, err == nil
}

// keep sees to it that the hits of a node's terms are kept.
func (c *compiler) keep(n *node) {
	if n.op == opTerm {
		c.terms[n.term].listed = true
	}
	for i := range n.kids {
		c.keep(&n.kids[i])
	}
}

// word reads a single word or phrase, and reports false when it is none.
func (c *compiler) word(at, source string) (uint32, bool) {
	n, ok := c.expression(at, source)
	if ok && n.op != opTerm {
		c.bad(at, false, "found the expression %q, expected a word or a phrase", source)
		ok = false
	}
	if ok {
		c.keep(&n)
	}
	return n.term, ok
}

func (c *compiler) general(at string, words []string, tone int8) {
	for i, w := range words {
		at := fmt.Sprintf("%s[%d]", at, i)
		if id, ok := c.word(at, w); ok {
			if c.terms[id].tone == -tone {
				c.bad(at, false, "found %q, which is positive as well as negative", w)
			}
			c.terms[id].tone = tone
		}
	}
}

func (c *compiler) toneWords(at string, words []string, tone int8, out []toneWord) []toneWord {
	for i, w := range words {
		at := fmt.Sprintf("%s[%d]", at, i)
		id, ok := c.word(at, w)
		switch {
		case !ok:
		case slices.Contains(out, toneWord{id, -tone}):
			c.bad(at, false, "found %q, which is positive as well as negative", w)
		case !slices.Contains(out, toneWord{id, tone}):
			out = append(out, toneWord{id, tone})
		}
	}
	return out
}

// term returns the term of a phrase, a new one when nobody asked for it before.
func (c *compiler) term(phrase string) (uint32, error) {
	p, err := newPattern(phrase)
	if err != nil {
		return 0, err
	}
	id, ok := c.byText[p.text]
	if !ok {
		id = uint32(len(c.terms))
		c.byText[p.text] = id
		t := term{pattern: p, direct: none, open: !strings.HasSuffix(p.literal, " ")}
		if p.exact && p.literal[0] == ' ' && !strings.ContainsFunc(p.text, func(r rune) bool { return r > unicode.MaxASCII }) {
			t.length = uint32(len(strings.TrimSpace(p.literal)))
		}
		c.terms = append(c.terms, t)
	}
	return id, nil
}

func (c *compiler) languageSet(at string, languages []string) (set uint64) {
	for i, l := range languages {
		set |= c.language(fmt.Sprintf("%s[%d]", at, i), l)
	}
	return set
}

// language returns the bit of a language.
func (c *compiler) language(at, name string) uint64 {
	if len(name) < 2 || strings.ContainsFunc(name, func(r rune) bool { return r != '-' && kindOf(r) != letter || r > unicode.MaxASCII }) {
		c.bad(at, false, "found %q, expected a language such as de or pt-BR", name)
		return 0
	}
	name = strings.ToLower(name)
	i := slices.Index(c.languages, name)
	if i < 0 {
		i = len(c.languages)
		c.languages = append(c.languages, name)
	}
	if i >= 64 {
		c.bad(at, false, "found more than 64 languages")
		return 0
	}
	return 1 << i
}

func (c *compiler) bad(path string, key bool, format string, args ...any) {
	c.errs = append(c.errs, sdk.SettingError{Path: path, Message: fmt.Sprintf(format, args...), OnKey: key})
}

// checkPath returns what is wrong with the path of a theme, or "".
func checkPath(path string) string {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || strings.ContainsFunc(segment, func(r rune) bool {
			return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r)
		}) {
			return fmt.Sprintf("found theme %q, expected a path such as packaging/opening: letters, digits, _ and - between slashes", path)
		}
	}
	return ""
}
