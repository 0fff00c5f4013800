package program

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/closedloop/closedloop/rules/source"
)

// FuzzLoad holds that no program.yaml makes Load panic, that every problem says what it is, and that nothing of a
// section of secrets in block style is shown.
func FuzzLoad(f *testing.F) {
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(archives, "testdata/retail.txtar") {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		// No path of the program leads out of an empty folder, and no secret stands outside of the section.
		data = []byte(strings.NewReplacer("/", "_", "\\", "_", "..", "__", "hunter3", "hunter4").Replace(string(data)))
		data = append([]byte("secrets:\n  s: hunter3\n  t: {default: hunter3, x: hunter3}\n"), data...)
		if err := os.WriteFile(filepath.Join(dir, FileName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(t.Context(), dir, Options{NoBuild: true})
		problems, ok := err.(source.Problems)
		if !ok || len(problems) == 0 {
			t.Fatalf("a program with two secrets that are wrong gave %v", err)
		}
		var b bytes.Buffer
		if err := problems.Render(&b); err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if p.Message == "" || p.Code == "" {
				t.Errorf("a problem without a message or code: %+v", p)
			}
		}
		if bytes.Contains(b.Bytes(), []byte("hunter3")) {
			t.Errorf("a secret is shown:\n%s", &b)
		}
	})
}
