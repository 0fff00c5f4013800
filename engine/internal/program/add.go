package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/closedloop/closedloop/rules/source"
)

// Addition is a plugin that is to be pinned in a program. Nothing is written and none of the plugin's code has run
// before Apply.
type Addition struct {
	Inspection
	Program string `json:"program"` // program.yaml, as it is told
	// Name is what program.yaml calls the file.
	Name string `json:"name"`
	// Copied says that the file, which lies outside of the program's folder, is copied to Name.
	Copied bool `json:"copied,omitempty"`
	// Pins are the places in program.yaml that name the plugin.
	Pins []Pin `json:"pins"`

	path        string // of program.yaml
	before      []byte // program.yaml
	after       []byte
	destination string // where the module is copied to
	wasm        []byte
}

// Pin is a plugin of a program that is pinned to a file.
type Pin struct {
	ID   string `json:"id"`
	Role Role   `json:"role"`
	New  bool   `json:"new,omitempty"` // the program did not have the plugin
	// WasName and WasSHA256 are what the program said before. WasSHA256 is empty where nothing was pinned.
	WasName   string `json:"was_name,omitempty"`
	WasSHA256 string `json:"was_sha256,omitempty"`

	section string
	path    string // absolute, of the file that the program names
	trusted bool   // to run as a process
}

// PlanAddition finds out what it takes to pin the plugin in the file: a .wasm file or, with TrustProcess, an
// executable. Without an id it is pinned wherever the program in dir names the file, or else added under the name in its
// manifest; with one, the plugin of that id gets the file, or is added. A module from elsewhere goes to the program's
// folder plugins. The errors are those of Load; what is wrong with the plugins of the program is no error here.
func PlanAddition(ctx context.Context, dir, file, id string, trust Trust, o Options) (*Addition, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, &EnvironmentError{Doing: "find the program", Err: err}
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, &EnvironmentError{Doing: "find " + file, Err: err}
	}
	l := &loader{given: dir, opts: o, p: &Program{Dir: abs}}
	a := &Addition{path: filepath.Join(abs, FileName), Program: l.toldName(FileName)}
	pins, err := a.read(l)
	if err != nil {
		return nil, err
	}
	for _, p := range pins {
		if p.trusted && (p.ID == id || id == "" && sameFile(p.path, path)) {
			trust = TrustProcess
		}
	}
	if err := a.inspect(ctx, file, trust, o); err != nil {
		return nil, err
	}
	if err := a.choose(pins, path, id); err != nil {
		return nil, err
	}
	if err := a.place(l, pins, path); err != nil {
		return nil, err
	}
	return a, a.edit()
}

// read reads the plugins that program.yaml names, whether or not they are in order.
func (a *Addition) read(l *loader) ([]Pin, error) {
	data, err := l.readProgramFile()
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, l.told(l.problems)
	}
	a.before = data
	root, problems := source.Parse(FileName, data)
	if root == nil {
		return nil, l.told(problems)
	}
	var pins []Pin
	for _, r := range roles {
		section := root.Get(r.section)
		if !section.IsMap() {
			continue
		}
		for _, e := range section.Entries() {
			name, _ := e.Value.Get("plugin").Any().(string)
			was, _ := e.Value.Get("sha256").Any().(string)
			p := Pin{ID: e.Name, Role: r.role, WasName: name, WasSHA256: was, section: r.section,
				trusted: e.Value.Get("trust").Any() == string(TrustProcess)}
			if name != "" {
				p.path = l.path(name)
			}
			pins = append(pins, p)
		}
	}
	return pins, nil
}

// inspect reads the plugin.
func (a *Addition) inspect(ctx context.Context, file string, trust Trust, o Options) error {
	p, err := Find(file, trust, o)
	if err != nil {
		return err
	}
	if p.Kind == KindFolder {
		return source.Problems{{Code: "plugin", File: file, Message: "found a folder, which needs no pin: its source is what it is",
			Hint: "name the folder in " + FileName + ", or build it with closedloop plugin build and add the .wasm file"}}
	}
	art, err := p.Artifact(ctx)
	if err != nil {
		return err
	}
	in, err := inspection(p, art, file)
	if err != nil {
		return err
	}
	a.Inspection, a.wasm = *in, art.Wasm
	return nil
}

// choose finds the plugins of the program that get the file.
func (a *Addition) choose(pins []Pin, path, id string) error {
	for _, p := range pins {
		if p.ID == id || id == "" && sameFile(p.path, path) {
			a.Pins = append(a.Pins, p)
		}
	}
	if len(a.Pins) == 0 {
		if id == "" {
			id = a.Manifest.Name
		}
		if i := slices.IndexFunc(pins, func(p Pin) bool { return p.ID == id }); i >= 0 {
			return a.wrong("duplicate_id", "say --id "+id+" to put this file in its place, or give another id",
				"the program has a plugin %s already, from %s", id, pins[i].WasName)
		}
		if !idPattern.MatchString(id) {
			return a.wrong("id", meantID(id), "found the id %q, expected a lower-case letter, then up to 62 lower-case letters, digits and hyphens", id)
		}
		for _, r := range roles {
			if slices.ContainsFunc(r.needs, a.Manifest.Can) {
				a.Pins = []Pin{{ID: id, Role: r.role, New: true, section: r.section}}
				return nil
			}
		}
	}
	for _, p := range a.Pins {
		i := slices.IndexFunc(roles[:], func(r role) bool { return r.role == p.Role })
		if !slices.ContainsFunc(roles[i].needs, a.Manifest.Can) {
			return a.wrong("ability", "", "found the plugin %s, which can %s; the %s %s must be able to %s", a.Manifest.Name,
				inWords(a.Manifest.Abilities, "and"), p.Role, p.ID, inWords(roles[i].needs, "or"))
		}
		if a.Kind == KindProcess && !p.trusted {
			return a.wrong("trust", "add trust: process to it", "the program does not trust %s to run as a process, outside of the sandbox", p.ID)
		}
	}
	return nil
}

func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// place finds out what the program calls the file, and whether it must be copied.
func (a *Addition) place(l *loader, pins []Pin, path string) error {
	if p := a.Pins[0]; !p.New && sameFile(p.path, path) {
		a.Name = p.WasName
		return nil
	}
	switch rel, err := filepath.Rel(l.p.Dir, path); {
	case err == nil && filepath.IsLocal(rel):
		a.Name = filepath.ToSlash(rel)
		return nil
	case a.Kind == KindProcess:
		a.Name = filepath.ToSlash(path)
		return nil
	}
	a.Copied, a.Name = true, "plugins/"+filepath.Base(path)
	a.destination = l.path(a.Name)
	there, err := os.ReadFile(a.destination)
	if err != nil || bytes.Equal(there, a.wasm) {
		return nil
	}
	users := 0
	for _, p := range pins {
		if sameFile(p.path, a.destination) {
			users++
		}
	}
	if users == 1 && sameFile(a.Pins[0].path, a.destination) {
		return nil
	}
	return a.wrong("plugin", "rename one of them", "another file %s is there already, and not of this plugin alone", a.Name)
}

// edit makes the new text of program.yaml.
func (a *Addition) edit() error {
	text := a.before
	var err error
	for _, p := range a.Pins {
		if p.New {
			members := []source.Member{{Key: "plugin", Value: a.Name}, {Key: "sha256", Value: a.SHA256}}
			if a.Kind == KindProcess {
				members = append(members, source.Member{Key: "trust", Value: string(TrustProcess)})
			}
			text, err = source.AddMap(text, p.section, p.ID, members...)
		} else {
			if p.WasName != a.Name {
				text, err = source.SetString(text, a.Name, "", p.section, p.ID, "plugin")
			}
			if err == nil {
				text, err = source.SetString(text, a.SHA256, "plugin", p.section, p.ID, "sha256")
			}
		}
		if errors.Is(err, source.ErrEdit) {
			return source.Problems{{Code: "edit", File: a.Program, Message: fmt.Sprintf("cannot change %s in %s for you: %v", p.ID, p.section, err),
				Hint: fmt.Sprintf("write it there yourself: plugin: %q, sha256: %q", a.Name, a.SHA256)}}
		}
		if err != nil {
			return err
		}
	}
	a.after = text
	return nil
}

func (a *Addition) wrong(code, hint, format string, args ...any) error {
	return source.Problems{{Code: code, File: a.Program, Message: fmt.Sprintf(format, args...), Hint: hint}}
}

// Apply copies the file where it must and pins it in program.yaml.
func (a *Addition) Apply() error {
	fail := func(err error) error { return &EnvironmentError{Doing: "pin the plugin", Err: err} }
	path, err := filepath.EvalSymlinks(a.path)
	if err != nil {
		return fail(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fail(err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, a.before) {
		return fail(errors.Join(errors.New(FileName+" changed meanwhile: try again"), err))
	}
	if a.Copied {
		if err := os.MkdirAll(filepath.Dir(a.destination), 0o755); err != nil {
			return fail(err)
		}
		if err := replace(a.destination, a.wasm, 0o644); err != nil {
			return fail(err)
		}
	}
	if bytes.Equal(a.after, a.before) {
		return nil
	}
	if err := replace(path, a.after, info.Mode().Perm()); err != nil {
		return fail(err)
	}
	return nil
}
