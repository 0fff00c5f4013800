package scaffold

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryTemplateRenders makes every plugin that there are templates for.
func TestEveryTemplateRenders(t *testing.T) {
	t.Parallel()
	made := 0
	for _, language := range Languages {
		for _, kind := range Kinds {
			o := Options{Language: language, Kind: kind, Name: "my-plugin"}
			d, err := prepare("x", &o)
			if err != nil {
				t.Fatal(err)
			}
			files, err := render(&o, d)
			if errors.Is(err, ErrNoTemplate) && language != "go" {
				if slices.Contains(KindsOf(language), kind) {
					t.Errorf("%s: the kinds are %v, and there is no template for %s", language, KindsOf(language), kind)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", language, kind, err)
				continue
			}
			made++
			if !slices.Contains(KindsOf(language), kind) {
				t.Errorf("%s: the kinds are %v, without %s", language, KindsOf(language), kind)
			}
			names := make([]string, len(files))
			for i, f := range files {
				names[i] = f.name
				if strings.Contains(f.name, "PACKAGE") || strings.HasSuffix(f.name, ".tmpl") || strings.Contains(string(f.text), "<no value>") {
					t.Errorf("%s, %s: %s", language, kind, f.name)
				}
			}
			for _, want := range []string{"plugin.yaml", ".gitignore", "program/program.yaml", "program/rules/route.yaml"} {
				if !slices.Contains(names, want) {
					t.Errorf("%s, %s: there is no %s among %v", language, kind, want, names)
				}
			}
		}
	}
	if made < 2 {
		t.Errorf("made %d plugins", made)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"my-plugin": "myplugin", "go": "goplugin", "main": "mainplugin", "a": "a", "sdk": "sdkplugin"} {
		if got := packageName(name); got != want {
			t.Errorf("%s: got %s, expected %s", name, got, want)
		}
	}
	for dir, want := range map[string]string{"/tmp/My Plugin": "my-plugin", "x/": "x", "a.b_c": "a-b-c", "ü": "", "7up": ""} {
		o := Options{Language: "c"}
		d, err := prepare(filepath.FromSlash(dir), &o)
		if want == "" && !errors.Is(err, ErrName) || want != "" && (err != nil || d.Name != want) {
			t.Errorf("%s: got %+v, %v", dir, d, err)
		}
	}
	for path, want := range map[string]string{"a/b-c.d": "a/b-c.d", "my plugin": "'my plugin'", "it's": `'it'\''s'`, "$HOME": "'$HOME'"} {
		if got := quoted(path); got != want {
			t.Errorf("%s: got %s, expected %s", path, got, want)
		}
	}
}

// TestSDK holds that a test binary, which is built from a checkout, uses that, and that another folder is refused.
func TestSDK(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{"", root} {
		if version, checkout, err := findSDK(given); err != nil || version != noVersion || checkout != filepath.ToSlash(root) {
			t.Errorf("%q: got %s, %s, %v", given, version, checkout, err)
		}
	}
	if _, _, err := findSDK(t.TempDir()); err == nil {
		t.Error("an empty folder passes for a checkout")
	}
}

// TestNothingIsWrittenOver holds that a folder with anything in it stays as it is.
func TestNothingIsWrittenOver(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "plugin")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, ".hidden"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), dir, Options{Language: "rust", Kind: Categorizer}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("got %v, expected %v", err, ErrNotEmpty)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("found %v", entries)
	}
	if _, err := New(t.Context(), filepath.Join(dir, ".hidden"), Options{Language: "rust", Kind: Categorizer, Name: "x"}); err == nil {
		t.Error("a file passes for a folder")
	}
	gone := filepath.Join(dir, "new")
	if _, err := New(t.Context(), gone, Options{Language: "cobol", Kind: Categorizer}); !errors.Is(err, ErrNoTemplate) {
		t.Errorf("got %v, expected %v", err, ErrNoTemplate)
	}
	if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
		t.Error("the folder was made although there is no template")
	}
}
