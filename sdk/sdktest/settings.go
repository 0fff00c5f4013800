package sdktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/sdk"
)

// Settings checks how a plugin takes settings: good ones, a complete JSON object, and such as no host should hand over.
// It runs SettingsChecks.
func Settings(t TB, openWith func(settings string) error, spec sdk.Spec, good string) {
	t.Helper()
	run(t, SettingsChecks(openWith, spec, good))
}

// SettingsChecks returns the checks of Settings one by one. A host checks settings by the plugin's spec before it hands
// them over; what gets through all the same may be refused or ignored, and crashes nothing.
func SettingsChecks(openWith func(settings string) error, spec sdk.Spec, good string) []Check {
	survives := func(t TB, settings string) {
		t.Helper()
		if err := safely(func() error { return openWith(settings) }); crashed(err) {
			t.Errorf("settings %.60q: %v", settings, err)
		}
	}
	return []Check{
		{"takes its settings", func(t TB) {
			t.Helper()
			if err := safely(func() error { return openWith(good) }); err != nil {
				t.Errorf("settings %.60q: %v", good, err)
			}
		}},
		{"survives settings that are no JSON object", func(t TB) {
			t.Helper()
			for _, bad := range []string{"{", "null", "[]", `""`, "0", "{}", "\xff", `{"":[{}]}`, `{"a":` + strings.Repeat("[", 2000)} {
				survives(t, bad)
			}
		}},
		{"survives settings of wrong types", func(t TB) {
			t.Helper()
			for _, bad := range wrongTypes(spec, good) {
				survives(t, bad)
			}
		}},
	}
}

// wrongTypes returns the good settings, each time with one of them replaced by something of another type.
func wrongTypes(spec sdk.Spec, good string) []string {
	base := map[string]any{}
	if json.Unmarshal([]byte(good), &base) != nil {
		base = map[string]any{}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(spec)) {
		for _, value := range []any{nil, -1.5, true, "\u202e", []any{nil}, map[string]any{"": nil}} {
			settings := maps.Clone(base)
			settings[name] = value
			text, err := json.Marshal(settings)
			if err != nil { // cannot happen: what came from JSON has a JSON form
				text = []byte(fmt.Sprint(err))
			}
			out = append(out, string(text))
		}
	}
	return out
}
