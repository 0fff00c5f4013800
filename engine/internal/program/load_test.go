package program

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// folder unpacks a program of the folder testdata.
func folder(t *testing.T, name string) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return unpack(t, archive.Files)
}

func load(t *testing.T, dir string) *Program {
	t.Helper()
	p, err := Load(t.Context(), dir, options(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoadHead(t *testing.T) {
	t.Parallel()
	dir := folder(t, "retail.txtar")
	p := load(t, dir)
	if len(p.Warnings) > 0 {
		t.Errorf("warnings: %v", p.Warnings)
	}
	if p.Dir != dir || p.Name != "retail" || p.Timezone.String() != "Europe/Berlin" || p.StateDir != filepath.Join(dir, "var", "state") {
		t.Errorf("got %q, %q, %v, %q", p.Dir, p.Name, p.Timezone, p.StateDir)
	}
	item := map[string]feedback.Kind{"order_value": feedback.Number, "coupon": feedback.String, "bought": feedback.Instant}
	customer := map[string]feedback.Kind{"newsletter": feedback.Bool}
	if !reflect.DeepEqual(p.ItemAttributes, item) || !reflect.DeepEqual(p.CustomerAttributes, customer) {
		t.Errorf("attributes: got %v and %v", p.ItemAttributes, p.CustomerAttributes)
	}
	queues := []Queue{{"care", []string{"anna", "ben"}, "first line"}, {ID: "general"}, {ID: "late", Owners: []string{"zoe"}}}
	if !reflect.DeepEqual(p.Queues, queues) {
		t.Errorf("queues: got %v, expected %v", p.Queues, queues)
	}
	var names []string
	for _, f := range p.RuleFiles {
		names = append(names, f.Name)
	}
	if want := []string{"rules/a.yaml", "rules/b.yaml"}; !slices.Equal(names, want) || p.Rules == nil {
		t.Errorf("rule files: got %v, expected %v", names, want)
	}
	if !slices.Equal(p.RuleEnv.Queues, []string{"care", "general", "late"}) || !slices.Equal(p.RuleEnv.Destinations, []string{"care-team"}) {
		t.Errorf("environment of the rules: got %v", p.RuleEnv)
	}
	var ids []string
	for plugin := range p.Plugins {
		ids = append(ids, string(plugin.Role)+" "+plugin.ID)
	}
	if want := []string{"source store-survey", "source reviews", "categorizer themes", "categorizer tone", "destination care-team"}; !slices.Equal(ids, want) {
		t.Errorf("plugins: got %v, expected %v", ids, want)
	}
}

func TestLoadPlugins(t *testing.T) {
	t.Parallel()
	dir := folder(t, "retail.txtar")
	p := load(t, dir)
	s := &p.Sources[0]
	if s.Kind != KindWASM || s.Trust != TrustSandbox || s.Path != filepath.Join(dir, "plugins", "source.wasm") || len(s.SHA256) != 64 ||
		s.Every != 5*time.Minute || s.Manifest.Name != "source" {
		t.Errorf("source: got %+v", s)
	}
	if want := (source.Pos{File: filepath.ToSlash(filepath.Join(dir, "program.yaml")), Line: 14, Column: 3}); s.Pos != want {
		t.Errorf("position: got %v, expected %v", s.Pos, want)
	}
	wantGrants := host.Grants{Log: true, File: filepath.Join(dir, "data"), HTTP: []string{"hooks.example.com", "127.0.0.1:8990"}}
	if !reflect.DeepEqual(s.Grants, wantGrants) {
		t.Errorf("grants: got %+v, expected %+v", s.Grants, wantGrants)
	}
	if want := (host.Limits{Memory: 128 << 20, Deadline: 30 * time.Second}); s.Limits != want {
		t.Errorf("limits: got %+v, expected %+v", s.Limits, want)
	}
	if want := `{"columns":{"score":"nps"},"mode":"strict","path":"a.csv"}`; string(s.Settings) != want {
		t.Errorf("settings: got %s, expected %s", s.Settings, want)
	}
	want := feedback.Item{
		Survey: "csat", ScaleMin: new(1.0), ScaleMax: new(7.0), Channel: "survey", Touchpoint: "store", Contactable: new(true),
		Attributes: feedback.Attributes{"order_value": feedback.NumberValue(3.5), "bought": feedback.TimeValue(1772445600000)},
		Customer: feedback.Customer{Segment: "retail", KeyKind: feedback.KeyEmail,
			Attributes: feedback.Attributes{"newsletter": feedback.BoolValue(false)}},
	}
	if !reflect.DeepEqual(s.Defaults, want) {
		t.Errorf("defaults: got %+v, expected %+v", s.Defaults, want)
	}
	second := &p.Sources[1]
	if second.Every != time.Minute || second.Grants.Log || string(second.Settings) != `{"mode":"lax","path":"b.csv"}` {
		t.Errorf("the second source: got %+v", second)
	}
	if c := &p.Categorizers[0]; c.Kind != KindNative || c.Path != "tagger" || c.OnFailure != Hold || c.Native.Manifest == nil || string(c.Settings) != "{}" {
		t.Errorf("the native categorizer: got %+v", c)
	}
	if c := &p.Categorizers[1]; c.Kind != KindProcess || c.Trust != TrustProcess || len(c.SHA256) != 64 || c.OnFailure != Unlabelled {
		t.Errorf("the categorizer in a process: got %+v", c)
	}
	d := &p.Destinations[0]
	if want := (Retry{MaxAge: 48 * time.Hour, Attempts: 5, Base: 5 * time.Second, Cap: time.Hour}); d.Retry != want {
		t.Errorf("retry: got %+v, expected %+v", d.Retry, want)
	}
	if !d.Uses("hook") || d.Uses("key") || s.Uses("hook") {
		t.Error("the destination, and it alone, uses the secret hook")
	}
}

func TestSecretsAreReadAndNeverShown(t *testing.T) {
	t.Parallel()
	dir := folder(t, "retail.txtar")
	p := load(t, dir)
	for name, want := range map[string]string{"hook": "hunter2-default", "key": "hunter2-file"} {
		if got, err := p.Secret(name); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	_, err := p.Secret("none")
	if !errors.Is(err, ErrNoSecret) {
		t.Errorf("got %v, expected %v", err, ErrNoSecret)
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v", p, p, p), fmt.Sprintf("%v %+v %#v", *p, *p, *p), err.Error()} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("a secret is shown: %s", shown)
		}
	}
	if err := os.Remove(filepath.Join(dir, "secrets", "key.txt")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Secret("key"); !errors.Is(err, ErrNoSecret) || !strings.Contains(err.Error(), "secrets/key.txt") {
		t.Errorf("a secret whose file is gone: got %v", err)
	}
}

// TestNoProblemShowsASecret goes through the golden files: in those about secrets every secret is called hunter2.
func TestNoProblemShowsASecret(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		last := len(archive.Files) - 1
		for _, f := range archive.Files[:last] {
			seen += strings.Count(string(f.Data), "hunter2")
		}
		if got := problems(t, unpack(t, archive.Files[:last])); strings.Contains(got, "hunter2") {
			t.Errorf("%s: a secret is shown:\n%s", name, got)
		}
	}
	if seen < 20 {
		t.Errorf("the programs hold %d secrets, expected at least 20", seen)
	}
}

func TestNoProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "program")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "programm"): `did you mean "program"?`,
		file:                           "is a file, expected the folder of a program",
		filepath.Join(file, "x"):       "",
		dir:                            "there is no program.yaml",
	} {
		_, err := Load(t.Context(), path, Options{})
		if wrong := source.Problems(nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, expected %s", path, err, want)
		}
	}
}

func TestAnUnreadableFolderIsNoFaultOfTheProgram(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 5000)) // which nobody may read, not even root
	_, err := Load(t.Context(), dir, Options{})
	if wrong := (*EnvironmentError)(nil); !errors.As(err, &wrong) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, expected an EnvironmentError", err)
	}
}

func TestAFileThatChangesAfterTheCheckIsRefused(t *testing.T) {
	t.Parallel()
	p := load(t, folder(t, "retail.txtar"))
	s := &p.Sources[0]
	art, err := s.Artifact(t.Context())
	if err != nil || art.SHA256 != s.SHA256 || digest(art.Wasm) != s.SHA256 {
		t.Fatalf("got %v", err)
	}
	if err := os.WriteFile(s.Path, append(art.Wasm, 0, 1, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.Artifact(t.Context())
	if wrong := (*EnvironmentError)(nil); !errors.As(err, &wrong) {
		t.Errorf("got %v, expected an EnvironmentError", err)
	}
	if _, err := p.Categorizers[0].Artifact(t.Context()); err == nil {
		t.Error("a native plugin has no file, but Artifact gave one")
	}
	if art, err := p.Categorizers[1].Artifact(t.Context()); err != nil || art.Wasm != nil || art.SHA256 != p.Categorizers[1].SHA256 {
		t.Errorf("a process: got %+v, %v", art, err)
	}
}

// TestHosts holds that every host that the check lets through is one that the engine understands.
func TestHosts(t *testing.T) {
	t.Parallel()
	for entry, ok := range map[string]bool{
		"hooks.example.com": true, "hooks.example.com:8443": true, "*.example.com": true, "*.example.com:80": true, "localhost": true,
		"127.0.0.1": true, "127.0.0.1:8990": true, "::1": true, "[::1]:80": true, "10.0.0.0/8": true, "fd00::/8": true, "my_service:80": true,
		"": false, "*": false, "*:80": false, "a b": false, "http://a.example": false, "a.example/x": false, "a.example:": false,
		"a.example:0": false, "a.example:70000": false, "a..example": false, "[::1": false, "fe80::1%eth0": false, "a:b:c": false,
		"[a.example]:80": false, "*.*.example": false, "a.example.": false, "ä.example": false,
	} {
		if _, got := checkHost(entry); got != ok {
			t.Errorf("%q: got %v, expected %v", entry, got, ok)
		}
		if !ok {
			continue
		}
		set, err := grants.Open(&host.Spec{Grants: host.Grants{HTTP: []string{entry}}}, "1.0.0")
		if err != nil {
			t.Errorf("%q passes the check, but the engine refuses it: %v", entry, err)
			continue
		}
		set.Close()
	}
}

func TestSecretSettings(t *testing.T) {
	t.Parallel()
	secret := sdk.Setting{Type: sdk.TypeSecret}
	spec := sdk.Spec{
		"a": secret, "b": {Type: sdk.TypeList, Items: &secret}, "c": {Type: sdk.TypeMap, Items: &secret},
		"d": {Type: sdk.TypeObject, Fields: sdk.Spec{"e": secret, "f": {Type: sdk.TypeString}}}, "g": {Type: sdk.TypeAny}, "h": {Type: sdk.TypeCredential},
	}
	settings := map[string]any{
		"a": "1", "b": []any{"2", 3}, "c": map[string]any{"x.y": "4"}, "d": map[string]any{"e": "5", "f": "no"},
		"g": map[string]any{"a": "no"}, "h": "6", "unknown": "no",
	}
	got := map[string]string{}
	for _, s := range secretSettings(spec, settings) {
		got[s.path] = s.value
	}
	want := map[string]string{"a": "1", "b[0]": "2", "b[1]": "", "c.x.y": "4", "d.e": "5", "h": "6"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, expected %v", got, want)
	}
}
