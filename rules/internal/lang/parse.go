package lang

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"
)

// expression is one text being checked and compiled.
type expression struct {
	compiler *Compiler
	source   string
	report   Report
	element  kind  // what # stands for: kindTheme or kindString within any and its like, else kindNone
	it       *term // what `it` stands for, in the cells of a decision table
	failed   bool
}

func (x *expression) compile() *term {
	n := x.parse()
	if n == nil {
		return nil
	}
	t := x.term(n)
	if t == nil || x.failed {
		return nil
	}
	if t.cost > MaxCost {
		x.problemAt(0, "too_costly", "use smaller regular expressions, and fewer of them within any, all, none, one and count",
			"found a cost of %d steps on the longest item, expected at most %d", t.cost, MaxCost)
		return nil
	}
	return t
}

// parse checks the size and nesting before the parser sees the text, since the parser recurses without bound.
func (x *expression) parse() (n ast.Node) {
	if len(x.source) > MaxSource {
		x.problemAt(0, "too_large", "divide it with macros, or put values into a list", "found an expression of %d bytes, expected at most %d", len(x.source), MaxSource)
		return nil
	}
	if strings.TrimSpace(x.source) == "" {
		x.problemAt(0, "empty", "", "found nothing, expected a condition")
		return nil
	}
	if !utf8.ValidString(x.source) {
		x.problemAt(0, "not_utf8", "", "found bytes that are not UTF-8")
		return nil
	}
	if mayBeDeep(x.source) {
		tokens, err := lexer.Lex(file.NewSource(x.source))
		if err != nil {
			x.syntax(err, nil)
			return nil
		}
		if at := tooDeep(tokens); at >= 0 {
			x.problemRune(at, "too_deep", "divide it with macros", "found more than %d brackets and signs within each other", MaxNesting)
			return nil
		}
	}
	defer func() {
		if r := recover(); r != nil {
			x.problemAt(0, "syntax", "", "this cannot be read: %v", r)
			n = nil
		}
	}()
	tree, err := parser.Parse(x.source)
	if err != nil {
		tokens, lexical := lexer.Lex(file.NewSource(x.source))
		if lexical != nil {
			err = lexical
		}
		x.syntax(err, tokens)
		return nil
	}
	if len(x.compiler.params) > 0 {
		ast.Walk(&tree.Node, &paramVisitor{x.compiler.params})
	}
	return tree.Node
}

// mayBeDeep reports whether the text holds so many signs of what nests that its tokens must be looked at.
func mayBeDeep(source string) bool {
	n := 0
	for i := 0; i < len(source); i++ {
		switch source[i] {
		case '(', '[', '{', '?', '*', '^', '-', '+', '!':
			n++
		}
	}
	for _, word := range [...]string{"not", "let", "if"} {
		n += strings.Count(source, word)
	}
	return n > MaxNesting
}

// tooDeep returns where nesting exceeds its limit, in characters, or -1. Signs count, since each recurses, and so do ?
// and **, whose right sides nest.
func tooDeep(tokens []lexer.Token) int {
	depth, signs, rights := 0, 0, 0
	for _, t := range tokens {
		sign := false
		switch {
		case t.Is(lexer.Bracket, "(", "[", "{"):
			depth++
		case t.Is(lexer.Bracket, ")", "]", "}"):
			depth--
		case t.Is(lexer.Operator, "?", "**", "^", "let", "if"):
			rights++
		case t.Is(lexer.Operator, "-", "+", "!", "not"):
			sign = true
		}
		if sign {
			signs++
		} else {
			signs = 0
		}
		if depth+signs+rights > MaxNesting {
			return t.From
		}
	}
	return -1
}

// syntax reports what the lexer or parser says, with a hint for the mistakes that people make most.
func (x *expression) syntax(err error, tokens []lexer.Token) {
	var e *file.Error
	if !errors.As(err, &e) {
		x.problemAt(0, "syntax", "", "this cannot be read: %v", err)
		return
	}
	message, hint := e.Message, ""
	for _, t := range tokens {
		if t.From == e.From && t.Kind != lexer.EOF && strings.HasPrefix(e.Message, "unexpected token") {
			message = fmt.Sprintf("found %q, expected something else here", t.Value)
			hint = hints[t.Value]
			if hint == "" && t.Kind == lexer.Identifier {
				hint = "text stands in quotes; conditions are joined by && or ||"
			}
			if rest := []rune(x.source)[min(t.To, len([]rune(x.source))):]; t.Value == "=" && len(rest) > 0 && (rest[0] == '<' || rest[0] == '>') {
				hint = "write " + string(rest[0]) + "="
			}
		}
	}
	if strings.HasPrefix(e.Message, "Operator (") {
		message, hint = "found ?? beside another operator", "put the ?? with both its sides into parentheses"
	}
	if strings.HasPrefix(e.Message, "unexpected token EOF") || e.Message == "unexpected end of expression" {
		message, hint = "the expression breaks off", "close every bracket, and give every operator two sides"
		if slices.ContainsFunc(tokens, func(t lexer.Token) bool { return t.Is(lexer.Operator, "|") }) {
			hint = hints["|"]
		}
	}
	if e.Message == "literal not terminated" {
		message, hint = "found a text without its closing quote", ""
	}
	x.problemRune(e.From, "syntax", hint, "%s", message)
}

var hints = map[string]string{
	"=": "equality is written ==",
	"&": "write && or and",
	"|": "write || or or",
	":": "text stands in quotes",

	"AND": "and is written in lower case", "OR": "or is written in lower case", "NOT": "not is written in lower case", "IN": "in is written in lower case",
}

func (x *expression) problemAt(offset int, code, hint, format string, args ...any) {
	x.failed = true
	x.report(Problem{Offset: offset, Code: code, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// problemRune reports at a position as the parser counts it, in characters.
func (x *expression) problemRune(at int, code, hint, format string, args ...any) {
	offset := len(x.source)
	for i := range x.source {
		if at--; at < 0 {
			offset = i
			break
		}
	}
	x.problemAt(offset, code, hint, format, args...)
}

// problem reports at a node, and returns nil for the caller to return.
func (x *expression) problem(n ast.Node, code, hint, format string, args ...any) *term {
	x.problemRune(start(n), code, hint, format, args...)
	return nil
}

// start returns where the text of a node begins, in characters: for an operator, where its left side begins.
func start(n ast.Node) int {
	at := n.Location().From
	switch n := n.(type) {
	case *ast.BinaryNode:
		return min(at, start(n.Left))
	case *ast.MemberNode:
		return start(n.Node)
	case *ast.SliceNode:
		return start(n.Node)
	case *ast.ChainNode:
		return start(n.Node)
	case *ast.ConditionalNode:
		return start(n.Cond)
	}
	return at
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
