package gobuild

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// inputs names all that a module is built from, as absolute paths. What comes from the standard library is named by
// the toolchain's version, and what comes from the module cache by go.sum.
type inputs struct {
	Packages []string `json:"packages"` // folders of packages: all their sources count
	Files    []string `json:"files"`    // embedded files and module files, which may be absent
	Folders  []string `json:"folders"`  // folders that are embedded from: a new name in them counts
}

// listed is a package as `go list -json` describes it.
type listed struct {
	Dir           string
	Standard      bool
	EmbedPatterns []string
	EmbedFiles    []string
	Module        *listedModule
}

// embedsByPattern reports whether a new file may come to be embedded without a change of the sources.
func (p *listed) embedsByPattern() bool {
	return slices.ContainsFunc(p.EmbedPatterns, func(pattern string) bool { return !slices.Contains(p.EmbedFiles, pattern) })
}

type listedModule struct {
	Version string
	Dir     string // empty for a vendored module
	GoMod   string
	Replace *listedModule
}

// local returns the module's files when they lie outside of the module cache and may change.
func (m *listedModule) local() (goMod string, ok bool) {
	if m.Replace != nil {
		m = m.Replace
	}
	return m.GoMod, m.Version == "" || m.Dir == ""
}

// findInputs asks the go command what the main package is built from. What cannot be found is left to the compiler to
// complain about.
func (j *job) findInputs(ctx context.Context) (*inputs, error) {
	out, err := j.tool.run(ctx, "list", "-e", "-deps", "-json=Dir,Standard,EmbedPatterns,EmbedFiles,Module", j.main)
	if err != nil {
		return nil, j.classify(err)
	}
	packages, files, folders := map[string]bool{j.dir: true}, map[string]bool{}, map[string]bool{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.Standard || p.Dir == "" || p.Module == nil {
			continue
		}
		goMod, ok := p.Module.local()
		if !ok {
			continue
		}
		packages[p.Dir] = true
		if goMod != "" {
			files[goMod] = true
		}
		for _, name := range p.EmbedFiles {
			files[filepath.Join(p.Dir, name)] = true
			for up := name; p.embedsByPattern() && up != "."; {
				up = filepath.Dir(up)
				folders[filepath.Join(p.Dir, up)] = true
			}
		}
	}
	if err := j.addModuleFiles(ctx, files); err != nil {
		return nil, err
	}
	return &inputs{Packages: sorted(packages), Files: sorted(files), Folders: sorted(folders)}, nil
}

// addModuleFiles adds what decides about the versions of modules.
func (j *job) addModuleFiles(ctx context.Context, files map[string]bool) error {
	if j.tool.mod != "" {
		root := filepath.Dir(j.tool.mod)
		for _, name := range []string{"go.mod", "go.sum", filepath.Join("vendor", "modules.txt")} {
			files[filepath.Join(root, name)] = true
		}
	}
	if j.tool.work == "" {
		return nil
	}
	files[j.tool.work], files[j.tool.work+".sum"] = true, true
	out, err := j.tool.run(ctx, "list", "-m", "-f", "{{.GoMod}}")
	if err != nil {
		return j.classify(err)
	}
	for _, goMod := range strings.Fields(string(out)) {
		files[goMod] = true
	}
	return nil
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// fingerprint digests the contents of the inputs with all else that decides about the module.
func (j *job) fingerprint(in *inputs) (string, error) {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(strings.Join(buildFlags, " ")), []byte(j.main), j.tool.env, j.manifest} {
		add(h, "", part)
	}
	for _, dir := range in.Packages {
		if err := addSources(h, dir); err != nil {
			return "", err
		}
	}
	for _, path := range in.Files {
		data, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			add(h, path+" absent", nil)
		case err != nil:
			return "", err
		default:
			add(h, path, data)
		}
	}
	for _, dir := range in.Folders {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return "", err
		}
		for _, e := range entries {
			add(h, e.Name(), nil)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// addSources adds every source of a package's folder, also those that a build constraint leaves out: an edit may
// bring them in.
func addSources(h hash.Hash, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	add(h, dir, nil)
	for _, e := range entries {
		name := e.Name()
		switch filepath.Ext(name) {
		case ".go", ".s", ".h", ".syso":
		default:
			continue
		}
		if strings.HasSuffix(name, "_test.go") || e.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		add(h, name, data)
	}
	return nil
}

// add adds a name and content with their lengths, so that two different inputs never read the same.
func add(h hash.Hash, name string, data []byte) {
	fmt.Fprintf(h, "%d %s %d\n", len(name), name, len(data))
	h.Write(data)
}
