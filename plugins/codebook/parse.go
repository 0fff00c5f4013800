package codebook

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of one expression.
const (
	maxExpression = 4 << 10 // bytes
	maxDepth      = 32      // parentheses
	maxNear       = 100     // words
)

type op uint8

const (
	opTerm op = iota
	opOr
	opAnd
	opNot  // the first without the second
	opNear // the first and the second with at most n words between them
)

// node is an expression.
type node struct {
	op   op
	term uint32 // of opTerm
	n    int    // of opNear
	kids []node
}

// syntaxError is what is wrong with an expression, and where: a column counts characters from 1.
type syntaxError struct {
	column  int
	message string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.column, e.message) }

// parser reads one expression:
//
//	or   = and { "OR" and }
//	and  = near { "AND" near | [ "AND" ] "NOT" near }
//	near = atom { "NEAR/" n atom }
//	atom = "(" or ")" | phrase
//
// A phrase is words side by side, or anything in double quotes.
type parser struct {
	source string
	term   func(pattern string) (uint32, error) // makes a term of a phrase
	token  token
	at     int // where the token after token begins
	depth  int
	fault  *syntaxError
}

type token struct {
	kind tokenKind
	text string // of a phrase
	n    int    // of NEAR/n
	at   int
}

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenPhrase
	tokenOpen
	tokenClose
	tokenAnd
	tokenOr
	tokenNot
	tokenNear
)

// parse reads an expression. The error is a *syntaxError.
func parse(source string, term func(pattern string) (uint32, error)) (node, error) {
	p := &parser{source: source, term: term}
	if len(source) > maxExpression {
		return node{}, &syntaxError{1, fmt.Sprintf("found %d bytes, expected at most %d", len(source), maxExpression)}
	}
	p.advance()
	n := p.or()
	if p.fault == nil && p.token.kind != tokenEnd {
		p.fail(p.token.at, "found %s, expected AND, OR, NOT, NEAR/n or the end", p.found())
	}
	if p.fault != nil {
		return node{}, p.fault
	}
	return n, nil
}

// fail keeps the first fault and ends the expression there.
func (p *parser) fail(at int, format string, args ...any) node {
	if p.fault == nil {
		p.fault = &syntaxError{utf8.RuneCountInString(p.source[:at]) + 1, fmt.Sprintf(format, args...)}
	}
	p.at, p.token = len(p.source), token{kind: tokenEnd, at: len(p.source)}
	return node{}
}

// found names the present token for a message.
func (p *parser) found() string {
	switch p.token.kind {
	case tokenEnd:
		return "the end"
	case tokenPhrase:
		return fmt.Sprintf("%q", p.token.text)
	}
	return p.source[p.token.at:p.at]
}

func (p *parser) or() node {
	n := p.and()
	for p.token.kind == tokenOr {
		p.advance()
		n = join(opOr, n, p.and())
	}
	return n
}

func (p *parser) and() node {
	n := p.near()
	for {
		switch p.token.kind {
		case tokenAnd:
			p.advance()
			if p.token.kind != tokenNot {
				n = join(opAnd, n, p.near())
				continue
			}
			fallthrough
		case tokenNot:
			p.advance()
			n = node{op: opNot, kids: []node{n, p.near()}}
		default:
			return n
		}
	}
}

func (p *parser) near() node {
	at := p.token.at
	n := p.atom()
	for p.token.kind == tokenNear {
		words := p.token.n
		p.advance()
		right := p.token.at
		kid := p.atom()
		for _, side := range []struct {
			node
			at int
		}{{n, at}, {kid, right}} {
			if !side.placed() {
				return p.fail(side.at, "found AND or NOT beside NEAR/%d, expected words, or words joined by OR or NEAR/n", words)
			}
		}
		n = node{op: opNear, n: words, kids: []node{n, kid}}
	}
	return n
}

// placed reports whether whatever the node finds stands in one place: nothing in it is joined by AND or NOT.
func (n node) placed() bool {
	return n.op != opAnd && n.op != opNot && !slices.ContainsFunc(n.kids, func(k node) bool { return !k.placed() })
}

func (p *parser) atom() node {
	t := p.token
	switch t.kind {
	case tokenPhrase:
		id, err := p.term(t.text)
		if err != nil {
			return p.fail(t.at, "%s", err)
		}
		p.advance()
		if p.token.kind == tokenPhrase || p.token.kind == tokenOpen {
			return p.fail(p.token.at, "found %s after %q, expected AND, OR, NOT or NEAR/n between them", p.found(), t.text)
		}
		return node{op: opTerm, term: id}
	case tokenOpen:
		if p.depth++; p.depth > maxDepth {
			return p.fail(t.at, "found more than %d parentheses within each other", maxDepth)
		}
		p.advance()
		n := p.or()
		p.depth--
		if p.fault == nil && p.token.kind != tokenClose {
			return p.fail(p.token.at, "found %s, expected the ) of column %d", p.found(), utf8.RuneCountInString(p.source[:t.at])+1)
		}
		p.advance()
		if p.token.kind == tokenPhrase || p.token.kind == tokenOpen {
			return p.fail(p.token.at, "found %s after ), expected AND, OR, NOT or NEAR/n between them", p.found())
		}
		return n
	case tokenNot:
		return p.fail(t.at, "found NOT, expected what it takes away from before it, as in: refund NOT policy")
	}
	return p.fail(t.at, "found %s, expected a word, a phrase in quotes or (", p.found())
}

// join makes one node of two, with the kids of the first when it is of the same kind.
func join(o op, a, b node) node {
	if a.op == o {
		a.kids = append(a.kids, b)
		return a
	}
	return node{op: o, kids: []node{a, b}}
}

// advance reads the next token.
func (p *parser) advance() {
	for p.at < len(p.source) && isSpace(p.source[p.at]) {
		p.at++
	}
	p.token = token{at: p.at}
	if p.at == len(p.source) {
		return
	}
	switch c := p.source[p.at]; c {
	case '(':
		p.token.kind, p.at = tokenOpen, p.at+1
	case ')':
		p.token.kind, p.at = tokenClose, p.at+1
	case '"':
		end := strings.IndexByte(p.source[p.at+1:], '"')
		if end < 0 {
			p.fail(p.at, "found a quote that is not closed")
			return
		}
		p.token.kind, p.token.text = tokenPhrase, p.source[p.at+1:p.at+1+end]
		p.at += end + 2
	default:
		p.word()
	}
}

// word reads an operator, or a phrase as far as its words go.
func (p *parser) word() {
	end := p.wordEnd(p.at)
	if p.operator(p.source[p.at:end]) {
		p.at = end
		return
	}
	p.token.kind = tokenPhrase
	for {
		p.token.text, p.at = p.source[p.token.at:end], end
		next := end
		for next < len(p.source) && isSpace(p.source[next]) {
			next++
		}
		end = p.wordEnd(next)
		if end == next || isOperator(p.source[next:end]) {
			return
		}
	}
}

func (p *parser) wordEnd(at int) int {
	for at < len(p.source) && !isSpace(p.source[at]) && !strings.ContainsRune(`()"`, rune(p.source[at])) {
		at++
	}
	return at
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isOperator(word string) bool {
	return word == "AND" || word == "OR" || word == "NOT" || word == "NEAR" || strings.HasPrefix(word, "NEAR/")
}

// operator makes the word the present token when it is one.
func (p *parser) operator(word string) bool {
	switch word {
	case "AND":
		p.token.kind = tokenAnd
	case "OR":
		p.token.kind = tokenOr
	case "NOT":
		p.token.kind = tokenNot
	default:
		if !isOperator(word) {
			return false
		}
		p.token.kind = tokenNear
		if _, err := fmt.Sscanf(word, "NEAR/%d", &p.token.n); err != nil || word != fmt.Sprintf("NEAR/%d", p.token.n) || p.token.n < 0 || p.token.n > maxNear {
			p.fail(p.token.at, "found %s, expected NEAR/ and how many words may stand between, 0 to %d", word, maxNear)
		}
	}
	return true
}

// pattern is a phrase ready to be looked for: its words folded, a space around each, with wildcards in them.
type pattern struct {
	text    string // such as " refund* " or " late delivery "
	literal string // the longest part without wildcards: what the automaton looks for
	words   int
	last    int  // the word of text, from 0, that literal ends in
	exact   bool // wherever literal is, text is too
}

// newPattern makes a pattern of a phrase as it stands in an expression.
func newPattern(phrase string) (*pattern, error) {
	p := &pattern{text: string(foldPattern(norm.NFC.String(phrase)))}
	words := strings.Fields(p.text)
	p.words = len(words)
	if p.words == 0 {
		return nil, fmt.Errorf("found %q, expected letters or digits", phrase)
	}
	for _, w := range words {
		if strings.Trim(w, "*?") == "" {
			return nil, fmt.Errorf("found the word %q, expected letters or digits beside the wildcard", w)
		}
	}
	at := 0
	for at < len(p.text) { // every stretch between wildcards
		end := at
		for end < len(p.text) && p.text[end] != '*' && p.text[end] != '?' {
			end++
		}
		if part := p.text[at:end]; weight(part) > weight(p.literal) {
			p.literal, p.last = part, strings.Count(strings.TrimRight(p.text[:end], " "), " ")-1
		}
		at = end + 1
	}
	if strings.ContainsAny(p.text, "*?") && utf8.RuneCountInString(strings.ReplaceAll(p.literal, " ", "")) < 2 {
		return nil, fmt.Errorf("found %q, expected at least two letters side by side where there are wildcards", phrase)
	}
	rest, _ := strings.CutPrefix(p.text, " *")
	rest, _ = strings.CutSuffix(rest, "* ")
	p.exact = rest == p.literal
	return p, nil
}

func weight(s string) int { return len(s) - strings.Count(s, " ") }

// foldPattern folds as folder.appendFolded does, and lets wildcards stand.
func foldPattern(phrase string) []byte {
	b := []byte{' '}
	for _, r := range phrase {
		switch k := kindOf(r); {
		case r == '*' || r == '?':
			b = append(b, byte(r))
		case k == letter:
			b = utf8.AppendRune(b, foldRune(r))
		case k == solo:
			b = append(append(space(b), string(foldRune(r))...), ' ')
		case k == separator:
			b = space(b)
		}
	}
	return space(b)
}

// glob reports whether folded text matches a pattern's text. A star stands for any letters of one word, a question
// mark for one letter.
func glob(pattern string, text []byte) bool {
	star, retry := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, t
			p++
			continue
		case p < len(pattern) && pattern[p] == '?' && text[t] != ' ':
			_, n := utf8.DecodeRune(text[t:])
			p, t = p+1, t+n
			continue
		case p < len(pattern) && pattern[p] == text[t]:
			p, t = p+1, t+1
			continue
		case star < 0 || text[retry] == ' ':
			return false
		}
		_, n := utf8.DecodeRune(text[retry:]) // the star takes one letter more
		retry += n
		p, t = star+1, retry
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
