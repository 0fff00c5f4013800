package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
)

// addOptions are the flags of plugin add.
type addOptions struct {
	id      string
	process bool
	yes     bool
}

func (a *app) pluginAdd() *cobra.Command {
	var o addOptions
	cmd := &cobra.Command{
		Use:   "add FILE",
		Short: "Look at a plugin and pin it in a program",
		Long: `add shows what the plugin in a file is and what it asks for, without running any of its code, and when you say yes
pins the program to exactly this file: it writes the file's SHA-256 to program.yaml, where all else stays as it is. From
then on another file in its place is refused, until it is added in its turn.

A plugin that the program has already is pinned where it stands; another one is added to the program, under the name in
its manifest or the id that you give. With the id of a plugin that the program has, the file takes the place of the one
before. A module from outside of the program's folder is copied into its folder plugins.`,
		Example: "  closedloop plugin add plugins/themes.wasm\n  closedloop plugin add ~/Downloads/themes-1.3.0.wasm -C examples/retail --id themes --yes",
		Args:    exact(1, "the file of a plugin"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.add(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringVarP(&a.dir, "program", "C", ".", "the program's `folder`")
	f.StringVar(&o.id, "id", "", "the plugin's `id` in the program (default the one that names the file, or the name in the manifest)")
	f.BoolVar(&o.process, "process", false, "the plugin is an executable, which runs outside of the sandbox")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (a *app) add(ctx context.Context, file string, o addOptions) error {
	trust := program.TrustSandbox
	if o.process {
		trust = program.TrustProcess
	}
	addition, err := program.PlanAddition(ctx, a.dir, file, o.id, trust, program.Options{})
	if err != nil {
		return err
	}
	if !a.json {
		a.inspected(&addition.Inspection)
		a.intent(addition)
	}
	if err := a.agreed(o.yes, "pin it?", "nobody can be asked whether to pin this plugin", "look at what it asks for, then say --yes"); err != nil {
		return err
	}
	if err := addition.Apply(); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(addition)
	}
	fmt.Fprintf(a.std.Out, "\nwritten to %s\n", addition.Program)
	return a.whatIsLeft(ctx)
}

// intent says what is about to be written.
func (a *app) intent(ad *program.Addition) {
	fmt.Fprintf(a.std.Out, "\nto be written to %s\n", ad.Program)
	t := indented(text(""), text(""), elastic(""))
	for _, p := range ad.Pins {
		what := "is pinned to this file for the first time"
		switch {
		case p.New:
			what = "is added"
		case p.WasSHA256 == ad.SHA256 && p.WasName == ad.Name:
			what = "is pinned to this file already"
		case p.WasSHA256 != "":
			what = "was pinned to " + short(p.WasSHA256)
		}
		if !p.New && p.WasName != ad.Name {
			what += ", from " + p.WasName
		}
		t.add(string(p.Role), p.ID, what)
	}
	t.write(a.std.Out, a.std.Width)
	if ad.Copied {
		fmt.Fprintf(a.std.Out, "  the file is copied to %s in the program's folder\n", ad.Name)
	}
}

// agreed asks a person at a terminal for a yes.
func (a *app) agreed(yes bool, question, nobody, hint string) error {
	if yes {
		return nil
	}
	if !a.std.TTY || a.json {
		return usage(hint, "%s", nobody)
	}
	fmt.Fprintf(a.std.Err, "\n%s [y/N] ", question)
	answer, err := bufio.NewReader(a.std.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &failure{code: exitFailed, message: "nothing was written: there was no yes"}
}

// whatIsLeft says what the program lacks now. The plugin is pinned all the same.
func (a *app) whatIsLeft(ctx context.Context) error {
	_, err := a.loadProgram(ctx)
	problems := source.Problems(nil)
	if !errors.As(err, &problems) {
		return err
	}
	fmt.Fprintf(a.std.Out, "\nbefore the program runs, %s to mend\n", count(len(problems), "thing"))
	return problems.Render(a.std.Out)
}

// meaning says what a plugin gets that is granted a capability.
func meaning(c sdk.Capability) string {
	switch c {
	case sdk.CapabilityLog:
		return "to write to the engine's log"
	case sdk.CapabilityFile:
		return "to read the one file or folder that the program names"
	case sdk.CapabilityHTTP:
		return "to send requests to the hosts that the program lists, and no others"
	case sdk.CapabilityClock:
		return "to see the running time"
	case sdk.CapabilityKV:
		return "to keep data of its own in the engine's store"
	case sdk.CapabilityRandom:
		return "to draw random bytes that nobody can foresee"
	}
	return ""
}

// asks says what a plugin asks the program to grant, a line each.
func asks(m *sdk.Manifest) string {
	if len(m.Capabilities) == 0 {
		return "nothing: it computes, and reaches nothing outside of itself"
	}
	lines := make([]string, len(m.Capabilities))
	for i, c := range m.Capabilities {
		lines[i] = fmt.Sprintf("%-6s %s", c, meaning(c))
	}
	return strings.Join(lines, "\n")
}
