package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/rules/packs"
	"github.com/closedloop/closedloop/sdk/suggest"
)

func (a *app) rulesPacks() *cobra.Command {
	return &cobra.Command{
		Use:   "packs [NAME]",
		Short: "List ready-made rules, or show a pack with its parameters",
		Long: `packs lists the ready-made rules that come with closedloop. A program includes a pack by its name, with values for its
parameters:

  packs:
    closed-loop: {queue: care, sla: 24h}

With a name it shows the parameters of the pack and its rule file.`,
		Example: "  closedloop rules packs\n  closedloop rules packs closed-loop",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return a.showPack(args[0])
			}
			all := []packs.Pack{}
			t := newTable(text("pack"), elastic("what it does"))
			for _, name := range packs.Names() {
				p, _ := packs.Get(name)
				all = append(all, p)
				t.add(p.Name, p.Description)
			}
			if a.json {
				return a.printJSON(all)
			}
			t.write(a.std.Out, a.std.Width)
			return nil
		},
	}
}

func (a *app) showPack(name string) error {
	p, ok := packs.Get(name)
	if !ok {
		hint := suggest.DidYouMean(name, packs.Names())
		if hint == "" {
			hint = "one of " + strings.Join(packs.Names(), ", ")
		}
		return usage(hint, "there is no pack %q", name)
	}
	if a.json {
		return a.printJSON(struct {
			packs.Pack
			Rules string `json:"rules"` // the file
		}{p, string(p.File().Data)})
	}
	fmt.Fprintf(a.std.Out, "%s\n\n", p.Description)
	t := newTable(text("parameter"), text("type"), text("default"), elastic("meaning"))
	for _, param := range p.Params {
		value := "required"
		if param.Default != nil {
			value = fmt.Sprint(param.Default)
		}
		t.add(param.Name, string(param.Type), value, param.Description)
	}
	t.write(a.std.Out, a.std.Width)
	fmt.Fprintf(a.std.Out, "\n%s", p.File().Data)
	return nil
}
