package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/program/gobuild"
	"github.com/closedloop/closedloop/rules/source"
)

// Artifact is the code of a plugin.
type Artifact struct {
	Path   string // of the module or executable
	Wasm   []byte // the module; nil for an executable
	SHA256 string // of the file, in lower-case hexadecimal
	Cached bool   // nothing had to be built
}

// errNative says that a plugin is no file.
var errNative = errors.New("the plugin is a part of the embedding program and has no file")

// Artifact returns the plugin's code. It builds a Go folder when it changed since it was last built; see package
// gobuild. The error is source.Problems when the plugin's source does not build, and an *EnvironmentError or the
// context's error otherwise, also when a file is not the one that Load checked.
func (p *Plugin) Artifact(ctx context.Context) (*Artifact, error) {
	doing := "load plugin " + p.ID
	switch p.Kind {
	case KindNative:
		return nil, errNative
	case KindProcess:
		return &Artifact{Path: p.Path, SHA256: p.SHA256, Cached: true}, nil
	case KindWASM:
		wasm, err := os.ReadFile(p.Path)
		if err != nil {
			return nil, &EnvironmentError{Doing: doing, Err: err}
		}
		if digest(wasm) != p.SHA256 {
			return nil, &EnvironmentError{Doing: doing, Err: fmt.Errorf("the file %s changed after it was checked", p.Path)}
		}
		return &Artifact{Path: p.Path, Wasm: wasm, SHA256: p.SHA256, Cached: true}, nil
	}
	return p.build(ctx)
}

func (p *Plugin) build(ctx context.Context) (*Artifact, error) {
	doing, cache := "build plugin "+p.ID, p.cacheDir
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, &EnvironmentError{Doing: doing, Err: err, Hint: "name a folder for built plugins, or set HOME"}
		}
		cache = filepath.Join(user, "closedloop")
	}
	manifest, err := json.Marshal(p.Manifest)
	if err != nil {
		return nil, err
	}
	b := gobuild.Builder{CacheDir: cache, Started: func(string) {
		if p.building != nil {
			p.building(p.ID)
		}
	}}
	art, err := b.Build(ctx, p.Path, manifest)
	failed, machine := (*gobuild.CompileError)(nil), (*gobuild.MachineError)(nil)
	switch {
	case err == nil:
		return &Artifact{Path: art.Path, Wasm: art.Wasm, SHA256: art.SHA256, Cached: art.Cached}, nil
	case errors.As(err, &failed):
		return nil, compileProblems(failed)
	case errors.Is(err, gobuild.ErrNoToolchain):
		return nil, &EnvironmentError{Doing: doing, Err: err,
			Hint: "install Go from https://go.dev/dl, or build the plugin where there is one with closedloop plugin build and name the .wasm file"}
	case errors.As(err, &machine):
		return nil, &EnvironmentError{Doing: doing, Err: err, Hint: machine.Hint}
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, &EnvironmentError{Doing: doing, Err: err}
}

// compileProblems tells what the compiler said as problems, with paths relative to the working directory where that is
// shorter.
func compileProblems(failed *gobuild.CompileError) source.Problems {
	var problems source.Problems
	texts := map[string][]string{}
	for _, d := range failed.Diagnostics {
		p := source.Problem{Code: "build", File: shown(failed.Dir), Message: d.Message}
		if d.File != "" {
			p.File, p.Line, p.Column = shown(d.File), d.Line, d.Column
			if _, read := texts[d.File]; !read {
				data, _ := os.ReadFile(d.File)
				texts[d.File] = strings.Split(string(data), "\n")
			}
			if text := texts[d.File]; 0 < d.Line && d.Line <= len(text) {
				p.Snippet = strings.TrimSuffix(text[d.Line-1], "\r")
			}
		}
		problems = append(problems, p)
	}
	return problems.Sorted()
}

// shown returns an absolute path as people read it best: below the working directory, relative to it.
func shown(path string) string {
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsLocal(rel) {
			path = rel
		}
	}
	return filepath.ToSlash(path)
}

// buildAll builds what the program has of Go folders, one after the other: builds side by side would compile the
// standard library once each. What does not build is told of all.
func (p *Program) buildAll(ctx context.Context) error {
	var problems source.Problems
	for plugin := range p.Plugins {
		if plugin.Kind != KindFolder {
			continue
		}
		_, err := plugin.Artifact(ctx)
		if wrong := source.Problems(nil); errors.As(err, &wrong) {
			problems = append(problems, wrong...)
		} else if err != nil {
			return err
		}
	}
	return problems.Sorted().Err()
}
