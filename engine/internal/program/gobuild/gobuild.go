// Package gobuild compiles the folder of a Go plugin to a WASM module that carries its manifest, and does so once.
//
// The module is built with the local Go toolchain for GOOS=wasip1, GOARCH=wasm as a reactor, from the main package in
// the folder's cmd if there is one and in the folder itself otherwise. Three things hold:
//
//   - The result depends on the sources, the manifest and the toolchain, not on GOFLAGS, CGO_ENABLED or where the
//     folder lies: the same input gives the same bytes on every machine.
//   - When nothing of that has changed, neither compiler nor linker is started: one `go env` says which toolchain and
//     module are in force, and the sources' contents are compared with what the kept module was built from.
//   - Any number of processes may build the same folder at once: one builds, the others wait and take its result, and a
//     module is never seen half written.
//
// Usage:
//
//	b := gobuild.Builder{CacheDir: cache}
//	art, err := b.Build(ctx, "plugins/codebook", manifestJSON)
package gobuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/sdk"
)

// Builder builds plugin folders. It is safe for concurrent use.
type Builder struct {
	// CacheDir is the folder that keeps the finished modules, below "plugins". It is made when missing, for its
	// owner alone.
	CacheDir string
	// Go is the go command. Defaults to "go", looked up on the PATH.
	Go string
	// Started is told when the toolchain really has to build; a module that was kept is not announced. Defaults to
	// nothing.
	Started func(dir string)
}

// Artifact is a finished module.
type Artifact struct {
	// Path is where the module is kept. A later build of the same folder replaces the file.
	Path   string
	Wasm   []byte        // the module, with its manifest stamped in
	SHA256 string        // of Wasm, in lower-case hexadecimal
	Cached bool          // nothing was compiled
	Took   time.Duration // how long it took to get hold of the module
}

// ErrNoToolchain says that there is no go command.
var ErrNoToolchain = errors.New("the Go toolchain was not found")

// Build returns the folder's module with the manifest, a JSON object, stamped into it. The error is a *CompileError
// when the sources are at fault, ErrNoToolchain or a *MachineError when the toolchain is, the context's error, or what
// the file system said.
func (b *Builder) Build(ctx context.Context, dir string, manifest []byte) (*Artifact, error) {
	began := time.Now()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	j, err := b.newJob(ctx, dir, manifest)
	if err != nil {
		return nil, err
	}
	art, err := j.kept()
	if err != nil {
		if art, err = j.buildAlone(ctx); err != nil {
			return nil, err
		}
	}
	art.Took = time.Since(began)
	return art, nil
}

// job is one call of Build.
type job struct {
	b        *Builder
	tool     *toolchain
	dir      string // the plugin's folder, absolute
	main     string // the main package, relative to dir: "./cmd" or "."
	manifest []byte
	cache    string // the folder of this plugin's module
}

const (
	moduleFile = "plugin.wasm"
	recordFile = "build.json"
)

func (b *Builder) newJob(ctx context.Context, dir string, manifest []byte) (*job, error) {
	sum := sha256.Sum256([]byte(dir))
	j := &job{b: b, dir: dir, main: ".", manifest: manifest,
		cache: filepath.Join(b.CacheDir, "plugins", hex.EncodeToString(sum[:8]))}
	if hasGoFiles(filepath.Join(dir, "cmd")) {
		j.main = "./cmd"
	}
	if err := os.MkdirAll(j.cache, 0o700); err != nil {
		return nil, fmt.Errorf("the cache for built plugins: %w", err)
	}
	var err error
	j.tool, err = findToolchain(ctx, b.Go, dir)
	return j, j.classify(err)
}

func hasGoFiles(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go")
	})
}

// record says what the module beside it was built from.
type record struct {
	Inputs      inputs `json:"inputs"`
	Fingerprint string `json:"fingerprint"` // of the contents of the inputs
	SHA256      string `json:"sha256"`      // of the module
}

var errStale = errors.New("no module that is up to date")

// kept returns the module of an earlier build when all that it was built from is as it was.
func (j *job) kept() (*Artifact, error) {
	data, err := os.ReadFile(filepath.Join(j.cache, recordFile))
	if err != nil {
		return nil, err
	}
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, err
	}
	if now, err := j.fingerprint(&rec.Inputs); err != nil || now != rec.Fingerprint {
		return nil, errStale
	}
	path := filepath.Join(j.cache, moduleFile)
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if digest(wasm) != rec.SHA256 {
		return nil, errStale // damaged, or another process is replacing it
	}
	return &Artifact{Path: path, Wasm: wasm, SHA256: rec.SHA256, Cached: true}, nil
}

// buildAlone builds while no other process builds the same folder.
func (j *job) buildAlone(ctx context.Context) (*Artifact, error) {
	unlock, err := lockFile(ctx, filepath.Join(j.cache, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if art, err := j.kept(); err == nil {
		return art, nil // built while this process waited
	}
	if j.b.Started != nil {
		j.b.Started(j.dir)
	}
	j.removeLeftovers()
	tmp, err := os.MkdirTemp(j.cache, tmpPrefix)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	return j.build(ctx, tmp)
}

const tmpPrefix = "tmp-"

// removeLeftovers removes what builds left behind that were killed.
func (j *job) removeLeftovers() {
	entries, _ := os.ReadDir(j.cache)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tmpPrefix) {
			_ = os.RemoveAll(filepath.Join(j.cache, e.Name()))
		}
	}
}

// build compiles into the folder tmp and moves the results into place: the module first, so that a record never
// stands beside an older module than the one it describes without being found out by its digest.
func (j *job) build(ctx context.Context, tmp string) (*Artifact, error) {
	// Taken before the compiler reads the files: an edit during the build makes the record stale, never wrong.
	in, err := j.findInputs(ctx)
	if err != nil {
		return nil, err
	}
	print, err := j.fingerprint(in)
	if err != nil {
		return nil, err
	}
	raw := filepath.Join(tmp, "raw.wasm")
	if err := j.compile(ctx, raw); err != nil {
		return nil, err
	}
	wasm, err := os.ReadFile(raw)
	if err != nil {
		return nil, err
	}
	module, err := wasmfile.Parse(wasm)
	if err != nil {
		return nil, fmt.Errorf("what the Go toolchain built: %w", err)
	}
	wasm = module.WithCustom(sdk.ManifestSection, j.manifest)
	art := &Artifact{Path: filepath.Join(j.cache, moduleFile), Wasm: wasm, SHA256: digest(wasm)}
	rec, err := json.MarshalIndent(record{Inputs: *in, Fingerprint: print, SHA256: art.SHA256}, "", "\t")
	if err != nil {
		return nil, err
	}
	if err := place(tmp, art.Path, wasm); err != nil {
		return nil, err
	}
	return art, place(tmp, filepath.Join(j.cache, recordFile), rec)
}

// place makes a file appear with its whole content.
func place(tmp, path string, data []byte) error {
	part := filepath.Join(tmp, filepath.Base(path))
	if err := os.WriteFile(part, data, 0o600); err != nil {
		return err
	}
	return os.Rename(part, path)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
