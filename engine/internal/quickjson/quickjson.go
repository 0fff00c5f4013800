// Package quickjson appends the JSON that encoding/json writes, byte for byte, in half the time and less: an encoder looks
// at its type once, where encoding/json goes through reflection for every value.
//
// What an encoder does not know by itself, such as maps, rare options of tags, and what has a MarshalJSON of its own, it
// leaves to encoding/json.
//
//	items := quickjson.For[records.Item](false)
//	b, err := items.Append(b[:0], &item)
package quickjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"unsafe"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Encoder writes values of one type. It is safe for concurrent use.
type Encoder[T any] struct{ write writer }

// For returns an encoder. With escapeHTML it writes <, > and & within strings as json.Marshal does.
func For[T any](escapeHTML bool) *Encoder[T] {
	p := &plan{escapeHTML: escapeHTML, alphabet: newAlphabet(escapeHTML)}
	return &Encoder[T]{p.of(reflect.TypeFor[T]())}
}

// Append appends the JSON of v. With an error, which is that of encoding/json, what it returns is of no use.
func (e *Encoder[T]) Append(b []byte, v *T) ([]byte, error) { return e.write(b, unsafe.Pointer(v)) }

// writer appends the value to which a pointer points.
type writer func(b []byte, p unsafe.Pointer) ([]byte, error)

// plan makes the writers of an encoder.
type plan struct {
	escapeHTML bool
	alphabet   *alphabet
	within     []reflect.Type // the types around the present one
}

var (
	instant       = reflect.TypeFor[feedback.Time]()
	number        = reflect.TypeFor[json.Number]()
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// of returns the writer of a type. A type within itself is left to encoding/json.
func (p *plan) of(t reflect.Type) writer {
	for _, around := range p.within {
		if around == t {
			return p.other(t)
		}
	}
	p.within = append(p.within, t)
	defer func() { p.within = p.within[:len(p.within)-1] }()
	switch to := reflect.PointerTo(t); {
	case t.Kind() == reflect.Pointer:
		return pointer(p.of(t.Elem()))
	case t == instant:
		return func(b []byte, v unsafe.Pointer) ([]byte, error) { return (*feedback.Time)(v).AppendJSON(b), nil }
	case t == number || to.Implements(marshaler):
		return p.other(t)
	case to.Implements(textMarshaler):
		return p.text(t)
	}
	switch t.Kind() {
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return slice(p.of(t.Elem()), t.Elem().Size())
		}
	case reflect.Struct:
		if fields, ok := p.fields(nil, t, 0); ok {
			return structure(fields)
		}
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return p.any(t)
		}
	}
	return p.scalar(t)
}

// scalar returns the writer of a type without elements.
func (p *plan) scalar(t reflect.Type) writer {
	switch t.Kind() {
	case reflect.String:
		return func(b []byte, v unsafe.Pointer) ([]byte, error) {
			return p.alphabet.append(b, *(*string)(v)), nil
		}
	case reflect.Bool:
		return func(b []byte, v unsafe.Pointer) ([]byte, error) { return strconv.AppendBool(b, *(*bool)(v)), nil }
	case reflect.Int:
		return integer[int]
	case reflect.Int64:
		return integer[int64]
	case reflect.Uint32:
		return integer[uint32]
	case reflect.Uint64:
		return func(b []byte, v unsafe.Pointer) ([]byte, error) { return strconv.AppendUint(b, *(*uint64)(v), 10), nil }
	case reflect.Float64:
		other := p.other(t)
		return func(b []byte, v unsafe.Pointer) ([]byte, error) {
			if f := *(*float64)(v); plain(f) {
				return appendPlain(b, f), nil
			}
			return other(b, v)
		}
	}
	return p.other(t)
}

// other leaves a type to encoding/json.
func (p *plan) other(t reflect.Type) writer {
	return func(b []byte, v unsafe.Pointer) ([]byte, error) {
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(p.escapeHTML)
		err := enc.Encode(reflect.NewAt(t, v).Interface())
		return append(b, bytes.TrimSuffix(out.Bytes(), []byte{'\n'})...), err
	}
}

// text writes what has a MarshalText.
func (p *plan) text(t reflect.Type) writer {
	other := p.other(t)
	return func(b []byte, v unsafe.Pointer) ([]byte, error) {
		text, err := reflect.NewAt(t, v).Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return other(b, v)
		}
		return p.alphabet.append(b, string(text)), nil
	}
}

func integer[T int | int64 | uint32](b []byte, v unsafe.Pointer) ([]byte, error) {
	return strconv.AppendInt(b, int64(*(*T)(v)), 10), nil
}

// plain reports whether a number is one and is written without an exponent.
func plain(f float64) bool {
	size := math.Abs(f)
	return f == 0 || size >= 1e-6 && size < 1e21
}

func appendPlain(b []byte, f float64) []byte {
	if f != 0 && math.Abs(f) < 1<<53 && f == math.Trunc(f) {
		return strconv.AppendInt(b, int64(f), 10) // which is faster
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

func pointer(elem writer) writer {
	return func(b []byte, v unsafe.Pointer) ([]byte, error) {
		if v = *(*unsafe.Pointer)(v); v == nil {
			return append(b, "null"...), nil
		}
		return elem(b, v)
	}
}

// anySlice has the length and the memory of any slice.
type anySlice = []struct{}

func slice(elem writer, size uintptr) writer {
	return func(b []byte, v unsafe.Pointer) (_ []byte, err error) {
		s := *(*anySlice)(v)
		if s == nil {
			return append(b, "null"...), nil
		}
		b = append(b, '[')
		first := unsafe.Pointer(unsafe.SliceData(s))
		for i := range s {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = elem(b, unsafe.Add(first, uintptr(i)*size)); err != nil {
				return b, err
			}
		}
		return append(b, ']'), nil
	}
}

// any writes what is in an interface.
func (p *plan) any(t reflect.Type) writer {
	other := p.other(t)
	return func(b []byte, v unsafe.Pointer) ([]byte, error) {
		switch x := (*(*any)(v)).(type) {
		case string:
			return p.alphabet.append(b, x), nil
		case float64:
			if plain(x) {
				return appendPlain(b, x), nil
			}
		}
		return other(b, v)
	}
}
