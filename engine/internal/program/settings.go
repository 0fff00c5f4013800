package program

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
)

// readSettings completes the settings of a plugin, given in place or in a file of their own, by the plugin's spec, and
// notes what is wrong where it stands.
func (l *loader) readSettings(p *Plugin, n *source.Node) {
	if told := p.Manifest.Settings.Credentials(); len(told) > 0 && (p.Kind == KindFolder || p.Kind == KindWASM) {
		n.Get("plugin").ProblemHint("credential", "build it as a process and say trust: process",
			"the plugin asks to be told a secret by its setting %s, which a sandboxed one is not", told[0])
	}
	at := n.Get("settings")
	if at.IsScalar() && !at.IsNull() {
		if at = l.settingsFile(at); at == nil {
			return
		}
	}
	given := map[string]any{}
	switch {
	case at == nil:
		at = n
	case at.IsNull():
	case !at.IsMap():
		at.Problem("wrong_type", "found %s, expected a map, or the name of a YAML file with one", at.Found())
		return
	default:
		given = at.Any().(map[string]any)
	}
	names := secretSettings(p.Manifest.Settings, given)
	completed, wrong := p.Manifest.Settings.Complete(given)
	for _, e := range wrong {
		l.noteSetting(at, e, names)
	}
	if wrong != nil {
		return
	}
	for _, s := range secretSettings(p.Manifest.Settings, completed) {
		l.checkSecret(p, at.At(s.path), s.value)
	}
	data, err := json.Marshal(completed)
	if err != nil { // cannot happen: settings come from YAML, whose values all have a JSON form
		at.Problem("settings", "the settings have no JSON form: %v", err)
		return
	}
	p.Settings = data
}

// settingsFile reads the file that holds the settings and returns its content, or nil after noting what is wrong.
func (l *loader) settingsFile(at *source.Node) *source.Node {
	name := at.String()
	if name == "" {
		return nil
	}
	path := l.path(name)
	data, err := readFile(path, source.MaxBytes)
	switch {
	case err != nil && isMissing(path, err):
		at.ProblemHint("missing_file", nearby(path), "there is no file %s, expected a YAML file with the settings", name)
		return nil
	case err != nil:
		at.Problem("unreadable", "the file of settings %s cannot be read: %s", name, reason(err))
		return nil
	}
	root, problems := source.Parse(l.name(path), data)
	if root == nil {
		l.problems = append(l.problems, problems...)
		return nil
	}
	l.files = append(l.files, root)
	return root
}

// noteSetting notes one wrong setting. Of a setting of type secret the value is not shown: people put the secret itself
// where its name belongs.
func (l *loader) noteSetting(settings *source.Node, e sdk.SettingError, secrets []secretSetting) {
	at := settings.At(e.Path)
	if slices.ContainsFunc(secrets, func(s secretSetting) bool { return s.path == e.Path }) {
		l.hideNode(at)
		at.Problem("setting", "found something that is not shown here, expected the name of a secret of the program")
		return
	}
	if e.OnKey && at.Key() != nil {
		at = at.Key()
	}
	at.ProblemHint("setting", e.Hint, "%s", e.Message)
}

// checkSecret notes a setting that names no secret of the program.
func (l *loader) checkSecret(p *Plugin, at *source.Node, value string) {
	if value == "" {
		return
	}
	if slices.Contains(l.declared, value) {
		if !slices.Contains(p.secrets, value) {
			p.secrets = append(p.secrets, value)
		}
		return
	}
	if !idPattern.MatchString(value) {
		l.hideNode(at)
		at.ProblemHint("secret", "declare it under secrets, and write its name here", "found something that is not shown here, expected the name of a secret of the program")
		return
	}
	at.ProblemHint("secret", didYouMean(value, l.declared, "declare it under secrets"), "the program declares no secret named %q", value)
}

func (l *loader) hideNode(n *source.Node) {
	pos := n.Pos()
	l.hide(pos.File, pos.Line)
}

// secretSetting is a value that stands where the spec asks for the name of a secret.
type secretSetting struct {
	path  string // as in sdk.SettingError
	value string // "" when it is no string
}

// secretSettings finds the values of type secret and credential, and lists them in no particular order.
func secretSettings(spec sdk.Spec, settings map[string]any) []secretSetting {
	var found []secretSetting
	for name, v := range settings {
		found = append(found, secretsIn(spec[name], name, v)...)
	}
	return found
}

func secretsIn(s sdk.Setting, path string, v any) []secretSetting {
	var found []secretSetting
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			switch {
			case s.Type == sdk.TypeObject:
				found = append(found, secretsIn(s.Fields[name], path+"."+name, member)...)
			case s.Type == sdk.TypeMap && s.Items != nil:
				found = append(found, secretsIn(*s.Items, path+"."+name, member)...)
			}
		}
	case []any:
		for i, member := range v {
			if s.Type == sdk.TypeList && s.Items != nil {
				found = append(found, secretsIn(*s.Items, fmt.Sprintf("%s[%d]", path, i), member)...)
			}
		}
	}
	if s.Type == sdk.TypeSecret || s.Type == sdk.TypeCredential {
		text, _ := v.(string)
		found = append(found, secretSetting{path, text})
	}
	return found
}
