package hosttest

import (
	"encoding/json"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/sdk"
)

// Assembly is a module put together by hand, for guests that no compiler would make.
type Assembly struct {
	Imports []Import
	Funcs   []Func
	Pages   uint32 // of memory, which is exported
	Data    []byte // at address 0
	Table   uint32 // elements of a table of functions; 0 for no table
	Extra   []wasmfile.Section
}

// Import is an imported function.
type Import struct {
	Module, Name    string
	Params, Results []byte
}

// Func is a function. It is exported unless it has no name.
type Func struct {
	Name            string
	Params, Results []byte
	Locals          []byte // types
	Body            []byte // instructions, without the last end
}

// Types of values, for Func and Import.
var (
	I32 = []byte{wasmfile.I32}
	I64 = []byte{wasmfile.I64}
)

// Bytes returns the module.
func (a *Assembly) Bytes() []byte {
	u32 := wasmfile.AppendU32
	vec := func(b []byte) []byte { return append(u32(nil, uint32(len(b))), b...) }
	out := []byte(wasmfile.Header)
	add := func(id wasmfile.ID, n int, body []byte) {
		if n > 0 {
			out = wasmfile.AppendSection(out, id, "", append(u32(nil, uint32(n)), body...))
		}
	}
	var types, imports, funcs, exports, code []byte
	sig := func(params, results []byte) {
		types = append(append(append(types, 0x60), vec(params)...), vec(results)...)
	}
	for i, im := range a.Imports {
		sig(im.Params, im.Results)
		imports = wasmfile.AppendName(wasmfile.AppendName(imports, im.Module), im.Name)
		imports = u32(append(imports, byte(wasmfile.Func)), uint32(i))
	}
	named := 0
	for i, f := range a.Funcs {
		index := uint32(len(a.Imports) + i)
		sig(f.Params, f.Results)
		funcs = u32(funcs, index)
		if f.Name != "" {
			exports = u32(append(wasmfile.AppendName(exports, f.Name), byte(wasmfile.Func)), index)
			named++
		}
		body := u32(nil, uint32(len(f.Locals)))
		for _, t := range f.Locals {
			body = append(body, 1, t)
		}
		body = append(append(body, f.Body...), 0x0b)
		code = append(code, vec(body)...)
	}
	add(wasmfile.SectionType, len(a.Imports)+len(a.Funcs), types)
	add(wasmfile.SectionImport, len(a.Imports), imports)
	add(wasmfile.SectionFunction, len(a.Funcs), funcs)
	if a.Table > 0 {
		add(wasmfile.SectionTable, 1, u32([]byte{wasmfile.FuncRef, 0}, a.Table))
	}
	if a.Pages > 0 {
		add(wasmfile.SectionMemory, 1, u32([]byte{0}, a.Pages))
		exports = append(wasmfile.AppendName(exports, "memory"), byte(wasmfile.Memory), 0)
		named++
	}
	add(wasmfile.SectionExport, named, exports)
	add(wasmfile.SectionCode, len(a.Funcs), code)
	if a.Data != nil {
		add(wasmfile.SectionData, 1, append([]byte{0, 0x41, 0, 0x0b}, vec(a.Data)...))
	}
	for _, s := range a.Extra {
		out = wasmfile.AppendSection(out, s.ID, s.Name, s.Body)
	}
	return out
}

// WithManifest returns the module with the manifest.
func WithManifest(tb testing.TB, module []byte, m sdk.Manifest) []byte {
	tb.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	outline, err := wasmfile.Parse(module)
	if err != nil {
		tb.Fatal(err)
	}
	return outline.WithCustom(sdk.ManifestSection, data)
}
