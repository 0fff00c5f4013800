package program

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
)

// Inspection is what can be said of a plugin without running it.
type Inspection struct {
	Path     string       `json:"path"`
	Kind     Kind         `json:"kind"`
	Size     int64        `json:"size"`   // of the module or executable, in bytes
	SHA256   string       `json:"sha256"` // of the same
	Manifest sdk.Manifest `json:"manifest"`
	Imports  []string     `json:"imports,omitempty"` // what a module wants from its host, as MODULE.NAME
	Exports  []string     `json:"exports,omitempty"` // the functions that a module offers
}

// Find finds a plugin outside of a program: a Go folder, a .wasm file, or with TrustProcess an executable. It has its
// manifest and no settings, and the name in its manifest for an id. The errors are those of Load.
func Find(path string, trust Trust, o Options) (*Plugin, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &EnvironmentError{Doing: "find " + path, Err: err}
	}
	text, err := json.Marshal(abs)
	if err != nil {
		return nil, err
	}
	ref, problems := source.Parse("", text)
	l := &loader{given: ".", opts: o, root: ref, alone: true, p: &Program{Dir: filepath.Dir(abs)}, problems: problems}
	c := l.findCode(ref, trust)
	problems = l.all().Sorted()
	for i := range problems {
		if p := &problems[i]; p.File == "" { // the argument, which is no file with lines
			p.File, p.Line, p.Column, p.Snippet = path, 0, 0, ""
		} else {
			p.File = shown(l.path(p.File))
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &Plugin{ID: c.manifest.Name, Kind: c.kind, Trust: trust, Path: c.path, SHA256: c.sha256, Manifest: *c.manifest,
		cacheDir: o.CacheDir, building: o.Building}, nil
}

// Inspect looks at a plugin: a Go folder, which it builds, a .wasm file, or with TrustProcess an executable. The errors
// are those of Load.
func Inspect(ctx context.Context, path string, trust Trust, o Options) (*Inspection, error) {
	p, err := Find(path, trust, o)
	if err != nil {
		return nil, err
	}
	art, err := p.Artifact(ctx)
	if err != nil {
		return nil, err
	}
	return inspection(p, art, path)
}

// inspection says what is known of a plugin and its code. The path is how the plugin was named.
func inspection(p *Plugin, art *Artifact, path string) (*Inspection, error) {
	in := &Inspection{Path: art.Path, Kind: p.Kind, SHA256: art.SHA256, Manifest: p.Manifest, Size: int64(len(art.Wasm))}
	if art.Wasm == nil {
		info, err := os.Stat(art.Path)
		if err != nil {
			return nil, &EnvironmentError{Doing: "inspect " + path, Err: err}
		}
		in.Size = info.Size()
		return in, nil
	}
	module, err := wasmfile.Parse(art.Wasm)
	if err != nil {
		return nil, source.Problems{{Code: "plugin", File: path, Message: err.Error()}}
	}
	for _, im := range module.Imports {
		in.Imports = append(in.Imports, im.Module+"."+im.Name)
	}
	for _, ex := range module.Exports {
		if ex.Kind == wasmfile.Func {
			in.Exports = append(in.Exports, ex.Name)
		}
	}
	return in, nil
}
