package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/sdk"
)

func (a *app) pluginCommand() *cobra.Command {
	return group("plugin", "Make, build, check and add plugins",
		"plugin makes and builds plugins, checks them, says what a plugin is without running it, and pins it in a program.",
		"  closedloop plugin new --lang go --kind categorizer shouting\n  closedloop plugin build plugins/csv -o csv.wasm\n"+
			"  closedloop plugin test csv.wasm\n  closedloop plugin inspect csv.wasm\n  closedloop plugin add csv.wasm -C examples/retail",
		a.pluginNew(), a.pluginBuild(), a.pluginTest(), a.pluginInspect(), a.pluginAdd(), a.pluginList(), a.pluginResume())
}

// pluginOptions are those of package program, telling what is being built.
func (a *app) pluginOptions(p *progress) program.Options {
	return program.Options{
		CacheDir: a.std.Getenv(cacheVariable),
		Building: func(plugin string) { p.say("building plugin %s ...", plugin) },
	}
}

// built is the result of a build.
type built struct {
	Path   string `json:"path"`
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
	Cached bool   `json:"cached"` // nothing had changed since it was last built
}

func (a *app) pluginBuild() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "build DIR",
		Short: "Build a plugin to a WASM module",
		Long: `build compiles the plugin in a folder to a WASM module with the local toolchain of its language, and stamps its
manifest, plugin.yaml, into the module. What the folder holds tells the language: Go files, Cargo.toml for Rust, C files,
or asconfig.json for AssemblyScript. Of a Go plugin it builds the main package in the folder's cmd, or else in the folder
itself.`,
		Example: "  closedloop plugin build plugins/csv\n  closedloop plugin build plugins/csv -o build/csv.wasm",
		Args:    exact(1, "the folder of a plugin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				abs, err := filepath.Abs(args[0])
				if err != nil {
					return err
				}
				out = filepath.Base(abs) + ".wasm"
			}
			return a.build(cmd.Context(), args[0], out)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the `file` to write (default the folder's name and .wasm)")
	return cmd
}

func (a *app) build(ctx context.Context, dir, out string) error {
	p := &progress{w: a.std.Err, on: a.std.TTY}
	art, err := program.Build(ctx, dir, out, a.pluginOptions(p))
	p.clear()
	if err != nil {
		return err
	}
	b := built{Path: art.Path, Size: len(art.Wasm), SHA256: art.SHA256, Cached: art.Cached}
	if a.json {
		return a.printJSON(b)
	}
	note := ""
	if b.Cached {
		note = ", unchanged since it was last built"
	}
	fmt.Fprintf(a.std.Out, "%s: %s%s\nsha256 %s\n", b.Path, size(int64(b.Size)), note, b.SHA256)
	return nil
}

func (a *app) pluginInspect() *cobra.Command {
	var process bool
	cmd := &cobra.Command{
		Use:   "inspect FILE|DIR",
		Short: "Say what a plugin is without running it",
		Long: `inspect reads the manifest of a plugin: what it is, can do, asks for and can be told. It takes a .wasm file, the folder
of a Go plugin, which it builds, or with --process an executable with plugin.yaml beside it.`,
		Example: "  closedloop plugin inspect plugins/csv\n  closedloop plugin inspect --json csv.wasm",
		Args:    exact(1, "a plugin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			trust := program.TrustSandbox
			if process {
				trust = program.TrustProcess
			}
			p := &progress{w: a.std.Err, on: a.std.TTY}
			in, err := program.Inspect(cmd.Context(), args[0], trust, a.pluginOptions(p))
			p.clear()
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(in)
			}
			a.inspected(in)
			return nil
		},
	}
	cmd.Flags().BoolVar(&process, "process", false, "the plugin is an executable")
	return cmd
}

func (a *app) inspected(in *program.Inspection) {
	m := &in.Manifest
	var f facts
	f.add("plugin", m.Name+" "+m.Version)
	f.add("", m.Description)
	f.add("can", words(m.Abilities))
	f.add("asks for", asks(m))
	runs := "in the sandbox"
	if in.Kind == program.KindProcess {
		runs = "as a process with the rights of the engine, outside of the sandbox"
	}
	f.add("runs", runs)
	f.add("contract", m.Contract+" (this engine speaks "+sdk.ContractVersion()+")")
	f.add("file", fmt.Sprintf("%s (%s, %s)", in.Path, in.Kind, size(in.Size)))
	f.add("sha256", in.SHA256)
	f.add("imports", imported(in.Imports))
	f.write(a.std.Out, a.std.Width)
	if len(m.Settings) == 0 {
		fmt.Fprintln(a.std.Out, "\nno settings")
		return
	}
	fmt.Fprintln(a.std.Out, "\nsettings")
	t := indented(text("name"), text("type"), text("default"), elastic("meaning"))
	addSettings(t, "", m.Settings)
	t.write(a.std.Out, a.std.Width)
}

// imported lists what a module wants of the engine, and counts what it wants of others.
func imported(names []string) string {
	var ours []string
	others := map[string]int{}
	for _, name := range names {
		if module, _, _ := strings.Cut(name, "."); module == "closedloop" {
			ours = append(ours, name)
		} else {
			others[module]++
		}
	}
	slices.Sort(ours)
	for _, module := range slices.Sorted(maps.Keys(others)) {
		ours = append(ours, fmt.Sprintf("%s of %s", count(others[module], "function"), module))
	}
	return strings.Join(ours, ", ")
}

func words[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return strings.Join(out, ", ")
}

// addSettings lists settings by name, those within an object below it.
func addSettings(t *table, within string, spec sdk.Spec) {
	for _, name := range slices.Sorted(maps.Keys(spec)) {
		s := spec[name]
		t.add(within+name, typeOf(&s), defaultOf(&s), s.Description)
		addSettings(t, within+name+".", s.Fields)
		if s.Items != nil {
			addSettings(t, within+name+"[].", s.Items.Fields)
		}
	}
}

func typeOf(s *sdk.Setting) string {
	switch {
	case len(s.Enum) > 0:
		return strings.Join(s.Enum, "|")
	case s.Items != nil:
		return string(s.Type) + " of " + typeOf(s.Items)
	}
	return string(s.Type)
}

func defaultOf(s *sdk.Setting) string {
	switch {
	case s.Required:
		return "(required)"
	case s.Default == nil:
		return ""
	}
	b, err := json.Marshal(s.Default)
	if err != nil {
		return fmt.Sprint(s.Default)
	}
	return string(b)
}
