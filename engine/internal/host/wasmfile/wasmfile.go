// Package wasmfile reads the outline of a core WebAssembly module without trusting any byte of it.
//
// Invariants: nothing here panics or allocates more than a small multiple of the module's size, whatever the module
// holds; a length or count that the module does not have the bytes for is an error. Byte slices that are returned alias
// the module.
//
//	m, err := wasmfile.Parse(data)
//	...
//	manifest, ok := m.Custom(sdk.ManifestSection)
package wasmfile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The kinds of file that are not a core module.
var (
	ErrNotWasm   = errors.New("the file is no WebAssembly module: it does not begin with the bytes \\0asm")
	ErrComponent = errors.New("the file is a WebAssembly component, expected a core module")
)

// SyntaxError is a malformed module, or one that uses what is not supported.
type SyntaxError struct {
	Offset  int // of the byte in the module; 0 when it is not about one place
	Message string
	// Unsupported marks what newer versions of WebAssembly may allow: the module need not be malformed.
	Unsupported bool
}

func (e *SyntaxError) Error() string {
	what := "malformed"
	if e.Unsupported {
		what = "unsupported"
	}
	if e.Offset == 0 {
		return fmt.Sprintf("%s WebAssembly module: %s", what, e.Message)
	}
	return fmt.Sprintf("%s WebAssembly module at byte %#x: %s", what, e.Offset, e.Message)
}

// ID is the id of a section.
type ID byte

// The sections of a core module.
const (
	SectionCustom ID = iota
	SectionType
	SectionImport
	SectionFunction
	SectionTable
	SectionMemory
	SectionGlobal
	SectionExport
	SectionStart
	SectionElement
	SectionCode
	SectionData
	SectionDataCount
)

var sectionNames = [...]string{"custom", "type", "import", "function", "table", "memory", "global", "export", "start",
	"element", "code", "data", "data count"}

func (id ID) String() string {
	if int(id) < len(sectionNames) {
		return sectionNames[id]
	}
	return fmt.Sprintf("unknown (%d)", byte(id))
}

// Rank orders the sections as they must stand in a module. Custom sections may stand anywhere and have rank 0.
func (id ID) Rank() int {
	if id == SectionDataCount {
		return 2*int(SectionElement) + 1
	}
	return 2 * int(id)
}

// Section is one section.
type Section struct {
	ID     ID
	Name   string // of a custom section
	Body   []byte // of a custom section: what follows the name
	Offset int    // of Body in the module
}

// Reader returns a reader of the section's body.
func (s *Section) Reader() *Reader { return &Reader{b: s.Body, base: s.Offset} }

// Kind is what an import or export is.
type Kind byte

// The kinds.
const (
	Func Kind = iota
	Table
	Memory
	Global
)

func (k Kind) String() string {
	switch k {
	case Func:
		return "function"
	case Table:
		return "table"
	case Memory:
		return "memory"
	case Global:
		return "global"
	}
	return fmt.Sprintf("kind %d", byte(k))
}

// Import is something that the module wants from its host.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         uint32 // the index of a function's type
}

// Export is something that the module offers.
type Export struct {
	Name  string
	Kind  Kind
	Index uint32
}

// Module is the outline of a module.
type Module struct {
	Sections []Section
	Imports  []Import
	Exports  []Export
}

// Header is what every core module begins with: the magic bytes and version 1.
const Header = "\x00asm\x01\x00\x00\x00"

// Parse reads a module's outline. It returns ErrNotWasm, ErrComponent or a *SyntaxError.
func Parse(b []byte) (*Module, error) {
	sections, err := split(b)
	if err != nil {
		return nil, err
	}
	m := &Module{Sections: sections}
	for i := range sections {
		s := &sections[i]
		r := s.Reader()
		switch s.ID {
		case SectionImport:
			m.Imports = readImports(r)
		case SectionExport:
			m.Exports = readExports(r)
		default:
			continue
		}
		if err := r.End(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Custom returns the body of the first custom section of that name.
func (m *Module) Custom(name string) ([]byte, bool) {
	for i := range m.Sections {
		if s := &m.Sections[i]; s.ID == SectionCustom && s.Name == name {
			return s.Body, true
		}
	}
	return nil, false
}

// Export returns the export of that name and kind.
func (m *Module) Export(name string, kind Kind) (Export, bool) {
	for _, e := range m.Exports {
		if e.Name == name && e.Kind == kind {
			return e, true
		}
	}
	return Export{}, false
}

// WithCustom returns the module with one custom section of that name, at its end, in place of all it had.
func (m *Module) WithCustom(name string, body []byte) []byte {
	out := []byte(Header)
	for i := range m.Sections {
		if s := &m.Sections[i]; s.ID != SectionCustom || s.Name != name {
			out = AppendSection(out, s.ID, s.Name, s.Body)
		}
	}
	return AppendSection(out, SectionCustom, name, body)
}

// AppendSection appends a section. The name is that of a custom section and is not written for others.
func AppendSection(out []byte, id ID, name string, body []byte) []byte {
	var prefix []byte
	if id == SectionCustom {
		prefix = AppendName(nil, name)
	}
	out = append(out, byte(id))
	out = AppendU32(out, uint32(len(prefix)+len(body)))
	out = append(out, prefix...)
	return append(out, body...)
}

func split(b []byte) ([]Section, error) {
	switch {
	case len(b) < len(Header) || string(b[:4]) != Header[:4]:
		return nil, ErrNotWasm
	case binary.LittleEndian.Uint16(b[6:]) == 1: // the layer of components; their version is still changing
		return nil, ErrComponent
	case string(b[:len(Header)]) != Header:
		return nil, &SyntaxError{Offset: 4, Message: fmt.Sprintf("found version %#x, expected 0x1", binary.LittleEndian.Uint32(b[4:]))}
	}
	var sections []Section
	r := &Reader{b: b, off: len(Header)}
	rank := 0
	for r.More() {
		at := r.Offset()
		s := Section{ID: ID(r.Byte())}
		n := r.U32()
		s.Offset = r.Offset()
		s.Body = r.Bytes(n)
		switch {
		case s.ID > SectionDataCount:
			return nil, &SyntaxError{Offset: at, Message: fmt.Sprintf("found a section with id %d, expected 0 to %d", s.ID, SectionDataCount), Unsupported: true}
		case s.ID == SectionCustom:
			q := s.Reader()
			s.Name = q.Name()
			if q.err != nil {
				return nil, q.err
			}
			s.Offset, s.Body = q.Offset(), q.Rest()
		case s.ID.Rank() <= rank:
			return nil, &SyntaxError{Offset: at, Message: fmt.Sprintf("the %s section is repeated or stands too late", s.ID)}
		default:
			rank = s.ID.Rank()
		}
		sections = append(sections, s)
	}
	return sections, r.End()
}

func readImports(r *Reader) []Import {
	n := r.Count(4)
	imports := make([]Import, 0, n)
	for i := 0; i < n && r.err == nil; i++ {
		im := Import{Module: r.Name(), Name: r.Name(), Kind: Kind(r.Byte())}
		switch im.Kind {
		case Func:
			im.Type = r.U32()
		case Table:
			r.RefType()
			r.Limits()
		case Memory:
			r.Limits()
		case Global:
			r.ValueType()
			r.Byte()
		default:
			r.Unsupported("found an import of %s, expected a function, table, memory or global", im.Kind)
		}
		imports = append(imports, im)
	}
	return imports
}

func readExports(r *Reader) []Export {
	n := r.Count(3)
	exports := make([]Export, 0, n)
	for i := 0; i < n && r.err == nil; i++ {
		e := Export{Name: r.Name(), Kind: Kind(r.Byte()), Index: r.U32()}
		if e.Kind > Global {
			r.Unsupported("found an export of %s, expected a function, table, memory or global", e.Kind)
		}
		exports = append(exports, e)
	}
	return exports
}
