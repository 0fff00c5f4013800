package cli

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

// guest is a small WASM plugin put together by hand: each of its calls does one thing.
type guest struct {
	ability sdk.Ability
	answer  []byte // body of the ability's function
	data    []byte // at dataAt
	starts  bool   // and never ends: the module has a start function that loops
}

const (
	okAt    = 16   // the frame that cl_configure answers with
	dataAt  = 1024 // what the ability answers with
	inputAt = 128 << 10
	pages   = 16 // 1 MiB
)

// Instructions.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opBr          = 0x0c
	opEnd         = 0x0b
	opI32Const    = 0x41
	opI64Const    = 0x42
	noResult      = 0x40
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeFunc      = 0x60
)

func returnI32(v uint32) []byte {
	return append(wasmfile.AppendS64([]byte{opI32Const}, int64(int32(v))), opEnd)
}

// returnBytes answers with n bytes at an address.
func returnBytes(at, n int) []byte {
	return append(wasmfile.AppendS64([]byte{opI64Const}, int64(at)<<32|int64(n)), opEnd)
}

// guests are plugins that go wrong, by what they do.
func guests() map[string]guest {
	items := wire.AppendPollResult(nil, &sdk.PollResult{
		Items: []feedback.Item{{
			ExternalID: "1", Position: "line 2", OccurredAt: feedback.TimeOf(noon.Add(-time.Hour)), Survey: feedback.NPS, Score: new(3.0),
			Text: "hard to open \x1b[31mand red\x1b[0m, 開けにくい", Channel: "survey", Customer: feedback.Customer{ID: "c-7", Name: "Ida", Segment: "home"},
		}},
		Next: []byte("end"), Batch: "one",
	})
	fatal := wire.AppendFailure(nil, sdk.Fatal("the account is closed"))
	retry := wire.AppendFailure(nil, sdk.Retry(0, "nobody answers"))
	labels := wire.AppendResults(nil, []sdk.Result{{Labels: feedback.Labels{Sentiment: new(-0.5), Themes: []feedback.Theme{
		{Path: "packaging/opening", Confidence: 0.75, Evidence: []feedback.Span{{Start: 0, End: 12}}},
		{Path: "tone/plain", Confidence: 1},
	}}}})
	bad := wire.AppendResults(nil, []sdk.Result{{Err: sdk.Fatal("cannot read this")}})
	return map[string]guest{
		"fine":    {sdk.AbilityPoll, returnBytes(dataAt, len(items)), items, false},
		"traps":   {sdk.AbilityPoll, []byte{opUnreachable, opEnd}, nil, false},
		"loops":   {sdk.AbilityPoll, []byte{opLoop, noResult, opBr, 0, opEnd, opUnreachable, opEnd}, nil, false},
		"garbage": {sdk.AbilityPoll, returnBytes(dataAt, 64), []byte("this is no frame at all, and it never was one, whatever is read"), false},
		"beyond":  {sdk.AbilityPoll, returnBytes(dataAt, 1<<31-1), nil, false},
		"much":    {sdk.AbilityPoll, returnBytes(dataAt, 64<<10), items, false},
		"fatal":   {sdk.AbilityPoll, returnBytes(dataAt, len(fatal)), fatal, false},
		"retry":   {sdk.AbilityPoll, returnBytes(dataAt, len(retry)), retry, false},
		"crashes": {sdk.AbilityCategorize, []byte{opUnreachable, opEnd}, nil, false},
		"labels":  {sdk.AbilityCategorize, returnBytes(dataAt, len(labels)), labels, false},
		"chokes":  {sdk.AbilityCategorize, returnBytes(dataAt, len(bad)), bad, false},
		"refuses": {sdk.AbilityDeliver, returnBytes(dataAt, len(retry)), retry, false},
		"starts":  {sdk.AbilityPoll, returnBytes(dataAt, len(items)), items, true},
		"rejects": {sdk.AbilityDeliver, returnBytes(dataAt, len(fatal)), fatal, false},
	}
}

// module assembles the guest without a manifest.
func (g guest) module() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id wasmfile.ID, body ...byte) { out = wasmfile.AppendSection(out, id, "", body) }
	section(wasmfile.SectionType, 4,
		typeFunc, 0, 1, typeI32,
		typeFunc, 1, typeI32, 1, typeI32,
		typeFunc, 1, typeI32, 1, typeI64,
		typeFunc, 0, 0)
	section(wasmfile.SectionFunction, 5, 0, 1, 2, 2, 3)
	section(wasmfile.SectionMemory, 1, 0, pages)
	exports := []byte{5}
	export := func(name string, kind, index byte) {
		exports = append(wasmfile.AppendName(exports, name), kind, index)
	}
	const function, memory = 0, 2
	export("memory", memory, 0)
	export("cl_abi", function, 0)
	export("cl_alloc", function, 1)
	export("cl_configure", function, 2)
	export("cl_"+string(g.ability), function, 3)
	section(wasmfile.SectionExport, exports...)
	if g.starts {
		section(wasmfile.SectionStart, 4)
	}
	ok := wire.AppendOK(nil)
	code := []byte{5}
	for _, body := range [][]byte{
		returnI32(sdk.ContractMajor<<16 | sdk.ContractMinor), returnI32(inputAt), returnBytes(okAt, len(ok)), g.answer,
		{opLoop, noResult, opBr, 0, opEnd, opEnd},
	} {
		code = wasmfile.AppendU32(code, uint32(len(body)+1))
		code = append(append(code, 0), body...)
	}
	section(wasmfile.SectionCode, code...)
	data := []byte{2}
	for _, d := range []struct {
		at    int64
		bytes []byte
	}{{okAt, ok}, {dataAt, g.data}} {
		data = append(wasmfile.AppendS64(append(data, 0, opI32Const), d.at), opEnd)
		data = append(wasmfile.AppendU32(data, uint32(len(d.bytes))), d.bytes...)
	}
	section(wasmfile.SectionData, data...)
	return out
}

// stamped assembles the guest with its manifest.
func (g guest) stamped(t *testing.T, contract string) []byte {
	t.Helper()
	manifest, err := json.Marshal(sdk.Manifest{
		Name: "guest", Version: "1.0.0", Contract: contract, Abilities: []sdk.Ability{g.ability},
		Settings: sdk.Spec{"limit": {Type: sdk.TypeInteger, Description: "how many at once"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	module, err := wasmhost.Stamp(g.module(), manifest)
	if err != nil {
		t.Fatal(err)
	}
	return module
}
