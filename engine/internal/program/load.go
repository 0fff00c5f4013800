package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/packs"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
)

// Options says how to load. The zero value works.
type Options struct {
	// CacheDir keeps built plugins. Defaults to closedloop in os.UserCacheDir.
	CacheDir string
	// NoBuild leaves Go folders unbuilt, as an offline check wants it. Artifact still builds them.
	NoBuild bool
	// Building is told the id of each plugin whose Go folder the toolchain really has to build. Defaults to nothing.
	Building func(plugin string)
	// Native are the plugins that the embedding program hands over: the program refers to the one named N as native:N.
	Native map[string]sdk.Plugin
	// RulesApart loads a program also when nothing but its rule files are at fault: see Program.RuleProblems.
	RulesApart bool
	// Others says that there may be more plugins of that kind than are handed over here: to name another one is worth a
	// warning only.
	Others bool
}

// Load reads and checks the program in the folder and, unless told otherwise, builds its Go plugins. The error is
// source.Problems when the program is at fault, with all that is wrong, and an *EnvironmentError or the context's error
// otherwise. Plugins are built only when all else is in order.
func Load(ctx context.Context, dir string, o Options) (*Program, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, &EnvironmentError{Doing: "find the program", Err: err}
	}
	l := &loader{given: dir, opts: o, p: &Program{Dir: abs, given: dir}}
	if err := l.load(); err != nil {
		return nil, err
	}
	if problems := l.told(l.all()); len(problems) > 0 {
		return nil, problems
	}
	l.p.Warnings = l.told(l.warnings)
	l.p.RuleProblems = l.ofRules.Sorted()
	if !o.NoBuild {
		if err := l.p.buildAll(ctx); err != nil {
			return nil, err
		}
	}
	return l.p, nil
}

// loader loads one program.
type loader struct {
	given string // the folder as the caller names it, for problems
	opts  Options
	p     *Program

	root     *source.Node // of program.yaml
	files    []*source.Node
	problems source.Problems // besides those noted in root and files
	ofRules  source.Problems // likewise, of the rule files
	warnings source.Problems
	declared []string // the names of the secrets
	hidden   []line   // not shown, because they may hold a secret
	strict   bool     // every file of a plugin must be pinned
	alone    bool     // there is no program, but a plugin that a command names
}

// load fills in the program. An error is one of the environment; what is wrong with the program is noted.
func (l *loader) load() error {
	data, err := l.readProgramFile()
	if err != nil || data == nil {
		return err
	}
	l.hideSecrets(data)
	root, problems := source.Parse(FileName, data)
	if root == nil {
		l.problems = problems
		return nil
	}
	l.root = root
	if !root.Object("version", "name", "timezone", "state", "pins", "attributes", "secrets", "sources", "categorizers",
		"destinations", "queues", "redact", "retention", "packs", "rules") {
		return nil
	}
	l.readHead()
	l.readAttributes()
	l.readSecrets()
	l.readQueues()
	l.readRetention()
	l.readPlugins()
	l.readRules()
	return nil
}

// readProgramFile returns the content of program.yaml, or nil when that was noted as missing.
func (l *loader) readProgramFile() ([]byte, error) {
	info, err := os.Stat(l.p.Dir)
	switch {
	case err != nil && isMissing(l.p.Dir, err):
		l.misses("", "no_program", nearby(l.p.Dir), "there is no folder %s", l.given)
		return nil, nil
	case err != nil:
		return nil, &EnvironmentError{Doing: "read the program", Err: err}
	case !info.IsDir():
		l.misses("", "no_program", "give the folder that holds "+FileName, "%s is a file, expected the folder of a program", l.given)
		return nil, nil
	}
	data, err := readFile(filepath.Join(l.p.Dir, FileName), source.MaxBytes)
	switch odd := (*oddFile)(nil); {
	case errors.As(err, &odd):
		l.misses(FileName, "unreadable", "", "%v", odd)
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		hint := "a program is a folder with " + FileName
		if _, err := os.Stat(filepath.Join(l.p.Dir, "program.yml")); err == nil {
			hint = "rename program.yml to " + FileName
		}
		l.misses(FileName, "no_program", hint, "there is no %s in the folder %s", FileName, l.given)
		return nil, nil
	case err != nil:
		return nil, &EnvironmentError{Doing: "read the program", Err: err}
	}
	return data, nil
}

// oddFile is a file that is not read because of what it is.
type oddFile struct{ message string }

func (e *oddFile) Error() string { return e.message }

// readFile reads a regular file of at most limit bytes, which it returns as non-nil. It does not open pipes and devices,
// which could keep it waiting or never end.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, &oddFile{"found a folder, expected a file"}
	case !info.Mode().IsRegular():
		return nil, &oddFile{"found a pipe or device, expected a file"}
	case info.Size() > limit:
		return nil, &oddFile{fmt.Sprintf("found a file of %d bytes, expected at most %d", info.Size(), limit)}
	}
	data, err := os.ReadFile(path)
	if data == nil && err == nil {
		data = []byte{}
	}
	return data, err
}

// misses notes a problem that has no place in a file.
func (l *loader) misses(file, code, hint, format string, args ...any) {
	l.problems = append(l.problems, source.Problem{Code: code, File: file, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// warn notes a warning.
func (l *loader) warn(at *source.Node, code, hint, format string, args ...any) {
	pos := at.Pos()
	l.warnings = append(l.warnings, source.Problem{Code: code, File: pos.File, Line: pos.Line, Column: pos.Column,
		Message: fmt.Sprintf(format, args...), Hint: hint})
}

// path returns the absolute path of a file that the program names with slashes, relative to its folder.
func (l *loader) path(name string) string {
	name = filepath.FromSlash(name)
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(l.p.Dir, name)
}

// name returns the path relative to the program's folder, with slashes, for problems.
func (l *loader) name(path string) string {
	if rel, err := filepath.Rel(l.p.Dir, path); err == nil {
		return filepath.ToSlash(rel)
	}
	return filepath.ToSlash(path)
}

// all returns what was noted so far.
func (l *loader) all() source.Problems {
	all := slices.Clone(l.problems)
	for _, file := range append([]*source.Node{l.root}, l.files...) {
		all = append(all, file.Problems()...)
	}
	if len(all) > 0 || !l.opts.RulesApart {
		all = append(all, l.ofRules...)
	}
	return all
}

// told returns problems as they are told: sorted, without lines that may hold a secret, and with names of files that
// begin as the caller named the folder.
func (l *loader) told(problems source.Problems) source.Problems {
	problems = problems.Sorted()
	for i := range problems {
		p := &problems[i]
		if slices.Contains(l.hidden, line{p.File, p.Line}) {
			p.Snippet = ""
		}
		p.File = l.toldName(p.File)
	}
	return problems
}

// toldName returns a name of a file, relative to the program's folder, as it is told.
func (l *loader) toldName(file string) string { return toldName(l.given, file) }

func toldName(given, file string) string {
	if file == "" || strings.HasPrefix(file, nativePrefix) || strings.HasPrefix(file, packs.FilePrefix) || filepath.IsAbs(filepath.FromSlash(file)) {
		return file
	}
	return filepath.ToSlash(filepath.Join(given, filepath.FromSlash(file)))
}

// line is a line of a file.
type line struct {
	file   string
	number int
}
