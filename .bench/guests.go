package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/engine/internal/program/gobuild"
	"github.com/closedloop/closedloop/engine/internal/program/guestbuild"
	"github.com/closedloop/closedloop/sdk"
)

// manifest is what every guest says of itself. The one in Go imports all functions of the host, so it asks for them.
var manifest = sdk.Manifest{
	Name: "label", Version: "1.0.0", Contract: "1.0", Abilities: []sdk.Ability{sdk.AbilityCategorize},
	Capabilities: []sdk.Capability{sdk.CapabilityFile, sdk.CapabilityHTTP, sdk.CapabilityKV},
}

// goGuest is the folder of the guest in Go, from the root of the main module.
const goGuest = "engine/internal/host/testdata/guest"

// guests are the plugins that are measured, as modules and as a process.
type guests struct {
	modules []module // that run in our sandbox
	extism  []byte
	process string   // path of an executable
	notes   []string // what was not built here
}

// module is a guest with its manifest.
type module struct {
	name string
	wasm []byte
}

// foreign are the folders of the guests that are not in Go.
var foreign = []struct {
	name, dir string
	language  guestbuild.Language
}{
	{"C", "c", guestbuild.C},
	{"Rust", "rust", guestbuild.Rust},
	{"AssemblyScript", "assemblyscript", guestbuild.AssemblyScript},
	{"Extism", "extism", guestbuild.C},
}

// buildGuests builds all guests; root is the folder of the main module.
func buildGuests(ctx context.Context, root, tmp string, keep bool) (*guests, error) {
	text, err := json.Marshal(manifest)
	if err != nil {
		return nil, err
	}
	g := new(guests)
	for _, f := range foreign {
		wasm, err := g.foreign(ctx, f.dir, f.language, keep)
		if err != nil {
			return nil, err
		}
		if f.name == "Extism" {
			g.extism = wasm
			continue
		}
		m, err := wasmfile.Parse(wasm)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		g.modules = append(g.modules, module{f.name, m.WithCustom(sdk.ManifestSection, text)})
	}
	b := gobuild.Builder{CacheDir: filepath.Join(tmp, "go")}
	art, err := b.Build(ctx, filepath.Join(root, goGuest), text)
	if err != nil {
		return nil, err
	}
	g.modules = append(g.modules, module{"Go", art.Wasm})
	g.process, err = buildProcess(ctx, root, tmp)
	return g, err
}

// foreign builds a guest, or takes the one that is kept when its toolchain is not here.
func (g *guests) foreign(ctx context.Context, dir string, language guestbuild.Language, keep bool) ([]byte, error) {
	kept := filepath.Join("testdata", dir+".wasm")
	wasm, err := guestbuild.Build(ctx, filepath.Join("guests", dir), language)
	if missing := (*guestbuild.MissingError)(nil); errors.As(err, &missing) {
		g.notes = append(g.notes, fmt.Sprintf("%s was not built: %v; took %s", dir, missing, filepath.ToSlash(kept)))
		return os.ReadFile(kept)
	}
	if failed := (*guestbuild.FailedError)(nil); errors.As(err, &failed) {
		return nil, fmt.Errorf("%w\n%s", failed, failed.Output)
	}
	if err == nil && keep {
		err = os.WriteFile(kept, wasm, 0o644)
	}
	return wasm, err
}

// buildProcess builds the guest in Go for this machine.
func buildProcess(ctx context.Context, root, tmp string) (string, error) {
	path := filepath.Join(tmp, "guest")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./"+goGuest+"/cmd")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}
