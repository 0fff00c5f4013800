package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine/internal/scaffold"
)

func (a *app) pluginNew() *cobra.Command {
	var o scaffold.Options
	cmd := &cobra.Command{
		Use:   "new DIR",
		Short: "Make the folder of a new plugin",
		Long: `new writes the folder of a plugin in one of several languages: a plugin that builds, a test that passes, and a small
program to run it in. It says what to do next. It never writes into a folder that holds anything.

The templates:

` + templatesThereAre() + `
There is none for destinations: begin with the one in plugins/webhook of a checkout.

A plugin in Go uses the SDK of the closedloop that makes it: its version, or the checkout that it was built from, or the
one that you name with --sdk.`,
		Example: "  closedloop plugin new shouting\n  closedloop plugin new --lang rust --kind connector mailbox",
		Args:    exact(1, "the folder to make"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.newPlugin(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Language, "lang", "go", "the `language`: "+list(scaffold.Languages))
	f.StringVar(&o.Kind, "kind", scaffold.Categorizer, "what the plugin is, a `kind`: "+list(scaffold.Kinds))
	f.StringVar(&o.Name, "name", "", "the plugin's `name` (default that of the folder)")
	f.StringVar(&o.Module, "module", "", "the `path` of the Go module (default example.com/NAME)")
	f.StringVar(&o.SDK, "sdk", "", "a checkout of closedloop to build a Go plugin with, a `folder`")
	return cmd
}

// templatesThereAre lists the kinds of each language, a line each.
func templatesThereAre() string {
	var b strings.Builder
	for _, language := range scaffold.Languages {
		fmt.Fprintf(&b, "  %-15s %s\n", language, strings.Join(scaffold.KindsOf(language), ", "))
	}
	return b.String()
}

// whereElse says where to start when there is no template.
func whereElse(o scaffold.Options) string {
	var others []string
	for _, language := range scaffold.Languages {
		if slices.Contains(scaffold.KindsOf(language), o.Kind) {
			others = append(others, language)
		}
	}
	return fmt.Sprintf("a %s can start from --lang %s; or make a %s and write the calls of a %s with the SDK in its folder closedloop",
		o.Kind, strings.Join(others, " or "), strings.Join(scaffold.KindsOf(o.Language), " or "), o.Kind)
}

func (a *app) newPlugin(ctx context.Context, dir string, o scaffold.Options) error {
	var err error
	if o.Language, err = oneOf("--lang", o.Language, scaffold.Languages...); err != nil {
		return err
	}
	if o.Kind, err = oneOf("--kind", o.Kind, scaffold.Kinds...); err != nil {
		return err
	}
	made, err := scaffold.New(ctx, dir, o)
	switch {
	case errors.Is(err, scaffold.ErrNotEmpty), errors.Is(err, syscall.ENOTDIR):
		return usage("name a folder that is not there yet", "%v", err)
	case errors.Is(err, scaffold.ErrName):
		return usage("give one with --name", "%v", err)
	case errors.Is(err, scaffold.ErrNoVersion):
		return usage("name a checkout of closedloop with --sdk", "%v, and cannot tell which SDK to use", err)
	case errors.Is(err, scaffold.ErrNoTemplate):
		return usage(whereElse(o), "%v", err)
	case err != nil && o.SDK != "" && !errors.As(err, new(*fs.PathError)):
		return usage("", "--sdk: %v", err)
	case err != nil:
		return err
	}
	if a.json {
		return a.printJSON(made)
	}
	a.made(made)
	return nil
}

// made says what was written, and what to do next.
func (a *app) made(m *scaffold.Made) {
	fmt.Fprintf(a.std.Out, "%s: the %s %s, in %s\n\n", clean(m.Dir, oneLine), m.Kind, m.Name, m.Language)
	sdkFiles := 0
	for _, f := range m.Files {
		if strings.HasPrefix(f, "closedloop/") {
			sdkFiles++
			continue
		}
		fmt.Fprintf(a.std.Out, "  %s\n", f)
	}
	if sdkFiles > 0 {
		fmt.Fprintf(a.std.Out, "  closedloop/ (the SDK: %s)\n", count(sdkFiles, "file"))
	}
	if m.Note != "" {
		fmt.Fprintf(a.std.Out, "\n%s\n", clean(m.Note, oneLine))
	}
	fmt.Fprintln(a.std.Out, "\nnext:")
	for _, c := range m.Commands {
		fmt.Fprintf(a.std.Out, "  %s\n", clean(c, oneLine))
	}
}
