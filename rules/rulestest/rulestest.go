// Package rulestest runs tests of rules that are written as YAML: events in a time of their own, what windows say, and
// the decisions, alerts and notifications that are expected. rules/README.md is the reference of the format.
//
// Three things hold:
//
//   - A test reads no clock and no files, and leaves nothing behind. The same set and files give the same report.
//   - A group of rules that an expectation names must match exactly the rules that fired in it; what a test does not
//     name is not looked at.
//   - A comparison of a rule counts as covered when the tests have shown it to decide both ways: once while it was true
//     and once while it was false, the rule was decided on and would have turned out otherwise if this comparison alone
//     had turned out the opposite. Comparisons that stand in a rule several times count as one. While a comparison is
//     unknown, or its rule is not reached, it is not shown to decide anything.
//
// A file is read and run like this:
//
//	file, err := rulestest.Load("rules/route_test.yaml", data)
//	if err != nil {
//		return err // source.Problems
//	}
//	report := rulestest.Run(set, []*rulestest.File{file})
//	report.Render(os.Stdout)
package rulestest

import (
	"slices"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/rehearsal"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// File is one file of tests.
type File struct {
	Name  string
	Tests int // how many there are
	data  []byte
}

// Load reads a file of tests. The error is a source.Problems with all that can be known to be wrong without the rules;
// Run tells what does not fit these.
func Load(name string, data []byte) (*File, error) {
	s, problems := read(name, data, nil)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &File{Name: name, Tests: len(s.tests), data: slices.Clone(data)}, nil
}

// Report is what became of tests. Its Render is text for people, its JSON for programs.
type Report struct {
	Ruleset string       `json:"ruleset"`
	Passed  bool         `json:"passed"` // OK
	Files   []FileReport `json:"files"`
	Tests   []Test       `json:"tests"`
	// Coverage is what all files together cover of all rules.
	Coverage Coverage `json:"coverage"`
}

// FileReport is what became of one file.
type FileReport struct {
	Name string `json:"name"`
	// Problems are what of the file does not fit the rules. A file with problems was not run.
	Problems source.Problems `json:"problems,omitempty"`
	Tests    int             `json:"tests"`
	Failed   int             `json:"failed"`
	// Coverage is what the tests of the file cover of the rules that it is about.
	Coverage Coverage `json:"coverage"`
	// Short tells what the file's cover demands and its tests do not reach.
	Short []string `json:"short,omitempty"`
}

// OK reports whether the file could be run, all its tests passed, and they cover what they must.
func (f *FileReport) OK() bool { return len(f.Problems) == 0 && f.Failed == 0 && len(f.Short) == 0 }

// Test is what became of one test.
type Test struct {
	File     string    `json:"file"`
	Line     int       `json:"line"`
	Name     string    `json:"name"`
	Failures []Failure `json:"failures,omitempty"`
}

// OK reports whether the test passed.
func (t *Test) OK() bool { return len(t.Failures) == 0 }

// Failure is one expectation that did not come true.
type Failure struct {
	Step     int           `json:"step"` // from 1
	Line     int           `json:"line"` // of the expectation
	At       feedback.Time `json:"at"`
	What     string        `json:"what"` // such as route.vip-detractor.case.owner
	Expected string        `json:"expected"`
	Found    string        `json:"found"`
	// Why tells of the rules concerned why they fired, or did not.
	Why []string `json:"why,omitempty"`
}

// OK reports whether all files could be run, all tests passed, and they cover what they must.
func (r *Report) OK() bool { return r.Passed }

// Run runs files of tests on a set of rules.
func Run(set *rules.Set, files []*File) *Report {
	out := &Report{Ruleset: set.Hash(), Passed: true, Files: []FileReport{}, Tests: []Test{}}
	all := newTally(set)
	for _, f := range files {
		report := FileReport{Name: f.Name, Tests: f.Tests}
		s, problems := read(f.Name, f.data, set)
		report.Problems = problems
		own := newTally(set)
		if len(problems) == 0 {
			about := newAbout(set, s.files)
			for i := range s.tests {
				t := s.tests[i].run(set, f.Name, about, own)
				if !t.OK() {
					report.Failed++
				}
				out.Tests = append(out.Tests, t)
			}
		}
		all.add(own)
		if s != nil {
			report.Coverage = own.coverage(s.files)
			report.Short = s.cover.short(report.Coverage)
		}
		out.Passed = out.Passed && report.OK()
		out.Files = append(out.Files, report)
	}
	out.Coverage = all.coverage(nil)
	return out
}

// about is the rules that a file of tests is about: those of the rule files that it names, or all.
type about struct {
	all   bool
	rules map[string]bool
}

func newAbout(set *rules.Set, files []string) *about {
	a := &about{all: files == nil, rules: map[string]bool{}}
	for _, info := range set.Rules() {
		a.rules[info.ID] = slices.Contains(files, info.File)
	}
	return a
}

// of returns those of some rules that the file is about, or that it names.
func (a *about) of(found, named []string) []string {
	var out []string
	for _, rule := range found {
		if a.all || a.rules[rule] || slices.Contains(named, rule) {
			out = append(out, rule)
		}
	}
	return out
}

// run runs one test in a world of its own.
func (t *test) run(set *rules.Set, file string, about *about, cover *tally) Test {
	out := Test{File: file, Line: t.pos.Line, Name: t.name}
	w := rehearsal.New(set, rehearsal.Options{})
	items := 0
	for i := range t.steps {
		s := &t.steps[i]
		told := len(w.Notices())
		w.Advance(s.at)
		for _, win := range s.windows {
			w.SetWindow(win.name, win.key, win.figure)
		}
		c := checker{set: set, world: w, step: i + 1, told: told, about: about}
		if s.event != nil {
			items++
			ev, corrections := s.item(items)
			step := w.Decide(ev, s.at, corrections...)
			c.decided, c.event, c.corrections = &step, ev, corrections
			c.explained = w.Explain(ev, &step)
			cover.decided(c.explained)
			cover.stood(w)
		}
		if s.tick {
			w.Tick(s.at)
			cover.stood(w)
		}
		if s.expect != nil {
			c.check(s.expect)
			out.Failures = append(out.Failures, c.failures...)
		}
	}
	cover.changed(w.Changes())
	return out
}
