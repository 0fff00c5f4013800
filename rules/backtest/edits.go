package backtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/source"
)

// Edit is a rule, or another declaration of rule files, that two sets do not have in common.
type Edit struct {
	// Kind is rule, group, the section of a rule file, such as macros, or values: those given to a file's parameters.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Change is added, removed, changed, or moved: evaluated before or after other rules than it was.
	Change string `json:"change"`
	// Lines are the lines of the file, each behind "+ ", "- ", or two blanks when both have it.
	Lines []string `json:"lines"`
}

// Edits compares what two lists of rule files say. Both must compile.
func Edits(old, next []rules.File) []Edit {
	a, b := declarationsOf(old), declarationsOf(next)
	out := []Edit{}
	for _, d := range b.list {
		was, there := a.texts[d]
		switch is := b.texts[d]; {
		case !there:
			out = append(out, Edit{d.kind, d.name, "added", prefixed("+ ", is)})
		case !slices.Equal(was, is):
			out = append(out, Edit{d.kind, d.name, "changed", lineDiff(was, is)})
		}
	}
	for _, d := range a.list {
		if _, there := b.texts[d]; !there {
			out = append(out, Edit{d.kind, d.name, "removed", prefixed("- ", a.texts[d])})
		}
	}
	for _, name := range moved(a.rules(b), b.rules(a)) {
		out = append(out, Edit{kindRule, name, "moved", []string{}})
	}
	slices.SortStableFunc(out, func(x, y Edit) int { return cmp.Compare(rank(x.Kind), rank(y.Kind)) })
	return out
}

const kindRule = "rule"

// rank puts rules first.
func rank(kind string) int {
	if kind == kindRule {
		return 0
	}
	return 1
}

type declaration struct{ kind, name string }

// declarations are what rule files declare, each with its lines.
type declarations struct {
	list  []declaration
	texts map[declaration][]string
}

func declarationsOf(files []rules.File) declarations {
	d := declarations{texts: map[declaration][]string{}}
	for _, f := range files {
		root, _ := source.Parse(f.Name, f.Data)
		if root == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(f.Params)) {
			key := declaration{"values", f.Name + " " + name}
			d.list = append(d.list, key)
			d.texts[key] = []string{fmt.Sprintf("%s: %v", name, f.Params[name])}
		}
		lines := strings.Split(strings.ReplaceAll(string(f.Data), "\r\n", "\n"), "\n")
		for _, section := range root.Entries() {
			switch section.Name {
			case "groups":
				d.groups(section.Value, lines)
			case "version", "description":
			default:
				for _, e := range section.Value.Entries() {
					d.add(section.Name, e.Name, lines, e.Key.Pos().Line)
				}
				if len(section.Value.Entries()) == 0 {
					d.add(section.Name, "", lines, section.Key.Pos().Line)
				}
			}
		}
	}
	return d
}

func (d *declarations) groups(groups *source.Node, lines []string) {
	for _, g := range groups.List() {
		name := g.Get("name").String()
		head := []string{"match: " + cmp.Or(g.Get("match").String(), "all")}
		d.list = append(d.list, declaration{"group", name})
		d.texts[declaration{"group", name}] = head
		for _, r := range g.Get("rules").List() {
			d.add(kindRule, r.Get("id").String(), lines, r.Pos().Line)
		}
	}
}

func (d *declarations) add(kind, name string, lines []string, line int) {
	key := declaration{kind, name}
	if _, twice := d.texts[key]; !twice {
		d.list = append(d.list, key)
	}
	d.texts[key] = append(d.texts[key], block(lines, line)...)
}

// rules returns the names of the rules that both have, in their order here.
func (d *declarations) rules(other declarations) (out []string) {
	for _, r := range d.list {
		if _, both := other.texts[r]; both && r.kind == kindRule {
			out = append(out, r.name)
		}
	}
	return out
}

// block returns the lines of what begins on a line, from 1: those that follow and are indented further. The indentation
// of the first line and a dash before it are left out.
func block(lines []string, line int) []string {
	if line < 1 || line > len(lines) {
		return nil
	}
	first := lines[line-1]
	dash := indentOf(first)
	text := first[dash:]
	margin := dash
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		text = strings.TrimLeft(rest, " ")
		margin = len(first) - len(text)
	}
	out := []string{strings.TrimRight(text, " ")}
	for _, l := range lines[line:] {
		if strings.TrimSpace(l) != "" && indentOf(l) <= dash {
			break
		}
		out = append(out, strings.TrimRight(l[min(indentOf(l), margin):], " "))
	}
	for len(out) > 1 && (out[len(out)-1] == "" || strings.HasPrefix(strings.TrimSpace(out[len(out)-1]), "#")) {
		out = out[:len(out)-1]
	}
	return out
}

func indentOf(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }

func prefixed(prefix string, lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = prefix + l
	}
	return out
}

// lineDiff returns both texts as one, with what was taken out and what was put in.
func lineDiff(a, b []string) []string {
	var out []string
	i, j := 0, 0
	for _, p := range append(common(a, b), [2]int{len(a), len(b)}) {
		out = append(out, prefixed("- ", a[i:p[0]])...)
		out = append(out, prefixed("+ ", b[j:p[1]])...)
		if p[0] < len(a) {
			out = append(out, "  "+a[p[0]])
		}
		i, j = p[0]+1, p[1]+1
	}
	return out
}

// moved returns the names that are in another order, unless most are.
func moved(a, b []string) (out []string) {
	stay := make([]bool, len(b))
	same := common(a, b)
	if 2*len(same) < len(b) {
		return nil
	}
	for _, p := range same {
		stay[p[1]] = true
	}
	for j, name := range b {
		if !stay[j] {
			out = append(out, name)
		}
	}
	return out
}

// maxCells bounds the work of finding what two lists have in common. Beyond it only their ends are compared.
const maxCells = 4 << 20

// common returns the places of a longest common subsequence of two lists.
func common(a, b []string) (out [][2]int) {
	from := 0
	for from < len(a) && from < len(b) && a[from] == b[from] {
		out = append(out, [2]int{from, from})
		from++
	}
	n, m := len(a), len(b)
	for n > from && m > from && a[n-1] == b[m-1] {
		n, m = n-1, m-1
	}
	if (n-from)*(m-from) <= maxCells {
		out = append(out, inner(a[from:n], b[from:m], from)...)
	}
	for ; n < len(a); n, m = n+1, m+1 {
		out = append(out, [2]int{n, m})
	}
	return out
}

func inner(a, b []string, offset int) (out [][2]int) {
	width := len(b) + 1
	best := make([]int32, (len(a)+1)*width)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			best[i*width+j] = max(best[(i+1)*width+j], best[i*width+j+1])
			if a[i] == b[j] {
				best[i*width+j] = best[(i+1)*width+j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			out = append(out, [2]int{i + offset, j + offset})
			i, j = i+1, j+1
		case best[(i+1)*width+j] >= best[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return out
}
