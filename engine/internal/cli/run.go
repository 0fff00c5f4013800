package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// runOptions are the flags of run.
type runOptions struct {
	once    bool
	level   string
	logJSON bool
	profile string
	watch   bool
}

func (a *app) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [PROGRAM]",
		Short: "Run a program",
		Long: `run reads feedback from the program's sources, labels it, decides by the rules, and delivers messages, until it is
stopped by SIGINT (ctrl-c) or SIGTERM: then it finishes what is under way. A second signal ends it at once; what was
acknowledged is kept either way. When a plugin or its settings change on the disk meanwhile, the new version is loaded
beside the one that serves and takes its place between two calls; when it does not load, the old one goes on. Rule files
that change decide as soon as they compile, nothing that blocks is found in them and their tests pass; see closedloop
rules.

With --once it goes through everything that there is, says what happened, and ends. Running it again takes nothing in
twice and acts on nothing twice. A message that cannot be delivered waits and is no failure of the run.

The log goes to standard error. Plugins given as Go folders are built with the local Go toolchain and kept in
$CLOSEDLOOP_CACHE, or else in the user's cache directory.`,
		Example: "  closedloop run --once examples/retail\n  closedloop run --state /var/lib/retail --log-json examples/retail",
		Args:    a.programArgument,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context(), o) },
	}
	f := a.programFlags(cmd).Flags()
	f.BoolVar(&o.once, "once", false, "go through what there is, say what happened, and end")
	f.StringVar(&o.level, "log-level", "", "`level` of the log: debug, info, warn, error or off (default info, with --once off)")
	f.BoolVar(&o.logJSON, "log-json", false, "write the log as JSON lines")
	f.BoolVar(&o.watch, "watch", true, "take plugins and rules in anew when their files or settings change")
	f.StringVar(&o.profile, "profile", string(engine.Server), "memory of the store: server, or small for 64 MiB")
	return cmd
}

// closing bounds how long an engine may take to end what is under way.
const closing = 30 * time.Second

func (a *app) run(ctx context.Context, o runOptions) error {
	if o.level == "" {
		o.level = "info"
		if o.once {
			o.level = "off"
		}
	}
	profile, err := oneOf("--profile", o.profile, string(engine.Server), string(engine.Small))
	if err != nil {
		return err
	}
	p := &progress{w: a.std.Err, on: a.std.TTY && !o.logJSON}
	logger, err := a.logger(p, o)
	if err != nil {
		return err
	}
	if profile == string(engine.Small) && a.std.LimitMemory != nil && a.std.Getenv("GOMEMLIMIT") == "" {
		a.std.LimitMemory(engine.SmallMemory)
	}
	eng, err := a.openEngine(ctx, p, logger, engine.Options{Profile: engine.Profile(profile), Watch: o.watch && !o.once})
	if err != nil {
		return err
	}
	if o.once {
		a.warnOfRules(eng)
		return a.runOnce(ctx, eng, p)
	}
	return a.runOn(ctx, eng, logger)
}

// warnOfRules says that the rules are not those of the files, where no log does.
func (a *app) warnOfRules(eng *engine.Engine) {
	if g := eng.RefusedRules(); g != nil {
		fmt.Fprintf(a.std.Err, "closedloop: warning: the rule files changed and are not taken: %s; the rules before them decide\n"+
			"closedloop: hint: closedloop rules activate %s tells why\n", g.Summary(), clean(a.dir, oneLine))
	}
}

// openEngine opens the program with its plugins, telling what is being built.
func (a *app) openEngine(ctx context.Context, p *progress, logger zerolog.Logger, opts engine.Options) (*engine.Engine, error) {
	opts.CacheDir, opts.Logger, opts.Now, opts.Native = a.std.Getenv(cacheVariable), logger, a.std.Now, bundled()
	if a.state != "" {
		state, err := filepath.Abs(a.state)
		if err != nil {
			return nil, err
		}
		opts.State = state
	}
	opts.Building = func(plugin string) {
		p.say("building plugin %s ...", plugin)
		logger.Info().Str("plugin", plugin).Msg("building")
	}
	p.say("opening %s ...", a.dir)
	defer p.clear()
	return engine.Open(ctx, a.dir, opts)
}

// closeEngine ends an engine also when the command was interrupted.
func closeEngine(ctx context.Context, eng *engine.Engine) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	return eng.Close(ctx)
}

// onceResult is what run --once writes as JSON.
type onceResult struct {
	*engine.Summary
	Failures []string `json:"failures,omitempty"`
}

func (a *app) runOnce(ctx context.Context, eng *engine.Engine, p *progress) error {
	stop := p.watch(eng)
	sum, err := eng.RunOnce(ctx)
	stop()
	err = errors.Join(err, closeEngine(ctx, eng))
	if sum == nil {
		return err
	}
	if a.json {
		result := onceResult{Summary: sum}
		for _, e := range divide(err) {
			result.Failures = append(result.Failures, e.Error())
		}
		return errors.Join(a.printJSON(result), err)
	}
	a.summary(sum, err != nil)
	return err
}

// runOn runs the engine until the context ends.
func (a *app) runOn(ctx context.Context, eng *engine.Engine, logger zerolog.Logger) error {
	stop := context.AfterFunc(ctx, func() { logger.Info().Msg("stopping; a second signal ends at once") })
	defer stop()
	err := errors.Join(eng.Run(ctx), closeEngine(ctx, eng))
	m := eng.Metrics()
	logger.Info().Int("read", m.Read).Int("new", m.New).Int("revised", m.Revised).Int("rejected", m.Rejected).
		Int64("cases", m.Cases).Int64("alerts", m.Alerts).Int64("sent", m.Sent).Msg("stopped")
	if a.json {
		return errors.Join(a.printJSON(m), err)
	}
	return err
}

// logger returns the log of the level that was asked for.
func (a *app) logger(p *progress, o runOptions) (zerolog.Logger, error) {
	name, err := oneOf("--log-level", o.level, "debug", "info", "warn", "error", "off")
	if err != nil {
		return zerolog.Nop(), err
	}
	level := zerolog.Disabled
	if name != "off" {
		if level, err = zerolog.ParseLevel(name); err != nil {
			return zerolog.Nop(), err
		}
	}
	if o.logJSON {
		return zerolog.New(p).Level(level).With().Timestamp().Logger(), nil
	}
	plain := !a.std.TTY || a.std.Getenv("NO_COLOR") != ""
	out := zerolog.ConsoleWriter{Out: p, NoColor: plain, TimeFormat: time.TimeOnly}
	return zerolog.New(out).Level(level).With().Timestamp().Logger(), nil
}

// oneOf checks a flag that takes one of a few words.
func oneOf(flag, value string, allowed ...string) (string, error) {
	for _, v := range allowed {
		if v == value {
			return v, nil
		}
	}
	return "", usage(suggest.DidYouMean(value, allowed), "%s: found %q, expected one of %s", flag, value, list(allowed))
}
