// Package engine runs a feedback program inside a host application: connectors bring feedback in, categorizers label
// it, rules decide, and the store remembers what was said and what was promised.
//
// An Engine is one program with one state directory. Open acquires everything or nothing, Run blocks until its context
// ends, Close releases. There is no package state: two engines in one process do not see each other.
//
//	eng, err := engine.Open(ctx, "program", engine.Options{})
//	if err != nil {
//		return err
//	}
//	defer eng.Close(context.WithoutCancel(ctx)) // waits for what is under way, also when ctx has ended
//	go eng.Run(ctx)
//	report, err := eng.Ingest(ctx, "app", feedback.Item{ExternalID: "42", Survey: feedback.NPS, Score: new(3.0)})
//
// What an acknowledged item is promised, and what not, stands in the documentation of Ingest.
//
// An Engine has a State, whose methods are its own: Cases, Deliveries, Metric and the other queries, and what people do,
// such as ActOnDeliveries. The State has a CaseDesk, whose methods are those that work on a case, such as AttemptCase.
// OpenState gives a State without an engine, and Dial a Client of an engine in another process; Queries is what all of
// them answer.
package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/engine/internal/outbox"
	"github.com/closedloop/closedloop/engine/internal/pipeline"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Errors that a host may want to tell apart.
var (
	// ErrBusy says that the intake's queue is full: try again later.
	ErrBusy = errors.New("engine: the intake is busy")
	// ErrFull says that the disk has too little space. The engine goes on by itself once there is space again.
	ErrFull = store.ErrFull
	// ErrLocked says that another engine works on the state directory.
	ErrLocked = store.ErrLocked
	// ErrNotFound says that there is nothing of that id.
	ErrNotFound = store.ErrNotFound
	// ErrClosed says that the engine is closed.
	ErrClosed = store.ErrClosed
	// ErrPoisoned says that a write failed and the engine must be opened again.
	ErrPoisoned = store.ErrPoisoned
)

// Profile is how much memory the store may take for speed.
//
// A host that wants Small to stay within 64 MiB gives the process a soft limit of SmallMemory (GOMEMLIMIT, or
// debug.SetMemoryLimit), as closedloop run --profile small does. A categorizer in the sandbox takes its own memory on
// top, the bundled codebook 48 MiB.
type Profile string

// SmallMemory is the soft limit, in bytes, of the memory that Go manages with which an engine of profile Small stays
// within 64 MiB.
const SmallMemory = 40 << 20

// The profiles.
const (
	Server Profile = "server" // throughput first
	Small  Profile = "small"  // 2,000 items a second within 64 MiB
)

// Options says how to open a program. The zero value works.
type Options struct {
	// State is the state directory. Defaults to what the program says, and that to .closedloop in the program.
	State string
	// CacheDir keeps built plugins and compiled modules; it holds machine code and is private to the user. Defaults
	// to closedloop in the user's cache directory.
	CacheDir string
	Profile  Profile        // Defaults to Server.
	Logger   zerolog.Logger // Defaults to no log.
	Events   Events
	// Native are plugins of the host itself, which the program names native:NAME. Those that the closedloop command brings
	// along are packages too: a host that wants native:csv imports plugins/csv and hands over {"csv": csv.Plugin}.
	Native map[string]sdk.Plugin
	// Intake is how many calls of Ingest and Receive may be under way at once. Defaults to 1024.
	Intake int
	// Now is the clock. Defaults to the system's.
	Now func() time.Time
	// Authorize says whether somebody may do something; an error refuses it, and is wrapped by ErrDenied. It is asked, with
	// the context of the call and before anything is changed, also for dry runs and over the state directory's socket, by
	//
	//   - ActOnCase and the methods of CaseDesk, and ActOnDeliveries: with the case, or the one that the delivery is about;
	//   - Correct: with the case of the item, which has no ID when the item has none;
	//   - Import and UndoImport, Activate and Rollback, Silence and Unsilence: with an empty case;
	//   - EraseCustomer and ChangeHold: with a case that has the customer alone.
	//
	// Where options have no Actor but a name, it has no roles. What the engine does by itself, such as to take rule files
	// that changed, is not asked; nor are questions, replays, reloads, backups and what else operates the engine. It must
	// return soon. Defaults to yes.
	Authorize func(context.Context, Actor, Action, feedback.Case) error
	// Watch has Run notice when files of the program or of its plugins change, and Reload then.
	Watch bool
	// Building is told the id of each plugin that has to be built from source.
	Building func(plugin string)
}

// Engine is a running program. The methods of its State are its own. It is safe for concurrent use.
type Engine struct {
	*State
	opts    Options
	program *program.Program
	plugins *plugins
	pipe    *pipeline.Pipeline
	intake  chan struct{}
	meter   *meter
	started time.Time

	life      context.Context // ends when Close begins
	end       context.CancelFunc
	replays   sync.Mutex       // one replay at a time
	undoing   sync.Mutex       // one import is taken back at a time
	reloading sync.Mutex       // one reload at a time; guards latest and plugins.made
	latest    *program.Program // as it was last read
	refused   atomic.Pointer[GateReport]
	running   chan struct{} // holds one while Run or RunOnce runs
}

// Open loads the program in dir, its plugins and its state. When the program is at fault the error is
// source.Problems with the place of each fault. ErrLocked, ErrFull and other errors of the store are wrapped.
//
// Rule files that changed since the program ran last are activated when the gate lets them; see Activate. Otherwise
// the rules that decided before go on, and the log and RefusedRules say why. The first rules of all need only compile.
func Open(ctx context.Context, dir string, o Options) (*Engine, error) {
	o = o.withDefaults()
	load := program.Options{CacheDir: o.CacheDir, Native: o.Native, Building: o.Building, RulesApart: true}
	prog, err := program.Load(ctx, dir, load)
	if err != nil {
		return nil, err
	}
	for _, w := range prog.Warnings {
		o.Logger.Warn().Str("file", w.File).Int("line", w.Line).Msg(w.Message)
	}
	if o.State, err = filepath.Abs(cmp.Or(o.State, prog.StateDir)); err != nil {
		return nil, err
	}
	e := &Engine{opts: o, program: prog, latest: prog, intake: make(chan struct{}, o.Intake), running: make(chan struct{}, 1), meter: newMeter(), started: o.Now()}
	e.life, e.end = context.WithCancel(context.Background())
	st, err := store.Open(o.State, store.Options{Profile: store.Profile(o.Profile)})
	if err != nil {
		return nil, fmt.Errorf("open state %s: %w", o.State, err)
	}
	e.State = &State{store: st, dir: o.State, zone: prog.Timezone, Clock: o.Now, files: e.rereadRules, activated: e.tellActivated, authorize: o.Authorize, destinations: prog.DestinationIDs(), keep: prog.Retention}
	e.CaseDesk = CaseDesk{e.ActOnCase}
	if err := e.assemble(ctx); err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	e.install = e.swapRules
	return e, nil
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Intake <= 0 {
		o.Intake = 1024
	}
	if o.Profile == "" {
		o.Profile = Server
	}
	if o.CacheDir == "" {
		o.CacheDir = defaultCacheDir()
	}
	return o
}

// assemble loads the plugins and puts the parts together.
func (e *Engine) assemble(ctx context.Context) error {
	prog := e.program
	if err := records.Migrate(ctx, e.store); err != nil {
		return err
	}
	set, err := e.openRules(ctx)
	if err != nil {
		return err
	}
	if e.plugins, err = e.loadPlugins(ctx); err != nil {
		return err
	}
	cfg := pipeline.Config{
		Store: e.store, Rules: set, Timezone: prog.Timezone, Parallel: runtime.GOMAXPROCS(0),
		ItemAttributes: prog.ItemAttributes, CustomerAttributes: prog.CustomerAttributes, Hooks: e.pipelineHooks(),
		Retention: retentionOf(prog.Retention), Now: e.now,
	}
	for i := range prog.Categorizers {
		c := &prog.Categorizers[i]
		cfg.Categorizer = append(cfg.Categorizer, pipeline.Categorizer{
			ID: c.ID, Plugin: e.plugins.byID[c.ID], PassUnlabelled: c.OnFailure == program.Unlabelled,
		})
	}
	e.pipe = pipeline.New(cfg)
	var destinations []outbox.Destination
	for i := range prog.Destinations {
		d := &prog.Destinations[i]
		destinations = append(destinations, outbox.Destination{
			ID: d.ID, Plugin: e.plugins.byID[d.ID],
			Policy: outbox.Policy{
				Base: d.Retry.Base, Cap: d.Retry.Cap, MaxAge: d.Retry.MaxAge, Attempts: d.Retry.Attempts,
				Concurrency: d.Pace.Concurrency, Timeout: d.Pace.Timeout, Rate: outbox.Rate(d.Pace.Rate),
				Breaker: outbox.BreakerPolicy(d.Pace.Breaker),
			},
		})
	}
	e.outbox = outbox.New(e.store, destinations, e.now, e.outboxHooks())
	if err := e.pipe.Activate(ctx, set, e.now(), nil, nil); err != nil {
		return fmt.Errorf("fill the windows of the rules: %w", err)
	}
	e.casework = e.pipe
	return errors.Join(e.pipe.WakeGroups(ctx, e.now()), e.pipe.AdoptCases(ctx, e.now()), e.pipe.Reladder(ctx, e.now()), e.pipe.Release(ctx, e.now()),
		e.pipe.ResumeErasures(ctx, e.now()), e.beginRetention(ctx))
}

// Close ends Run and what takes its time, such as Backtest and Backup, waits for what else is under way until ctx ends, cuts
// off what is then still running in plugins, and releases everything. It is safe to call it again. It must not be called from a function of Events.
func (e *Engine) Close(ctx context.Context) error {
	e.end()
	var err error
	select {
	case e.running <- struct{}{}:
		defer func() { <-e.running }()
	case <-ctx.Done():
	}
	e.reloading.Lock() // one that is under way ends with e.life; none begins any more
	defer e.reloading.Unlock()
	if e.plugins != nil {
		err = e.plugins.close(ctx)
	}
	return errors.Join(err, e.State.Close())
}

// living returns a context that ends with the engine too.
func (e *Engine) living(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(e.life, cancel)
	return ctx, func() { unlink(); cancel() }
}

// whileOpen has something done that takes its time and ends with the engine.
func whileOpen[T any](ctx context.Context, e *Engine, do func(context.Context) (T, error)) (T, error) {
	ctx, stop := e.living(ctx)
	defer stop()
	out, err := do(ctx)
	return out, e.orClosed(err)
}

// orClosed makes an error an ErrClosed when the engine has ended.
func (e *Engine) orClosed(err error) error {
	if err == nil || e.life.Err() == nil || errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrClosed, err)
}

func (e *Engine) now() feedback.Time { return feedback.TimeOf(e.opts.Now()) }

// Name returns the program's name.
func (e *Engine) Name() string { return e.program.Name }

// Rules returns the ruleset that decides.
func (e *Engine) Rules() *rules.Set { return e.pipe.Rules() }

// Dir returns the program's folder.
func (e *Engine) Dir() string { return filepath.Clean(e.program.Dir) }
