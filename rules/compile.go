package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"
	"time"

	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/calendar"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// MaxCost bounds the steps that all conditions of a set together may take on the longest item, a step being some
// nanoseconds. A regular expression on the text takes 100,000 for each of its instructions.
const MaxCost = int64(20_000_000_000)

// semantics stands in every hash and changes with the meaning of rule files.
const semantics = "closedloop rules 1"

// builder reads rule files.
type builder struct {
	env      Env
	lang     *lang.Compiler
	roots    []fileRoot
	set      *Set
	problems source.Problems
	places   map[string]source.Pos // what must be unique, such as "rule x", with where it was first
	nodes    map[string]*source.Node
	file     fileRoot // that is being read
	// windowNodes are where the windows of the set are declared.
	windowNodes []fileRoot
	order       map[string]int // of all rules, as they are evaluated
	// tableRowNodes are the rows of decision tables, by the name of the table.
	tableRowNodes map[string][]*source.Node
	tableCost     int64           // of the tables that rules use, in the unit of MaxCost
	used          map[string]bool // of what is declared, such as "pool x"
}

// fileRoot is a node of a file with the parameters that the file's expressions read.
type fileRoot struct {
	*source.Node
	params map[string]any
}

// eachFile reads something of every file.
func (b *builder) eachFile(read func(*source.Node)) {
	for _, root := range b.roots {
		b.lang.UseParams(root.params)
		b.file = root
		read(root.Node)
	}
}

// Compile compiles rule files, in the order given, as one set: they share lists, macros and the policies of outputs. The
// error is a source.Problems with all that is wrong.
func Compile(files []File, env Env) (*Set, error) {
	if env.Timezone == nil {
		env.Timezone = time.UTC
	}
	b := &builder{
		env: env, lang: lang.NewCompiler(fieldsOf(env), env.Timezone), set: &Set{
			outputs: defaultPolicies, calendars: map[string]*calendar.Calendar{}, tellings: map[string]telling{}, digests: map[Instance]alert.Rhythm{},
			windowIDs: map[string]*windowDecl{}, overTime: map[string]*condition{},
		},
		places: map[string]source.Pos{}, nodes: map[string]*source.Node{}, order: map[string]int{}, tableRowNodes: map[string][]*source.Node{}, used: map[string]bool{},
	}
	for i := range files {
		root, problems := source.Parse(files[i].Name, files[i].Data)
		b.problems = append(b.problems, problems...)
		if root != nil {
			b.roots = append(b.roots, fileRoot{root, b.params(&files[i], root)})
		}
	}
	b.eachFile(b.declare)
	b.lang.DefineTheme()
	for i, w := range b.set.windows {
		b.lang.UseParams(b.windowNodes[i].params)
		b.window(w, b.windowNodes[i].Node)
		if b.set.windowIDs[w.info.ID] == nil {
			b.set.windowIDs[w.info.ID] = w
		}
	}
	b.eachFile(b.tables)
	b.eachFile(func(root *source.Node) {
		for _, n := range root.Get("groups").List() {
			b.group(n)
		}
	})
	b.unused(files, b.lang.CheckMacros())
	b.checkRuleNames()
	b.checkConflicts()
	b.set.program = b.lang.Program()
	b.checkCost()
	b.checkTables()
	b.set.hash = hashOf(files, env)
	for _, root := range b.roots {
		b.problems = append(b.problems, root.Problems()...)
	}
	if err := b.problems.Sorted().Err(); err != nil {
		return nil, err
	}
	b.set.number()
	return b.set, nil
}

// fieldsOf returns the table of fields, with the attributes in a stable order.
func fieldsOf(env Env) []feedback.Field {
	attributes := feedback.AttributeFields(env.Attributes, env.CustomerAttributes)
	slices.SortFunc(attributes, func(a, b feedback.Field) int { return cmp.Compare(a.Name, b.Name) })
	return append(feedback.Fields(), attributes...)
}

// HashOf returns the hash that the files compiled in env have, or would have if they compiled.
func HashOf(files []File, env Env) string {
	if env.Timezone == nil {
		env.Timezone = time.UTC
	}
	return hashOf(files, env)
}

// hashOf covers the files and what of the environment changes decisions. Declared queues and destinations only decide
// whether a set compiles.
func hashOf(files []File, env Env) string {
	h := sha256.New()
	write(h, semantics)
	for _, f := range files {
		write(h, "file")
		write(h, f.Name)
		write(h, string(f.Data))
		writeParams(h, f.Params)
	}
	for i, kinds := range [...]map[string]feedback.Kind{env.Attributes, env.CustomerAttributes} {
		for _, name := range slices.Sorted(maps.Keys(kinds)) {
			write(h, [...]string{"item", "customer"}[i])
			write(h, name)
			write(h, kinds[name].String())
		}
	}
	write(h, env.Timezone.String())
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func write(h hash.Hash, s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }

// unique notes a name that was there before, and reports whether it was not.
func (b *builder) unique(what, name string, at *source.Node) bool {
	key := what + " " + name
	if first, ok := b.places[key]; ok {
		at.Problem("duplicate", "found the %s again, it stands at %s already", key, first)
		return false
	}
	b.places[key] = at.Pos()
	return true
}

// reportAt places the problems of an expression or template that is the text of a node.
func reportAt(n *source.Node) lang.Report {
	return func(p lang.Problem) { n.ProblemAt(p.Offset, p.Code, p.Hint, "%s", p.Message) }
}

// Keys that belong elsewhere, with what to do instead.
var laterFile = map[string]string{"timezone": "dates are days of the program's timezone, and a calendar may have one of its own"}

// declare reads what the groups of all files may use.
func (b *builder) declare(root *source.Node) {
	if !root.ObjectBut(laterFile, "version", "description", "params", "lists", "macros", "calendars", "pools", "windows", "tables", "outputs", "groups") {
		return
	}
	if v := root.Need("version"); v != nil && v.Any() != 1 {
		v.Problem("wrong_value", "found %s, expected version 1", v.Found())
	}
	_ = root.Get("description").String()
	for _, e := range root.Get("lists").Entries() {
		if b.declarable("list", e) {
			b.list(e)
		}
	}
	for _, e := range root.Get("macros").Entries() {
		if text, ok := expressionOf(e.Value); ok && b.declarable("macro", e) {
			b.lang.DefineMacro(e.Name, text, reportAt(e.Value))
		}
	}
	b.calendars(root)
	b.pools(root)
	b.windows(root)
	b.policies(root.Get("outputs"))
}

func (b *builder) declarable(what string, e source.Entry) bool {
	if problem := b.lang.CheckName(e.Name); problem != "" {
		e.Key.Problem("bad_name", "%s", problem)
		return false
	}
	return b.unique(what, e.Name, e.Key)
}

func (b *builder) list(e source.Entry) {
	elements := e.Value.List()
	if e.Value.IsList() && len(elements) == 0 {
		e.Value.Problem("wrong_value", "found an empty list, which nothing is in")
		return
	}
	var texts []string
	var numbers []float64
	for _, n := range elements {
		switch v := n.Any().(type) {
		case string:
			texts = append(texts, v)
		case int, float64:
			numbers = append(numbers, n.Number())
		default:
			n.Problem("wrong_type", "found %s, expected a string or a number", n.Found())
			return
		}
		if len(texts) > 0 && len(numbers) > 0 {
			n.Problem("wrong_type", "found %s, expected all elements to be strings or all to be numbers", n.Found())
			return
		}
	}
	if len(numbers) > 0 {
		b.lang.DefineNumbers(e.Name, numbers)
	} else {
		b.lang.DefineStrings(e.Name, texts)
	}
}

// expressionOf returns the text of an expression, which may be a bare true or false.
func expressionOf(n *source.Node) (string, bool) {
	if n.Replaced() {
		n.ProblemHint("not_allowed", "write params.NAME", "found ${...} in an expression")
		return "", false
	}
	if v, ok := n.Any().(bool); ok {
		return fmt.Sprint(v), true
	}
	text := n.String()
	return text, n.IsString()
}

// group reads one group with its rules.
func (b *builder) group(n *source.Node) {
	if !n.Object("name", "description", "match", "rules") {
		return
	}
	g := group{name: b.id("group", n.Need("name")), first: n.Get("match").OneOf("all", "first") == "first"}
	_ = n.Get("description").String()
	rules := n.Need("rules").List()
	if n.Get("rules").IsList() && len(rules) == 0 {
		n.Get("rules").Problem("wrong_value", "found no rules, expected at least one")
	}
	for _, r := range rules {
		b.rule(&g, r)
	}
	slices.SortStableFunc(g.rules, func(a, b rule) int { return cmp.Compare(b.info.Priority, a.info.Priority) })
	for i := range g.rules {
		b.order[g.rules[i].info.ID] = len(b.order)
	}
	b.set.groups = append(b.set.groups, g)
	if slices.ContainsFunc(g.rules, rule.relabels) {
		b.set.counted = len(b.set.groups)
	}
}

// relabels reports whether a rule changes labels.
func (r rule) relabels() bool {
	return r.info.Mode == On && slices.ContainsFunc(r.actions, func(a action) bool { return a.kind == Relabel })
}

// maxID is the longest id of a rule or group.
const maxID = 64

// id reads a name that stands in decisions and in the keys of effects.
func (b *builder) id(what string, n *source.Node) string {
	id := n.String()
	if id == "" {
		if n.IsString() {
			n.Problem("bad_name", "found an empty name")
		}
		return ""
	}
	if !validID(id) {
		n.Problem("bad_name", "found %q, expected letters, digits, hyphens, dots and underscores, at most %d", id, maxID)
		return ""
	}
	b.unique(what, id, n)
	return id
}

func validID(id string) bool {
	for i, r := range id {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || r != '-' && r != '_' && r != '.') {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// rule reads one rule.
func (b *builder) rule(g *group, n *source.Node) {
	if n.Get("alert") != nil {
		b.condition(g, n)
		return
	}
	if !n.ObjectBut(conditionKeys, ruleKeys...) {
		return
	}
	r := rule{info: b.ruleInfo(g, n), at: placesOf(n)}
	r.assume = n.Get("on_error").OneOf("skip", "match") == "match"
	r.info.Assumes = r.assume
	r.when = b.when(&r.info, n)
	r.throttle = b.throttle(n.Get("throttle"), r.info.Each)
	r.actions = b.actions(&r, n.Need("do"))
	for _, a := range r.actions {
		r.info.Actions = append(r.info.Actions, a.kind)
		for _, t := range [...]*lang.Template{a.key, a.group, a.text} {
			b.checkReads(n.Get("do"), r.info.Each, t.Windows(), t.Reads())
		}
	}
	if s := n.Get("suppresses"); s != nil {
		r.suppresses = s.Strings()
	}
	r.does = written(n)
	b.nodes[r.info.ID] = n
	g.rules = append(g.rules, r)
}

// written returns what makes a rule act, besides its condition, as it is written.
func written(n *source.Node) string {
	var parts []any
	for _, key := range ruleKeys {
		switch key {
		case "id", "description", "when":
		default:
			parts = append(parts, n.Get(key).Any())
		}
	}
	b, err := json.Marshal(parts)
	if err != nil { // YAML holds it, and JSON cannot: it is like no other rule
		return n.Pos().String()
	}
	return string(b)
}

var (
	commonKeys = []string{"id", "description", "severity", "mode", "when", "each"}
	ruleKeys   = append([]string{"priority", "on_error", "throttle", "suppresses", "do"}, commonKeys...)
	// conditionKeys are the keys that only a rule with alert has.
	conditionKeys = map[string]string{
		"for":         "for belongs to a rule with alert, which holds over time",
		"keep_firing": "keep_firing belongs to a rule with alert, which holds over time",
		"stale":       "stale belongs to a rule with alert, which holds over time",
		"inhibits":    "inhibits belongs to a rule with alert; suppresses keeps other rules from acting",
		"mute":        "mute belongs to a rule with alert",
	}
)

// ruleInfo reads what all rules have.
func (b *builder) ruleInfo(g *group, n *source.Node) RuleInfo {
	out := RuleInfo{
		ID: b.id("rule", n.Need("id")), Group: g.name, File: n.Pos().File, Line: n.Pos().Line,
		Description: n.Get("description").String(),
		Severity:    Severity(n.Get("severity").OneOf(severityNames...)),
		Mode:        Mode(cmp.Or(n.Get("mode").OneOf(string(On), string(Shadow), string(Off)), string(On))),
	}
	if p := n.Get("priority"); p != nil {
		out.Priority = p.Int()
	}
	if each := b.keyFields(n.Get("each"), true); len(each) > 1 {
		n.Get("each").Problem("wrong_value", "found %d fields, expected one", len(each))
	} else if len(each) == 1 {
		out.Each = each[0]
	}
	return out
}

// when reads the condition of a rule.
func (b *builder) when(info *RuleInfo, n *source.Node) *lang.Condition {
	when := n.Need("when")
	if when == nil {
		return nil
	}
	text, ok := expressionOf(when)
	if !ok {
		return nil
	}
	info.When = text
	c := b.lang.Condition(text, reportAt(when))
	if c != nil {
		b.checkReads(when, info.Each, c.Windows(), c.Reads())
	}
	return c
}

// checkRuleNames checks the rules that rules name: those that one suppresses stand after it.
func (b *builder) checkRuleNames() {
	for i := range b.set.groups {
		g := &b.set.groups[i]
		for j := range g.rules {
			r := &g.rules[j]
			for _, id := range r.suppresses {
				at := b.nodes[r.info.ID].Get("suppresses")
				switch place, ok := b.order[id]; {
				case !ok:
					at.ProblemHint("unknown_name", suggest.DidYouMean(id, sortedKeys(b.order)), "unknown rule %q", id)
				case place <= b.order[r.info.ID]:
					at.ProblemHint("wrong_value", "put it behind this one, or give this one a higher priority", "the rule %s is evaluated before this one, expected one behind it", id)
				}
			}
		}
	}
	b.checkInhibits()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (b *builder) checkCost() {
	if c := b.set.program.Cost() + b.tableCost; c > MaxCost && len(b.roots) > 0 {
		b.roots[0].ProblemHint("too_costly", "use fewer or smaller regular expressions, and fewer large macros",
			"all conditions together cost more than %d steps", MaxCost)
	}
}
