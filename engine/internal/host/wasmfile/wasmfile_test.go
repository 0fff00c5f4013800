package wasmfile_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

func TestParse(t *testing.T) {
	t.Parallel()
	module := []byte(wasmfile.Header)
	module = wasmfile.AppendSection(module, wasmfile.SectionCustom, "note", []byte("one"))
	module = wasmfile.AppendSection(module, wasmfile.SectionImport, "", append(wasmfile.AppendName(wasmfile.AppendName([]byte{1}, "env"), "f"), 0, 3))
	module = wasmfile.AppendSection(module, wasmfile.SectionExport, "", append(wasmfile.AppendName([]byte{1}, "run"), 0, 7))
	m, err := wasmfile.Parse(module)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Imports) != 1 || m.Imports[0] != (wasmfile.Import{Module: "env", Name: "f", Type: 3}) {
		t.Errorf("got %+v", m.Imports)
	}
	if e, ok := m.Export("run", wasmfile.Func); !ok || e.Index != 7 {
		t.Errorf("got %+v", m.Exports)
	}
	if _, ok := m.Export("run", wasmfile.Memory); ok {
		t.Error("found an export of another kind")
	}
	if b, ok := m.Custom("note"); !ok || string(b) != "one" {
		t.Errorf("got %q", b)
	}
	again, err := wasmfile.Parse(m.WithCustom("note", []byte("two")))
	if err != nil || len(again.Sections) != 3 {
		t.Fatalf("got %+v, %v", again, err)
	}
	if b, _ := again.Custom("note"); string(b) != "two" {
		t.Errorf("got %q", b)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	h := wasmfile.Header
	for module, want := range map[string]string{
		"":                                 "no WebAssembly module",
		"\x00as":                           "no WebAssembly module",
		"#!/bin/sh\n":                      "no WebAssembly module",
		"\x00asm\x0d\x00\x01\x00":          "component",
		"\x00asm\x02\x00\x00\x00":          "expected 0x1",
		h + "\x01":                         "end too early",
		h + "\x01\x05\x00":                 "length of 5 with 1 bytes left",
		h + "\x01\xff\xff\xff\xff\x1f":     "more than 32 bits",
		h + "\x03\x01\x00\x01\x01\x00":     "type section is repeated or stands too late",
		h + "\x01\x01\x00\x01\x01\x00":     "repeated",
		h + "\x0a\x01\x00\x0c\x01\x00":     "data count section is repeated or stands too late",
		h + "\x0e\x01\x00":                 "section with id 14",
		h + "\x00\x02\x01\xff":             "not valid UTF-8",
		h + "\x00\x00":                     "end too early",
		h + "\x02\x05\xff\xff\xff\xff\x0f": "count of 4294967295",
		h + "\x02\x05\x01\x00\x00\x09\x00": "import of kind 9",
		h + "\x07\x04\x01\x00\x09\x00":     "export of kind 9",
		h + "\x07\x02\x00\x00":             "left over",
	} {
		if _, err := wasmfile.Parse([]byte(module)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", module, err, want)
		}
	}
	if _, err := wasmfile.Parse([]byte("\x00asm\x0d\x00\x01\x00")); !errors.Is(err, wasmfile.ErrComponent) {
		t.Errorf("got %v", err)
	}
}

// TestNumbers reads back what was written, and not one bit more than fits.
func TestNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		u, s32, s64 := rapid.Uint32().Draw(t, "u"), rapid.Int32().Draw(t, "s32"), rapid.Int64().Draw(t, "s64")
		s33 := rapid.Int64Range(-1<<32, 1<<32-1).Draw(t, "s33")
		b := wasmfile.AppendU32(nil, u)
		b = wasmfile.AppendS64(wasmfile.AppendS64(wasmfile.AppendS64(b, int64(s32)), s33), s64)
		r := wasmfile.NewReader(b)
		if gu, g32, g33, g64 := r.U32(), r.S32(), r.S33(), r.S64(); gu != u || g32 != s32 || g33 != s33 || g64 != s64 || r.End() != nil {
			t.Fatalf("got %d %d %d %d, %v; want %d %d %d %d", gu, g32, g33, g64, r.Err(), u, s32, s33, s64)
		}
	})
	for _, v := range []int64{math.MaxInt32 + 1, math.MinInt32 - 1, math.MaxInt64, math.MinInt64} {
		r := wasmfile.NewReader(wasmfile.AppendS64(nil, v))
		if got := r.S32(); r.Err() == nil {
			t.Errorf("%d was read as %d", v, got)
		}
	}
	overlong := []byte{0x80, 0x80, 0x80, 0x80, 0x00}
	if got := wasmfile.NewReader(overlong).U32(); got != 0 {
		t.Errorf("got %d", got)
	}
	r := wasmfile.NewReader(append([]byte{0x80}, overlong...))
	if r.U32(); r.Err() == nil {
		t.Error("six bytes were read as a number of 32 bits")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(wasmfile.Header))
	f.Add(wasmfile.AppendSection([]byte(wasmfile.Header), wasmfile.SectionCustom, "note", []byte("one")))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := wasmfile.Parse(b)
		if err != nil {
			return
		}
		if _, err := wasmfile.Parse(m.WithCustom("x", b)); err != nil {
			t.Fatal(err)
		}
	})
}
