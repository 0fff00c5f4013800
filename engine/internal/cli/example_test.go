package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelpExamples runs the examples in the help of the commands that look at a program: what they name is there.
func TestHelpExamples(t *testing.T) {
	t.Parallel()
	retail, err := filepath.Abs("../../../examples/retail")
	if err != nil {
		t.Fatal(err)
	}
	warm(t)
	state := filepath.Join(t.TempDir(), "state")
	if _, errs, code := call("run", "--once", "--state", state, retail); code != exitOK {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	ran := 0
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			args := strings.Fields(line)
			if len(args) < 2 || args[0] != "closedloop" || args[1] != "show" && args[1] != "explain" ||
				strings.Contains(line, "metrics") { // which only a running engine has
				continue
			}
			ran++
			args = append(args[1:], "--state", state)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "examples/retail", retail)
			}
			if !strings.Contains(line, "-C ") {
				args = append(args, "-C", retail)
			}
			out, errs, code := call(args...)
			if code != exitOK || strings.HasPrefix(out, "no ") && !strings.Contains(line, "since") && !strings.Contains(line, "breached") &&
				!strings.Contains(line, "windows") { // of the last days, in which the example has no feedback
				t.Errorf("%sexit %d\n%s%s", line, code, out, errs)
			}
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit((&app{}).root())
	if ran < 10 {
		t.Errorf("found %d examples only", ran)
	}
}
