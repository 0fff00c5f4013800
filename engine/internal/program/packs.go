package program

import (
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/packs"
	"github.com/closedloop/closedloop/rules/source"
)

// readPacks adds the rule files of the packs that the program includes, with the values that it gives to their
// parameters.
func (l *loader) readPacks(env rules.Env) {
	for _, e := range entries(l.root.Get("packs")) {
		pack, ok := packs.Get(e.Name)
		if !ok {
			e.Key.ProblemHint("unknown_pack", didYouMean(e.Name, packs.Names(), "the packs are "+strings.Join(packs.Names(), ", ")),
				"there is no pack %q of rules", e.Name)
			continue
		}
		if values, ok := l.packParams(&pack, e, env); ok {
			file := pack.File()
			file.Params = values
			l.p.RuleFiles = append(l.p.RuleFiles, file)
		}
	}
}

// packParams reads the values for the parameters of a pack, and reports whether the pack can be used with them.
func (l *loader) packParams(pack *packs.Pack, e source.Entry, env rules.Env) (values map[string]any, ok bool) {
	ok = true
	var names []string
	for _, p := range pack.Params {
		names = append(names, p.Name)
	}
	for _, given := range entries(e.Value) {
		i := slices.Index(names, given.Name)
		if i < 0 {
			given.Key.ProblemHint("unknown_param", didYouMean(given.Name, names, "its parameters are "+strings.Join(names, ", ")),
				"the pack %s has no parameter %q", pack.Name, given.Name)
			ok = false
			continue
		}
		v := given.Value.Any()
		if wrong, hint := pack.Params[i].Check(v, env); wrong != "" {
			given.Value.ProblemHint("wrong_param", hint, "%s", wrong)
			ok = false
			continue
		}
		if values == nil {
			values = map[string]any{}
		}
		values[given.Name] = v
	}
	for _, p := range pack.Params {
		switch given := e.Value.Get(p.Name); {
		case given != nil:
		case p.Default == nil:
			e.Key.ProblemHint("missing_param", p.Description, "the pack %s needs a value for its parameter %s", pack.Name, p.Name)
			ok = false
		default:
			if wrong, hint := p.Check(p.Default, env); wrong != "" {
				e.Key.ProblemHint("wrong_param", "or give another one: "+p.Name+": ...; "+hint, "the parameter %s of the pack %s: %s", p.Name, pack.Name, wrong)
				ok = false
			}
		}
	}
	return values, ok && (e.Value.IsNull() || e.Value.IsMap())
}
