package program

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// unpack writes the files of an archive into a new folder. A file named *.wasm whose first line is "module" and names of
// exports becomes a plugin with these and with the other lines as its manifest; after "bare" it exports nothing else. A
// file named *.exe may be executed.
func unpack(t *testing.T, files []txtar.File) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "program")
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		data, mode := f.Data, os.FileMode(0o600)
		switch filepath.Ext(path) {
		case ".wasm":
			head, rest, _ := bytes.Cut(f.Data, []byte("\n"))
			switch exports := strings.Fields(string(head)); {
			case len(exports) > 0 && exports[0] == "module":
				data = module(append(exports[1:], "memory", "cl_abi", "cl_alloc", "cl_configure"), bytes.TrimSpace(rest))
			case len(exports) > 0 && exports[0] == "bare":
				data = module(exports[1:], bytes.TrimSpace(rest))
			}
			data = bytes.ReplaceAll(data, []byte("\\0"), []byte("\x00"))
		case ".exe":
			mode = 0o700
		}
		if err := os.WriteFile(path, data, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// module returns a module with exported functions that do nothing and a memory under the name memory, and with the
// manifest unless it is empty.
func module(exports []string, manifest []byte) []byte {
	n := uint32(len(exports))
	functions, exported, bodies := wasmfile.AppendU32(nil, n), wasmfile.AppendU32(nil, n), wasmfile.AppendU32(nil, n)
	for i, name := range exports {
		kind, index := wasmfile.Func, uint32(i)
		if name == "memory" {
			kind, index = wasmfile.Memory, 0
		}
		functions = append(functions, 0)
		exported = wasmfile.AppendU32(append(wasmfile.AppendName(exported, name), byte(kind)), index)
		bodies = append(bodies, 2, 0, 0x0b)
	}
	out := wasmfile.AppendSection([]byte(wasmfile.Header), wasmfile.SectionType, "", []byte{1, 0x60, 0, 0})
	out = wasmfile.AppendSection(out, wasmfile.SectionFunction, "", functions)
	out = wasmfile.AppendSection(out, wasmfile.SectionMemory, "", []byte{1, 0, 1})
	out = wasmfile.AppendSection(out, wasmfile.SectionExport, "", exported)
	out = wasmfile.AppendSection(out, wasmfile.SectionCode, "", bodies)
	if len(manifest) == 0 {
		return out
	}
	return wasmfile.AppendSection(out, wasmfile.SectionCustom, sdk.ManifestSection, manifest)
}

func options(t *testing.T) Options {
	return Options{CacheDir: t.TempDir(), NoBuild: true, Native: map[string]sdk.Plugin{
		"tagger": {Manifest: []byte("name: tagger\nversion: 1.0.0\ncontract: \"1.0\"\nabilities: [categorize]\n")},
		"broken": {Manifest: []byte("name: Broken\nversion: 1.0.0\ncontract: \"1.0\"\nabilities: [categorise]\n")},
	}}
}

// TestProblems compares what is wrong with programs, as people see it, with what is expected.
func TestProblems(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no test data", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			last := len(archive.Files) - 1
			if archive.Files[last].Name != "expected" {
				t.Fatal("the last file of the archive is not named expected")
			}
			got := problems(t, unpack(t, archive.Files[:last]))
			if *update {
				archive.Files[last].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(archive.Files[last].Data); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// problems renders what Load says of a program: what is wrong, or else the warnings.
func problems(t *testing.T, dir string) string {
	t.Helper()
	p, err := Load(t.Context(), dir, options(t))
	var b bytes.Buffer
	list := source.Problems(nil)
	switch {
	case err == nil:
		list = p.Warnings
		b.WriteString("in order\n")
	case !errors.As(err, &list):
		t.Fatalf("got %v, expected problems", err)
	}
	if err := list.Render(&b); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.ReplaceAll(b.String(), filepath.ToSlash(dir)+"/", ""), dir, "PROGRAM")
}
