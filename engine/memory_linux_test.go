package engine_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/plugins/codebook"
)

// cgroup makes a group of processes that share so many bytes of memory, page cache included. It returns its folder and
// the name of the file with the most that was used.
func cgroup(t *testing.T, limit int) (dir, peak string) {
	t.Helper()
	name := fmt.Sprintf("closedloop-test-%d", os.Getpid())
	for _, v := range []struct{ root, limit, peak string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"},
		{"/sys/fs/cgroup", "memory.max", "memory.peak"},
	} {
		dir := filepath.Join(v.root, name)
		if _, err := os.Stat(filepath.Join(v.root, "cgroup.procs")); err != nil || os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		if os.WriteFile(filepath.Join(dir, v.limit), []byte(strconv.Itoa(limit)), 0o600) == nil {
			return dir, filepath.Join(dir, v.peak)
		}
	}
	t.Skip("SKIPPED: this test needs root and a cgroup for memory")
	return "", ""
}

// TestSmallProfileFitsItsMemory runs an engine of profile small with a hundred rules in a group of processes that may not
// use more than is promised. It takes items at the promised rate, all it is asked to, and is not ended by the system. The
// bundled codebook takes 48 MiB more in the sandbox: its compiled code, and wazero's copy of the module.
func TestSmallProfileFitsItsMemory(t *testing.T) {
	if raced {
		t.Skip("SKIPPED: the race detector takes several times the memory")
	}
	folder, err := filepath.Abs("../plugins/codebook")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("categorizer in place", func(t *testing.T) { fits(t, "native:codebook", 64<<20) })
	t.Run("categorizer in the sandbox", func(t *testing.T) { fits(t, folder, 112<<20) })
}

func fits(t *testing.T, categorizer string, limit int) {
	dir := benchProgram(t, categorizer)
	plugins := (&parts{}).native()
	plugins["codebook"] = codebook.Plugin
	// Compiled code is kept from run to run; making it takes more memory than running it.
	warm, err := engine.Open(t.Context(), dir, engine.Options{Native: plugins, Profile: engine.Small})
	if err != nil {
		t.Fatal(err)
	}
	closeEngine(t, warm)
	group, peak := cgroup(t, limit)
	cmd := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$1"`, group, os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"=ingest steadily", victimDirEnv+"="+dir, victimRoundEnv+"=0", "GOMEMLIMIT=40MiB")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wanted := steadyRate * rounds(t, 3, 60)
	items, anonymous, took := 0, 0, 0.0
	for lines := bufio.NewScanner(out); items < wanted && lines.Scan(); {
		var kib int
		if _, err := fmt.Sscanf(lines.Text(), "items %d seconds %f anonymous %d", &items, &took, &kib); err != nil {
			t.Error(lines.Text(), err)
		}
		anonymous = max(anonymous, kib)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	most, err := os.ReadFile(peak)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d items in %.1f s: %.0f a second; at most %.1f MiB that is no mapped file; the group used %s KiB of %d, page cache included",
		items, took, float64(items)/took, float64(anonymous)/1024, kib(most), limit>>10)
	if items < wanted {
		t.Fatalf("it ended by itself: %v: %.2000s", cmd.ProcessState, stderr.String())
	}
}

// kib returns a number of bytes in KiB.
func kib(bytes []byte) string {
	n, _ := strconv.Atoi(strings.TrimSpace(string(bytes)))
	return strconv.Itoa(n >> 10)
}
