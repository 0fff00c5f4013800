// Package program loads a feedback program: the folder with program.yaml, its rule files and its plugins.
//
// Load reads and checks all of it without running any code of a plugin. Everything that is wrong is told at once, as
// source.Problems, each with file, line and column; any other error means that the machine lacks something, and is an
// *EnvironmentError. Three things hold of a Program:
//
//   - It is complete: every default is filled in, every path is absolute, every plugin has its manifest and settings.
//   - It holds no secret. Secret reads one from its place when it is needed; no problem and no rendering shows one.
//   - It is not changed after Load and may be shared.
//
// Usage:
//
//	p, err := program.Load(ctx, "examples/retail", program.Options{})
//	if problems := source.Problems(nil); errors.As(err, &problems) {
//		return problems.Render(os.Stderr) // the program is at fault
//	}
//	for i := range p.Categorizers {
//		code, err := p.Categorizers[i].Artifact(ctx)
//		...
//	}
package program

import (
	"fmt"
	"slices"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/redact"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// FileName is the file that makes a folder a program.
const FileName = "program.yaml"

// Program is a loaded program.
type Program struct {
	Dir  string // absolute
	Name string
	// Timezone is the one of days and reports.
	Timezone *time.Location
	StateDir string // absolute; it need not exist

	// ItemAttributes and CustomerAttributes are the declared attributes: String, Number, Bool or Instant, by name.
	ItemAttributes     map[string]feedback.Kind
	CustomerAttributes map[string]feedback.Kind

	// The plugins by what they do for the program, each in the order of the file. An id is unique among all.
	Sources      []Plugin
	Categorizers []Plugin
	Destinations []Plugin
	Queues       []Queue
	Retention    Retention
	// Redact is what is replaced in the free text of items from anywhere but Sources, each of which has its own.
	Redact redact.Kinds

	RuleFiles []rules.File // packs first; the names of the others are relative to Dir, with slashes
	RuleTests []rules.File // tests of the rules, beside the rule files; likewise
	RuleEnv   rules.Env    // what the program declares for its rules
	Rules     *rules.Set   // nil when there are RuleProblems
	// RuleProblems are what is wrong with the rule files and keeps them from being read and compiled, with the names of
	// files relative to Dir. Without Options.RulesApart there are none.
	RuleProblems source.Problems

	// Warnings are what is odd, but no fault: an unused grant, a secret that is not set on this machine.
	Warnings source.Problems

	given   string // Dir as the caller named it
	secrets map[string]secretReader
}

// Retention says how long what there is is kept. Zero members keep it for ever.
type Retention struct {
	Items       time.Duration            // counted from when the feedback was given
	Sources     map[string]time.Duration // items of a source, in place of Items
	Cases       time.Duration            // counted from when they were resolved or closed
	Decisions   time.Duration            // all but the latest of each item, counted from when they were taken
	DeadLetters time.Duration            // counted from when they died
	Backups     time.Duration            // for receipts of erasures: backups are kept elsewhere
}

// Queue is a place where cases wait for people.
type Queue struct {
	ID          string
	Owners      []string
	Description string
}

// Role is what a plugin does for a program.
type Role string

// The roles.
const (
	RoleSource      Role = "source"
	RoleCategorizer Role = "categorizer"
	RoleDestination Role = "destination"
)

// Trust is how far the program trusts a plugin.
type Trust string

// The degrees of trust.
const (
	TrustSandbox Trust = "sandbox" // a WASM module that can do what is granted to it
	TrustProcess Trust = "process" // a process with the engine's own rights
)

// Kind is the form in which a plugin comes.
type Kind string

// The forms of a plugin.
const (
	KindFolder  Kind = "folder"  // a Go package, built to WASM when needed
	KindWASM    Kind = "wasm"    // a WASM module
	KindProcess Kind = "process" // an executable
	KindNative  Kind = "native"  // handed over by the embedding program
)

// OnFailure says what happens to items while a categorizer does not work.
type OnFailure string

// The ways to go on without a categorizer.
const (
	Hold       OnFailure = "hold"       // the items wait
	Unlabelled OnFailure = "unlabelled" // the items pass and are labelled later
)

// Retry says how often and how long a delivery is tried.
type Retry struct {
	MaxAge   time.Duration // given up when older. Defaults to 72 h.
	Attempts int           // given up after so many. Defaults to 20.
	Base     time.Duration // the first wait is at most this long; each next doubles it. Defaults to 5 s.
	Cap      time.Duration // no wait is longer. Defaults to 1 h.
}

// Pace says how a destination is served.
type Pace struct {
	Concurrency int           // messages on their way at once. Defaults to 1.
	Timeout     time.Duration // of one attempt. Defaults to 30 s.
	Rate        Rate          // of attempts. Defaults to no bound.
	Breaker     Breaker
}

// Rate is so many in a time. The zero value is no bound.
type Rate struct {
	N   int
	Per time.Duration // a second, a minute or an hour
}

// Breaker says when a destination that fails is left alone.
type Breaker struct {
	Failures int           // in a row. Defaults to 5.
	Open     time.Duration // it is left alone for at most this long; each next time doubles it. Defaults to Retry.Base.
	Cap      time.Duration // and never longer. Defaults to 10 min, or Retry.Cap when that is less.
}

// Plugin is one plugin as the program uses it.
type Plugin struct {
	ID    string
	Role  Role
	Kind  Kind
	Trust Trust
	// Path is the absolute path of the folder, module or executable. Of a native plugin it is its name.
	Path string
	// SHA256 is the digest of the module or executable as it was checked, in lower-case hexadecimal. It is empty for
	// a folder, whose Artifact has one, and for a native plugin.
	SHA256   string
	Manifest sdk.Manifest
	Settings []byte // a JSON object, completed by the manifest's spec
	Grants   host.Grants
	Limits   host.Limits // zero members mean the host's defaults
	Pos      source.Pos  // of the plugin's id in program.yaml

	Every    time.Duration // of a source that polls: the interval. Defaults to 1 m.
	Defaults feedback.Item // of a source: what its items get when they lack it
	Redact   redact.Kinds  // of a source: what is replaced in the free text of its items. Defaults to the program's.

	OnFailure OnFailure // of a categorizer. Defaults to Hold.
	Retry     Retry     // of a destination
	Pace      Pace      // of a destination

	// Native is the plugin of KindNative.
	Native sdk.Plugin

	// secrets are the names that the settings of type secret hold: what Secret gives to this plugin.
	secrets  []string
	building func(plugin string)
	cacheDir string
}

// Uses reports whether a setting of the plugin names the secret. A host gives no other secrets to it.
func (p *Plugin) Uses(secret string) bool { return slices.Contains(p.secrets, secret) }

// Plugins calls yield with every plugin: sources, categorizers, destinations.
func (p *Program) Plugins(yield func(*Plugin) bool) {
	for _, list := range [...][]Plugin{p.Sources, p.Categorizers, p.Destinations} {
		for i := range list {
			if !yield(&list[i]) {
				return
			}
		}
	}
}

// DestinationIDs returns the ids of the destinations, in the order of the file.
func (p *Program) DestinationIDs() []string {
	ids := make([]string, len(p.Destinations))
	for i := range p.Destinations {
		ids[i] = p.Destinations[i].ID
	}
	return ids
}

// EnvironmentError says that the machine lacks something; the program may be in order.
type EnvironmentError struct {
	Doing string // such as "build plugin themes"
	Err   error
	Hint  string // what to do about it; may be empty
}

func (e *EnvironmentError) Error() string { return fmt.Sprintf("%s: %v", e.Doing, e.Err) }

// Unwrap returns the cause.
func (e *EnvironmentError) Unwrap() error { return e.Err }
