// Package scaffold writes the folder of a new plugin: a plugin that builds, a test that passes, and a small program that
// runs it at once. It never writes into a folder that holds anything.
//
// The templates lie in LANGUAGE/KIND, each for a file of the same path without .tmpl. The word PACKAGE in a path becomes
// the plugin's name as an identifier, and the name gitignore gets its dot. A template sees Data. What every language
// has alike, the program to try the plugin in, lies in program/KIND. The SDK of a language other than Go is copied to
// the folder closedloop of the plugin, so that it builds without a registry.
//
// Usage:
//
//	made, err := scaffold.New(ctx, "shouting", scaffold.Options{Language: "go", Kind: scaffold.Categorizer})
//	for _, command := range made.Commands {
//		fmt.Println(command)
//	}
package scaffold

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/assemblyscript"
	"github.com/closedloop/closedloop/sdk/c"
	"github.com/closedloop/closedloop/sdk/rust"
)

//go:embed */*/*.tmpl */*/*/*.tmpl
var templates embed.FS

// The kinds of plugins.
const (
	Categorizer = "categorizer"
	Connector   = "connector"
)

// Kinds lists the kinds of plugins; Languages the languages.
var (
	Kinds     = []string{Categorizer, Connector}
	Languages = []string{"go", "rust", "c", "assemblyscript"}
)

// Options says what to write.
type Options struct {
	Language string
	Kind     string
	// Name is the plugin's name. Defaults to one made of the folder's.
	Name string
	// Module is the path of the Go module. Defaults to example.com/NAME.
	Module string
	// SDK is a checkout of closedloop to build a Go plugin with. Defaults to the version of closedloop that runs, or the
	// checkout that it was built from.
	SDK string
}

// Data is what a template sees.
type Data struct {
	Name     string // such as my-plugin
	Ident    string // the name as an identifier: my_plugin
	Package  string // the name as a Go package: myplugin
	Contract string // version of the contract, such as 1.0
	Plugin   string // what the program calls the plugin, from its folder
	Module   string // of Go
	Version  string // of closedloop, for go.mod
	SDK      string // the folder of a checkout of closedloop, or nothing
}

// Made is a folder that was written.
type Made struct {
	Dir      string   `json:"dir"`
	Name     string   `json:"name"`
	Language string   `json:"language"`
	Kind     string   `json:"kind"`
	Files    []string `json:"files"` // relative to Dir, with slashes
	// Commands are what to do next, as they are typed; one that begins with # says what must be there.
	Commands []string `json:"commands"`
	// Note says why something is left to do; it may be empty.
	Note string `json:"note,omitempty"`
}

// The errors for people to mend.
var (
	ErrNotEmpty   = errors.New("the folder is not empty")
	ErrName       = errors.New("expected a lower-case letter, then up to 62 lower-case letters, digits and hyphens")
	ErrNoTemplate = errors.New("this version has no template for it")
	ErrNoVersion  = errors.New("this closedloop was built without a version")
)

// KindsOf returns the kinds that there are templates of in a language, which is empty for one that is not known.
func KindsOf(language string) []string {
	var kinds []string
	for _, kind := range Kinds {
		if _, err := fs.Stat(templates, language+"/"+kind); err == nil {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// New writes the folder of a plugin. Of a Go plugin it also has the go command complete go.mod; when that fails, the
// folder is complete but for this, and Commands and Note say so.
func New(ctx context.Context, dir string, o Options) (*Made, error) {
	data, err := prepare(dir, &o)
	if err != nil {
		return nil, err
	}
	if err := empty(dir); err != nil {
		return nil, err
	}
	files, err := render(&o, data)
	if err != nil {
		return nil, err
	}
	made := &Made{Dir: dir, Name: data.Name, Language: o.Language, Kind: o.Kind}
	for _, f := range files {
		at := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(at, f.text, 0o644); err != nil {
			return nil, err
		}
		made.Files = append(made.Files, f.name)
	}
	made.finish(ctx, data)
	return made, nil
}

// finish says what is to be done next.
func (m *Made) finish(ctx context.Context, d *Data) {
	m.Commands = []string{"cd " + quoted(m.Dir)}
	if m.Language == "go" {
		m.complete(ctx)
	}
	m.Commands = append(m.Commands, testCommands(m.Language, d)...)
	if m.Language == "rust" {
		m.Commands = append(m.Commands, "# once: rustup target add wasm32-unknown-unknown, or on Debian: apt install libstd-rust-dev-wasm32")
	}
	if m.Language != "go" {
		m.Commands = append(m.Commands, "closedloop plugin build . -o "+m.Name+".wasm")
	}
	m.Commands = append(m.Commands, "closedloop run --once program")
}

// testCommands are how the test of a plugin is run.
func testCommands(language string, d *Data) []string {
	switch language {
	case "rust":
		return []string{"cargo test"}
	case "c":
		test := "test/" + d.Package + "_test"
		return []string{"clang -I. -o " + test + " " + test + ".c && " + test}
	case "assemblyscript":
		return []string{"npm install", "npm test"}
	}
	return []string{"go test ./..."}
}

// complete has the go command add what closedloop needs to go.mod, or says why that is left to do.
func (m *Made) complete(ctx context.Context) {
	if err := tidy(ctx, m.Dir); err != nil {
		m.Note = "go.mod lists closedloop alone, because the go command could not complete it: " + err.Error()
		m.Commands = append(m.Commands, "go mod tidy")
		return
	}
	if _, err := os.Stat(filepath.Join(m.Dir, "go.sum")); err == nil {
		m.Files = append(m.Files, "go.sum")
		slices.Sort(m.Files)
	}
}

// quoted writes a path as a shell takes it.
func quoted(path string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:\\@+-]+$`).MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

var (
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	notOfName   = regexp.MustCompile(`[^a-z0-9]+`)
)

// prepare completes the options and returns what the templates see.
func prepare(dir string, o *Options) (*Data, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = strings.Trim(notOfName.ReplaceAllString(strings.ToLower(filepath.Base(abs)), "-"), "-")
	}
	if !namePattern.MatchString(o.Name) {
		return nil, fmt.Errorf("the name %q: %w", o.Name, ErrName)
	}
	if o.Module == "" {
		o.Module = "example.com/" + o.Name
	}
	d := &Data{Name: o.Name, Ident: strings.ReplaceAll(o.Name, "-", "_"), Package: packageName(o.Name), Contract: sdk.ContractVersion(),
		Plugin: "../" + o.Name + ".wasm", Module: o.Module}
	if o.Language == "go" {
		d.Plugin = ".."
		d.Version, d.SDK, err = findSDK(o.SDK)
	}
	return d, err
}

// empty expects that nothing is lost when the folder is written.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s: %w: it holds %s", dir, ErrNotEmpty, entries[0].Name())
	}
	return nil
}

// file is one file of a new plugin.
type file struct {
	name string
	text []byte
}

// render makes the files of a plugin, without writing any.
func render(o *Options, d *Data) ([]file, error) {
	own, err := renderFrom(o.Language+"/"+o.Kind, "", d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("a %s in %s: %w", o.Kind, o.Language, ErrNoTemplate)
	}
	if err != nil {
		return nil, err
	}
	program, err := renderFrom("program/"+o.Kind, "program/", d)
	if err != nil {
		return nil, err
	}
	files := append(own, program...)
	if source := sdkOf(o.Language); source != nil {
		err = fs.WalkDir(source, ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := fs.ReadFile(source, name)
			files = append(files, file{"closedloop/" + name, text})
			return err
		})
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, err
}

// sdkOf returns the files of a language's SDK, or nil for one that is fetched by its own toolchain.
func sdkOf(language string) fs.FS {
	switch language {
	case "rust":
		return rust.Files
	case "c":
		return c.Files
	case "assemblyscript":
		return assemblyscript.Files
	}
	return nil
}

// renderFrom renders the templates of a folder, and puts a prefix before their names.
func renderFrom(dir, prefix string, d *Data) ([]file, error) {
	var files []file
	err := fs.WalkDir(templates, dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		source, err := templates.ReadFile(name)
		if err != nil {
			return err
		}
		t, err := template.New(name).Option("missingkey=error").Parse(string(source))
		if err != nil {
			return err
		}
		var text strings.Builder
		if err := t.Execute(&text, d); err != nil {
			return err
		}
		files = append(files, file{prefix + named(strings.TrimPrefix(name, dir+"/"), d), []byte(text.String())})
		return nil
	})
	return files, err
}

// named returns the name of the file that a template makes.
func named(template string, d *Data) string {
	name := strings.ReplaceAll(strings.TrimSuffix(template, ".tmpl"), "PACKAGE", d.Package)
	if path.Base(name) == "gitignore" {
		name = path.Join(path.Dir(name), ".gitignore")
	}
	return name
}
