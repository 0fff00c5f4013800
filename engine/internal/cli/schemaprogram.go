package cli

import (
	"regexp"
	"strings"

	"github.com/closedloop/closedloop/engine/docs"
	"github.com/closedloop/closedloop/rules/packs"
	"github.com/closedloop/closedloop/rules/schema"
)

var (
	keyRow      = regexp.MustCompile("(?m)^\\| `([a-zA-Z0-9_.]+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")
	inBackticks = regexp.MustCompile("`([^`]+)`")
)

// programSchema describes program.yaml by the tables of its page.
func programSchema() schema.File {
	root := schema.Type{Kind: schema.Object}
	for _, row := range keyRow.FindAllStringSubmatch(docs.Program(), -1) {
		paths := []string{row[1]}
		if rest, ok := strings.CutPrefix(row[1], "PLUGIN."); ok {
			paths = []string{"sources.ID." + rest, "categorizers.ID." + rest, "destinations.ID." + rest}
		}
		for _, path := range paths {
			into := &root
			names := strings.Split(path, ".")
			for _, name := range names[:len(names)-1] {
				into = within(into, name)
			}
			into.Kind = schema.Object
			into.Keys = append(into.Keys, schema.Key{
				Name: names[len(names)-1], Type: typeInWords(row[2]), Required: row[3] == "required", Doc: strings.TrimSpace(row[4]),
			})
		}
	}
	for i := range root.Keys {
		if root.Keys[i].Name == "packs" {
			root.Keys[i].Type = packsType()
		}
	}
	return schema.File{Title: "Closedloop program", Root: root, Nulls: true}
}

// within returns the type of a key, or what a map holds by names of its author's own.
func within(t *schema.Type, name string) *schema.Type {
	if name == "ID" || name == "NAME" {
		t.Kind = schema.Map
		if t.Elem == nil || t.Elem.Kind != schema.Object {
			t.Elem = &schema.Type{Kind: schema.Object}
		}
		return t.Elem
	}
	for i := range t.Keys {
		if t.Keys[i].Name == name {
			return &t.Keys[i].Type
		}
	}
	return &schema.Type{} // the page has no row for the map around a key, which its test finds
}

// typeInWords returns what the page says that a key takes.
func typeInWords(words string) schema.Type {
	anything := schema.Type{Kind: schema.Anything}
	text := schema.Type{Kind: schema.Text}
	rest := strings.Trim(inBackticks.ReplaceAllString(strings.NewReplacer(" or ", "", ", ", "").Replace(words), ""), " ")
	switch {
	case words == "1":
		return anything
	case rest == "":
		t := schema.Type{Kind: schema.Choice}
		for _, m := range inBackticks.FindAllStringSubmatch(words, -1) {
			t.Options = append(t.Options, m[1])
		}
		return t
	case words == "true or false":
		return schema.Type{Kind: schema.Truth}
	case words == "duration":
		return schema.Type{Kind: schema.Duration}
	case strings.HasPrefix(words, "number"):
		return schema.Type{Kind: schema.Number}
	case strings.HasPrefix(words, "list of"), strings.HasPrefix(words, "paths"):
		return schema.Type{Kind: schema.Either, Types: []schema.Type{text, {Kind: schema.List, Elem: &text}}}
	case words == "map or path":
		return schema.Type{Kind: schema.Either, Types: []schema.Type{text, {Kind: schema.Map, Elem: &anything}}}
	case strings.HasPrefix(words, "map"):
		return schema.Type{Kind: schema.Map, Elem: &anything}
	}
	return text
}

// packsType describes the packs that a program may include, each with its parameters.
func packsType() schema.Type {
	t := schema.Type{Kind: schema.Object}
	for _, name := range packs.Names() {
		pack, _ := packs.Get(name)
		params := schema.Type{Kind: schema.Object}
		for _, p := range pack.Params {
			params.Keys = append(params.Keys, schema.Key{Name: p.Name, Type: paramType(string(p.Type)), Doc: p.Description, Required: p.Default == nil})
		}
		t.Keys = append(t.Keys, schema.Key{Name: name, Type: params, Doc: pack.Description})
	}
	return t
}

func paramType(name string) schema.Type {
	kinds := map[string]schema.Kind{"number": schema.Number, "boolean": schema.Truth, "duration": schema.Duration}
	if name == "list" {
		return schema.Type{Kind: schema.List, Elem: &schema.Type{Kind: schema.Anything}}
	}
	return schema.Type{Kind: kinds[name]} // else a text
}
