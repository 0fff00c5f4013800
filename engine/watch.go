package engine

import (
	"context"
	"errors"
	"fmt"
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
	// patience is how long they may go on changing before they are read all the same.
	patience = 3 * time.Second
	// rewatch is how often folders are looked for that are not watched.
	rewatch = 5 * time.Second
	// maxWatched bounds the folders that are watched.
	maxWatched = 512
)

var errTooMany = fmt.Errorf("more than %d folders", maxWatched)

// watch reloads the program whenever one of its files changes, until ctx ends. Without it the program goes on as it is.
func (e *Engine) watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		e.opts.Logger.Warn().Err(err).Msg("changes of the program are not noticed; closedloop reload reads it again")
		return nil
	}
	defer w.Close()
	told := map[string]bool{}
	e.watchFolders(w, told)
	quiet := time.NewTimer(settle) // what changed before the folders were watched is noticed now
	defer quiet.Stop()
	again := time.NewTicker(rewatch)
	defer again.Stop()
	var first time.Time // of the changes that were not read yet
	changed := func() {
		if first.IsZero() {
			first = time.Now()
		}
		quiet.Reset(max(min(settle, patience-time.Since(first)), 0))
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-w.Events:
			if e.matters(ev) {
				changed()
			}
		case err := <-w.Errors:
			e.opts.Logger.Warn().Err(err).Msg("a change of the program may have gone unnoticed")
			changed()
		case <-again.C: // folders may have come, or come back
			if e.watchFolders(w, told) {
				changed()
			}
		case <-quiet.C:
			first = time.Time{}
			e.reloadChanged(ctx)
			e.watchFolders(w, told)
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
	refused := (*GateError)(nil) // which is logged already
	if err != nil && !(errors.As(err, &refused) && err.Error() == refused.Error()) {
		log.Error().Err(err).Msg("the program changed and cannot be taken as it is: what runs goes on")
	}
	if len(done.Restart) > 0 {
		log.Warn().Strs("changed", done.Restart).Msg("this takes effect with the next start")
	}
	if f := e.opts.Events.Reloaded; f != nil && (err != nil || done.Rules != nil || len(done.Swapped)+len(done.Restart) > 0) {
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

// watchFolders watches the program's folder and those of its plugins, also where links lead, and reports whether there
// were any that were not watched. Folders rather than files: an editor replaces a file by another one. What cannot be
// watched is logged once, and noted in told.
func (e *Engine) watchFolders(w *fsnotify.Watcher, told map[string]bool) (more bool) {
	e.reloading.Lock()
	prog := e.latest
	e.reloading.Unlock()
	known := map[string]bool{}
	for _, path := range w.WatchList() {
		known[path] = true
	}
	add := func(path string) {
		if known[path] {
			return
		}
		err := errTooMany
		if len(known) < maxWatched {
			err = w.Add(path)
		}
		if err == nil {
			known[path], more = true, true
		} else if !told[path] && !errors.Is(err, fs.ErrNotExist) && len(told) < maxWatched {
			told[path] = true
			e.opts.Logger.Warn().Str("folder", path).Err(err).Msg("changes in this folder are not noticed; closedloop reload reads the program again")
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
		if p.Kind == program.KindNative {
			continue
		}
		add(filepath.Dir(p.Path)) // where a link to it would be replaced
		target, err := filepath.EvalSymlinks(p.Path)
		if err != nil {
			continue
		}
		if p.Kind == program.KindFolder {
			deep(target)
		} else {
			add(filepath.Dir(target))
		}
	}
	return more
}
