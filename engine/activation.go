package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// ErrRestart says that a program's rules changed together with what only a start takes: attributes, timezone or
// destinations. Starting the engine takes both.
var ErrRestart = errors.New("engine: the rules changed together with what takes effect when the engine is started again")

// Activation is an entry in the history of a program's rules: which ruleset decides, since when and why. A ruleset is
// kept for ever under its hash.
type Activation struct {
	Number  int    `json:"number"`        // from 1, in the order of the history
	Ruleset string `json:"ruleset"`       // the hash of the set that decides from here on
	Was     string `json:"was,omitempty"` // the hash of the set that decided before
	Rules   int    `json:"rules"`         // how many rules the set has
	// Since is when it was activated. An engine that was not running then takes it when it is opened.
	Since feedback.Time `json:"since"`
	By    string        `json:"by"` // a person, or "engine"
	Why   string        `json:"why,omitempty"`
	// Forced says that the gate refused the set, and that somebody insisted.
	Forced bool `json:"forced,omitempty"`
	// Back is the number of the activation that was gone back to. 0 says that the program's files were taken.
	Back int `json:"back,omitempty"`
	// Instead is, after going back, the hash of the program's files: they are not taken by themselves while they are these.
	Instead string `json:"instead,omitempty"`
	// Gate is what the gate said, with the first 50 findings of each kind. It is missing after going back.
	Gate *GateReport `json:"gate,omitempty"`
}

// What people do to rules and to alerts. Options.Authorize is handed an Actor without roles, but for unsilence, and an empty
// case.
const (
	ActionActivate  Action = "activate"
	ActionForce     Action = "force" // activate with ActivateOptions.Force
	ActionRollback  Action = "roll back"
	ActionSilence   Action = "silence"
	ActionUnsilence Action = "unsilence"
)

// byEngine is who activates what was not asked for.
const byEngine = "engine"

// ActivateOptions says who activates rules, and why. The zero value works.
type ActivateOptions struct {
	By  string `json:"by,omitempty"` // Defaults to "unknown".
	Why string `json:"why,omitempty"`
	// Force activates what compiles though the gate refuses it, which is recorded.
	Force bool `json:"force,omitempty"`
}

// RollbackOptions says where to go back to, who does and why. The zero value works.
type RollbackOptions struct {
	// To is the number of an activation, or the beginning of a ruleset's hash with 6 digits or more, with or without
	// "sha256:". Defaults to the ruleset that decided before the one that decides now.
	To  string `json:"to,omitempty"`
	By  string `json:"by,omitempty"` // Defaults to "unknown".
	Why string `json:"why,omitempty"`
}

// Activate has the gate look at the program's rule files as they are on the disk, and makes them the rules that decide:
// of a running engine from the next update on, so that each item is decided on by one set, else when the program is
// started. It returns the activation that holds, which is the one there was when the files are active already. What the
// gate refuses is a *GateError, unless o.Force is set and the files compile. Other errors: source.Problems when
// program.yaml is at fault, ErrRestart and ErrDenied.
func (s *State) Activate(ctx context.Context, o ActivateOptions) (*Activation, error) {
	by, action := cmp.Or(o.By, "unknown"), ActionActivate
	if o.Force {
		action = ActionForce
	}
	if err := s.allowed(ctx, Actor{Name: by}, action, feedback.Case{}); err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	prog, err := s.files(ctx)
	if err != nil {
		return nil, err
	}
	gate := examine(prog)
	if prog.Rules == nil || !gate.OK && !o.Force {
		return nil, &GateError{*gate}
	}
	active, err := s.active()
	if err != nil || active != nil && active.Ruleset == gate.Ruleset {
		return active, err
	}
	return s.activate(ctx, prog.Rules, rulesetOf(prog), Activation{
		By: by, Why: o.Why, Forced: !gate.OK, Gate: gate.recorded(),
	})
}

// Rollback makes a ruleset of the history the one that decides again. It stays that until the program's rule files
// change to something else than they are now, or are activated. It returns ErrNotFound when there is no such set, and ErrDenied.
func (s *State) Rollback(ctx context.Context, o RollbackOptions) (*Activation, error) {
	by := cmp.Or(o.By, "unknown")
	if err := s.allowed(ctx, Actor{Name: by}, ActionRollback, feedback.Case{}); err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	history, err := s.Activations(ctx, 0)
	if err != nil {
		return nil, err
	}
	if len(history) == 0 {
		return nil, noRules("the program has not run yet: there are no rules to go back to")
	}
	to, err := target(history, o.To)
	if err != nil {
		return nil, err
	}
	set, err := s.ruleset(to.Ruleset)
	if err != nil {
		return nil, err
	}
	now := &history[0]
	if now.Ruleset == to.Ruleset {
		return now, nil
	}
	instead := cmp.Or(now.Instead, now.Ruleset)
	if prog, _ := s.files(ctx); prog != nil { // going back must be possible also while the program is at fault
		instead = prog.RulesHash()
	}
	if instead == to.Ruleset {
		instead = ""
	}
	return s.activate(ctx, set, nil, Activation{By: by, Why: o.Why, Back: cmp.Or(to.Back, to.Number), Instead: instead})
}

const (
	// hashPrefix begins the hashes of sets.
	hashPrefix = "sha256:"
	// leastHash is how many digits of a hash are taken for one rather than for a number.
	leastHash = 6
)

// noRules is an ErrNotFound in words for people.
type noRules string

func (e noRules) Error() string { return string(e) }

// Is says that it is an ErrNotFound.
func (e noRules) Is(target error) bool { return target == ErrNotFound }

// target finds the activation to go back to in a history, the latest first.
func target(history []Activation, to string) (*Activation, error) {
	if to == "" {
		return before(history)
	}
	for i := range history {
		if to == strconv.Itoa(history[i].Number) {
			return &history[i], nil
		}
	}
	prefix := strings.TrimPrefix(to, hashPrefix)
	var found *Activation
	for i := range history {
		a := &history[i]
		switch {
		case len(prefix) < leastHash || !strings.HasPrefix(a.Ruleset, hashPrefix+prefix):
		case found == nil:
			found = a
		case found.Ruleset != a.Ruleset:
			return nil, noRules(fmt.Sprintf("more than one ruleset of the history begins with %s", to))
		}
	}
	if found == nil {
		return nil, noRules(fmt.Sprintf("no activation and no ruleset of the history is %q", to))
	}
	return found, nil
}

// before finds the activation before the one that holds, in a history with the latest first. What was gone back from is
// not gone back to.
func before(history []Activation) (*Activation, error) {
	var path []*Activation // those that led to the one that holds
	for i := len(history) - 1; i >= 0; i-- {
		a := &history[i]
		if at := slices.IndexFunc(path, func(p *Activation) bool { return a.Back != 0 && p.Number == a.Back }); at >= 0 {
			path = path[:at+1]
			continue
		}
		path = append(path, a)
	}
	now := path[len(path)-1]
	for i := len(path) - 2; i >= 0; i-- {
		if path[i].Ruleset != now.Ruleset {
			return path[i], nil
		}
	}
	return nil, noRules("no other rules decided before these")
}

// Activations returns the history of the program's rules, the latest first. A limit of 0 means all.
func (s *State) Activations(_ context.Context, limit int) ([]Activation, error) {
	out := []Activation{}
	err := s.store.View(func(snap *store.Snapshot) error {
		return records.Each(snap, records.ActivationPrefix(), nil, true, func(a *Activation) (bool, error) {
			out = append(out, *a)
			return len(out) != limit, nil
		})
	})
	return out, err
}

// active returns the activation that holds, or nil before the first.
func (s *State) active() (a *Activation, err error) {
	err = s.store.View(func(snap *store.Snapshot) (err error) {
		a, err = store.Load[Activation](snap, records.ActiveKey())
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return a, err
}

// adopt activates the program's rule files when they are others than those that were last decided about, and the gate
// lets them. It returns nil when there is nothing to do. The first rules of all need only compile.
func (s *State) adopt(ctx context.Context, prog *program.Program) (*Activation, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	active, err := s.active()
	if err != nil {
		return nil, err
	}
	hash, why := prog.RulesHash(), "the files changed"
	switch {
	case active == nil:
		why = "the first start"
	case hash == active.Ruleset && prog.Rules != nil, hash == active.Instead:
		return nil, nil
	}
	gate := examine(prog)
	if prog.Rules == nil || !gate.OK && active != nil {
		return nil, &GateError{*gate}
	}
	return s.activate(ctx, prog.Rules, rulesetOf(prog), Activation{By: byEngine, Why: why, Gate: gate.recorded()})
}

// activate makes the set the one that decides. kept is what the store is to keep of it, or nil when it does already.
func (s *State) activate(ctx context.Context, set *rules.Set, kept *ruleset, a Activation) (*Activation, error) {
	a.Ruleset, a.Rules, a.Since = set.Hash(), len(set.Rules()), feedback.TimeOf(s.Clock())
	if kept != nil { // before any item can be decided on by it
		err := s.store.Update(ctx, func(tx *store.Tx) error { return kept.write(tx, a.Ruleset, a.Since) })
		if err != nil {
			return nil, err
		}
	}
	var err error
	if s.install == nil {
		err = s.store.Update(ctx, a.write)
	} else {
		err = s.install(ctx, set, a.write)
	}
	if err != nil {
		return nil, err
	}
	s.set.Store(set)
	if s.activated != nil {
		s.activated(&a)
	}
	return &a, nil
}

// write records the activation and gives it its number.
func (a *Activation) write(tx *store.Tx) error {
	a.Number = 1
	last, err := store.Load[Activation](tx, records.ActiveKey())
	switch {
	case err == nil:
		a.Number, a.Was = last.Number+1, last.Ruleset
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	kind := "rules.activate"
	if a.Back > 0 {
		kind = "rules.rollback"
	}
	_, err = audit.Append(tx, audit.Entry{At: a.Since, Kind: kind, Who: a.By, What: a.Ruleset, Why: a.Why, Data: data})
	tx.Set(records.ActiveKey(), data)
	tx.Set(records.ActivationKey(a.Number), data)
	return err
}

// swapRules has a set decide, from the update on in which that is recorded, once its windows are filled.
func (e *Engine) swapRules(ctx context.Context, set *rules.Set, record func(*store.Tx) error) error {
	ctx, stop := e.living(ctx)
	defer stop()
	if err := e.pipe.Activate(ctx, set, e.now(), record, nil); err != nil {
		return err
	}
	ctx, end := e.living(context.WithoutCancel(ctx)) // the set decides, whoever waits for it
	defer end()
	_ = e.pipe.WakeGroups(ctx, e.now()) // other rules may tell at another pace; each group is looked at when it changes next
	_ = e.pipe.Reladder(ctx, e.now())   // what is left over is done when the engine is opened next
	return nil
}

// openRules finds the rules that decide when the engine is opened.
func (e *Engine) openRules(ctx context.Context) (*rules.Set, error) {
	prog := e.program
	_, err := e.adopt(ctx, prog)
	refused := (*GateError)(nil)
	if err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	active, err := e.active()
	switch {
	case err != nil:
		return nil, err
	case active == nil:
		return nil, prog.Told(refused.Report.Problems)
	case refused != nil:
		e.tellRefused(refused)
	}
	if active.Instead == prog.RulesHash() {
		e.opts.Logger.Warn().Str("ruleset", active.Ruleset).Str("by", active.By).Str("why", active.Why).
			Msg("the rules were rolled back, and decide instead of those in the files")
	}
	set, err := e.deciding(prog)
	e.set.Store(set)
	return set, err
}

// deciding returns the set that is active, or before the first activation that of the program's files, if they compile.
func (s *State) deciding(prog *program.Program) (*rules.Set, error) {
	active, err := s.active()
	switch {
	case err != nil:
		return nil, err
	case active == nil, prog.Rules != nil && prog.Rules.Hash() == active.Ruleset:
		return prog.Rules, nil
	}
	return s.ruleset(active.Ruleset)
}

// RefusedRules returns what the gate said of the program's rule files when it refused them last, or nil when they were
// not refused since rules were activated.
func (e *Engine) RefusedRules() *GateReport { return e.refused.Load() }

// rereadRules reads the program again for its rules. It returns ErrRestart with it when they cannot be told apart from
// what only a start takes.
func (e *Engine) rereadRules(ctx context.Context) (*program.Program, error) {
	prog, err := program.Load(ctx, e.program.Dir, program.Options{
		CacheDir: e.opts.CacheDir, Native: e.opts.Native, NoBuild: true, RulesApart: true,
	})
	if err == nil && !sameRuleEnv(e.program, prog) {
		err = ErrRestart
	}
	return prog, err
}

// sameRuleEnv reports whether rules that are compiled for one program can decide in an engine that runs the other.
// Queues are nothing but names to an engine.
func sameRuleEnv(a, b *program.Program) bool {
	return maps.Equal(a.ItemAttributes, b.ItemAttributes) && maps.Equal(a.CustomerAttributes, b.CustomerAttributes) &&
		a.Timezone.String() == b.Timezone.String() && slices.Equal(slices.Sorted(slices.Values(a.RuleEnv.Destinations)), slices.Sorted(slices.Values(b.RuleEnv.Destinations)))
}

// tellRefused logs that the rule files are not taken, and why.
func (e *Engine) tellRefused(refused *GateError) {
	log := &e.opts.Logger
	e.refused.Store(&refused.Report)
	refused.Report.log(log, zerolog.ErrorLevel)
	log.Error().Str("found", refused.Report.Summary()).Msg("the rule files changed and are not taken: the rules before them go on")
}

// tellActivated logs an activation, and tells the host when it was one of a running engine.
func (e *Engine) tellActivated(a *Activation) {
	log := &e.opts.Logger
	e.refused.Store(nil)
	if a.Gate != nil {
		a.Gate.log(log, zerolog.WarnLevel)
	}
	log.Info().Int("number", a.Number).Str("ruleset", a.Ruleset).Str("by", a.By).Str("why", a.Why).Bool("forced", a.Forced).
		Int("rules", a.Rules).Msg("rules are active")
	if f := e.opts.Events.RulesChanged; f != nil && e.State.install != nil {
		f(*a)
	}
}
