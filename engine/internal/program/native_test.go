package program

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/closedloop/closedloop/rules/source"
)

// A program that a Go host runs can be checked, and its state opened, without the host.
func TestNativePluginsOfNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := "version: 1\nname: hosted\ncategorizers:\n  words: {plugin: \"native:words\", settings: {any: thing}}\n"
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Load(t.Context(), dir, Options{NoBuild: true, Others: true})
	if err != nil {
		t.Fatal(err)
	}
	told := slices.ContainsFunc(p.Warnings, func(w source.Problem) bool { return w.Code == "native" && w.Line == 4 })
	if !told || p.Categorizers[0].Kind != KindNative {
		t.Errorf("warnings %v", p.Warnings)
	}
	if _, err := Load(t.Context(), dir, Options{CacheDir: t.TempDir()}); err == nil {
		t.Error("it can be run without the host")
	}
}
