package program

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/packs"
	"github.com/closedloop/closedloop/rules/source"
)

// defaultRules is where rule files are when the program does not say.
const defaultRules = "rules/*.yaml"

// readRules reads the packs and the rule files, and compiles them as one set, the packs first.
func (l *loader) readRules() {
	env := l.ruleEnv()
	l.readPacks(env)
	patterns := l.root.Get("rules")
	if patterns == nil || patterns.IsNull() {
		l.addRules(nil, defaultRules)
	}
	for i, pattern := range patterns.Strings() {
		at := patterns
		if patterns.IsList() {
			at = patterns.List()[i]
		}
		l.addRules(at, pattern)
	}
	l.p.RuleEnv = env
	l.readRuleTests()
	set, err := rules.Compile(l.p.RuleFiles, env)
	if problems := source.Problems(nil); errors.As(err, &problems) {
		l.ofRules = append(l.ofRules, problems...)
	} else if err != nil {
		l.ofRules = append(l.ofRules, source.Problem{Code: "rules", Message: fmt.Sprintf("the rules do not compile: %v", err)})
	}
	if len(l.ofRules) == 0 {
		l.p.Rules = set
	}
}

// ruleEnv returns what the program declares for its rules.
func (l *loader) ruleEnv() rules.Env {
	env := rules.Env{
		Attributes: l.p.ItemAttributes, CustomerAttributes: l.p.CustomerAttributes, Timezone: l.p.Timezone,
		Queues: []string{}, Destinations: []string{},
	}
	for _, q := range l.p.Queues {
		env.Queues = append(env.Queues, q.ID)
	}
	for i := range l.p.Destinations {
		env.Destinations = append(env.Destinations, l.p.Destinations[i].ID)
	}
	return env
}

// readRuleTests reads the tests of the rules: what ends in _test beside the rule files.
func (l *loader) readRuleTests() {
	var folders []string
	for _, f := range l.p.RuleFiles {
		if !strings.HasPrefix(f.Name, packs.FilePrefix) {
			folders = append(folders, path.Dir(f.Name))
		}
	}
	slices.Sort(folders)
	for _, folder := range slices.Compact(folders) {
		for _, ending := range []string{"*_test.yaml", "*_test.yml"} {
			names, _ := fs.Glob(os.DirFS(l.p.Dir), path.Join(folder, ending)) // nothing matches where a name holds a [
			for _, name := range names {
				if !slices.ContainsFunc(l.p.RuleFiles, func(f rules.File) bool { return f.Name == name }) {
					l.p.RuleTests = l.addRuleFile(l.p.RuleTests, name)
				}
			}
		}
	}
}

// addRuleFile reads a rule file, or a file with tests of rules.
func (l *loader) addRuleFile(files []rules.File, name string) []rules.File {
	data, err := readFile(filepath.Join(l.p.Dir, filepath.FromSlash(name)), source.MaxBytes)
	if err != nil {
		l.ofRules = append(l.ofRules, source.Problem{Code: "unreadable", File: name, Message: "the rule file cannot be read: " + reason(err)})
		return files
	}
	return append(files, rules.File{Name: name, Data: data})
}

// RulesHash returns the hash of the rule files, also of those that do not compile.
func (p *Program) RulesHash() string { return rules.HashOf(p.RuleFiles, p.RuleEnv) }

// Told returns problems whose files are named relative to Dir as the caller of Load named the folder.
func (p *Program) Told(problems source.Problems) source.Problems {
	problems = problems.Sorted()
	for i := range problems {
		problems[i].File = toldName(p.given, problems[i].File)
	}
	return problems
}

// addRules adds the files that a pattern matches. The pattern is nil in the program when it is the default.
func (l *loader) addRules(at *source.Node, pattern string) {
	if at != nil && pattern == "" {
		if at.Any() == "" {
			at.Problem("missing_value", "found an empty name, expected that of a rule file, or a pattern such as %s", defaultRules)
		}
		return
	}
	clean := path.Clean(pattern)
	if path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
		at.Problem("rules", "found %s, expected rule files in the program's folder", pattern)
		return
	}
	names, err := fs.Glob(os.DirFS(l.p.Dir), clean)
	if err != nil {
		at.ProblemHint("rules", "a [ must be closed by a ]", "found %q, which is no pattern", pattern)
		return
	}
	names = slices.DeleteFunc(names, func(name string) bool { return isTest(name) && name != clean })
	if len(names) == 0 {
		l.noRules(at, pattern, clean)
	}
	for _, name := range names {
		if slices.ContainsFunc(l.p.RuleFiles, func(f rules.File) bool { return f.Name == name }) {
			continue
		}
		l.p.RuleFiles = l.addRuleFile(l.p.RuleFiles, name)
	}
}

// isTest reports whether the file holds tests of rules, which a pattern does not match.
func isTest(name string) bool {
	return strings.HasSuffix(strings.TrimSuffix(name, path.Ext(name)), "_test")
}

func (l *loader) noRules(at *source.Node, pattern, clean string) {
	switch {
	case at == nil && l.root.Get("packs") != nil:
	case at == nil:
		l.warn(l.root, "no_rules", "put rule files there", "no file matches %s, so nothing is decided about the feedback", pattern)
	case strings.ContainsAny(clean, `*?[`):
		at.Problem("missing_file", "no file matches %s", pattern)
	default:
		at.ProblemHint("missing_file", nearby(l.path(clean)), "there is no file %s", pattern)
	}
}
