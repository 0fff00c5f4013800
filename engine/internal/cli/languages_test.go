package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/scaffold"
)

// withLanguages lets a test build with cargo, which takes a while, and have npm fetch packages.
const withLanguages = "CLOSEDLOOP_LANGUAGES"

// TestNewPluginInEveryLanguage makes a plugin of each kind in each language but Go, does what its message says to do
// next, and runs the conformance suite on what was built.
func TestNewPluginInEveryLanguage(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: the commands are for a Unix shell")
	}
	tools := map[string][]string{"rust": {"cargo"}, "c": {"clang", "wasm-ld"}, "assemblyscript": {"npm", "node"}}
	env := append(os.Environ(), "PATH="+commandFolder(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	for language, commands := range tools {
		for _, kind := range scaffold.Kinds {
			t.Run(language+"/"+kind, func(t *testing.T) {
				t.Parallel()
				for _, c := range commands {
					if _, err := exec.LookPath(c); err != nil {
						t.Skipf("SKIPPED: there is no %s on this machine", c)
					}
				}
				if language != "c" && os.Getenv(withLanguages) == "" {
					t.Skipf("SKIPPED: cargo takes a while and npm fetches packages; set %s to let them", withLanguages)
				}
				followed(t, language, kind, env)
			})
		}
	}
}

// followed makes a plugin and does what is told.
func followed(t *testing.T, language, kind string, env []string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "my-plugin")
	out, errs, code := call("plugin", "new", "--json", "--lang", language, "--kind", kind, dir)
	if strings.Contains(errs, "no template") {
		t.Skip("SKIPPED: " + strings.TrimSpace(errs))
	}
	var made scaffold.Made
	if err := json.Unmarshal([]byte(out), &made); err != nil || code != exitOK {
		t.Fatalf("exit %d, %v\n%s", code, err, errs)
	}
	where := dir
	for _, c := range append(made.Commands, "closedloop plugin test my-plugin.wasm"+fileFor(kind)) {
		var err error
		if where, _, err = shell(t, where, env, c); err == nil {
			continue
		}
		if strings.Contains(err.Error(), "was not found, which builds plugins in") {
			t.Skipf("SKIPPED: %v", err)
		}
		t.Fatalf("%s\n%v", c, err)
	}
}

func fileFor(kind string) string {
	if kind == scaffold.Connector {
		return " --file program/feedback.txt"
	}
	return ""
}
