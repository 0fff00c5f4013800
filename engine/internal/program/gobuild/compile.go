package gobuild

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// CompileError is what the go command says of sources that do not build.
type CompileError struct {
	Dir         string // the plugin's folder, absolute
	Diagnostics []Diagnostic
}

// Diagnostic is one complaint. File is absolute, and empty when the complaint concerns no place in a file.
type Diagnostic struct {
	File         string
	Line, Column int // 1-based; 0 is unknown
	Message      string
}

// Error returns the complaints in the form of the go command, with paths relative to the plugin's folder.
func (e *CompileError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the plugin in %s does not build", e.Dir)
	for _, d := range e.Diagnostics {
		b.WriteByte('\n')
		if d.File != "" {
			file := d.File
			if rel, err := filepath.Rel(e.Dir, file); err == nil {
				file = rel
			}
			fmt.Fprintf(&b, "%s:%d:%d: ", filepath.ToSlash(file), d.Line, d.Column)
		}
		b.WriteString(d.Message)
	}
	return b.String()
}

// compile builds the main package to the file out.
func (j *job) compile(ctx context.Context, out string) error {
	args := append([]string{"build"}, buildFlags...)
	_, err := j.tool.run(ctx, append(args, "-o", out, j.main)...)
	return j.classify(err)
}

// MachineError is what the go command says when it fails through no fault of the sources.
type MachineError struct {
	Message string
	Hint    string // what to do about it
}

func (e *MachineError) Error() string { return "the go command failed: " + e.Message }

// symptoms tell that the machine is at fault, by what the go command's output holds.
var symptoms = []struct{ text, hint string }{
	{"requires go >= ", "install that version of Go from https://go.dev/dl"},
	{"toolchain not available", "install that version of Go from https://go.dev/dl"},
	{"GOCACHE", "set HOME or GOCACHE, so that the go command has a place for its build cache"},
	{"GOMODCACHE", "set HOME or GOMODCACHE, so that the go command has a place for modules"},
	{"dial tcp", "the modules that the plugin uses are not on this machine: connect to the network once"},
	{"i/o timeout", "the modules that the plugin uses are not on this machine: connect to the network once"},
	{"disabled by GOPROXY=off", "the modules that the plugin uses are not on this machine: allow the go command to fetch them once"},
	{"no space left on device", "free some space"},
	{"permission denied", "allow this user to read the sources and to write to the caches"},
	{"signal: killed", "the machine may be short of memory"},
}

// classify turns the go command's complaints into a MachineError or a CompileError and leaves other errors as they are.
func (j *job) classify(err error) error {
	failed := (*runError)(nil)
	if !errors.As(err, &failed) {
		return err
	}
	for _, s := range symptoms {
		for line := range strings.Lines(failed.output) {
			if strings.Contains(line, s.text) {
				return &MachineError{Message: strings.TrimSpace(line), Hint: s.hint}
			}
		}
	}
	return &CompileError{Dir: j.dir, Diagnostics: parse(j.dir, failed.output)}
}

// A complaint with a place: file:line:column: message, or file:line: message.
var placed = regexp.MustCompile(`^(\S.*?\.[a-z]+):(\d+)(?::(\d+))?: (.*)$`)

// parse reads the go command's output: complaints with a place, their continuation lines, and complaints without one.
func parse(dir, output string) []Diagnostic {
	var ds []Diagnostic
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\r\n")
		if m := placed.FindStringSubmatch(line); m != nil {
			d := Diagnostic{File: filepath.FromSlash(m[1]), Message: m[4]}
			if !filepath.IsAbs(d.File) {
				d.File = filepath.Join(dir, d.File)
			}
			d.Line, _ = strconv.Atoi(m[2])
			d.Column, _ = strconv.Atoi(m[3])
			ds = append(ds, d)
			continue
		}
		switch text := strings.TrimSpace(line); {
		case text == "", strings.HasPrefix(text, "# "), strings.HasPrefix(text, "go: downloading "), text == "too many errors":
		case line[0] == '\t' && len(ds) > 0:
			ds[len(ds)-1].Message += " " + text
		default:
			ds = append(ds, Diagnostic{Message: text})
		}
	}
	if len(ds) == 0 {
		ds = append(ds, Diagnostic{Message: "the go command failed without saying why"})
	}
	return ds
}
