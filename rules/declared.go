package rules

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/source"
)

// places is where a rule stands, and its condition.
type places struct{ rule, when source.Pos }

func placesOf(n *source.Node) places {
	out := places{rule: n.Pos()}
	if id := n.Get("id"); id != nil {
		out.rule = id.Key().Pos()
	}
	out.when = out.rule
	if when := n.Get("when"); when != nil {
		out.when = when.Pos()
	}
	return out
}

// declared is something with a name: a macro, list, window, calendar, pool, table or parameter that a file declares, or a
// queue or destination that a program is to declare.
type declared struct {
	what, name string
	at         source.Pos
}

// unused notes what is declared and nothing uses.
func (b *builder) unused(files []File, expressions lang.Unused) {
	missing := map[string]bool{}
	for _, name := range expressions.Macros {
		missing["macro "+name] = true
	}
	for _, name := range expressions.Lists {
		missing["list "+name] = true
	}
	for key, at := range b.places {
		what, name, _ := strings.Cut(key, " ")
		switch what {
		case "macro", "list":
			if !missing[key] {
				continue
			}
		case "window", "calendar", "pool", "table":
			if b.used[key] {
				continue
			}
		default:
			continue
		}
		b.set.unused = append(b.set.unused, declared{what, name, at})
	}
	for i, root := range b.roots {
		for _, e := range root.Get("params").Entries() {
			if word, err := regexp.Compile(`\b` + regexp.QuoteMeta(e.Name) + `\b`); err == nil && len(word.FindAllIndex(files[i].Data, 2)) < 2 {
				b.set.unused = append(b.set.unused, declared{"parameter", e.Name, e.Key.Pos()})
			}
		}
	}
	slices.SortFunc(b.set.unused, func(a, b declared) int {
		return cmp.Or(cmp.Compare(a.at.File, b.at.File), cmp.Compare(a.at.Line, b.at.Line), cmp.Compare(a.name, b.name))
	})
}
