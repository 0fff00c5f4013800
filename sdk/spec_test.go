package sdk

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// spec declares one setting of every type.
func spec() Spec {
	return Spec{
		"theme":    {Type: TypeString, Required: true, Pattern: `^[a-z/]+$`, Description: "the theme to give"},
		"mode":     {Type: TypeString, Enum: []string{"strict", "lenient"}, Default: "strict"},
		"weight":   {Type: TypeNumber, Min: new(0.0), Max: new(1.0), Default: 0.5},
		"rows":     {Type: TypeInteger, Min: new(1.0)},
		"verbose":  {Type: TypeBool},
		"wait":     {Type: TypeDuration, Default: "30s"},
		"token":    {Type: TypeSecret},
		"phrases":  {Type: TypeList, Max: new(3.0), Items: &Setting{Type: TypeString}},
		"columns":  {Type: TypeMap, Items: &Setting{Type: TypeInteger}},
		"limits":   {Type: TypeObject, Fields: Spec{"depth": {Type: TypeInteger, Default: 3}, "width": {Type: TypeInteger}}},
		"anything": {Type: TypeAny},
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	given := map[string]any{
		"theme": "packaging/opening", "rows": 5, "verbose": true, "token": "hook", "phrases": []any{"a", "b"},
		"columns": map[string]any{"score": 2}, "limits": map[string]any{"width": uint64(9)}, "anything": []any{1, "x"},
	}
	want := map[string]any{
		"theme": "packaging/opening", "mode": "strict", "weight": 0.5, "rows": 5, "verbose": true, "wait": "30s", "token": "hook",
		"phrases": []any{"a", "b"}, "columns": map[string]any{"score": 2}, "limits": map[string]any{"depth": 3, "width": uint64(9)},
		"anything": []any{1, "x"},
	}
	got, errs := spec().Complete(given)
	if len(errs) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, errs, want)
	}
	if len(given) != 8 || len(given["limits"].(map[string]any)) != 1 {
		t.Errorf("the settings that were given were changed: %v", given)
	}
	got, errs = spec().Complete(map[string]any{"theme": "a"})
	if len(errs) > 0 || !reflect.DeepEqual(got["limits"], map[string]any{"depth": 3}) {
		t.Errorf("the defaults of an object that is not given: %v, %v", got["limits"], errs)
	}
	if _, given := got["rows"]; given {
		t.Error("a setting without a default was made up")
	}
}

// All that is wrong is found at once, each with its path.
func TestCompleteFindsEverything(t *testing.T) {
	t.Parallel()
	_, errs := spec().Complete(map[string]any{
		"them": "x", "mode": "strct", "weight": 2.0, "rows": 1.5, "verbose": "yes", "wait": "soon", "token": 5,
		"phrases": []any{"a", 1, "c", nil}, "columns": map[string]any{"score": "B"}, "limits": map[string]any{"dept": 1},
	})
	want := map[string]string{ // part of what is said
		"theme":         `missing setting "theme"`,
		"them":          `did you mean "theme"?`,
		"mode":          `did you mean "strict"?`,
		"weight":        "found 2, expected 0 to 1",
		"rows":          "found the number 1.5, expected",
		"verbose":       `found the string "yes", expected true or false`,
		"wait":          `found "soon", expected a duration`,
		"token":         "found the number 5, expected a secret",
		"phrases":       "found 4 elements, expected at most 3",
		"columns.score": `found the string "B", expected`,
		"limits.dept":   `did you mean "depth"?`,
	}
	var paths []string
	for _, e := range errs {
		paths = append(paths, e.Path)
		if part, ok := want[e.Path]; !ok || !strings.Contains(e.Error(), part) {
			t.Errorf("found %q, want %q", e, part)
		}
		if e.OnKey != (e.Path == "them" || e.Path == "limits.dept") {
			t.Errorf("%s: on the key: %v", e.Path, e.OnKey)
		}
	}
	if len(errs) != len(want) {
		t.Errorf("found %d of %d problems: %v", len(errs), len(want), paths)
	}
	for name, wrong := range map[string]any{"theme": "UPPER", "phrases": "a", "columns": 1, "limits": true} {
		if _, errs := spec().Complete(map[string]any{"theme": "a", name: wrong}); len(errs) != 1 || errs[0].Path != name {
			t.Errorf("%s = %v: %v", name, wrong, errs)
		}
	}
	_, errs = spec().Complete(map[string]any{"theme": "a", "phrases": []any{"a", 1}})
	if len(errs) != 1 || errs[0].Path != "phrases[1]" {
		t.Errorf("an element of a list: %v", errs)
	}
}

func TestManifestCheck(t *testing.T) {
	t.Parallel()
	good := func() Manifest {
		return Manifest{
			Name: "code-book", Version: "1.2.0-rc.1", Contract: ContractVersion(), Abilities: []Ability{AbilityCategorize},
			Capabilities: []Capability{CapabilityLog}, Settings: spec(),
		}
	}
	for _, tt := range []struct {
		path  string // of the one problem; empty for none
		spoil func(*Manifest)
	}{
		{"", func(*Manifest) {}},
		{"name", func(m *Manifest) { m.Name = "Code Book" }},
		{"version", func(m *Manifest) { m.Version = "1.2" }},
		{"contract", func(m *Manifest) { m.Contract = "" }},
		{"contract", func(m *Manifest) { m.Contract = "1.99" }},
		{"contract", func(m *Manifest) { m.Contract = "2.0" }},
		{"abilities", func(m *Manifest) { m.Abilities = nil }},
		{"abilities[1]", func(m *Manifest) { m.Abilities = []Ability{AbilityPoll, "fly"} }},
		{"capabilities[0]", func(m *Manifest) { m.Capabilities = []Capability{"files"} }},
		{"settings.theme.type", func(m *Manifest) { m.Settings["theme"] = Setting{Type: "text"} }},
		{"settings.theme.pattern", func(m *Manifest) { m.Settings["theme"] = Setting{Type: TypeString, Pattern: "("} }},
		{"settings.phrases.items.type", func(m *Manifest) { m.Settings["phrases"] = Setting{Type: TypeList, Items: &Setting{}} }},
		{"settings.limits.fields.depth.type", func(m *Manifest) {
			m.Settings["limits"] = Setting{Type: TypeObject, Fields: Spec{"depth": {Type: "int"}}}
		}},
	} {
		m := good()
		tt.spoil(&m)
		errs := m.Check()
		if (tt.path == "") != (len(errs) == 0) || tt.path != "" && (len(errs) != 1 || errs[0].Path != tt.path) {
			t.Errorf("%q: found %v", tt.path, errs)
		}
	}
	if m := good(); !m.Can(AbilityCategorize) || m.Can(AbilityPoll) || !m.Wants(CapabilityLog) || m.Wants(CapabilityHTTP) {
		t.Error("Can or Wants")
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	credential := Setting{Type: TypeCredential}
	spec := Spec{"password": credential, "user": credential, "host": {Type: TypeString}}
	if got := spec.Credentials(); !slices.Equal(got, []string{"password", "user"}) {
		t.Errorf("got %q", got)
	}
	m := Manifest{Name: "mail", Version: "1.0.0", Contract: "1.0", Abilities: []Ability{AbilityDeliver}, Settings: spec}
	if errs := m.Check(); len(errs) > 0 {
		t.Error(errs)
	}
	if _, errs := spec.Complete(map[string]any{"password": 7}); len(errs) != 1 || errs[0].Message != "found the number 7, expected a credential" {
		t.Errorf("got %v", errs)
	}
	m.Settings = Spec{"a": {Type: TypeList, Items: &credential}, "b": {Type: TypeObject, Fields: spec}}
	var at []string
	for _, e := range m.Check() {
		at = append(at, e.Path)
	}
	if want := []string{"settings.a.items.type", "settings.b.fields.password.type", "settings.b.fields.user.type"}; !slices.Equal(at, want) {
		t.Errorf("got problems at %q, want %q", at, want)
	}
}
