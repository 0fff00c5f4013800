package engine_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// counter is a categorizer that counts the items it has seen in the engine's store, and names each one's number.
type counter struct{ host sdk.Host }

func (c *counter) Categorize(_ context.Context, items []feedback.Item, out []sdk.Result) error {
	for i := range items {
		if items[i].Text == "" {
			continue
		}
		seen, err := c.host.KVGet("seen")
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(string(seen))
		if err := c.host.KVPut("seen", []byte(strconv.Itoa(n+1))); err != nil {
			return err
		}
		switch items[i].Text {
		case "fail":
			return sdk.Fatal("after it was counted")
		case "more":
			if err := c.host.KVPut("another", []byte("x")); err != nil {
				return err
			}
		}
		out[i].AddTheme(feedback.ThemePath("n/"+strconv.Itoa(n+1)), 1)
	}
	return nil
}

// TestPluginsKeepPairs stops the engine between two calls of plugins that count: each has counted for itself, and only
// the calls that succeeded.
func TestPluginsKeepPairs(t *testing.T) {
	t.Parallel()
	dir := writeProgram(t, strings.Replace(programFiles, "  words: {plugin: native:words}\n",
		"  one: {plugin: native:counter, grants: {kv: true}, limits: {instances: 1, kv_keys: 1}}\n"+
			"  two: {plugin: native:counter, grants: {kv: true}, limits: {instances: 1, kv_keys: 1}}\n", 1))
	counting := func(o *engine.Options) {
		o.Native["counter"] = sdk.Plugin{
			Manifest: []byte("name: counter\nversion: 1.0.0\ncontract: \"1.0\"\nabilities: [categorize]\ncapabilities: [kv]\n"),
			New:      func(_ context.Context, h sdk.Host, _ []byte) (any, error) { return &counter{h}, nil },
		}
	}
	for n, text := range []string{"first", "second", "third"} {
		o := engine.Options{Native: (&parts{}).native(), Profile: engine.Small}
		counting(&o)
		e, err := engine.Open(t.Context(), dir, o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.Ingest(t.Context(), "app", answer(text, 3, text))
		if err != nil {
			t.Fatal(err)
		}
		want := "n/" + strconv.Itoa(n+1)
		if it, err := e.Item(t.Context(), r.Rows[0].ID); err != nil || len(it.Labels.Themes) == 0 || string(it.Labels.Themes[0].Path) != want {
			t.Errorf("%s: got %+v, %v, want %s", text, it.Labels, err, want)
		}
		for _, bad := range []string{"fail", "more"} { // what they put is not kept
			if r, err := e.Ingest(t.Context(), "app", answer(bad, 3, bad)); err != nil || r.Rows[0].Outcome == engine.OutcomeNew {
				t.Errorf("%s: %+v, %v", bad, r, err)
			}
		}
		closeEngine(t, e)
	}
	ungranted := writeProgram(t, strings.Replace(programFiles, "{plugin: native:words}", "{plugin: native:counter}", 1))
	o := engine.Options{Native: (&parts{}).native(), Profile: engine.Small}
	counting(&o)
	if _, err := engine.Open(t.Context(), ungranted, o); err == nil || !strings.Contains(err.Error(), "kv: true") {
		t.Errorf("got %v", err)
	}
}
