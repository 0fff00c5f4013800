package source

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestEdit pins the plugin "one" and adds the plugin "two" in every file of the archive.
func TestEdit(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/edit.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		in, out := archive.Files[i], &archive.Files[i+1]
		got, err := SetString(in.Data, "123", "plugin", "sources", "one", "sha256")
		if err != nil {
			t.Errorf("%s: %v", in.Name, err)
			continue
		}
		if got, err = AddMap(got, "sinks", "two", Member{"plugin", "plugins/two.wasm"}, Member{"sha256", "456"}); err != nil {
			t.Errorf("%s: %v", in.Name, err)
			continue
		}
		if again, err := SetString(got, "123", "plugin", "sources", "one", "sha256"); err != nil || string(again) != string(got) {
			t.Errorf("%s: a second time: %v\n%s", in.Name, err, again)
		}
		if *update {
			out.Data = got
		} else if string(got) != string(out.Data) {
			t.Errorf("%s: got\n%s", in.Name, got)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/edit.txtar", txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEditKeepsEnds(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"\ufeffsources:\r\n  one:\r\n    plugin: a.wasm\r\n": "\ufeffsources:\r\n  one:\r\n    plugin: a.wasm\r\n    sha256: \"1\"\r\n",
		"sources:\n  one:\n    plugin: a.wasm":               "sources:\n  one:\n    plugin: a.wasm\n    sha256: \"1\"\n",
		"sources: {one: {plugin: ä.wasm}} # ö":               "sources: {one: {plugin: ä.wasm, sha256: \"1\"}} # ö",
	} {
		if got, err := SetString([]byte(in), "1", "plugin", "sources", "one", "sha256"); err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
}

// TestEditRefuses holds that a place which stands for more than one is left to a person.
func TestEditRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"sources:\n  one: &x {plugin: a}\n  two: *x\n",
		"a: &p x\nsources:\n  one: {plugin: *p}\n",
		"sources:\n  one:\n    plugin: >\n      a\n",
		"sources: {one: {}}\n",
		"sources: {}\n",
		"[]\n",
		"a: 1\na: 2\nsources: {one: {plugin: a}}\n",
	} {
		if got, err := SetString([]byte(in), "1", "plugin", "sources", "one", "sha256"); !errors.Is(err, ErrEdit) {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	if _, err := SetString([]byte("a: [\n"), "1", "b", "c"); err == nil || errors.Is(err, ErrEdit) || !strings.Contains(err.Error(), "YAML") {
		t.Errorf("broken: %v", err)
	}
}

// FuzzEdit holds that an edit changes what it should, and nothing else, or refuses.
func FuzzEdit(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/edit.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := SetString(data, "1", "plugin", "sources", "one", "sha256"); err == nil {
			root, problems := Parse("", got)
			if problems != nil || root.At("sources.one.sha256").Any() != "1" {
				t.Errorf("%q became %q", data, got)
			}
		}
		if got, err := AddMap(data, "sinks", "two", Member{"plugin", "x"}); err == nil {
			root, problems := Parse("", got)
			if problems != nil || root.At("sinks.two.plugin").Any() != "x" {
				t.Errorf("%q became %q", data, got)
			}
		}
	})
}
