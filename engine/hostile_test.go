package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// hostileProgram writes the test program with a hostile categorizer beside the honest one.
func hostileProgram(t *testing.T, a hosttest.Attack) string {
	t.Helper()
	dir := writeProgram(t, strings.Replace(programFiles, "  words: {plugin: native:words}\n",
		"  hostile: {plugin: hostile.wasm, grants: "+grantsOf(&a.Grants)+", limits: {memory: 8MiB, fuel: 20000000, deadline: 1m}}\n  words: {plugin: native:words}\n", 1))
	if err := os.WriteFile(filepath.Join(dir, "hostile.wasm"), a.Module, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func grantsOf(g *host.Grants) string {
	return fmt.Sprintf("{log: %v, kv: %v, http: [%s]}", g.Log, g.KV, strings.Join(g.HTTP, ", "))
}

// TestHostilePlugins runs programs with the guests of the catalogue. The item that a guest attacks at lies in the dead
// letters with the plugin, its version and the cause; the other items have their labels of the other plugin, and an engine
// beside takes items all along.
func TestHostilePlugins(t *testing.T) {
	t.Parallel()
	beside := open(t, writeProgram(t, programFiles), &parts{})
	for _, a := range hosttest.Attacks(t, hosttest.Inside(t)) {
		t.Run(a.Name, func(t *testing.T) {
			dir := hostileProgram(t, a)
			if a.AtLoad {
				e, err := engine.Open(t.Context(), dir, engine.Options{Native: (&parts{}).native(), Profile: engine.Small})
				if err == nil {
					closeEngine(t, e)
					t.Fatal("the program was opened")
				}
				if !strings.Contains(err.Error(), "program.yaml:") {
					t.Errorf("got %v", err)
				}
				return
			}
			e := open(t, dir, &parts{})
			var items []feedback.Item
			for i := range 9 {
				text := "#packaging"
				if i == 4 {
					text = "!#packaging"
				}
				items = append(items, answer(fmt.Sprint(i), 3, text))
			}
			report, err := e.Ingest(t.Context(), "app", items...)
			if err != nil {
				t.Fatal(err)
			}
			for i, row := range report.Rows {
				if i == 4 {
					continue
				}
				if it, err := e.Item(t.Context(), row.ID); err != nil || len(it.Labels.Themes) != 1 {
					t.Errorf("item %d: %+v, %v", i, it, err)
				}
			}
			dead, err := e.DeadLetters(t.Context(), feedback.DeadItem, 0)
			if err != nil || len(dead) != 1 || dead[0].Item.ExternalID != "4" {
				t.Fatalf("dead letters %+v, %v", dead, err)
			}
			if why := dead[0].Code + ": " + dead[0].Reason; !strings.Contains(why, a.Cause) || !strings.Contains(why, "hostile") ||
				a.Code != host.CodeRefused && !strings.Contains(why, "1.0.0+") {
				t.Errorf("got %s, want the plugin, its version and %q", why, a.Cause)
			}
			if _, err := beside.Ingest(t.Context(), "app", answer(a.Name, 3, "#packaging")); err != nil {
				t.Errorf("the engine beside: %v", err)
			}
		})
	}
}
