// Package conformance runs the suites of sdk/sdktest on a plugin in the form in which an engine runs it: a module in the
// sandbox, or a process. What the suites cannot do to a plugin's source they do to every file alike, whatever language
// it was written in.
//
// Usage:
//
//	p, err := program.Find("themes.wasm", program.TrustSandbox, program.Options{})
//	failed, err := conformance.Run(ctx, p, conformance.Options{}, func(r conformance.Result) {
//		fmt.Println(r.Ability, r.Check, r.OK(), r.Problems)
//	})
package conformance

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/sdktest"
)

// Options says what to check a plugin with. The zero value works for a plugin that asks for nothing and has a default
// for each setting.
type Options struct {
	// Settings is a JSON object, completed by the manifest's spec. Defaults to what the spec's defaults make.
	Settings string
	// Grants is what the plugin may do meanwhile.
	Grants host.Grants
	Limits host.Limits
	// Items are categorized besides those of the suite.
	Items []feedback.Item
	// CacheDir keeps compiled code. Defaults to memory.
	CacheDir string
}

// Result is the outcome of one check.
type Result struct {
	Ability string `json:"ability"` // or "settings"
	Check   string `json:"check"`
	// Problems are what is wrong; none when the check passed.
	Problems []string `json:"problems,omitempty"`
	// Skipped says why the check was not made.
	Skipped string `json:"skipped,omitempty"`
}

// OK reports whether the check was made and passed.
func (r Result) OK() bool { return len(r.Problems) == 0 && r.Skipped == "" }

// Run makes every check and tells each result. It returns how many failed. The error is a *host.Error when the plugin
// cannot be loaded at all, and the context's error when that ended.
func Run(ctx context.Context, p *program.Plugin, o Options, tell func(Result)) (failed int, err error) {
	if o.Settings == "" {
		o.Settings = "{}"
	}
	l, err := newLoader(ctx, p, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for _, s := range l.suites() {
		for i, check := range s.checks {
			if ctx.Err() != nil {
				return failed, ctx.Err()
			}
			r := Result{Ability: s.ability, Check: check.Name, Problems: run(check)}
			if !r.OK() {
				failed++
			}
			tell(r)
			if i == 0 && !r.OK() {
				break // it does not open: the others could say no more
			}
		}
		if s.skipped != "" {
			tell(Result{Ability: s.ability, Check: "all of it", Skipped: s.skipped})
		}
	}
	return failed, nil
}

// suite is the checks of one ability.
type suite struct {
	ability string
	checks  []sdktest.Check
	skipped string
}

func (l *loader) suites() []suite {
	m := l.base.Manifest()
	suites := []suite{{ability: "settings", checks: sdktest.SettingsChecks(l.openWith, m.Settings, l.options.Settings)}}
	if m.Can(sdk.AbilityCategorize) {
		suites = append(suites, suite{ability: "categorize", checks: sdktest.CategorizerChecks(fresh[sdk.Categorizer](l), l.options.Items...)})
	}
	if m.Can(sdk.AbilityPoll) {
		suites = append(suites, suite{ability: "poll", checks: sdktest.PollerChecks(fresh[sdk.Poller](l))})
	}
	if m.Can(sdk.AbilityReceive) {
		suites = append(suites, suite{ability: "receive", checks: sdktest.ReceiverChecks(fresh[sdk.Receiver](l)),
			skipped: "what it understands only its author knows: see sdktest.Receiver"})
	}
	if m.Can(sdk.AbilityDeliver) {
		suites = append(suites, suite{ability: "deliver", skipped: "a delivery needs a destination that takes it: see sdktest.Deliverer"})
	}
	return suites
}

// run makes one check and returns what it reports.
func run(check sdktest.Check) []string {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				r.Errorf("the check itself failed: %v", v)
			}
		}()
		check.Run(r)
	}()
	<-done
	return r.problems
}

// maxProblems bounds what is told of one check.
const maxProblems = 10

// recorder collects what a check reports.
type recorder struct{ problems []string }

var _ sdktest.TB = (*recorder)(nil)

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}

func (r *recorder) Errorf(format string, args ...any) {
	switch n := len(r.problems); {
	case n < maxProblems:
		text := strings.TrimSpace(fmt.Sprintf(format, args...))
		if !slices.Contains(r.problems, text) {
			r.problems = append(r.problems, text)
		}
	case n == maxProblems:
		r.problems = append(r.problems, "and more")
	}
}

// Fatalf ends the check.
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
