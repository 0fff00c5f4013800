package engine

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/closedloop/closedloop/engine/internal/program"
)

const (
	// settle is how long the files must be quiet before they are read again: writing several takes a while.
	settle = 300 * time.Millisecond
	// maxWatched bounds the folders that are watched.
	maxWatched = 512
)

// watch reloads the program whenever one of its files changes, until ctx ends. Without it the program goes on as it is.
func (e *Engine) watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		e.opts.Logger.Warn().Err(err).Msg("changes of the program are not noticed; closedloop reload reads it again")
		return nil
	}
	defer w.Close()
	e.watchFolders(w, e.program)
	quiet := time.NewTimer(settle) // what changed before the folders were watched is noticed now
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-w.Events:
			if e.matters(ev) {
				quiet.Reset(settle)
			}
		case err := <-w.Errors:
			e.opts.Logger.Warn().Err(err).Msg("a change of the program may have gone unnoticed")
			quiet.Reset(settle)
		case <-quiet.C:
			e.reloadChanged(ctx)
			e.watchFolders(w, e.program) // folders may have come
		}
	}
}

// reloadChanged reloads and tells what came of it.
func (e *Engine) reloadChanged(ctx context.Context) {
	done, err := e.Reload(ctx)
	if errors.Is(err, context.Canceled) {
		return
	}
	log := &e.opts.Logger
	if err != nil {
		log.Error().Err(err).Msg("the program changed and cannot be taken as it is: what runs goes on")
	}
	if len(done.Restart) > 0 {
		log.Warn().Strs("changed", done.Restart).Msg("this takes effect with the next start")
	}
	if f := e.opts.Events.Reloaded; f != nil && (err != nil || len(done.Swapped)+len(done.Restart) > 0) {
		f(done, err)
	}
}

// matters reports whether an event may have changed the program.
func (e *Engine) matters(ev fsnotify.Event) bool {
	if ev.Op == fsnotify.Chmod || strings.HasPrefix(filepath.Base(ev.Name), ".") {
		return false
	}
	inside, err := filepath.Rel(e.dir, ev.Name)
	return err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator))
}

// watchFolders watches the program's folder and those of its plugins. Folders rather than files: an editor replaces a
// file by another one.
func (e *Engine) watchFolders(w *fsnotify.Watcher, prog *program.Program) {
	known := map[string]bool{}
	for _, path := range w.WatchList() {
		known[path] = true
	}
	add := func(path string) {
		if known[path] || len(known) >= maxWatched {
			return
		}
		known[path] = true
		if err := w.Add(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			e.opts.Logger.Warn().Str("folder", path).Err(err).Msg("changes in this folder are not noticed")
		}
	}
	deep := func(root string) {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil // what cannot be read is not watched
			}
			if path != root && (strings.HasPrefix(d.Name(), ".") || path == e.dir) {
				return filepath.SkipDir
			}
			add(path)
			return nil
		})
	}
	deep(prog.Dir)
	for p := range prog.Plugins {
		switch p.Kind {
		case program.KindFolder:
			deep(p.Path)
		case program.KindWASM, program.KindProcess:
			add(filepath.Dir(p.Path))
		}
	}
}
