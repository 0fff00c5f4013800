package house

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// row says what a package may import besides the standard library. A path that ends with /... stands for the package
// and all below it, and * for one element. Paths with a dot in the first element are other modules.
type row struct {
	packages string
	may      []string
}

const (
	badger = "github.com/dgraph-io/badger/v4/..."
	// ristretto has the buffers in which Badger takes what is loaded into it.
	ristretto = "github.com/dgraph-io/ristretto/v2/z"
	zstd      = "github.com/klauspost/compress/zstd"
	wazero    = "github.com/tetratelabs/wazero/..."
	goPlugin  = "github.com/hashicorp/go-plugin/..."
	hclog     = "github.com/hashicorp/go-hclog"
	grpc      = "google.golang.org/grpc/..."
	protobuf  = "google.golang.org/protobuf/..."
	expr      = "github.com/expr-lang/expr/..."
	yaml      = "go.yaml.in/yaml/v3"
	zerolog   = "github.com/rs/zerolog/..."
	cobra     = "github.com/spf13/cobra/..."
	pflag     = "github.com/spf13/pflag"
	xtext     = "golang.org/x/text/..."
	xsys      = "golang.org/x/sys/..."
	xsync     = "golang.org/x/sync/..."
	xterm     = "golang.org/x/term"
	fsnotify  = "github.com/fsnotify/fsnotify"
	gonum     = "gonum.org/v1/gonum/..."
	goMail    = "github.com/wneessen/go-mail/..."
)

// directions is the table of who may import what. The first row that fits a package holds.
var directions = []row{
	{"sdk/feedback", nil},
	{"sdk/suggest", nil},
	{"sdk", []string{"sdk/feedback", "sdk/suggest"}},
	{"sdk/wire", []string{"sdk", "sdk/feedback"}},
	{"sdk/rpc/...", []string{"sdk", "sdk/feedback", "sdk/wire", "sdk/rpc/...", goPlugin, grpc, protobuf}},
	{"sdk/serve", []string{"sdk", "sdk/feedback", "sdk/wire", "sdk/rpc"}},
	{"sdk/sdktest", []string{"sdk", "sdk/feedback"}},
	{"sdk/rust", nil},
	{"sdk/c", nil},
	{"sdk/assemblyscript", nil},

	{"rules/stats", []string{gonum}},
	{"rules/calendar", []string{gonum}},
	{"rules/...", []string{"rules/...", "sdk/feedback", "sdk/suggest", expr, yaml, xtext}},

	{"plugins/*/cmd", []string{"plugins/...", "sdk/serve"}},
	{"plugins/internal/...", []string{"sdk/feedback"}},
	{"plugins/smtp", []string{"plugins/internal/...", "sdk", "sdk/feedback", "sdk/suggest", goMail}},
	{"plugins/...", []string{"plugins/internal/...", "sdk", "sdk/feedback", "sdk/suggest", xtext}},

	{"engine/internal/backup", []string{zstd}},
	{"engine/internal/quickjson", []string{"sdk/feedback"}},
	{"engine/internal/store", []string{"engine/internal/backup", "engine/internal/quickjson", "sdk/feedback", badger, ristretto, xsys}},
	{"engine/internal/redact", nil},
	{"engine/internal/records", []string{"engine/internal/quickjson", "engine/internal/store", "rules/...", "sdk/feedback"}},
	{"engine/internal/audit", []string{"engine/internal/quickjson", "engine/internal/store", "sdk/feedback"}},
	{"engine/internal/cases", []string{"engine/internal/records", "engine/internal/store", "rules", "sdk/feedback"}},
	{"engine/internal/host/...", []string{"engine/internal/host/...", "sdk", "sdk/feedback", "sdk/wire", "sdk/rpc",
		wazero, goPlugin, hclog, grpc, zerolog, yaml, xsys}},
	{"engine/internal/check", []string{"engine/internal/audit", "engine/internal/records", "engine/internal/store", "sdk/feedback"}},
	{"engine/internal/outbox", []string{"engine/internal/host", "engine/internal/records", "engine/internal/store",
		"rules", "sdk", "sdk/feedback"}},
	{"engine/internal/pipeline", []string{"engine/internal/audit", "engine/internal/cases", "engine/internal/host",
		"engine/internal/quickjson", "engine/internal/records", "engine/internal/redact", "engine/internal/store", "rules/...", "sdk", "sdk/feedback", "sdk/suggest", xsync}},
	{"engine/internal/program/...", []string{"engine/internal/host/...", "engine/internal/program/...", "engine/internal/redact", "rules/...",
		"sdk", "sdk/feedback", "sdk/suggest", xsys}},
	{"engine/internal/conformance", []string{"engine/internal/host/...", "engine/internal/program", "sdk", "sdk/feedback",
		"sdk/sdktest", "sdk/wire"}},
	{"engine/internal/scaffold/...", []string{"engine/internal/scaffold/...", "sdk", "sdk/suggest", "sdk/rust", "sdk/c", "sdk/assemblyscript"}},
	{"engine/internal/admin", nil},
	{"engine/docs", nil},
	{"engine/internal/testdisk", []string{xsys}},
	{"engine/internal/house", nil},
	{"engine/internal/cli", []string{"engine/...", "rules/...", "sdk/...", "plugins/...", cobra, pflag, zerolog, xterm, xtext}},
	{"engine/cmd/closedloop", []string{"engine/internal/cli"}},
	{"engine/httpapi", []string{"engine", "sdk/feedback"}},
	{"engine/console", []string{"engine", "sdk/feedback"}},
	{"engine", []string{"engine/internal/admin", "engine/internal/backup", "engine/internal/check", "engine/internal/cases", "engine/internal/host/...", "engine/internal/outbox",
		"engine/internal/audit", "engine/internal/pipeline", "engine/internal/program/...", "engine/internal/records", "engine/internal/redact", "engine/internal/store",
		"rules/...", "sdk/...", zerolog, xsync, fsnotify}},

	{"examples/plugins/*/cmd", []string{"examples/plugins/...", "sdk/serve"}},
	{"examples/...", []string{"engine", "rules/...", "sdk/...", "plugins/...", zerolog}},
}

// only says which modules have one importer, in tests too. A test of sdk/serve runs what it builds.
var only = []row{
	{badger, []string{"engine/internal/store"}},
	{wazero, []string{"engine/internal/host/...", "sdk/serve"}},
	{goMail, []string{"plugins/smtp"}},
}

// fits reports whether a path is what a pattern of a row stands for.
func fits(pattern, p string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == prefix || strings.HasPrefix(p, prefix+"/")
	}
	ok, err := path.Match(pattern, p)
	return err == nil && ok
}

func fitsAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return fits(pattern, p) })
}

// imported returns the path of an import, short for a package of the module, and false for the standard library.
func imported(spec *ast.ImportSpec) (string, bool) {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return "", false
	}
	if short, ok := strings.CutPrefix(p, module+"/"); ok {
		return short, true
	}
	first, _, _ := strings.Cut(p, "/")
	return p, strings.Contains(first, ".")
}

func checkImports(s *source) []finding {
	if s.file == nil {
		return nil
	}
	var found []finding
	may, known := allowed(s.dir())
	if !known {
		found = append(found, s.at(s.file.Package, "package %s is in no row of the table of imports", s.dir()))
	}
	for _, spec := range s.file.Imports {
		p, ok := imported(spec)
		if !ok {
			continue
		}
		if known && !s.isTest() && !fitsAny(may, p) {
			found = append(found, s.at(spec.Pos(), "%s must not import %s", s.dir(), p))
		}
		for _, o := range only {
			if fits(o.packages, p) && !fitsAny(o.may, s.dir()) {
				found = append(found, s.at(spec.Pos(), "only %s may import %s", strings.Join(o.may, ", "), p))
			}
		}
	}
	return found
}

func allowed(dir string) ([]string, bool) {
	for _, r := range directions {
		if fits(r.packages, dir) {
			return r.may, true
		}
	}
	return nil, false
}

// checkSignatures finds types of internal packages in what a public package exports.
func checkSignatures(s *source) []finding {
	if !s.product() || strings.Contains("/"+s.path, "/internal/") || s.file.Name.Name == "main" {
		return nil
	}
	internal := map[string]bool{}
	for _, spec := range s.file.Imports {
		if p, ok := imported(spec); ok && strings.Contains("/"+p+"/", "/internal/") {
			name := path.Base(p)
			if spec.Name != nil {
				name = spec.Name.Name
			}
			internal[name] = true
		}
	}
	var found []finding
	look := func(n ast.Node, what string) {
		ast.Inspect(n, func(n ast.Node) bool {
			if f, ok := n.(*ast.Field); ok && len(f.Names) > 0 && !slices.ContainsFunc(f.Names, (*ast.Ident).IsExported) && what != "function" {
				return false
			}
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && internal[x.Name] {
					found = append(found, s.at(sel.Pos(), "exported %s shows %s.%s of an internal package", what, x.Name, sel.Sel.Name))
				}
			}
			return true
		})
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if exportedFunc(d) {
				look(d.Type, "function")
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() {
						look(spec.Type, "type")
					}
				case *ast.ValueSpec:
					if spec.Type != nil && d.Tok == token.VAR && spec.Names[0].IsExported() {
						look(spec.Type, "variable")
					}
				}
			}
		}
	}
	return found
}

func TestImports(t *testing.T) {
	t.Parallel()
	all := load(t)
	report(t, every(all, checkImports))
	report(t, every(all, checkSignatures))
}
