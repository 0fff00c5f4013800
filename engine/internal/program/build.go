package program

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/engine/internal/program/guestbuild"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
)

// Build builds the plugin in the folder dir, in any language of package guestbuild, with the local toolchain of that
// language, and writes the module, with its manifest, to the file out. The errors are those of Load, and
// *guestbuild.FailedError when a toolchain that is not Go's refuses the source.
func Build(ctx context.Context, dir, out string, o Options) (*Artifact, error) {
	language, err := language(dir)
	if err != nil {
		return nil, err
	}
	var art *Artifact
	if language == guestbuild.Go {
		art, err = buildGo(ctx, dir, o)
	} else {
		art, err = buildGuest(ctx, dir, language, o)
	}
	if err != nil {
		return nil, err
	}
	if err := replace(out, art.Wasm, 0o644); err != nil {
		return nil, &EnvironmentError{Doing: "write the module", Err: err}
	}
	art.Path = out
	return art, nil
}

// language finds out what a folder is written in.
func language(dir string) (guestbuild.Language, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", source.Problems{{Code: "missing_file", File: dir, Message: "there is no such folder", Hint: nearby(dir)}}
	case err != nil:
		return "", &EnvironmentError{Doing: "build a plugin", Err: err}
	case !info.IsDir():
		return "", source.Problems{{Code: "plugin", File: dir, Message: "found a file, expected the folder of a plugin"}}
	}
	found, err := guestbuild.Detect(dir)
	if err != nil {
		return "", source.Problems{{Code: "plugin", File: dir, Message: err.Error(),
			Hint: "closedloop plugin new makes a folder to begin with"}}
	}
	return found, nil
}

func buildGo(ctx context.Context, dir string, o Options) (*Artifact, error) {
	p, err := Find(dir, TrustSandbox, o)
	if err != nil {
		return nil, err
	}
	return p.Artifact(ctx)
}

// buildGuest builds a folder that is not Go, stamps plugin.yaml into the module and checks what came out.
func buildGuest(ctx context.Context, dir string, language guestbuild.Language, o Options) (*Artifact, error) {
	manifest, err := folderManifest(dir)
	if err != nil {
		return nil, err
	}
	if o.Building != nil {
		o.Building(manifest.Name)
	}
	wasm, err := guestbuild.Build(ctx, dir, language)
	switch missing, failed := (*guestbuild.MissingError)(nil), (*guestbuild.FailedError)(nil); {
	case errors.As(err, &missing):
		return nil, &EnvironmentError{Doing: "build plugin " + manifest.Name, Err: err, Hint: missing.Hint}
	case errors.As(err, &failed), ctx.Err() != nil:
		return nil, err
	case err != nil:
		return nil, &EnvironmentError{Doing: "build plugin " + manifest.Name, Err: err}
	}
	module, err := wasmfile.Parse(wasm)
	if err != nil {
		return nil, source.Problems{{Code: "plugin", File: dir, Message: "what was built: " + err.Error()}}
	}
	data, err := json.Marshal(manifest)
	if err != nil {
		return nil, err
	}
	wasm = module.WithCustom(sdk.ManifestSection, data)
	_, wrong := wasmManifest(wasm)
	var problems source.Problems
	for _, err := range wrong {
		problems = append(problems, source.Problem{Code: "plugin", File: dir, Message: "what was built: " + err.Error()})
	}
	return &Artifact{Wasm: wasm, SHA256: digest(wasm)}, problems.Err()
}

// folderManifest reads plugin.yaml in a folder.
func folderManifest(dir string) (*sdk.Manifest, error) {
	path := filepath.Join(dir, ManifestName)
	data, err := readFile(path, source.MaxBytes)
	if err != nil {
		return nil, source.Problems{{Code: "no_manifest", File: dir, Message: "there is no " + ManifestName + " in the folder: " + reason(err),
			Hint: "the manifest says what the plugin is, can and asks for"}}
	}
	m, root, problems := parseManifest(shown(path), data)
	if root != nil {
		problems = root.Problems()
	}
	return m, problems.Err()
}

// replace writes a file so that it appears with its whole content, or stays as it was.
func replace(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".closedloop-*") // a name that nobody can have prepared
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
