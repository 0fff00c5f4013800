package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// failing runs checks one by one and returns the names of those that report something.
func failing(checks []Check) []string {
	var names []string
	for _, c := range checks {
		if report(c.Run) != "" {
			names = append(names, c.Name)
		}
	}
	return names
}

// TestChecksNameWhatFails holds that a single fault fails the checks that are about it.
func TestChecksNameWhatFails(t *testing.T) {
	t.Parallel()
	each := func(f func(*feedback.Item, *sdk.Result)) categorize {
		return func(items []feedback.Item, out []sdk.Result) error {
			for i := range items {
				f(&items[i], &out[i])
			}
			return nil
		}
	}
	for want, f := range map[string]categorize{
		"":                                       find,
		"gives themes that are paths, each once": each(func(_ *feedback.Item, r *sdk.Result) { r.AddTheme("a//b", 1) }),
		"gives confidence from 0 to 1 and sentiment from -1 to 1": each(func(_ *feedback.Item, r *sdk.Result) { r.AddTheme("a", -0.1) }),
		"gives evidence within the text that divides no character": each(func(it *feedback.Item, r *sdk.Result) {
			r.AddTheme("a", 1, feedback.Span{Start: 0, End: uint32(len(it.Text) + 1)})
		}),
		"answers an empty batch": func(items []feedback.Item, out []sdk.Result) error {
			if len(items) == 0 {
				return errors.New("nothing to do")
			}
			return find(items, out)
		},
		"answers alike in batches of 1, 16 and 64": func(items []feedback.Item, out []sdk.Result) error {
			if len(items) == 64 {
				return nil
			}
			return find(items, out)
		},
	} {
		checks := CategorizerChecks(func() (sdk.Categorizer, error) { return f, nil })
		if got := strings.Join(failing(checks), "; "); got != want {
			t.Errorf("the checks %q fail, expected %q", got, want)
		}
	}
	never := CategorizerChecks(func() (sdk.Categorizer, error) { return nil, errors.New("no licence") })
	if got := failing(never); len(got) != len(never) || got[0] != "opens with its settings" {
		t.Errorf("of a plugin that does not open: %q", got)
	}
}

// fading breaks when a call was cancelled.
type fading struct{ broken bool }

func (f *fading) Categorize(ctx context.Context, items []feedback.Item, out []sdk.Result) error {
	if f.broken = f.broken || ctx.Err() != nil; f.broken {
		return ctx.Err()
	}
	return find(items, out)
}

// hoarder says that it has grown.
type hoarder struct{ categorize }

func (hoarder) Grown() error { return errors.New("9 MiB more") }

// crasher is an error of a plugin that runs elsewhere.
type crasher struct{}

func (crasher) Error() string { return "trap" }
func (crasher) Crashed() bool { return true }

func TestChecksOfWhatLastsLonger(t *testing.T) {
	t.Parallel()
	check(t, "after a call that was cancelled", func(tb TB) {
		Categorizer(tb, func() (sdk.Categorizer, error) { return &fading{}, nil })
	})
	check(t, "with 16 MiB: 9 MiB more", func(tb TB) {
		Categorizer(tb, func() (sdk.Categorizer, error) { return hoarder{find}, nil })
	})
	check(t, `checkpoint "x": poll: trap`, func(tb TB) {
		good := lines(9)
		Poller(tb, func() (sdk.Poller, error) {
			return poll(func(req sdk.PollRequest) (sdk.PollResult, error) {
				if string(req.Checkpoint) == "x" {
					return sdk.PollResult{}, fmt.Errorf("poll: %w", crasher{})
				}
				return good(req)
			}), nil
		})
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	spec := sdk.Spec{"words": {Type: sdk.TypeList}, "limit": {Type: sdk.TypeInteger}}
	good := `{"words": ["late"], "limit": 3}`
	openWith := func(settings string) error {
		var s struct {
			Words []string
			Limit int
		}
		return json.Unmarshal([]byte(settings), &s)
	}
	check(t, "", func(tb TB) { Settings(tb, openWith, spec, good) })
	check(t, "takes its settings", func(tb TB) {
		for _, name := range failing(SettingsChecks(openWith, spec, `{"limit": "many"}`)) {
			tb.Errorf("%s", name)
		}
	})
	panics := func(settings string) error {
		var s map[string]any
		if err := json.Unmarshal([]byte(settings), &s); err != nil {
			return err
		}
		_ = s["words"].([]any)
		return nil
	}
	got := failing(SettingsChecks(panics, spec, good))
	if want := []string{"survives settings that are no JSON object", "survives settings of wrong types"}; !slices.Equal(got, want) {
		t.Errorf("the checks %q fail, expected %q", got, want)
	}
}
