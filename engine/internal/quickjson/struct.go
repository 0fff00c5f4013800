package quickjson

import (
	"reflect"
	"strings"
	"unsafe"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// field is a member of a struct.
type field struct {
	name   string // as it is written, with its quotes and the colon
	offset uintptr
	write  writer
	omit   func(unsafe.Pointer) bool // nil when it is always written
}

func structure(fields []field) writer {
	return func(b []byte, v unsafe.Pointer) (_ []byte, err error) {
		b = append(b, '{')
		empty := true
		for i := range fields {
			f := &fields[i]
			at := unsafe.Add(v, f.offset)
			if f.omit != nil && f.omit(at) {
				continue
			}
			if !empty {
				b = append(b, ',')
			}
			empty = false
			if b, err = f.write(append(b, f.name...), at); err != nil {
				return b, err
			}
		}
		return append(b, '}'), nil
	}
}

// fields adds the fields of a struct, those of embedded structs among them. It returns false for a struct with something
// that is best left to encoding/json: an option that is rare, or two fields of one name.
func (p *plan) fields(all []field, t reflect.Type, base uintptr) (_ []field, ok bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case tag == "-":
			continue
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			if all, ok = p.fields(all, f.Type, base+f.Offset); !ok {
				return nil, false
			}
			continue
		case f.Anonymous:
			return nil, false
		case !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		if strings.IndexFunc(name, unusual) >= 0 {
			return nil, false
		}
		out := field{name: `"` + name + `":`, offset: base + f.Offset}
		for _, other := range all {
			if other.name == out.name {
				return nil, false
			}
		}
		switch options {
		case "":
		case "omitempty":
			out.omit = isEmpty(f.Type)
		case "omitzero":
			out.omit = isZero(f.Type)
		default:
			return nil, false
		}
		if out.omit == nil && options != "" {
			return nil, false
		}
		out.write = p.of(f.Type)
		all = append(all, out)
	}
	return all, true
}

func unusual(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
}

// isEmpty returns what omitempty asks of a type, or nil when that is left to encoding/json.
func isEmpty(t reflect.Type) func(unsafe.Pointer) bool {
	switch t.Kind() {
	case reflect.String:
		return zero[string]
	case reflect.Bool:
		return zero[bool]
	case reflect.Int:
		return zero[int]
	case reflect.Int64:
		return zero[int64]
	case reflect.Uint32:
		return zero[uint32]
	case reflect.Uint64:
		return zero[uint64]
	case reflect.Float64:
		return zero[float64]
	case reflect.Pointer:
		return zero[unsafe.Pointer]
	case reflect.Slice:
		return func(v unsafe.Pointer) bool { return len(*(*anySlice)(v)) == 0 }
	case reflect.Map:
		return func(v unsafe.Pointer) bool { return reflect.NewAt(t, v).Elem().Len() == 0 }
	}
	return nil
}

func zero[T comparable](v unsafe.Pointer) bool {
	var zero T
	return *(*T)(v) == zero
}

// isZero returns what omitzero asks of a type, or nil when that is left to encoding/json.
func isZero(t reflect.Type) func(unsafe.Pointer) bool {
	type zeroer interface{ IsZero() bool }
	switch {
	case t == instant:
		return zero[feedback.Time]
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface:
		return nil
	case reflect.PointerTo(t).Implements(reflect.TypeFor[zeroer]()):
		return func(v unsafe.Pointer) bool { return reflect.NewAt(t, v).Interface().(zeroer).IsZero() }
	}
	return func(v unsafe.Pointer) bool { return reflect.NewAt(t, v).Elem().IsZero() }
}
