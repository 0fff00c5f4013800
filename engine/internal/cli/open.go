package cli

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/engine/internal/program"
)

// session is a program's state, opened for questions.
type session struct {
	engine.Queries
	io.Closer
	zone *time.Location
	name string // of the program
	dir  string // the state directory

	queues, sources []string // that the program declares
}

const (
	// patience is how long a command waits for another one that holds the state and answers no questions.
	patience = 5 * time.Second
	between  = 50 * time.Millisecond
)

// loadProgram reads the program without building or running any of its plugins.
func (a *app) loadProgram(ctx context.Context) (*program.Program, error) {
	return program.Load(ctx, a.dir, a.reading(false))
}

// findProgram does the same, also while its rule files are at fault.
func (a *app) findProgram(ctx context.Context) (*program.Program, error) {
	return program.Load(ctx, a.dir, a.reading(true))
}

func (a *app) reading(rulesApart bool) program.Options {
	return program.Options{
		CacheDir: a.std.Getenv(cacheVariable), NoBuild: true, Native: bundled(), Others: true, RulesApart: rulesApart,
	}
}

// stateDir returns the state directory: the one given, else the program's.
func (a *app) stateDir(p *program.Program) (string, error) {
	if a.state == "" {
		return p.StateDir, nil
	}
	return filepath.Abs(a.state)
}

// sessionOf returns a session that knows of the program, and has nothing to ask yet.
func sessionOf(p *program.Program) *session {
	s := &session{zone: p.Timezone, name: p.Name}
	for i := range p.Queues {
		s.queues = append(s.queues, p.Queues[i].ID)
	}
	for i := range p.Sources {
		s.sources = append(s.sources, p.Sources[i].ID)
	}
	return s
}

// open finds the state of the program: through the engine that is running, or else by opening it.
func (a *app) open(ctx context.Context) (*session, error) {
	p, err := a.findProgram(ctx)
	if err != nil {
		return nil, err
	}
	s := sessionOf(p)
	if s.dir, err = a.stateDir(p); err != nil {
		return nil, err
	}
	client, state, err := eitherWay(ctx, s.dir, a.patience, func() (*engine.State, error) {
		return engine.OpenState(ctx, a.dir, engine.Options{State: s.dir, Native: bundled(), Now: a.std.Now})
	})
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return nil, &failure{
			code: exitInput, message: "the program has no state in " + s.dir + ": it has not run yet", hint: "run it with closedloop run",
		}
	case errors.Is(err, engine.ErrLocked):
		return nil, &failure{
			code: exitEnvironment, message: err.Error(), hint: "a command such as closedloop run --once is at work on it: try again when it has ended",
		}
	case err != nil:
		return nil, err
	case client != nil:
		s.Queries, s.Closer = client, client
	default:
		s.Queries, s.Closer = state, state
	}
	return s, nil
}

// eitherWay asks for the running engine, and opens the state directory when there is none. While something that
// answers no questions holds the directory, such as another command, it waits.
func eitherWay[T any](ctx context.Context, dir string, patience time.Duration, open func() (T, error)) (*engine.Client, T, error) {
	var none T
	deadline := time.Now().Add(patience)
	for {
		client, err := engine.Dial(dir)
		if err == nil {
			return client, none, nil
		}
		if !errors.Is(err, engine.ErrNotRunning) {
			return nil, none, err
		}
		opened, err := open()
		if err == nil || !errors.Is(err, engine.ErrLocked) || time.Now().After(deadline) {
			return nil, opened, err
		}
		select {
		case <-ctx.Done():
			return nil, none, ctx.Err()
		case <-time.After(between):
		}
	}
}

// asked runs a command that asks questions of a program's state.
func (a *app) asked(ctx context.Context, f func(*session) error) (err error) {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return f(s)
}
