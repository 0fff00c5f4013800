package sdk

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"

	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// Spec declares the settings of a plugin, by name. One declaration gives defaults, offline checks and documentation.
type Spec map[string]Setting

// Setting declares one setting.
type Setting struct {
	Type        SettingType `json:"type"`
	Description string      `json:"description,omitempty"`
	Required    bool        `json:"required,omitempty"`
	Default     any         `json:"default,omitempty"`
	// Enum lists the allowed strings.
	Enum []string `json:"enum,omitempty"`
	// Pattern is a regular expression (RE2) that a string must match.
	Pattern string `json:"pattern,omitempty"`
	// Min and Max bound a number, or the length of a list.
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
	// Items declares the elements of a list and the values of a map.
	Items *Setting `json:"items,omitempty"`
	// Fields declares the members of an object.
	Fields Spec `json:"fields,omitempty"`
}

// SettingType is the type of a setting.
type SettingType string

// The types of settings.
const (
	TypeString   SettingType = "string"
	TypeNumber   SettingType = "number"
	TypeInteger  SettingType = "integer"
	TypeBool     SettingType = "bool"
	TypeDuration SettingType = "duration" // a string such as 30s, 5m or 48h
	TypeSecret   SettingType = "secret"   // the name of a secret of the program
	// TypeCredential is the name of a secret of the program, in place of which the plugin is given the secret itself. It
	// is for what only the plugin can use, such as the password of a mail server. A plugin with such a setting runs
	// without a sandbox or not at all. It stands at the top of the settings, not in a list, map or object.
	TypeCredential SettingType = "credential"
	TypeList       SettingType = "list"
	TypeMap        SettingType = "map"
	TypeObject     SettingType = "object"
	TypeAny        SettingType = "any"
)

var settingTypes = []SettingType{
	TypeString, TypeNumber, TypeInteger, TypeBool, TypeDuration, TypeSecret, TypeCredential, TypeList, TypeMap, TypeObject, TypeAny,
}

// SettingError is one thing that is wrong with a setting.
type SettingError struct {
	Path    string // such as "columns.score" or "phrases[3]"
	Message string // what was found and what was expected
	Hint    string // such as: did you mean "score"?
	OnKey   bool   // the name is wrong, not the value
}

// article returns the type as a message names it.
func (t SettingType) article() string {
	switch t {
	case TypeAny:
		return "a value"
	case TypeInteger, TypeObject:
		return "an " + string(t)
	}
	return "a " + string(t)
}

func (e SettingError) Error() string {
	if e.Hint != "" {
		return e.Path + ": " + e.Message + "; " + e.Hint
	}
	return e.Path + ": " + e.Message
}

func (s Spec) check(path string) []SettingError {
	var errs []SettingError
	for _, name := range slices.Sorted(maps.Keys(s)) {
		errs = append(errs, s[name].check(path+"."+name)...)
	}
	return errs
}

func (s Setting) check(path string) []SettingError {
	var errs []SettingError
	if !slices.Contains(settingTypes, s.Type) {
		errs = append(errs, SettingError{Path: path + ".type", Message: fmt.Sprintf("found %q, expected one of %v", s.Type, settingTypes)})
	}
	if s.Pattern != "" {
		if _, err := regexp.Compile(s.Pattern); err != nil {
			errs = append(errs, SettingError{Path: path + ".pattern", Message: err.Error()})
		}
	}
	if s.Items != nil {
		errs = append(errs, s.Items.check(path+".items")...)
		errs = append(errs, Spec{"items": *s.Items}.nested(path)...)
	}
	errs = append(errs, s.Fields.nested(path+".fields")...)
	return append(errs, s.Fields.check(path+".fields")...)
}

// nested finds credentials where none may be.
func (s Spec) nested(path string) []SettingError {
	var errs []SettingError
	for _, name := range s.Credentials() {
		errs = append(errs, SettingError{Path: path + "." + name + ".type",
			Message: fmt.Sprintf("found %q within another setting, expected it at the top", TypeCredential)})
	}
	return errs
}

// Credentials returns the names of the settings of type credential, sorted.
func (s Spec) Credentials() []string {
	var names []string
	for name, decl := range s {
		if decl.Type == TypeCredential {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Complete checks settings, as decoded from JSON or YAML, against the spec and returns them with the defaults filled
// in, along with everything that is wrong. The argument is not changed.
func (s Spec) Complete(settings map[string]any) (map[string]any, []SettingError) {
	return s.complete("", settings)
}

func (s Spec) complete(path string, in map[string]any) (map[string]any, []SettingError) {
	out := make(map[string]any, len(s))
	var errs []SettingError
	for _, name := range slices.Sorted(maps.Keys(in)) {
		at := join(path, name)
		decl, ok := s[name]
		if !ok {
			errs = append(errs, SettingError{Path: at, Message: fmt.Sprintf("unknown setting %q", name),
				Hint: suggest.DidYouMean(name, slices.Sorted(maps.Keys(s))), OnKey: true})
			continue
		}
		v, e := decl.complete(at, in[name])
		out[name], errs = v, append(errs, e...)
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		decl := s[name]
		if _, given := in[name]; given {
			continue
		}
		switch {
		case decl.Default != nil:
			out[name] = decl.Default
		case decl.Required:
			errs = append(errs, SettingError{Path: join(path, name), Message: fmt.Sprintf("missing setting %q, expected %s", name, decl.Type.article()), Hint: decl.Description})
		case decl.Type == TypeObject:
			v, e := decl.Fields.complete(join(path, name), nil)
			if len(v) > 0 && len(e) == 0 {
				out[name] = v
			}
		}
	}
	return out, errs
}

func (s Setting) complete(path string, v any) (any, []SettingError) {
	wrong := func(format string, args ...any) (any, []SettingError) {
		return v, []SettingError{{Path: path, Message: fmt.Sprintf(format, args...), Hint: s.Description}}
	}
	switch s.Type {
	case TypeAny:
		return v, nil
	case TypeString, TypeSecret, TypeCredential, TypeDuration:
		str, ok := v.(string)
		if !ok {
			return wrong("found %s, expected %s", describe(v), s.Type.article())
		}
		return s.completeString(path, str)
	case TypeBool:
		if _, ok := v.(bool); !ok {
			return wrong("found %s, expected true or false", describe(v))
		}
		return v, nil
	case TypeNumber, TypeInteger:
		f, ok := number(v)
		if !ok || s.Type == TypeInteger && f != math.Trunc(f) {
			return wrong("found %s, expected %s", describe(v), s.Type.article())
		}
		if s.Min != nil && f < *s.Min || s.Max != nil && f > *s.Max {
			return wrong("found %v, expected %s", f, bounds(s.Min, s.Max))
		}
		return v, nil
	case TypeList:
		return s.completeList(path, v)
	case TypeMap:
		m, ok := v.(map[string]any)
		if !ok {
			return wrong("found %s, expected a map", describe(v))
		}
		return s.completeMap(path, m)
	default:
		m, ok := v.(map[string]any)
		if !ok {
			return wrong("found %s, expected an object with %v", describe(v), slices.Sorted(maps.Keys(s.Fields)))
		}
		return s.Fields.complete(path, m)
	}
}

func (s Setting) completeString(path, v string) (any, []SettingError) {
	fail := func(hint, format string, args ...any) (any, []SettingError) {
		return v, []SettingError{{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint}}
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		return fail(suggest.DidYouMean(v, s.Enum), "found %q, expected one of %v", v, s.Enum)
	}
	if s.Type == TypeDuration {
		if _, err := feedback.ParseDuration(v); err != nil {
			return fail("", "%s", err)
		}
	}
	if s.Pattern != "" {
		if re, err := regexp.Compile(s.Pattern); err == nil && !re.MatchString(v) {
			return fail(s.Description, "found %q, expected it to match %s", v, s.Pattern)
		}
	}
	return v, nil
}

func (s Setting) completeList(path string, v any) (any, []SettingError) {
	l, ok := v.([]any)
	if !ok {
		return v, []SettingError{{Path: path, Message: fmt.Sprintf("found %s, expected a list", describe(v)), Hint: s.Description}}
	}
	n := float64(len(l))
	if s.Min != nil && n < *s.Min || s.Max != nil && n > *s.Max {
		return v, []SettingError{{Path: path, Message: fmt.Sprintf("found %d elements, expected %s", len(l), bounds(s.Min, s.Max))}}
	}
	if s.Items == nil {
		return v, nil
	}
	out := make([]any, len(l))
	var errs []SettingError
	for i := range l {
		v, e := s.Items.complete(fmt.Sprintf("%s[%d]", path, i), l[i])
		out[i], errs = v, append(errs, e...)
	}
	return out, errs
}

func (s Setting) completeMap(path string, m map[string]any) (any, []SettingError) {
	if s.Items == nil {
		return m, nil
	}
	out := make(map[string]any, len(m))
	var errs []SettingError
	for _, k := range slices.Sorted(maps.Keys(m)) {
		v, e := s.Items.complete(join(path, k), m[k])
		out[k], errs = v, append(errs, e...)
	}
	return out, errs
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func bounds(lo, hi *float64) string {
	switch {
	case lo != nil && hi != nil:
		return fmt.Sprintf("%v to %v", *lo, *hi)
	case lo != nil:
		return fmt.Sprintf("at least %v", *lo)
	default:
		return fmt.Sprintf("at most %v", *hi)
	}
}

func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("the string %q", v)
	case bool:
		return fmt.Sprintf("%v", v)
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return fmt.Sprintf("the number %v", v)
}
