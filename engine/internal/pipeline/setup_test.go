package pipeline

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/nativehost"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is the instant of the tests: 2026-03-02T10:00:00Z, a Monday.
const start = feedback.Time(1_772_445_600_000)

// tagger labels with the words of a text that begin with #, refuses what says "poison", drops what says "automatic".
type tagger struct{}

const taggerManifest = `
name: tagger
version: 1.0.0
contract: "1.0"
abilities: [categorize]
`

func (tagger) Categorize(_ context.Context, items []feedback.Item, out []sdk.Result) error {
	for i := range items {
		text := items[i].Text
		switch {
		case strings.Contains(text, "poison"):
			out[i].Err = sdk.Fatal("cannot read this")
		case strings.Contains(text, "down"):
			return sdk.Retry(0, "down for maintenance")
		case strings.Contains(text, "automatic"):
			out[i].Drop = "automatic reply"
		}
		for word := range strings.FieldsSeq(text) {
			if path, ok := strings.CutPrefix(word, "#"); ok {
				at := strings.Index(text, word)
				out[i].AddTheme(feedback.ThemePath(path), 0.9, feedback.Span{Start: uint32(at), End: uint32(at + len(word))})
			}
		}
	}
	return nil
}

// world is a pipeline on a real store.
type world struct {
	*Pipeline
	t      *testing.T
	store  *store.Store
	plugin host.Plugin
	source Source
	at     feedback.Time
}

const testRules = `
version: 1
groups:
  - name: relabel
    match: all
    rules:
      - id: packaging-not-shipping
        when: '"shipping" in themes && text contains "box"'
        do: [{relabel: {remove: [shipping], add: [packaging], reason: a box is packaging}}]
  - name: route
    match: first
    rules:
      - id: packaging
        when: nps <= 6 && "packaging" in themes
        do: [{assign: {queue: product}}, {case: {sla: 48h}}, {notify: {destination: team, message: "{text}"}}]
      - id: detractor
        when: nps <= 6
        do: [{assign: {queue: care}}, {case: {sla: 48h}}, {tag: [detractor]}]
  - name: alerts
    match: all
    rules:
      - id: safety
        when: text contains "fire"
        do: [{alert: {severity: critical, summary: "safety: {text}"}}]
`

// noSalt makes two logs of the same acts the same.
type noSalt struct{}

func (noSalt) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

type option func(*Config)

func rulesOf(yaml string) option {
	return func(c *Config) {
		set, err := rules.Compile([]rules.File{{Name: "test.rules.yaml", Data: []byte(yaml)}}, rules.Env{
			Attributes: c.ItemAttributes, CustomerAttributes: c.CustomerAttributes,
		})
		if err != nil {
			panic(err)
		}
		c.Rules = set
	}
}

func setup(t *testing.T, opts ...option) *world {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{Profile: store.Small, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return on(t, st, opts...)
}

// on builds a pipeline on a store that is there.
func on(t *testing.T, st *store.Store, opts ...option) *world {
	t.Helper()
	plugin, err := nativehost.New(t.Context(), sdk.Plugin{
		Manifest: []byte(taggerManifest),
		New:      func(context.Context, sdk.Host, []byte) (any, error) { return tagger{}, nil },
	}, host.Spec{
		ID: "tags", Log: zerolog.Nop(),
		Manifest: sdk.Manifest{Name: "tagger", Version: "1.0.0", Contract: "1.0", Abilities: []sdk.Ability{sdk.AbilityCategorize}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plugin.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	cfg := Config{
		Store: st, Salts: noSalt{}, Parallel: 2, Timezone: time.UTC,
		ItemAttributes: map[string]feedback.Kind{"order_value": feedback.Number},
		Categorizer:    []Categorizer{{ID: "tags", Plugin: plugin}},
	}
	rulesOf(testRules)(&cfg)
	for _, o := range opts {
		o(&cfg)
	}
	return &world{Pipeline: New(cfg), t: t, store: st, plugin: plugin, source: Source{ID: "survey"}, at: start}
}

// take ingests items as one chunk, one second after the chunk before.
func (w *world) take(items ...feedback.Item) Report {
	w.t.Helper()
	return w.takeBatch("import-1", items...)
}

func (w *world) takeBatch(batch string, items ...feedback.Item) Report {
	w.t.Helper()
	r, err := w.try(Chunk{Source: w.source, Batch: batch, Items: items})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) try(c Chunk) (Report, error) {
	w.at = w.at.Add(time.Second)
	c.ReceivedAt = w.at
	p, err := w.Prepare(w.t.Context(), c)
	if err != nil {
		return Report{}, err
	}
	return w.Commit(w.t.Context(), p)
}

func answer(id string, score float64, text string) feedback.Item {
	return feedback.Item{
		ExternalID: id, Survey: feedback.NPS, Score: new(score), Text: text, OccurredAt: start,
		Customer: feedback.Customer{ID: "c-" + id, Segment: "consumer"},
	}
}

func load[T any](w *world, key []byte) *T {
	w.t.Helper()
	v, err := loadMaybe[T](w, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func loadMaybe[T any](w *world, key []byte) (v *T, err error) {
	err = w.store.View(func(s *store.Snapshot) error {
		v, err = store.Load[T](s, key)
		return err
	})
	return v, err
}

func all[T any](w *world, prefix []byte) []T {
	w.t.Helper()
	var out []T
	err := w.store.View(func(s *store.Snapshot) error {
		return records.Each(s, prefix, nil, false, func(v *T) (bool, error) {
			out = append(out, *v)
			return true, nil
		})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) labels(id feedback.ItemID) (paths []string) {
	w.t.Helper()
	err := w.store.View(func(s *store.Snapshot) error {
		l, _, err := records.EffectiveLabels(s, id)
		for i := range l.Themes {
			paths = append(paths, string(l.Themes[i].Path))
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return paths
}

// rollups returns every rollup, as text.
func (w *world) rollups() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	err := w.store.View(func(s *store.Snapshot) error {
		return s.Scan(store.NewKey('u').Bytes(), nil, false, func(key, val []byte) (bool, error) {
			k := store.ReadKey(key)
			_, measure, dim, day, value := k.Str(), k.Str(), k.Str(), k.Uint64(), k.Str()
			var r records.Rollup
			if err := r.UnmarshalBinary(val); err != nil {
				return false, err
			}
			out[fmt.Sprintf("%s/%s/%s/%d", measure, dim, value, day)] = fmt.Sprint(r)
			return true, k.Err()
		})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}
