package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine/internal/conformance"
	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
)

// testOptions are the flags of plugin test.
type testOptions struct {
	items    string
	settings string
	file     string
	http     []string
	process  bool
}

// tested is the result of a plugin's test.
type tested struct {
	OK     bool                 `json:"ok"`
	Plugin string               `json:"plugin"` // name and version
	Failed int                  `json:"failed"`
	Checks []conformance.Result `json:"checks"`
}

func (a *app) pluginTest() *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test FILE|DIR",
		Short: "Check that a plugin keeps to the contract",
		Long: `test runs the conformance suite on a plugin as an engine would run it: a .wasm file, the folder of a plugin in any
language, which it builds, or with --process an executable. It tells each check on a line, and exits with 1 when any
failed. It runs the plugin in the sandbox, with no more than what you grant here.

A plugin that has settings without a default needs --settings, one that reads a file --file.`,
		Example: "  closedloop plugin test plugins/codebook --settings examples/retail/codebook.yaml\n" +
			"  closedloop plugin test csv.wasm --file data.csv --settings '{columns: {text: comment}}'",
		Args: exact(1, "a plugin"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.test(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.items, "items", "", "a `file` of items to categorize besides those of the suite: JSON, JSON lines, or CSV with a header")
	f.StringVar(&o.settings, "settings", "", "the plugin's settings: a YAML `file`, or YAML in place")
	f.StringVar(&o.file, "file", "", "the `file` or folder that the plugin may read")
	f.StringSliceVar(&o.http, "http", nil, "the `hosts` that the plugin may send requests to")
	f.BoolVar(&o.process, "process", false, "the plugin is an executable, which runs outside of the sandbox")
	return cmd
}

func (a *app) test(ctx context.Context, path string, o testOptions) error {
	p, done, err := a.findTested(ctx, path, o)
	defer done()
	if err != nil {
		return err
	}
	options, err := o.conformance(&p.Manifest)
	if err != nil {
		return err
	}
	options.CacheDir = a.compiledDir()
	name := p.Manifest.Name + " " + p.Manifest.Version
	if !a.json {
		fmt.Fprintf(a.std.Out, "%s\n\n", name)
	}
	result := tested{Plugin: name, Checks: []conformance.Result{}}
	result.Failed, err = conformance.Run(ctx, p, options, func(r conformance.Result) {
		result.Checks = append(result.Checks, r)
		if !a.json {
			a.checkLine(r)
		}
	})
	if err != nil {
		return err
	}
	if result.OK = result.Failed == 0; a.json {
		err = a.printJSON(result)
	}
	if !result.OK {
		return errors.Join(err, &failure{code: exitFailed, message: fmt.Sprintf("%s of %s failed", count(result.Failed, "check"), name)})
	}
	if !a.json {
		fmt.Fprintln(a.std.Out, "\nit keeps to the contract")
	}
	return err
}

// findTested finds a plugin, and builds it where it comes as source. What was built is gone after done.
func (a *app) findTested(ctx context.Context, path string, o testOptions) (p *program.Plugin, done func(), err error) {
	trust, done := program.TrustSandbox, func() {}
	if o.process {
		trust = program.TrustProcess
	}
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() || o.process {
		p, err = program.Find(path, trust, program.Options{})
		return p, done, err
	}
	tmp, err := os.MkdirTemp("", "closedloop-test-")
	if err != nil {
		return nil, done, err
	}
	done = func() { _ = os.RemoveAll(tmp) } // the system tidies up what cannot be removed
	progress := &progress{w: a.std.Err, on: a.std.TTY}
	art, err := program.Build(ctx, path, filepath.Join(tmp, "plugin.wasm"), a.pluginOptions(progress))
	progress.clear()
	if err == nil {
		p, err = program.Find(art.Path, trust, program.Options{})
	}
	return p, done, err
}

// compiledDir returns the folder for compiled code, or nothing where there is no place for it.
func (a *app) compiledDir() string {
	cache := a.std.Getenv(cacheVariable)
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		cache = filepath.Join(user, "closedloop")
	}
	return filepath.Join(cache, "compiled")
}

func (a *app) checkLine(r conformance.Result) {
	state := "ok"
	switch {
	case r.Skipped != "":
		state = "--"
	case !r.OK():
		state = "FAILED"
	}
	fmt.Fprintf(a.std.Out, "%-6s  %s: %s\n", state, r.Ability, r.Check)
	for _, p := range append(r.Problems, r.Skipped) {
		if p != "" {
			fmt.Fprintf(a.std.Out, "        %s\n", strings.ReplaceAll(clean(p, keepLines), "\n", "\n        "))
		}
	}
}

// conformance completes the options from what the flags say and the manifest wants.
func (o *testOptions) conformance(m *sdk.Manifest) (conformance.Options, error) {
	out := conformance.Options{Grants: host.Grants{File: o.file, HTTP: o.http}}
	var err error
	if o.file != "" {
		if out.Grants.File, err = filepath.Abs(o.file); err != nil {
			return out, err
		}
	} else if m.Wants(sdk.CapabilityFile) {
		return out, usage("name one with --file", "the plugin %s asks for a file or folder to read", m.Name)
	}
	if len(o.http) == 0 && m.Wants(sdk.CapabilityHTTP) {
		return out, usage("name them with --http, such as --http 127.0.0.1:8080", "the plugin %s asks for hosts to send requests to", m.Name)
	}
	out.Grants.Log, out.Grants.Clock = m.Wants(sdk.CapabilityLog), m.Wants(sdk.CapabilityClock)
	out.Grants.KV, out.Grants.Random = m.Wants(sdk.CapabilityKV), m.Wants(sdk.CapabilityRandom)
	if out.Settings, err = o.completed(m); err != nil {
		return out, err
	}
	if o.items != "" {
		out.Items, err = readItems(o.items)
	}
	return out, err
}

// completed returns the settings with the manifest's defaults.
func (o *testOptions) completed(m *sdk.Manifest) (string, error) {
	given := map[string]any{}
	if text := strings.TrimSpace(o.settings); text != "" {
		file, data := "--settings", []byte(text)
		if !strings.HasPrefix(text, "{") {
			var err error
			if data, err = os.ReadFile(text); err != nil {
				return "", err
			}
			file = text
		}
		root, problems := source.Parse(file, data)
		if root == nil {
			return "", problems
		}
		var ok bool
		if given, ok = root.Any().(map[string]any); !ok {
			return "", usage("as in --settings '{limit: 3}'", "%s: found %s, expected a map", file, root.Found())
		}
	}
	completed, wrong := m.Settings.Complete(given)
	for _, e := range wrong {
		return "", usage("give the settings with --settings, and see closedloop plugin inspect", "settings: %s", e.Error())
	}
	data, err := json.Marshal(completed)
	return string(data), err
}
