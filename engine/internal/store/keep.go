package store

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
)

// schema says which members of an object a Go type knows. A nil schema knows everything: what it stands for is
// replaced as a whole.
type schema struct {
	fields map[string]*schema // of a struct
	elem   *schema            // of a map: of each of its values
}

// schemaOf returns the schema of a type, built once.
func (s *Store) schemaOf(t reflect.Type) *schema {
	if v, ok := s.schemas.Load(t); ok {
		return v.(*schema)
	}
	sc := buildSchema(t, nil)
	s.schemas.Store(t, sc)
	return sc
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// buildSchema follows structs, maps and pointers. A type within itself, seen in path, counts as known as a whole.
func buildSchema(t reflect.Type, path []reflect.Type) *schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for _, p := range path {
		if p == t {
			return nil
		}
	}
	if p := reflect.PointerTo(t); p.Implements(jsonMarshaler) || p.Implements(textMarshaler) {
		return nil
	}
	path = append(path, t)
	switch t.Kind() {
	case reflect.Struct:
		sc := &schema{fields: map[string]*schema{}}
		addFields(sc, t, path)
		return sc
	case reflect.Map:
		if elem := buildSchema(t.Elem(), path); elem != nil {
			return &schema{elem: elem}
		}
	}
	return nil
}

func addFields(sc *schema, t reflect.Type, path []reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		ft := f.Type
		for ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		switch {
		case name == "-" && f.Tag.Get("json") == "-":
		case f.Anonymous && name == "" && ft.Kind() == reflect.Struct:
			addFields(sc, ft, path)
		case !f.IsExported():
		case name == "":
			sc.fields[f.Name] = buildSchema(f.Type, path)
		default:
			sc.fields[name] = buildSchema(f.Type, path)
		}
	}
}

// keepUnknown returns fresh with the members of old that the schema does not know.
func keepUnknown(fresh, old []byte, sc *schema) ([]byte, error) {
	if sc == nil || !isObject(fresh) || !isObject(old) {
		return fresh, nil
	}
	was, err := members(old)
	if err != nil {
		return nil, err
	}
	var now []member
	for _, m := range was {
		sub, known := sc.fields[m.name]
		if sc.elem != nil {
			sub, known = sc.elem, true
		}
		if known && (sub == nil || !isObject(m.value)) {
			continue
		}
		if now == nil {
			if now, err = members(fresh); err != nil {
				return nil, err
			}
		}
		if now, err = keepMember(now, m, sub, known); err != nil {
			return nil, err
		}
	}
	if now == nil {
		return fresh, nil
	}
	return object(now), nil
}

// keepMember adds an unknown member to now, or what is unknown within a known one.
func keepMember(now []member, m member, sub *schema, known bool) ([]member, error) {
	for i := range now {
		if now[i].name != m.name {
			continue
		}
		if !known {
			return now, nil
		}
		v, err := keepUnknown(now[i].value, m.value, sub)
		now[i].value = v
		return now, err
	}
	if !known {
		now = append(now, m)
	}
	return now, nil
}

// member is one member of a JSON object; raw is its name as written, with the quotes.
type member struct {
	name  string
	raw   []byte
	value json.RawMessage
}

func isObject(b []byte) bool { return len(b) > 0 && b[0] == '{' }

// members reads the members of an object in their order. They lie in b.
func members(b []byte) (out []member, err error) {
	if !json.Valid(b) {
		return nil, json.Unmarshal(b, &json.RawMessage{})
	}
	for at := between(b, 1); b[at] != '}'; at = between(b, at) {
		end := valueEnd(b, at)
		m := member{raw: b[at:end]}
		at = between(b, end)
		end = valueEnd(b, at)
		m.value, at = b[at:end], end
		if bytes.IndexByte(m.raw, '\\') < 0 {
			m.name = string(m.raw[1 : len(m.raw)-1])
		} else if err = json.Unmarshal(m.raw, &m.name); err != nil {
			return nil, err
		} else if m.raw, err = json.Marshal(m.name); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// between returns where the next name or value of valid JSON begins, or an object ends.
func between(b []byte, at int) int {
	for strings.IndexByte(" \t\r\n,:", b[at]) >= 0 {
		at++
	}
	return at
}

// valueEnd returns where a name or value within an object of valid JSON ends.
func valueEnd(b []byte, at int) int {
	for depth := 0; ; at++ {
		switch b[at] {
		case '"':
			for at++; b[at] != '"'; at++ {
				if b[at] == '\\' {
					at++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return at
			}
			depth--
		case ' ', '\t', '\r', '\n', ',':
			if depth == 0 {
				return at
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return at + 1
		}
	}
}

func object(ms []member) []byte {
	b := []byte{'{'}
	for i, m := range ms {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, m.raw...)
		b = append(b, ':')
		b = append(b, m.value...)
	}
	return append(b, '}')
}
