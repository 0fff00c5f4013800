package wasmhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/engine/internal/host/meter"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/sdk"
)

// ErrNoManifest is a module without a manifest.
var ErrNoManifest = errors.New("the module has no manifest")

const hintBuild = "build it with `closedloop plugin build`, which puts plugin.yaml into the module"

// ReadManifest returns the manifest in a module, as JSON, without running any of its code. It returns ErrNoManifest,
// or an error of package wasmfile.
func ReadManifest(module []byte) ([]byte, error) {
	m, err := wasmfile.Parse(module)
	if err != nil {
		return nil, err
	}
	data, ok := m.Custom(sdk.ManifestSection)
	if !ok {
		return nil, ErrNoManifest
	}
	return slices.Clone(data), nil
}

// Stamp returns the module with the manifest, a JSON text, in place of the one it may have had.
func Stamp(module, manifest []byte) ([]byte, error) {
	m, err := wasmfile.Parse(module)
	if err != nil {
		return nil, err
	}
	return m.WithCustom(sdk.ManifestSection, manifest), nil
}

// inspect checks all that can be known of a module without compiling it.
func (p *Plugin) inspect(module []byte) error {
	if size := int64(len(module)); size > p.limits.Module {
		return p.loadError(host.CodeLimit, fmt.Errorf("the module has %d bytes, expected at most %d", size, p.limits.Module), "")
	}
	m, err := wasmfile.Parse(module)
	if err != nil {
		return p.malformed(err)
	}
	if err := p.readManifest(m); err != nil {
		return err
	}
	if err := p.checkTypes(m); err != nil {
		return err
	}
	if err := p.checkImports(m); err != nil {
		return err
	}
	if err := p.checkExports(m); err != nil {
		return err
	}
	return p.checkMemory(m)
}

func (p *Plugin) malformed(err error) error {
	var limit *meter.LimitError
	switch {
	case errors.As(err, &limit):
		return p.loadError(host.CodeLimit, err, "")
	case errors.Is(err, wasmfile.ErrNotWasm):
		return p.loadError(host.CodeModule, err, "name a .wasm file, the folder of a Go plugin, or an executable with trust: process")
	case errors.Is(err, wasmfile.ErrComponent):
		return p.loadError(host.CodeModule, err, "build a core module: GOOS=wasip1 -buildmode=c-shared for Go, the target wasm32-unknown-unknown for Rust")
	}
	return p.loadError(host.CodeModule, err, "")
}

func (p *Plugin) readManifest(m *wasmfile.Module) error {
	data, ok := m.Custom(sdk.ManifestSection)
	if !ok {
		return p.loadError(host.CodeModule, ErrNoManifest, hintBuild)
	}
	p.spec.Manifest = sdk.Manifest{}
	if err := json.Unmarshal(data, &p.spec.Manifest); err != nil {
		return p.loadError(host.CodeModule, fmt.Errorf("the manifest in the module: %w", err), hintBuild)
	}
	problems := p.spec.Manifest.Check()
	if len(problems) == 0 {
		return nil
	}
	if i := slices.IndexFunc(problems, func(e sdk.SettingError) bool { return e.Path == "contract" }); i >= 0 {
		return p.loadError(host.CodeContract, fmt.Errorf("the manifest in the module: %w", problems[i]), "")
	}
	return p.loadError(host.CodeModule, fmt.Errorf("the manifest in the module: %w", problems[0]), "")
}

func (p *Plugin) checkImports(m *wasmfile.Module) error {
	for _, im := range m.Imports {
		switch {
		case im.Kind != wasmfile.Func:
			return p.loadError(host.CodeModule, fmt.Errorf("the module imports a %s (%s.%s), expected functions only", im.Kind, im.Module, im.Name), "")
		case im.Module == wasi:
		case im.Module == importModule && imports[im.Name].call != nil:
			if err := (*grants.Unasked)(nil); errors.As(grants.CheckAsked(&p.spec.Manifest, im.Name), &err) {
				return p.loadError(host.CodeModule, err, err.Hint())
			}
			needs := grants.Of(im.Name)
			if needs == "" || grants.Has(&p.spec.Grants, needs) {
				continue
			}
			line, _ := grants.Line(needs)
			return p.loadError(host.CodeGrant, fmt.Errorf("the module imports %s.%s, and the program does not grant %q", im.Module, im.Name, needs), grants.Hint(line))
		case im.Module == importModule:
			return p.loadError(host.CodeContract, fmt.Errorf("the module imports %s.%s, which this engine does not have", im.Module, im.Name),
				"the plugin was made for a newer engine")
		default:
			return p.loadError(host.CodeModule, fmt.Errorf("the module imports %s.%s, expected imports from %s and %s only", im.Module, im.Name, importModule, wasi),
				"it may be made for another host, such as a browser")
		}
	}
	return nil
}

// required returns the exported functions that the module must have.
func (p *Plugin) required() []string {
	names := []string{"cl_abi", "cl_alloc", "cl_configure"}
	for _, a := range p.spec.Manifest.Abilities {
		names = append(names, exports[a])
	}
	return names
}

func (p *Plugin) checkExports(m *wasmfile.Module) error {
	if _, ok := m.Export("memory", wasmfile.Memory); !ok {
		return p.loadError(host.CodeModule, errors.New(`the module does not export its memory as "memory"`), "")
	}
	for _, name := range p.required() {
		if _, ok := m.Export(name, wasmfile.Func); ok {
			continue
		}
		err := fmt.Errorf("the module does not export the function %s", name)
		for a, export := range exports {
			if export == name {
				err = fmt.Errorf("the manifest declares the ability %q, but the module does not export the function %s", a, name)
			}
		}
		return p.loadError(host.CodeModule, err, "a plugin in Go imports sdk/serve and is built with GOOS=wasip1 -buildmode=c-shared")
	}
	return nil
}

// maxTypes is how many types of functions a module may have: the compiler looks at all of them for each function.
const maxTypes = 2000

// checkTypes checks that there are not too many types.
func (p *Plugin) checkTypes(m *wasmfile.Module) error {
	for i := range m.Sections {
		if s := &m.Sections[i]; s.ID == wasmfile.SectionType {
			r := s.Reader()
			if n := r.U32(); n > maxTypes {
				return p.malformed(&meter.LimitError{What: "types", Found: int(n), Limit: maxTypes})
			}
		}
	}
	return nil
}

// checkMemory checks that the memory that the module begins with is within the limit.
func (p *Plugin) checkMemory(m *wasmfile.Module) error {
	for i := range m.Sections {
		s := &m.Sections[i]
		if s.ID != wasmfile.SectionMemory {
			continue
		}
		r := s.Reader()
		for range r.Count(2) {
			if low, _, _ := r.Limits(); int64(low)*pageSize > p.limits.Memory {
				return p.loadError(host.CodeMemory, fmt.Errorf("the module begins with %d bytes of memory, expected at most %d", int64(low)*pageSize, p.limits.Memory),
					"raise limits: memory of the plugin in program.yaml")
			}
		}
		return nil
	}
	return nil
}

// signature is the type of an exported function.
type signature struct{ params, results []api.ValueType }

var (
	i32 = []api.ValueType{api.ValueTypeI32}
	i64 = []api.ValueType{api.ValueTypeI64}
)

// signatureOf returns the type that sdk/ABI.md gives to an export.
func signatureOf(name string) signature {
	switch name {
	case "cl_abi":
		return signature{nil, i32}
	case "cl_alloc":
		return signature{i32, i32}
	case "cl_idle", "_initialize":
		return signature{nil, nil}
	}
	return signature{i32, i64}
}

// signatures checks the types of the exports and that every import can be linked.
func (p *Plugin) signatures() error {
	functions := p.code.module.ExportedFunctions()
	for _, name := range append(p.required(), "cl_idle", "_initialize") {
		f, ok := functions[name]
		want := signatureOf(name)
		if ok && !(slices.Equal(f.ParamTypes(), want.params) && slices.Equal(f.ResultTypes(), want.results)) {
			return p.loadError(host.CodeModule, fmt.Errorf("the export %s has the type %s, expected %s", name,
				typeName(f.ParamTypes(), f.ResultTypes()), typeName(want.params, want.results)), "")
		}
	}
	for _, f := range p.code.module.ImportedFunctions() {
		module, name, _ := f.Import()
		offered := p.code.runtime.Module(module).ExportedFunctionDefinitions()[name]
		switch {
		case offered == nil:
			return p.loadError(host.CodeModule, fmt.Errorf("the module imports %s.%s, which this engine does not have", module, name), "")
		case !slices.Equal(f.ParamTypes(), offered.ParamTypes()) || !slices.Equal(f.ResultTypes(), offered.ResultTypes()):
			return p.loadError(host.CodeModule, fmt.Errorf("the import %s.%s has the type %s, expected %s", module, name,
				typeName(f.ParamTypes(), f.ResultTypes()), typeName(offered.ParamTypes(), offered.ResultTypes())), "")
		}
	}
	return nil
}

func typeName(params, results []api.ValueType) string {
	names := func(types []api.ValueType) string {
		out := make([]string, len(types))
		for i, t := range types {
			out[i] = api.ValueTypeName(t)
		}
		return "(" + strings.Join(out, ", ") + ")"
	}
	return names(params) + " -> " + names(results)
}
