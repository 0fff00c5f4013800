// Package schema describes what may stand in rule files and their tests: for editors, as a JSON Schema, for a console,
// as data to complete expressions with, and for the reference, whose tables are made of it.
//
// A description is a tree of Types. It cannot drift from the reader of the files: the tests put an odd key and an odd
// value everywhere, and compare what the reader says that it expects. Every key is described in words.
//
//	json.NewEncoder(os.Stdout).Encode(schema.Rules().JSON())
package schema

import (
	"maps"
	"regexp"
	"slices"
)

// Kind is the shape of a value.
type Kind uint8

// The kinds of values.
const (
	Text       Kind = iota // a string
	Number                 // a number
	Whole                  // a whole number
	Truth                  // true or false
	Duration               // a string such as 48h
	Expression             // a string, or a bare true or false
	Choice                 // one of the strings in Options
	List                   // of Elem
	Map                    // of Elem, by names of the author's own
	Object                 // with Keys
	Either                 // one of Types
	Switch                 // an object: the second of Types when it has the key that is named by Key, else the first
	Anything
	Null
)

// Type describes the values that may stand somewhere.
type Type struct {
	Kind    Kind
	Doc     string
	Name    string // under which it is defined once; empty for none
	Options []string
	Keys    []Key
	Elem    *Type
	Types   []Type
	Key     string
	Single  bool     // an Object with exactly one of its Keys
	Open    bool     // an Object that may have other keys
	Needs   []string // keys of an Object, at least one of which it has
}

// Key is one key of an Object.
type Key struct {
	Name     string
	Type     Type
	Required bool
	Doc      string // what it means, in words that stand in a table
	Default  string // as it is written, empty for none
}

// File describes one kind of file.
type File struct {
	Title string
	Root  Type
	// Params says that ${NAME} may stand for a value.
	Params bool
	// Nulls says that an object that needs no key may be left empty.
	Nulls bool
}

// Dialect is the JSON Schema in which JSON writes.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// paramPattern is what a parameter in the place of a value looks like.
const paramPattern = `^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`

// JSON returns the description as a JSON Schema, to be encoded as JSON.
func (f File) JSON() map[string]any {
	w := writer{defs: map[string]any{}, params: f.Params, nulls: f.Nulls}
	root := w.write(&f.Root)
	out := map[string]any{"$schema": Dialect, "title": f.Title}
	maps.Copy(out, root)
	if f.Params {
		w.defs["param"] = map[string]any{"type": "string", "pattern": paramPattern, "description": "a parameter of the file"}
	}
	if len(w.defs) > 0 {
		out["$defs"] = w.defs
	}
	return out
}

// writer writes Types, those with names once.
type writer struct {
	defs   map[string]any
	params bool
	nulls  bool
}

func (w *writer) write(t *Type) map[string]any {
	if t.Name == "" {
		return w.plain(t)
	}
	if w.defs[t.Name] == nil {
		w.defs[t.Name] = true // a type within itself refers to its name
		w.defs[t.Name] = w.plain(t)
	}
	return map[string]any{"$ref": "#/$defs/" + t.Name}
}

func (w *writer) plain(t *Type) map[string]any {
	out := w.shape(t)
	if t.Doc != "" {
		out["description"] = plain(t.Doc)
	}
	return out
}

func (w *writer) shape(t *Type) map[string]any {
	switch t.Kind {
	case Text:
		return map[string]any{"type": "string"}
	case Number:
		return w.orParam(map[string]any{"type": "number"})
	case Whole:
		return w.orParam(map[string]any{"type": "integer"})
	case Truth:
		return w.orParam(map[string]any{"type": "boolean"})
	case Duration:
		return w.orParam(map[string]any{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?d|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$`})
	case Expression:
		return map[string]any{"type": []string{"string", "boolean"}}
	case Choice:
		return w.orParam(map[string]any{"enum": t.Options})
	case List:
		list := map[string]any{"type": "array", "items": w.write(t.Elem)}
		if k := t.Elem.Kind; k == Text || k == Either {
			return w.orParam(list)
		}
		return list
	case Map:
		return map[string]any{"type": "object", "additionalProperties": w.write(t.Elem)}
	case Object:
		return w.object(t)
	case Either:
		var types []map[string]any
		for i := range t.Types {
			types = append(types, w.write(&t.Types[i]))
		}
		return map[string]any{"anyOf": types}
	case Null:
		return map[string]any{"type": "null"}
	case Switch:
		return map[string]any{
			"type": "object", "if": map[string]any{"required": []string{t.Key}},
			"then": w.write(&t.Types[1]), "else": w.write(&t.Types[0]),
		}
	}
	return map[string]any{}
}

var link = regexp.MustCompile(`\[([^\]]*)\]\(#[^)]*\)`)

// plain takes the links of the reference out of a text.
func plain(doc string) string { return link.ReplaceAllString(doc, "$1") }

// orParam lets a parameter stand for a value.
func (w *writer) orParam(shape map[string]any) map[string]any {
	if !w.params {
		return shape
	}
	return map[string]any{"anyOf": []map[string]any{shape, {"$ref": "#/$defs/param"}}}
}

func (w *writer) object(t *Type) map[string]any {
	properties := map[string]any{}
	var required []string
	for i := range t.Keys {
		k := &t.Keys[i]
		p := w.write(&k.Type)
		if k.Doc != "" {
			p["description"] = plain(k.Doc)
		}
		properties[k.Name] = p
		if k.Required {
			required = append(required, k.Name)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": t.Open}
	if w.nulls && len(required) == 0 {
		out["type"] = []string{"object", "null"}
	}
	if len(required) > 0 {
		slices.Sort(required)
		out["required"] = required
	}
	if len(t.Needs) > 0 {
		var one []map[string]any
		for _, k := range t.Needs {
			one = append(one, map[string]any{"required": []string{k}})
		}
		out["anyOf"] = one
	}
	if t.Single {
		out["minProperties"], out["maxProperties"] = 1, 1
	}
	return out
}

// The words with which descriptions are written.

func text() Type     { return Type{Kind: Text} }
func number() Type   { return Type{Kind: Number} }
func whole() Type    { return Type{Kind: Whole} }
func duration() Type { return Type{Kind: Duration} }
func expression() Type {
	return Type{Kind: Expression, Name: "expression", Doc: "an expression of the rule language"}
}
func oneOf(s ...string) Type { return Type{Kind: Choice, Options: s} }
func listOf(t Type) Type     { return Type{Kind: List, Elem: &t} }
func mapOf(t Type) Type      { return Type{Kind: Map, Elem: &t} }
func object(k ...Key) Type   { return Type{Kind: Object, Keys: k} }
func either(t ...Type) Type  { return Type{Kind: Either, Types: t} }

// needing is an object with at least one of some keys.
func needing(keys []string, k ...Key) Type { return Type{Kind: Object, Keys: k, Needs: keys} }

// texts is a list of strings, or one string.
func texts() Type { return either(text(), listOf(text())) }

func key(name string, t Type, doc string) Key { return Key{Name: name, Type: t, Doc: doc} }

func need(name string, t Type, doc string) Key {
	return Key{Name: name, Type: t, Doc: doc, Required: true}
}
