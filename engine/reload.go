package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/engine/internal/redact"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Reloaded says what Reload did.
type Reloaded struct {
	Swapped []PluginState `json:"swapped"` // plugins that were replaced
	// Rules is the activation of rule files that changed; nil when they did not, or are not taken.
	Rules *Activation `json:"rules,omitempty"`
	// Restart names what else changed in the program. It takes effect when the engine is opened again.
	Restart []string `json:"restart,omitempty"`
}

// Reload reads the program again. Plugins whose code, settings, grants or limits changed are loaded and tried beside
// those that serve, and take their places between two calls: nothing is dropped or done twice. What cannot be loaded
// changes nothing: the plugin that serves goes on, and the error says why. The error is source.Problems when program.yaml
// is at fault; then nothing is replaced at all.
//
// Rule files that changed are activated when the gate lets them, as Activate does; otherwise the error has a *GateError
// and the rules that decide go on. When ctx ends, what was not yet tried is not taken. It must not be called
// from a function of Events.
func (e *Engine) Reload(ctx context.Context) (Reloaded, error) {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	if e.life.Err() != nil {
		return Reloaded{}, ErrClosed
	}
	ctx, stop := e.living(ctx)
	defer stop()
	prog, err := program.Load(ctx, e.program.Dir, program.Options{
		CacheDir: e.opts.CacheDir, Native: e.opts.Native, Building: e.opts.Building, RulesApart: true,
	})
	if err != nil {
		return Reloaded{}, err
	}
	e.latest = prog
	done := Reloaded{Restart: differences(e.program, prog)}
	var errs []error
	for p := range prog.Plugins {
		guard := e.plugins.byID[p.ID]
		if guard == nil {
			continue // it is named in Restart
		}
		swapped, err := e.replace(ctx, guard, prog, p)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Pos, err))
		}
		if swapped {
			done.Swapped = append(done.Swapped, PluginState(guard.State()))
		}
	}
	if done.Rules, err = e.reloadRules(ctx, prog, &done); err != nil {
		errs = append(errs, err)
	}
	return done, errors.Join(errs...)
}

// reloadRules activates the rule files that changed, or notes that they wait for the next start.
func (e *Engine) reloadRules(ctx context.Context, prog *program.Program, done *Reloaded) (*Activation, error) {
	if sameRuleEnv(e.program, prog) {
		a, err := e.adopt(ctx, prog)
		if refused := (*GateError)(nil); errors.As(err, &refused) {
			e.tellRefused(refused)
		} else if err == nil {
			e.refused.Store(nil)
		}
		return a, err
	}
	if active, err := e.active(); err != nil || active.Ruleset == prog.RulesHash() {
		return nil, err
	}
	done.Restart = append(done.Restart, "rules")
	return nil, nil
}

// replace loads a plugin anew if it changed.
func (e *Engine) replace(ctx context.Context, guard *host.Guard, prog *program.Program, p *program.Plugin) (swapped bool, err error) {
	code, print, err := fetchCode(ctx, p)
	if err != nil || print == e.plugins.made[p.ID] {
		return false, err
	}
	next, err := e.load(ctx, e.plugins, prog, p, code)
	if err != nil {
		return false, err
	}
	if err := tryOut(ctx, next); err != nil {
		return false, errors.Join(err, next.Close(ctx))
	}
	e.plugins.made[p.ID] = print
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), swapPatience)
	defer cancel()
	if err := guard.Swap(patience, next); err != nil {
		e.opts.Logger.Warn().Str("plugin", p.ID).Err(err).Msg("the version before did not close in order")
	}
	return true, e.outbox.Hurry(ctx, p.ID)
}

// swapPatience is how long the calls of a version that was replaced may go on.
const swapPatience = 30 * time.Second

// tryOut asks a categorizer about an item without content, which also warms it up. The other abilities cannot be tried
// without an effect.
func tryOut(ctx context.Context, p host.Plugin) error {
	if !p.Manifest().Can(sdk.AbilityCategorize) {
		return nil
	}
	b, err := p.Categorize(ctx, make([]feedback.Item, 1))
	if err == nil {
		b.Release()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !host.Broken(err) {
		return nil
	}
	return err
}

// differences names what changed between two versions of a program that Reload does not replace.
func differences(old, next *program.Program) (changed []string) {
	for _, c := range []struct {
		name string
		a, b any
	}{
		{"name", old.Name, next.Name},
		{"timezone", old.Timezone.String(), next.Timezone.String()},
		{"state", old.StateDir, next.StateDir},
		{"redact", old.Redact, next.Redact},
		{"retention", old.Retention, next.Retention},
		{"attributes of items", old.ItemAttributes, next.ItemAttributes},
		{"attributes of customers", old.CustomerAttributes, next.CustomerAttributes},
	} {
		if !reflect.DeepEqual(c.a, c.b) {
			changed = append(changed, c.name)
		}
	}
	before, after := placesOf(old), placesOf(next)
	for p := range next.Plugins {
		if was, ok := before[p.ID]; !ok {
			changed = append(changed, "plugin "+p.ID+" is new")
		} else if !reflect.DeepEqual(was, after[p.ID]) {
			changed = append(changed, "schedule or defaults of plugin "+p.ID)
		}
	}
	for p := range old.Plugins {
		if _, ok := after[p.ID]; !ok {
			changed = append(changed, "plugin "+p.ID+" is gone")
		}
	}
	return changed
}

// place is what the program does with a plugin, whatever the plugin is.
type place struct {
	role      program.Role
	every     time.Duration
	defaults  feedback.Item
	redact    redact.Kinds
	onFailure program.OnFailure
	retry     program.Retry
	pace      program.Pace
}

func placesOf(prog *program.Program) map[string]place {
	places := map[string]place{}
	for p := range prog.Plugins {
		places[p.ID] = place{p.Role, p.Every, p.Defaults, p.Redact, p.OnFailure, p.Retry, p.Pace}
	}
	return places
}
