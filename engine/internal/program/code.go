package program

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/engine/internal/program/guestbuild"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// code is what a program refers to as a plugin.
type code struct {
	kind     Kind
	path     string
	sha256   string // of a file
	native   sdk.Plugin
	manifest *sdk.Manifest // nil when it could not be read
}

const nativePrefix = "native:"

// findCode finds what the program refers to and reads its manifest. Whatever is wrong is noted.
func (l *loader) findCode(ref *source.Node, trust Trust) *code {
	name := ref.String()
	if name == "" {
		if ref != nil && ref.Any() == "" {
			ref.Problem("missing_value", "found an empty name, expected a folder, a .wasm file or an executable")
		}
		return &code{}
	}
	if native, ok := strings.CutPrefix(name, nativePrefix); ok {
		return l.findNative(ref, native, trust)
	}
	c := &code{path: l.path(name)}
	info, err := os.Stat(c.path)
	switch {
	case err != nil && isMissing(c.path, err):
		ref.ProblemHint("missing_file", nearby(c.path), "there is no file or folder %s", name)
	case err != nil:
		ref.Problem("unreadable", "the plugin cannot be read: %s", reason(err))
	case info.IsDir() && trust == TrustProcess:
		ref.ProblemHint("plugin", "build it with go build and name the executable, or leave trust out to run it in the sandbox",
			"found a folder, expected an executable because of trust: process")
	case info.IsDir():
		c.kind = KindFolder
		l.readFolder(ref, c)
	case !info.Mode().IsRegular():
		ref.Problem("plugin", "found neither a file nor a folder")
	case trust == TrustProcess:
		c.kind = KindProcess
		l.readExecutable(ref, c, info)
	default:
		c.kind = KindWASM
		l.readModule(ref, c, info)
	}
	return c
}

// withCommand are the plugins that the closedloop command hands over.
var withCommand = []string{"codebook", "csv", "slack", "smtp", "webhook"}

func (l *loader) findNative(ref *source.Node, name string, trust Trust) *code {
	c := &code{kind: KindNative, path: name}
	if trust == TrustProcess {
		ref.Problem("plugin", "found trust: process with a plugin of the embedding program, which runs within it")
	}
	p, ok := l.opts.Native[name]
	if !ok {
		names := slices.Sorted(maps.Keys(l.opts.Native))
		hint := suggest.DidYouMean(name, names)
		if l.opts.Others {
			l.warn(ref, "native", hint, "the plugin %s is not checked, the Go program that runs this program brings it along", ref.String())
			return c
		}
		if len(names) == 0 {
			hint = "the program must be run by the Go program that brings the plugin along"
		}
		if slices.Contains(withCommand, name) {
			hint = "the closedloop command brings it along; another Go program hands over " + name + ".Plugin of plugins/" + name + " in engine.Options.Native"
		}
		ref.ProblemHint("missing_plugin", hint, "nobody handed over a plugin named %q", name)
		return c
	}
	c.native = p
	c.manifest = l.manifest(ref, nativePrefix+name, p.Manifest)
	return c
}

// manifest reads the text of a plugin.yaml and notes what is wrong with it. It returns nil when anything is.
func (l *loader) manifest(ref *source.Node, file string, data []byte) *sdk.Manifest {
	m, root, problems := parseManifest(file, data)
	l.problems = append(l.problems, problems...)
	if root == nil {
		return nil
	}
	l.files = append(l.files, root)
	if len(root.Problems()) > 0 {
		return nil
	}
	return m
}

// manifestFile reads plugin.yaml in a folder.
func (l *loader) manifestFile(ref *source.Node, dir, what string) *sdk.Manifest {
	path := filepath.Join(dir, ManifestName)
	data, err := readFile(path, source.MaxBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		ref.ProblemHint("no_manifest", "the manifest says what the plugin is, can and asks for", "there is no %s %s", ManifestName, what)
		return nil
	case err != nil:
		ref.Problem("unreadable", "%s cannot be read: %s", ManifestName, reason(err))
		return nil
	}
	return l.manifest(ref, l.name(path), data)
}

func (l *loader) readFolder(ref *source.Node, c *code) {
	if !hasGoFiles(c.path) && !hasGoFiles(filepath.Join(c.path, "cmd")) {
		hint := ""
		if found, _ := filepath.Glob(filepath.Join(c.path, "*.wasm")); len(found) > 0 {
			hint = "did you mean the file " + filepath.Base(found[0]) + " in it?"
		} else if lang, err := guestbuild.Detect(c.path); err == nil {
			hint = "build the plugin in " + string(lang) + " with closedloop plugin build, and name the .wasm file"
		}
		ref.ProblemHint("plugin", hint, "found a folder without Go files, expected the folder of a Go plugin, a .wasm file or an executable")
		return
	}
	c.manifest = l.manifestFile(ref, c.path, "in the folder")
}

func hasGoFiles(dir string) bool {
	entries, _ := os.ReadDir(dir)
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return filepath.Ext(e.Name()) == ".go" })
}

func (l *loader) readExecutable(ref *source.Node, c *code, info fs.FileInfo) {
	if !isExecutable(info) {
		ref.ProblemHint("plugin", "allow it to run, as with chmod +x", "the file is not executable, expected an executable because of trust: process")
	}
	f, err := os.Open(c.path)
	if err != nil {
		ref.Problem("unreadable", "the plugin cannot be read: %s", reason(err))
		return
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		ref.Problem("unreadable", "the plugin cannot be read: %s", reason(err))
		return
	}
	c.sha256 = hex.EncodeToString(h.Sum(nil))
	c.manifest = l.manifestFile(ref, filepath.Dir(c.path), "beside the executable")
}

func (l *loader) readModule(ref *source.Node, c *code, info fs.FileInfo) {
	if limit := (host.Limits{}).WithDefaults().Module; info.Size() > limit {
		ref.Problem("plugin", "found a file of %d bytes, expected a module of at most %s", info.Size(), inUnits(limit))
		return
	}
	wasm, err := os.ReadFile(c.path)
	if err != nil {
		ref.Problem("unreadable", "the plugin cannot be read: %s", reason(err))
		return
	}
	c.sha256 = digest(wasm)
	m, wrong := wasmManifest(wasm)
	for _, err := range wrong {
		ref.ProblemHint("plugin", l.moduleHint(wasm, err), "%v", err)
	}
	if wrong == nil {
		c.manifest = m
	}
}

func (l *loader) moduleHint(wasm []byte, err error) string {
	unasked := (*grants.Unasked)(nil)
	switch {
	case errors.As(err, &unasked):
		return unasked.Hint()
	case errors.Is(err, wasmfile.ErrComponent):
		return "build a core module, as for wasm32-wasip1 or wasm32-unknown-unknown, and not for wasm32-wasip2"
	case errors.Is(err, errNoManifest):
		return "build it with closedloop plugin build, which stamps " + ManifestName + " into the module"
	case errors.Is(err, wasmfile.ErrNotWasm) && looksExecutable(wasm) && l.alone:
		return "say --process to take it as an executable, which runs outside of the sandbox"
	case errors.Is(err, wasmfile.ErrNotWasm) && looksExecutable(wasm):
		return "an executable runs outside of the sandbox, which the program must allow: trust: process"
	}
	return ""
}

// looksExecutable reports whether a file begins like a program of one of the common systems.
func looksExecutable(data []byte) bool {
	for _, magic := range []string{"\x7fELF", "MZ", "#!", "\xcf\xfa\xed\xfe", "\xce\xfa\xed\xfe", "\xca\xfe\xba\xbe"} {
		if strings.HasPrefix(string(data[:min(len(data), 4)]), magic) {
			return true
		}
	}
	return false
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// reason returns the error without the path, which the message around it names.
func reason(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// nearby returns a hint with the name beside a missing path that was probably meant.
func nearby(path string) string {
	entries, _ := os.ReadDir(filepath.Dir(path))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return suggest.DidYouMean(filepath.Base(path), names)
}
