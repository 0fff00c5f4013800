package wasmhost

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/sdk"
)

var tinyManifest = sdk.Manifest{Name: "tiny", Version: "1.0.0", Contract: "1.0", Abilities: []sdk.Ability{sdk.AbilityCategorize}}

// Instructions for hand-made modules.
func i32Const(v int64) []byte { return wasmfile.AppendS64([]byte{0x41}, v) }
func i64Const(v int64) []byte { return wasmfile.AppendS64([]byte{0x42}, v) }

// okFrame is an answer that all is done.
var okFrame = []byte("CLF1\x01\x00\x02\x00\x18\x00\x00\x00\x00\x00\x00\x00\x00\x00\x18\x00\x00\x00\x00\x00")

// at returns an answer of n bytes at the address.
func at(address, n int64) []byte { return i64Const(address<<32 | n) }

// tiny returns a module that is configured without complaint and answers to cl_categorize with the instructions.
func tiny(categorize []byte, change ...func(*hosttest.Assembly)) *hosttest.Assembly {
	a := &hosttest.Assembly{Pages: 1, Data: okFrame, Funcs: []hosttest.Func{
		{Name: "cl_abi", Results: hosttest.I32, Body: i32Const(1 << 16)},
		{Name: "cl_alloc", Params: hosttest.I32, Results: hosttest.I32, Body: i32Const(1024)},
		{Name: "cl_configure", Params: hosttest.I32, Results: hosttest.I64, Body: at(0, 24)},
		{Name: "cl_categorize", Params: hosttest.I32, Results: hosttest.I64, Body: categorize},
	}}
	for _, f := range change {
		f(a)
	}
	return a
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	good := tiny(at(0, 24)).Bytes()
	manifest := func(change func(*sdk.Manifest)) []byte {
		m := tinyManifest
		change(&m)
		return hosttest.WithManifest(t, good, m)
	}
	assembled := func(change func(*hosttest.Assembly)) []byte {
		return hosttest.WithManifest(t, tiny(at(0, 24), change).Bytes(), tinyManifest)
	}
	body := func(i int, b []byte) func(*hosttest.Assembly) {
		return func(a *hosttest.Assembly) { a.Funcs[i].Body = b }
	}
	imports := func(module, name string, params, results []byte) func(*hosttest.Assembly) {
		return func(a *hosttest.Assembly) {
			a.Imports = []hosttest.Import{{Module: module, Name: name, Params: params, Results: results}}
		}
	}
	for _, c := range []struct {
		name   string
		module []byte
		spec   host.Spec
		code   host.Code
		cause  string
		hint   string
	}{
		{name: "empty", module: nil, code: host.CodeModule, cause: "no WebAssembly module", hint: ".wasm"},
		{name: "text", module: []byte("version: 1\nname: x\n"), code: host.CodeModule, cause: "no WebAssembly module"},
		{name: "executable", module: []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00"), code: host.CodeModule, cause: "no WebAssembly module", hint: "trust: process"},
		{name: "component", module: []byte("\x00asm\x0d\x00\x01\x00rest"), code: host.CodeModule, cause: "component", hint: "core module"},
		{name: "version", module: []byte("\x00asm\x02\x00\x00\x00"), code: host.CodeModule, cause: "version 0x2"},
		{name: "truncated", module: good[:len(good)/2], code: host.CodeModule, cause: "malformed"},
		{name: "no manifest", module: good, code: host.CodeModule, cause: "no manifest", hint: "closedloop plugin build"},
		{name: "bad manifest", module: (&hosttest.Assembly{Extra: []wasmfile.Section{{Name: sdk.ManifestSection, Body: []byte("{")}}}).Bytes(), code: host.CodeModule, cause: "manifest"},
		{name: "wrong manifest", module: manifest(func(m *sdk.Manifest) { m.Name = "No Name" }), code: host.CodeModule, cause: "name: found"},
		{name: "newer contract", module: manifest(func(m *sdk.Manifest) { m.Contract = "1.7" }), code: host.CodeContract, cause: "found 1.7"},
		{name: "other contract", module: manifest(func(m *sdk.Manifest) { m.Contract = "2.0" }), code: host.CodeContract, cause: "found 2.0"},
		{name: "contract in code", module: assembled(body(0, i32Const(2<<16))), code: host.CodeContract, cause: "speaks contract 2.0"},
		{name: "minor in code", module: assembled(body(0, i32Const(1<<16|9))), code: host.CodeContract, cause: "speaks contract 1.9"},
		{name: "no export of an ability", module: manifest(func(m *sdk.Manifest) { m.Abilities = []sdk.Ability{sdk.AbilityDeliver} }), code: host.CodeModule, cause: `ability "deliver", but the module does not export the function cl_deliver`},
		{name: "no cl_alloc", module: assembled(func(a *hosttest.Assembly) { a.Funcs[1].Name = "other" }), code: host.CodeModule, cause: "cl_alloc"},
		{name: "no memory", module: assembled(func(a *hosttest.Assembly) { a.Pages, a.Data = 0, nil }), code: host.CodeModule, cause: "memory"},
		{name: "type of an export", module: assembled(func(a *hosttest.Assembly) { a.Funcs[1].Results, a.Funcs[1].Body = hosttest.I64, i64Const(1) }), code: host.CodeModule, cause: "cl_alloc has the type (i32) -> (i64), expected (i32) -> (i32)"},
		{name: "import of a browser", module: assembled(imports("env", "alert", nil, nil)), code: host.CodeModule, cause: "env.alert", hint: "browser"},
		{name: "import of a newer engine", module: assembled(imports("closedloop", "kv_scan", nil, nil)), code: host.CodeContract, cause: "closedloop.kv_scan", hint: "newer"},
		{name: "import of newer WASI", module: assembled(imports(wasi, "sock_listen", nil, nil)), code: host.CodeModule, cause: "sock_listen"},
		{name: "type of an import", module: assembled(imports("closedloop", "now", hosttest.I32, nil)), code: host.CodeModule, cause: "closedloop.now has the type (i32) -> (), expected () -> (i64)"},
		{name: "the meter's import", module: assembled(imports("closedloop.meter", "tick", nil, nil)), code: host.CodeModule, cause: "closedloop.meter"},
		{name: "invalid code", module: assembled(body(3, []byte{0x6a})), code: host.CodeModule, cause: "i32.add"},
		{name: "too large", module: bytes.Repeat([]byte{0}, 2000), spec: host.Spec{Limits: host.Limits{Module: 1000}}, code: host.CodeLimit, cause: "2000 bytes, expected at most 1000"},
		{name: "too much memory", module: assembled(func(a *hosttest.Assembly) { a.Pages = 5000 }), code: host.CodeMemory, cause: "327680000 bytes", hint: "limits: memory"},
		{name: "too large a table", module: assembled(func(a *hosttest.Assembly) { a.Table = 1 << 26 }), code: host.CodeLimit, cause: "elements of tables"},
		{name: "trap at the start", module: assembled(func(a *hosttest.Assembly) {
			a.Funcs = append(a.Funcs, hosttest.Func{Name: "_initialize", Body: []byte{0x00}})
		}), code: host.CodeTrap, cause: "unreachable"},
		{name: "endless start", module: assembled(func(a *hosttest.Assembly) {
			a.Funcs = append(a.Funcs, hosttest.Func{Name: "_initialize", Body: []byte{0x03, 0x40, 0x0c, 0, 0x0b}})
		}), spec: host.Spec{Limits: host.Limits{Start: short}}, code: host.CodeDeadline, cause: "longer than"},
		{name: "garbage from configure", module: assembled(body(2, at(500, 24))), code: host.CodeFrame, cause: "malformed"},
		{name: "file not there", module: assembled(body(3, at(0, 24))), spec: host.Spec{Grants: host.Grants{File: "/no/such/file"}}, code: host.CodeGrant, cause: "no such file"},
		{name: "bad host", module: assembled(body(3, at(0, 24))), spec: host.Spec{Grants: host.Grants{HTTP: []string{"http://x/"}}}, code: host.CodeGrant, cause: "http[0]"},
		{name: "capability not granted", module: manifest(func(m *sdk.Manifest) { m.Capabilities = []sdk.Capability{sdk.CapabilityHTTP} }), code: host.CodeGrant, cause: `"http"`, hint: "grants"},
	} {
		c.spec.ID = "test"
		p, err := sharedRuntime(t).Load(t.Context(), c.module, c.spec)
		if err == nil {
			_ = p.Close(t.Context())
			t.Errorf("%s: it was loaded", c.name)
			continue
		}
		e := (*host.Error)(nil)
		if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Error(), c.cause) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: got code %s, %v, hint %q; want code %s, %q, hint %q", c.name, e.Code, err, e.Hint, c.code, c.cause, c.hint)
		}
	}
}

func TestSettingsThatThePluginRefuses(t *testing.T) {
	t.Parallel()
	module := hosttest.Module(t, guestDir)
	_, err := sharedRuntime(t).Load(t.Context(), module, hosttest.Granted(t, host.Spec{ID: "test", Settings: []byte(`{"refuse": true}`)}))
	if e := wantError(t, err, host.CodeRefused); e.Call != "configure" || e.Error() != "plugin test: configure: these settings are refused" {
		t.Errorf("got %v", e)
	}
	_, err = sharedRuntime(t).Load(t.Context(), module, hosttest.Granted(t, host.Spec{ID: "test", Settings: []byte(`{"crash": true}`)}))
	if e := wantError(t, err, host.CodeTrap); !strings.Contains(e.Error(), "configured to crash") {
		t.Errorf("got %v", e)
	}
}

// TestGarbage runs modules whose answers are wrong in every way.
func TestGarbage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		categorize []byte
		change     func(*hosttest.Assembly)
		cause      string
	}{
		{name: "another frame", categorize: at(0, 24), cause: "kind ok"},
		{name: "zeros", categorize: at(4096, 100), cause: "expected a frame"},
		{name: "empty", categorize: at(0, 0), cause: "expected a header"},
		{name: "cut off", categorize: at(0, 10), cause: "expected a header"},
		{name: "outside", categorize: at(1<<16-10, 24), cause: "leaves the memory"},
		{name: "far outside", categorize: at(1<<31-1, 1000), cause: "leaves the memory"},
		{name: "wraps around", categorize: i64Const(-1), cause: "too large"},
		{name: "too large", categorize: at(0, 17<<20), cause: "too large"},
		{name: "bad alloc", categorize: at(0, 24), cause: "cl_alloc", change: func(a *hosttest.Assembly) {
			// an address outside for what is larger than the first buffer
			a.Funcs[1].Body = append(append(append([]byte{0x20, 0}, i32Const(20<<10)...), 0x4b, 0x04, 0x7f), append(append(i32Const(-8), 0x05), append(i32Const(1024), 0x0b)...)...)
		}},
	} {
		a := tiny(c.categorize)
		if c.change != nil {
			c.change(a)
		}
		p := load(t, hosttest.WithManifest(t, a.Bytes(), tinyManifest), host.Spec{})
		items := batchOf(64)
		_, err := p.Categorize(t.Context(), items)
		if e := wantError(t, err, host.CodeFrame); !strings.Contains(e.Error(), c.cause) {
			t.Errorf("%s: got %v, want %q", c.name, e, c.cause)
		}
		if s := p.Stats(); s.Discarded != 1 {
			t.Errorf("%s: got %+v", c.name, s)
		}
	}
}

func TestManifestIsReadWithoutRunning(t *testing.T) {
	t.Parallel()
	module := tiny([]byte{0x00}).Bytes()
	if _, err := ReadManifest(module); !errors.Is(err, ErrNoManifest) {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{`{"name":"one"}`, `{"name":"two"}`} {
		var err error
		if module, err = Stamp(module, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadManifest(module); err != nil || string(got) != text {
			t.Errorf("got %s, %v", got, err)
		}
	}
	if n := bytes.Count(module, []byte(sdk.ManifestSection)); n != 1 {
		t.Errorf("got %d manifests", n)
	}
	if _, err := Stamp([]byte("no module"), nil); !errors.Is(err, wasmfile.ErrNotWasm) {
		t.Errorf("got %v", err)
	}
}

// TestCache loads with an empty, a filled and a damaged cache.
func TestCache(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state", "cache")
	module := hosttest.WithManifest(t, tiny(at(0, 24)).Bytes(), tinyManifest)
	try := func() {
		t.Helper()
		rt, err := New(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer rt.Close(context.Background())
		p, err := rt.Load(t.Context(), module, host.Spec{ID: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	files := func() (paths []string) {
		paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		if err != nil || len(paths) == 0 {
			t.Fatal(paths, err)
		}
		return paths
	}
	try()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	before := files()
	try()
	if after := files(); len(after) != len(before) {
		t.Errorf("got %d files, want %d", len(after), len(before))
	}
	for _, path := range before {
		if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	try()
}

func TestVersionTellsCodeAndSettingsApart(t *testing.T) {
	t.Parallel()
	versions := map[string]bool{}
	for _, settings := range []string{"", `{"a":1}`} {
		for _, body := range [][]byte{at(0, 24), at(1, 24)} {
			p := load(t, hosttest.WithManifest(t, tiny(body).Bytes(), tinyManifest), host.Spec{Settings: []byte(settings)})
			versions[p.Version()] = true
			if !strings.HasPrefix(p.Version(), "1.0.0+") || len(p.Version()) != len("1.0.0+")+12 {
				t.Errorf("got %s", p.Version())
			}
		}
	}
	if len(versions) != 4 {
		t.Errorf("got %v", versions)
	}
}

// TestDeepCalls nests calls. Up to a depth they cost the instance, which the runtime would leave with a large stack;
// beyond it they fail.
func TestDeepCalls(t *testing.T) {
	t.Parallel()
	none := append([]byte(nil), okFrame...)
	none[6] = 5 // results, of no item
	for _, c := range []struct {
		depth    int64
		recycled uint64
		code     host.Code
	}{{100, 0, ""}, {100_000, 1, ""}, {10_000_000, 0, host.CodeTrap}} {
		body := append(append(i32Const(c.depth), 0x10, 4), at(64, 24)...)
		down := append(append([]byte{0x20, 0, 0x04, 0x40, 0x20, 0}, i32Const(1)...), 0x6b, 0x10, 4, 0x0b)
		a := tiny(body, func(a *hosttest.Assembly) {
			a.Data = append(append(append([]byte(nil), okFrame...), make([]byte, 64-len(okFrame))...), none...)
			a.Funcs = append(a.Funcs, hosttest.Func{Params: hosttest.I32, Body: down})
		})
		p := load(t, hosttest.WithManifest(t, a.Bytes(), tinyManifest), host.Spec{})
		b, err := p.Categorize(t.Context(), nil)
		if c.code != "" {
			if e := wantError(t, err, c.code); !strings.Contains(e.Error(), "stack overflow") {
				t.Errorf("depth %d: %v", c.depth, e)
			}
			continue
		}
		if err != nil {
			t.Errorf("depth %d: %v", c.depth, err)
			continue
		}
		b.Release()
		if s := p.Stats(); s.Recycled != c.recycled {
			t.Errorf("depth %d: got %+v", c.depth, s)
		}
	}
}
