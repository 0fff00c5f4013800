package lang

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// function is one function of the language.
type function struct {
	usage    string
	min, max int  // arguments
	takes    kind // of every argument; kindNone leaves it to build
	build    func(x *expression, n ast.Node, args []*term) *term
}

// functions are all functions but those that iterate.
var functions = map[string]function{
	"has":    {usage: "has(field)", min: 1, max: 1, build: (*expression).has},
	"len":    {usage: "len(text or themes)", min: 1, max: 1, build: (*expression).length},
	"within": {usage: `within(path, "packaging")`, min: 2, max: 2, takes: kindString, build: (*expression).within},
	"lower":  {usage: "lower(text)", min: 1, max: 1, takes: kindString, build: changing("lower")},
	"upper":  {usage: "upper(text)", min: 1, max: 1, takes: kindString, build: changing("upper")},
	"trim":   {usage: "trim(text)", min: 1, max: 1, takes: kindString, build: changing("trim")},
	"abs":    {usage: "abs(number)", min: 1, max: 1, takes: kindNumber, build: rounding("abs", math.Abs)},
	"ceil":   {usage: "ceil(number)", min: 1, max: 1, takes: kindNumber, build: rounding("ceil", math.Ceil)},
	"floor":  {usage: "floor(number)", min: 1, max: 1, takes: kindNumber, build: rounding("floor", math.Floor)},
	"round":  {usage: "round(number)", min: 1, max: 1, takes: kindNumber, build: rounding("round", math.Round)},
	"min":    {usage: "min(number, number, ...)", min: 2, max: 16, takes: kindNumber, build: choosing("min", math.Min)},
	"max":    {usage: "max(number, number, ...)", min: 2, max: 16, takes: kindNumber, build: choosing("max", math.Max)},
	"date":   {usage: `date("2026-03-01")`, min: 1, max: 1, takes: kindString, build: (*expression).date},
}

// Why functions of expr are refused.
const (
	growsText = "it can build a text of any size"
	growsList = "it builds a list; look through themes with any, all, none, one and count"
	noOrder   = "its order changes from run to run"
	noClock   = "the same item must give the same decision at any time; compare occurred_at with date(...)"
	noConvert = "values have the types that the fields declare"
)

var refusedFunctions = map[string]string{
	"repeat": growsText, "replace": growsText, "join": growsText, "concat": growsText, "toBase64": growsText, "fromBase64": growsText, "toJSON": growsText,
	"split": growsList, "splitAfter": growsList, "map": growsList, "filter": growsList, "reduce": growsList, "sortBy": growsList, "sort": growsList,
	"groupBy": growsList, "flatten": growsList, "uniq": growsList, "reverse": growsList, "take": growsList, "fromPairs": growsList, "fromJSON": growsList,
	"find": growsList, "findIndex": growsList, "findLast": growsList, "findLastIndex": growsList, "first": growsList, "last": growsList, "get": growsList,
	"sum": growsList, "mean": growsList, "median": growsList,
	"keys": noOrder, "values": noOrder, "toPairs": noOrder,
	"now": noClock, "timezone": "dates are days of the program's time zone", "duration": `compare times with date("2026-03-01")`,
	"int": noConvert, "float": noConvert, "string": noConvert, "type": noConvert,
	"hasPrefix": "write startsWith between both sides", "hasSuffix": "write endsWith between both sides",
	"trimPrefix": "use startsWith", "trimSuffix": "use endsWith", "indexOf": "use contains", "lastIndexOf": "use contains",
	"bitand": noConvert, "bitor": noConvert, "bitxor": noConvert, "bitnand": noConvert, "bitshl": noConvert, "bitshr": noConvert, "bitushr": noConvert, "bitnot": noConvert,
}

// between are the operators that are words with two sides.
var between = []string{"contains", "startsWith", "endsWith", "matches"}

func (x *expression) call(n ast.Node, name string, nodes []ast.Node) *term {
	switch name {
	case "any", "all", "none", "one", "count":
		return x.iteration(n, name, nodes)
	case "spike":
		return x.spike(n, nodes)
	}
	fn, ok := functions[name]
	if !ok {
		if why, ok := refusedFunctions[name]; ok {
			return x.problem(n, "not_allowed", why, "the function %s is not part of the rule language", name)
		}
		hint := suggest.DidYouMean(name, Functions())
		if near := suggest.Nearest(name, between); near != "" {
			hint = near + " stands between its two sides"
		} else if hint == "" {
			hint = "the functions are " + strings.Join(Functions(), ", ")
		}
		return x.problem(n, "unknown_name", hint, "unknown function %q", name)
	}
	if len(nodes) < fn.min || len(nodes) > fn.max {
		return x.problem(n, "wrong_type", "", "found %d arguments, expected %s", len(nodes), fn.usage)
	}
	var args []*term
	for _, a := range nodes {
		t := x.term(a)
		if t == nil {
			continue
		}
		if fn.takes != kindNone && t.kind != fn.takes {
			x.problem(a, "wrong_type", "", "%s takes a %s, found %s", fn.usage, fn.takes, t.describe())
			continue
		}
		args = append(args, t)
	}
	if len(args) < len(nodes) {
		return nil
	}
	return fn.build(x, n, args)
}

func (x *expression) length(n ast.Node, args []*term) *term {
	a := args[0]
	t := &term{kind: kindNumber, key: keyOf("len", a), text: n.String()}
	switch a.kind {
	case kindString:
		get := a.str
		t.cost = a.through(costChange)
		t.num = func(f *Frame) (float64, bool) {
			v, ok := get(f)
			return float64(utf8.RuneCountInString(v)), ok
		}
	case kindThemes, kindThemeList:
		t.num = func(f *Frame) (float64, bool) { return float64(len(f.event.Labels.Themes)), !f.unlabelled }
	default:
		return x.problem(n, "wrong_type", "", "len takes a text or themes, found %s", a.describe())
	}
	return t.from(a)
}

func changing(name string) func(*expression, ast.Node, []*term) *term {
	return func(_ *expression, n ast.Node, args []*term) *term { return changed(n, name, args[0]) }
}

func rounding(name string, round func(float64) float64) func(*expression, ast.Node, []*term) *term {
	return func(_ *expression, n ast.Node, args []*term) *term {
		get := args[0].num
		t := &term{kind: kindNumber, key: keyOf(name, args...), text: n.String(), cost: 1, num: func(f *Frame) (float64, bool) {
			v, ok := get(f)
			return round(v), ok
		}}
		return t.from(args...)
	}
}

func choosing(name string, choose func(v, w float64) float64) func(*expression, ast.Node, []*term) *term {
	return func(_ *expression, n ast.Node, args []*term) *term {
		t := &term{kind: kindNumber, key: keyOf(name, args...), text: n.String(), cost: 1, num: func(f *Frame) (float64, bool) {
			out, all := args[0].num(f)
			for _, a := range args[1:] {
				v, ok := a.num(f)
				out, all = choose(out, v), all && ok
			}
			return out, all
		}}
		return t.from(args...)
	}
}

// date compiles a constant instant: a day of the compiler's zone, or RFC 3339.
func (x *expression) date(n ast.Node, args []*term) *term {
	if !args[0].constant {
		return x.problem(n, "not_allowed", "", `date takes a constant such as "2026-03-01", found %s`, args[0].describe())
	}
	s := args[0].string
	at, err := time.ParseInLocation(time.DateOnly, s, x.compiler.zone)
	if err != nil {
		at, err = time.Parse(time.RFC3339, s)
	}
	if err != nil {
		return x.problem(n, "wrong_value", "", "found %q, expected a date such as 2026-03-01 or 2026-03-01T10:00:00+01:00", s)
	}
	return timeTerm(feedback.TimeOf(at), n.String())
}
