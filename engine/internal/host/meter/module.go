package meter

import (
	"fmt"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

// rewriter holds what the index spaces of a module need to be checked and moved.
type rewriter struct {
	outline *wasmfile.Module
	limits  Limits

	types     []signature
	tuples    []string // lists of results for which a block type is added
	tupleAt   map[string]int
	functions []uint32 // type of each function of the module's own
	imported  uint32   // functions
	globals   uint32

	exits   []exits  // of each function of the module's own
	settled bool     // exits are known
	copies  []uint32 // the functions of which there is a copy, in the order of the copies
	code    []byte   // the new code section

	locals  int // of all functions so far
	effort  int // of all functions so far; see Limits.Effort
	entries int // of all element segments so far
	tables  int // elements of all tables so far
	err     error
}

type signature struct{ params, results []byte }

// What is added stands at the end of its index space, but the import stands before the module's own functions.
func (w *rewriter) fuel() uint32     { return w.globals }
func (w *rewriter) stack() uint32    { return w.globals + 1 }
func (w *rewriter) tick() uint32     { return w.imported }
func (w *rewriter) tickType() uint32 { return uint32(len(w.types)) }
func (w *rewriter) tupleType(results []byte) int64 {
	return int64(len(w.types) + 1 + w.tupleAt[string(results)])
}

// moved returns the new index of a function.
func (w *rewriter) moved(function uint32) uint32 {
	if function >= w.imported {
		return function + 1
	}
	return function
}

// copied returns the index of a copy.
func (w *rewriter) copied(i int) uint32 {
	return w.moved(w.imported+uint32(len(w.functions))) + uint32(i)
}

// limit records that the module is too large, unless there is an error already.
func (w *rewriter) limit(found, limit int, format string, args ...any) {
	if found > limit && w.err == nil {
		w.err = &LimitError{What: fmt.Sprintf(format, args...), Found: found, Limit: limit}
	}
}

func (w *rewriter) run(size int) ([]byte, error) {
	if err := w.survey(); err != nil {
		return nil, err
	}
	// The code comes first, as it says which functions are added.
	for _, s := range w.outline.Sections {
		if s.ID == wasmfile.SectionCode {
			r := s.Reader()
			if w.code = w.codeSection(r); w.check(r.End()) != nil {
				return nil, w.check(r.End())
			}
		}
	}
	out := append(make([]byte, 0, size+size/3+len(w.code)), wasmfile.Header...)
	for _, s := range w.sections() {
		body, err := w.section(s)
		if err != nil {
			return nil, err
		}
		if s.ID != wasmfile.SectionCustom || body != nil {
			out = wasmfile.AppendSection(out, s.ID, s.Name, body)
		}
	}
	return out, nil
}

// sections returns the sections of the module with those that are added to, even if the module has none.
func (w *rewriter) sections() []*wasmfile.Section {
	var all []*wasmfile.Section
	for i := range w.outline.Sections {
		all = append(all, &w.outline.Sections[i])
	}
	for _, id := range []wasmfile.ID{wasmfile.SectionType, wasmfile.SectionImport, wasmfile.SectionGlobal, wasmfile.SectionExport} {
		if slices.ContainsFunc(all, func(s *wasmfile.Section) bool { return s.ID == id }) {
			continue
		}
		at := slices.IndexFunc(all, func(s *wasmfile.Section) bool { return s.ID.Rank() > id.Rank() })
		if at < 0 {
			at = len(all)
		}
		all = slices.Insert(all, at, &wasmfile.Section{ID: id, Body: []byte{0}})
	}
	return all
}

// survey reads the sizes of the index spaces.
func (w *rewriter) survey() error {
	for i := range w.outline.Sections {
		s := &w.outline.Sections[i]
		r := s.Reader()
		switch s.ID {
		case wasmfile.SectionType:
			w.readTypes(r)
		case wasmfile.SectionImport:
			if err := w.readImports(); err != nil {
				return err
			}
			continue
		case wasmfile.SectionFunction:
			w.readFunctions(r)
		case wasmfile.SectionGlobal:
			w.globals = r.U32()
			w.limit(int(w.globals), maxEntries, "globals")
			continue
		default:
			continue
		}
		if err := w.check(r.End()); err != nil {
			return err
		}
	}
	return w.err
}

// check returns the first of a limit that was passed and the error given.
func (w *rewriter) check(err error) error {
	if w.err != nil {
		return w.err
	}
	return err
}

func (w *rewriter) readTypes(r *wasmfile.Reader) {
	n := r.Count(3)
	w.limit(n, maxEntries, "types")
	for i := 0; i < n && w.check(r.Err()) == nil; i++ {
		if form := r.Byte(); form != 0x60 {
			r.Unsupported("found a type of form %#x, expected a function type", form)
		}
		t := signature{params: valueTypes(r), results: valueTypes(r)}
		w.types = append(w.types, t)
		if len(t.results) > 1 {
			w.tuple(string(t.results))
		}
	}
}

// tuple notes a list of results, once.
func (w *rewriter) tuple(results string) {
	if _, ok := w.tupleAt[results]; ok {
		return
	}
	if w.tupleAt == nil {
		w.tupleAt = make(map[string]int)
	}
	w.tupleAt[results] = len(w.tuples)
	w.tuples = append(w.tuples, results)
	w.limit(len(w.tuples), maxTuples, "types with different lists of results")
}

// valueTypes reads a vector of value types.
func valueTypes(r *wasmfile.Reader) []byte {
	n := r.Count(1)
	at := r.Offset()
	for range n {
		r.ValueType()
	}
	return r.Since(at)
}

func (w *rewriter) readImports() error {
	w.limit(len(w.outline.Imports), maxEntries, "imports")
	for _, im := range w.outline.Imports {
		switch {
		case im.Kind != wasmfile.Func:
			return &wasmfile.SyntaxError{Message: fmt.Sprintf("the module imports a %s (%q %q), expected functions only", im.Kind, im.Module, im.Name), Unsupported: true}
		case im.Module == ImportModule:
			return &wasmfile.SyntaxError{Message: fmt.Sprintf("the module imports from %q, which is reserved", ImportModule), Unsupported: true}
		case im.Type >= uint32(len(w.types)):
			return &wasmfile.SyntaxError{Message: fmt.Sprintf("the import %q %q has type %d of %d", im.Module, im.Name, im.Type, len(w.types))}
		}
		w.imported++
	}
	return nil
}

func (w *rewriter) readFunctions(r *wasmfile.Reader) {
	n := r.Count(1)
	w.limit(n, w.limits.Functions, "functions")
	for i := 0; i < n && w.check(r.Err()) == nil; i++ {
		t := r.U32()
		if t >= uint32(len(w.types)) {
			r.Fail("function %d has type %d of %d", i, t, len(w.types))
		}
		w.functions = append(w.functions, t)
	}
}

// section returns the new body of a section.
func (w *rewriter) section(s *wasmfile.Section) ([]byte, error) {
	if s.ID == wasmfile.SectionCustom {
		if s.Name != "name" {
			return nil, nil
		}
		return w.names(s), nil
	}
	r := s.Reader()
	var out []byte
	switch s.ID {
	case wasmfile.SectionType:
		n := r.U32()
		out = append(wasmfile.AppendU32(nil, n+1+uint32(len(w.tuples))), r.Rest()...)
		out = append(out, 0x60, 0, 0)
		for _, results := range w.tuples {
			out = wasmfile.AppendName(append(out, 0x60, 0), results)
		}
	case wasmfile.SectionImport:
		n := r.U32()
		out = append(wasmfile.AppendU32(nil, n+1), r.Rest()...)
		out = wasmfile.AppendName(wasmfile.AppendName(out, ImportModule), ImportName)
		out = wasmfile.AppendU32(append(out, byte(wasmfile.Func)), w.tickType())
	case wasmfile.SectionFunction:
		n := r.U32()
		out = append(wasmfile.AppendU32(nil, n+uint32(len(w.copies))), r.Rest()...)
		for _, i := range w.copies {
			out = wasmfile.AppendU32(out, w.functions[i])
		}
	case wasmfile.SectionTable:
		out = w.tableSection(r)
	case wasmfile.SectionMemory:
		out = w.memorySection(r)
	case wasmfile.SectionGlobal:
		out = w.globalSection(r)
	case wasmfile.SectionExport:
		out = w.exportSection(r)
	case wasmfile.SectionStart:
		out = wasmfile.AppendU32(nil, w.function(r))
	case wasmfile.SectionElement:
		out = w.elementSection(r)
	case wasmfile.SectionCode:
		return w.code, nil
	case wasmfile.SectionData:
		out = w.dataSection(r)
	default:
		return s.Body, nil
	}
	if err := w.check(r.End()); err != nil {
		return nil, err
	}
	return out, nil
}

// function reads the index of a function and returns its new one.
func (w *rewriter) function(r *wasmfile.Reader) uint32 {
	i := r.U32()
	if all := w.imported + uint32(len(w.functions)); i >= all {
		r.Fail("found function %d of %d", i, all)
		return 0
	}
	return w.moved(i)
}

// global reads the index of a global.
func (w *rewriter) global(r *wasmfile.Reader) uint32 {
	i := r.U32()
	if i >= w.globals {
		r.Fail("found global %d of %d", i, w.globals)
		return 0
	}
	return i
}

func (w *rewriter) tableSection(r *wasmfile.Reader) []byte {
	n := r.Count(3)
	w.limit(n, 16, "tables")
	out := wasmfile.AppendU32(nil, uint32(n))
	for i := 0; i < n && w.check(r.Err()) == nil; i++ {
		out = append(out, r.RefType(), 1)
		low, high, bounded := r.Limits()
		switch {
		case low > 1<<27 || bounded && high < low:
			r.Fail("table %d has limits %d and %d", i, low, high)
		case !bounded || uint64(high) > uint64(w.limits.Table):
			high = uint32(w.limits.Table)
		}
		w.tables += int(low)
		w.limit(w.tables, w.limits.Table, "elements of tables")
		out = wasmfile.AppendU32(wasmfile.AppendU32(out, low), high)
	}
	return out
}

func (w *rewriter) memorySection(r *wasmfile.Reader) []byte {
	n := r.Count(2)
	if n > 1 {
		r.Unsupported("found %d memories, expected at most one", n)
	}
	out := wasmfile.AppendU32(nil, uint32(n))
	for range n {
		low, high, bounded := r.Limits()
		if bounded {
			out = wasmfile.AppendU32(wasmfile.AppendU32(append(out, 1), low), high)
		} else {
			out = wasmfile.AppendU32(append(out, 0), low)
		}
	}
	return out
}

func (w *rewriter) globalSection(r *wasmfile.Reader) []byte {
	n := r.Count(4)
	out := wasmfile.AppendU32(nil, uint32(n)+2)
	for i := 0; i < n && r.Err() == nil; i++ {
		out = append(out, r.ValueType(), r.Byte())
		out = w.constant(r, out)
	}
	out = append(out, wasmfile.I64, 1, opI64Const, 0, opEnd)
	return append(out, wasmfile.I64, 1, opI64Const, 0, opEnd)
}

func (w *rewriter) exportSection(r *wasmfile.Reader) []byte {
	r.Rest() // the outline has it
	w.limit(len(w.outline.Exports), maxEntries, "exports")
	out := wasmfile.AppendU32(nil, uint32(len(w.outline.Exports))+2)
	for _, e := range w.outline.Exports {
		index, limit := e.Index, uint32(len(w.functions))+w.imported
		if e.Kind == wasmfile.Func {
			index = w.moved(e.Index)
		} else if e.Kind == wasmfile.Global {
			limit = w.globals
		}
		if (e.Kind == wasmfile.Func || e.Kind == wasmfile.Global) && e.Index >= limit {
			r.Fail("the export %q is %s %d of %d", e.Name, e.Kind, e.Index, limit)
		}
		if e.Name == Fuel || e.Name == Stack {
			r.Unsupported("the module exports %q, which is reserved", e.Name)
		}
		out = append(wasmfile.AppendName(out, e.Name), byte(e.Kind))
		out = wasmfile.AppendU32(out, index)
	}
	out = wasmfile.AppendU32(append(wasmfile.AppendName(out, Fuel), byte(wasmfile.Global)), w.fuel())
	return wasmfile.AppendU32(append(wasmfile.AppendName(out, Stack), byte(wasmfile.Global)), w.stack())
}

func (w *rewriter) elementSection(r *wasmfile.Reader) []byte {
	n := r.Count(2)
	w.limit(n, maxEntries, "element segments")
	out := wasmfile.AppendU32(nil, uint32(n))
	for i := 0; i < n && w.check(r.Err()) == nil; i++ {
		out = w.segment(r, out)
	}
	return out
}

// segment rewrites one element segment. Bit 0 of its form means passive or declared, bit 1 that the table or the
// declaration is explicit, bit 2 that the elements are expressions.
func (w *rewriter) segment(r *wasmfile.Reader, out []byte) []byte {
	form := r.U32()
	if form > 7 {
		r.Unsupported("found an element segment of form %d, expected 0 to 7", form)
	}
	out = wasmfile.AppendU32(out, form)
	if form&1 == 0 {
		if form&2 != 0 {
			out = wasmfile.AppendU32(out, r.U32())
		}
		out = w.constant(r, out)
	}
	if form&3 != 0 {
		if form&4 != 0 {
			out = append(out, r.RefType())
		} else {
			out = append(out, r.Byte())
		}
	}
	n := r.Count(1)
	w.entries += n
	w.limit(w.entries, maxEntries, "elements in segments")
	out = wasmfile.AppendU32(out, uint32(n))
	for i := 0; i < n && w.check(r.Err()) == nil; i++ {
		if form&4 != 0 {
			out = w.constant(r, out)
		} else {
			out = wasmfile.AppendU32(out, w.function(r))
		}
	}
	return out
}

func (w *rewriter) dataSection(r *wasmfile.Reader) []byte {
	n := r.Count(2)
	w.limit(n, maxEntries, "data segments")
	out := wasmfile.AppendU32(nil, uint32(n))
	for i := 0; i < n && w.check(r.Err()) == nil; i++ {
		form := r.U32()
		out = wasmfile.AppendU32(out, form)
		switch form {
		case 2:
			out = wasmfile.AppendU32(out, r.U32())
			out = w.constant(r, out)
		case 0:
			out = w.constant(r, out)
		case 1:
		default:
			r.Unsupported("found a data segment of form %d, expected 0 to 2", form)
		}
		size := r.U32()
		out = append(wasmfile.AppendU32(out, size), r.Bytes(size)...)
	}
	return out
}

// codeSection rewrites the functions, and adds the copies of those that are given structure.
func (w *rewriter) codeSection(r *wasmfile.Reader) []byte {
	n := r.Count(2)
	if n != len(w.functions) {
		r.Fail("found the code of %d functions, expected %d", n, len(w.functions))
		return nil
	}
	w.exits = make([]exits, n)
	f := function{rewriter: w}
	var plain []byte
	ends := make([]int, 1, n+1) // of each function's code in plain
	again := make(map[int]wasmfile.Reader)
	for i := 0; i < n && w.check(r.Err()) == nil; i++ {
		size := r.U32()
		w.limit(int(size), w.limits.Body, "bytes in function %d", i)
		code := r.Sub(size)
		if plain = f.rewrite(i, *code, plain); f.Err() != nil && r.Err() == nil {
			w.err = w.check(f.Err())
		}
		ends = append(ends, len(plain))
		if f.flow.worth() {
			again[i] = *code
		}
	}
	if w.check(r.Err()) != nil {
		return nil
	}
	w.settled = true
	var out, copies []byte
	for i := range n {
		was := plain[ends[i]:ends[i+1]]
		code, ok := again[i]
		if ok {
			out, ok = f.structured(i, code, out)
		}
		if ok {
			w.copies = append(w.copies, uint32(i))
			copies = append(copies, was...)
		} else {
			out = append(out, was...)
		}
	}
	return append(append(wasmfile.AppendU32(nil, uint32(n+len(w.copies))), out...), copies...)
}

// appendCode appends the code of a function with its size.
func appendCode(out, head, body []byte) []byte {
	out = wasmfile.AppendU32(out, uint32(len(head)+len(body)))
	return append(append(out, head...), body...)
}
