package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/plugins/csv"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

var importFiles = strings.NewReplacer(
	"  feed: {plugin: native:feed, every: 1h}\n", `  survey:
    plugin: native:csv
    grants: {file: answers.csv}
    settings:
      columns: {external_id: id, score: score, text: comment, occurred_at: at, customer.id: customer, version: v}
    item: {survey: nps}
    every: 1h
`, "  words: {plugin: native:words}\n", "  words: {plugin: native:words}\n  counter: {plugin: native:counter, grants: {kv: true}}\n",
).Replace(caseRules) + `
-- answers.csv --
id,score,comment,at,customer,v
1,3,late #shipping,2026-03-01T10:00:00Z,kim,5
2,9,lovely,2026-03-01T11:00:00Z,lee,1
-- more.csv --
id,score,comment,at,customer,v
1,3,late #shipping,2026-03-01T10:00:00Z,kim,5
2,7,not so lovely,2026-03-01T11:00:00Z,lee,2
1,4,older,2026-03-01T10:00:00Z,kim,4
3,1,#packaging torn,2026-03-01T12:00:00Z,max,1
3,1,#packaging torn,2026-03-01T12:00:00Z,max,1
4,eleven,no score,2026-03-01T12:00:00Z,max,1
,2,no id #price,2026-03-01T12:00:00Z,zoe,1
,2,no id #price,2026-03-01T12:00:00Z,zoe,1
`

// importDesk is a desk with a source that reads files, and a categorizer that keeps pairs.
func importDesk(t *testing.T, change ...func(*engine.Options)) (*desk, []func(*engine.Options)) {
	t.Helper()
	d := &desk{t: t, dir: writeProgram(t, importFiles), ticking: ticking{berlin(t, "2026-03-02 10:00")}}
	change = append(change, d.at, func(o *engine.Options) {
		o.Native["csv"] = csv.Plugin
		o.Native["counter"] = sdk.Plugin{
			Manifest: []byte("name: counter\nversion: 1.0.0\ncontract: \"1.0\"\nabilities: [categorize]\ncapabilities: [kv]\n"),
			New:      func(_ context.Context, h sdk.Host, _ []byte) (any, error) { return &counter{h}, nil },
		}
	})
	d.Engine = open(t, d.dir, &d.parts, change...)
	d.look()
	return d, change
}

func (d *desk) dump() map[string]string {
	d.t.Helper()
	out, err := d.Dump()
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// TestDryRunLeavesNoTrace tells what a file would do, with nothing in the store changed, and then does it.
func TestDryRunLeavesNoTrace(t *testing.T) {
	t.Parallel()
	d, _ := importDesk(t)
	more := filepath.Join(d.dir, "more.csv")
	before := d.dump()
	dry, err := d.Import(t.Context(), engine.ImportOptions{Source: "survey", Files: []string{more}, DryRun: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, d.dump()) {
		t.Error("the dry run has left a trace")
	}
	want := feedback.Counts{Read: 8, New: 3, Revised: 1, Duplicate: 2, Stale: 1, Rejected: 1, Synthetic: 2}
	if dry.Counts != want || len(dry.Rejects) != 1 || dry.Rejects[0].Position != "line 7" || dry.Cases != 3 {
		t.Errorf("%+v", dry)
	}
	if f := dry.Effects; f.Themes["packaging"] != 1 || f.Rules["detractor"] != 2 || f.Rules["packaging"] != 1 || f.Queues["care"] != 2 || f.Queues["product"] != 1 ||
		f.Classes[feedback.Detractor] != 3 || f.Classes[feedback.Passive] != 1 || f.Sentiments["unknown"] != 4 || f.Themes["n/3"] != 1 {
		t.Errorf("%+v", f)
	}
	done, err := d.Import(t.Context(), engine.ImportOptions{Source: "survey", Files: []string{more}, By: anna}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dry.DryRun, dry.Effects = false, nil
	if a, b := fmt.Sprintf("%+v", dry), fmt.Sprintf("%+v", done); a != b {
		t.Errorf("rehearsed %s\ndone %s", a, b)
	}
}

// TestImportIsTakenBack imports a file and takes it back, over the socket. The metrics are as they were, and the file can be imported
// anew.
func TestImportIsTakenBack(t *testing.T) {
	t.Parallel()
	d, _ := importDesk(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	var c *engine.Client
	for c == nil {
		c, _ = engine.Dial(d.StateDir())
	}
	standing := func() string {
		stats, err := c.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		open, err := c.Cases(t.Context(), engine.CaseQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d items, %+v %+v %+v, %d cases %v, imports %+v", stats.Items, stats.NPS, stats.Themes, stats.Detractors, len(open), stats.Dead, stats.Imports)
	}
	before := standing()
	file := filepath.Join(d.dir, "new.csv")
	if err := os.WriteFile(file, []byte("id,score,comment,at,customer,v\n7,1,#packaging,2026-03-01T10:00:00Z,max,1\n8,10,#price,2026-03-01T10:00:00Z,zoe,1\n9,x,,,,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := c.Import(t.Context(), engine.ImportOptions{Source: "survey", Files: []string{file}, By: anna}, nil)
		if err != nil || r.New != 2 || len(r.Batches) != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		undo := engine.Undo{Source: "survey", Batch: r.Batches[0], By: anna}
		if _, err := c.UndoImport(t.Context(), undo, nil); !errors.Is(err, engine.ErrMissing) {
			t.Errorf("taken back for no reason: %v", err)
		}
		undo.Why = "the file of last year"
		u, err := c.UndoImport(t.Context(), undo, nil)
		if err != nil || u.Items != 2 || u.Cases != 1 || u.Rejects != 1 {
			t.Errorf("%+v, %v", u, err)
		}
		if after := standing(); after != before {
			t.Errorf("before %s\nafter %s", before, after)
		}
		if _, err := c.UndoImport(t.Context(), undo, nil); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("taken back again: %v", err)
		}
	}
	said, err := c.Audit(t.Context(), engine.AuditQuery{Who: "anna", Limit: 10})
	if err != nil || len(said) != 6 || said[0].Kind != "import.undone" || said[0].Why != "the file of last year" {
		t.Errorf("%+v, %v", said, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestCloseEndsADryRun closes the engine under a dry run, which ends then and leaves nothing behind.
func TestCloseEndsADryRun(t *testing.T) {
	t.Parallel()
	d, _ := importDesk(t)
	file := filepath.Join(d.dir, "long.csv")
	text := "id,score,comment,at,customer,v\n" + strings.Repeat(",1,#packaging,2026-03-01T10:00:00Z,max,1\n", 20_000)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	began, ended := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		_, err := d.Import(t.Context(), engine.ImportOptions{Source: "survey", Files: []string{file}, DryRun: true}, func(int, int) {
			once.Do(func() { close(began) })
		})
		ended <- err
	}()
	<-began
	closeEngine(t, d.Engine)
	if err := <-ended; err == nil {
		t.Error("it went through the whole file")
	}
}

// TestWhoMayImport asks the host, and refuses what is no source of files.
func TestWhoMayImport(t *testing.T) {
	t.Parallel()
	d, _ := importDesk(t, func(o *engine.Options) {
		o.Authorize = func(_ context.Context, by engine.Actor, what engine.Action, _ feedback.Case) error {
			if by.Name != "lea" && (what == engine.ActionImport || what == engine.ActionUndo) {
				return errors.New("ask lea")
			}
			return nil
		}
	})
	o := engine.ImportOptions{Source: "survey", Files: []string{filepath.Join(d.dir, "more.csv")}, By: anna, DryRun: true}
	if _, err := d.Import(t.Context(), o, nil); !errors.Is(err, engine.ErrDenied) {
		t.Errorf("%v", err)
	}
	if _, err := d.UndoImport(t.Context(), engine.Undo{Source: "survey", Batch: "x", By: anna, Why: "y"}, nil); !errors.Is(err, engine.ErrDenied) {
		t.Errorf("%v", err)
	}
	o.By.Name, o.Source = "lea", "other"
	if _, err := d.Import(t.Context(), o, nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("%v", err)
	}
	o.Source, o.Files = "survey", []string{d.dir}
	if _, err := d.Import(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), "found a folder") {
		t.Errorf("%v", err)
	}
	o.Files = []string{filepath.Join(d.dir, "gone.csv")}
	if _, err := d.Import(t.Context(), o, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
