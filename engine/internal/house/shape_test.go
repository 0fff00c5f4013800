package house

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	maxFileLines     = 500
	maxFunctionLines = 80
)

// checkSizes finds long files and functions.
func checkSizes(s *source) []finding {
	if !s.product() {
		return nil
	}
	var found []finding
	if n := bytes.Count(s.text, []byte("\n")); n > maxFileLines {
		found = append(found, finding{s.path, n, "file is longer than 500 lines"})
	}
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFunctionLines {
				found = append(found, s.at(f.Pos(), "function %s has %d lines, at most %d", f.Name.Name, n, maxFunctionLines))
			}
		}
	}
	return found
}

// exportedFunc says whether a function or method is part of what its package exports.
func exportedFunc(f *ast.FuncDecl) bool {
	if !f.Name.IsExported() || f.Recv == nil {
		return f.Name.IsExported()
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// wellKnown are methods that every reader knows.
var wellKnown = []string{"Error", "Unwrap", "String"}

// checkDocs finds exported names without a comment.
func checkDocs(s *source) []finding {
	if !s.product() || s.file.Name.Name == "main" {
		return nil
	}
	var found []finding
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if exportedFunc(d) && d.Doc == nil && (d.Recv == nil || !slices.Contains(wellKnown, d.Name.Name)) {
				found = append(found, s.at(d.Pos(), "exported function %s is not documented", d.Name.Name))
			}
		case *ast.GenDecl:
			if d.Tok == token.IMPORT {
				continue
			}
			for _, spec := range d.Specs {
				if name, ok := undocumented(d, spec); ok {
					found = append(found, s.at(spec.Pos(), "exported %s %s is not documented", d.Tok, name))
				}
			}
		}
	}
	return found
}

// undocumented returns the exported name of a declaration without a comment of its own or of its group.
func undocumented(d *ast.GenDecl, spec ast.Spec) (string, bool) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() && spec.Doc == nil && spec.Comment == nil && (d.Doc == nil || d.Lparen.IsValid()) {
			return spec.Name.Name, true
		}
	case *ast.ValueSpec:
		if spec.Doc != nil || spec.Comment != nil || d.Doc != nil {
			return "", false
		}
		for _, n := range spec.Names {
			if n.IsExported() {
				return n.Name, true
			}
		}
	}
	return "", false
}

// checkPackageDocs finds packages that no file says the purpose of.
func checkPackageDocs(all []*source) []finding {
	first, documented := map[string]*source{}, map[string]bool{}
	for _, s := range all {
		if s.file == nil || s.isTest() {
			continue
		}
		if first[s.dir()] == nil {
			first[s.dir()] = s
		}
		if s.file.Doc != nil && !strings.HasPrefix(s.file.Doc.List[0].Text, "// Code generated") {
			documented[s.dir()] = true
		}
	}
	var found []finding
	for dir, s := range first {
		if !documented[dir] && !s.generated {
			found = append(found, s.at(s.file.Package, "package %s has no comment", dir))
		}
	}
	return found
}

// checkInit finds init functions: only the main package of a plugin may have one, to register the plugin.
func checkInit(s *source) []finding {
	if s.file == nil || s.generated {
		return nil
	}
	var found []finding
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" && !pluginMain(s) {
			found = append(found, s.at(f.Pos(), "init functions are for the main package of a plugin"))
		}
	}
	return found
}

func pluginMain(s *source) bool {
	return s.file.Name.Name == "main" && (fits("plugins/*/cmd", s.dir()) || strings.HasPrefix(s.path, "examples/"))
}

// checkFormat finds files that gofmt would change.
func checkFormat(s *source) []finding {
	if s.file == nil {
		return nil
	}
	want, err := format.Source(s.text)
	if err != nil {
		return []finding{{s.path, 1, err.Error()}}
	}
	if bytes.Equal(want, s.text) {
		return nil
	}
	have, wanted := bytes.Split(s.text, []byte("\n")), bytes.Split(want, []byte("\n"))
	line := 1
	for i := range min(len(have), len(wanted)) {
		if !bytes.Equal(have[i], wanted[i]) {
			break
		}
		line++
	}
	return []finding{{path.Clean(s.path), line, "gofmt would change this line"}}
}

func TestShape(t *testing.T) {
	t.Parallel()
	all := load(t)
	for _, rule := range []func(*source) []finding{checkSizes, checkDocs, checkInit, checkFormat} {
		report(t, every(all, rule))
	}
	report(t, checkPackageDocs(all))
}
