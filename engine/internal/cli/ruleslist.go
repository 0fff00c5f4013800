package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/rules"
)

func (a *app) rulesList() *cobra.Command {
	return a.rulesFlags(&cobra.Command{
		Use:   "list [PROGRAM | FILE ...]",
		Short: "List rules in the order in which they are evaluated",
		Long: `list shows the rules of a program's files in the order in which they are evaluated: what they do, whether they act, only
look on (shadow) or are off, and where they stand.`,
		Example: "  closedloop rules list examples/retail\n  closedloop rules list --json rules/route.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.ruleFilesOf(cmd, args)
			if err == nil {
				err = r.err()
			}
			if err != nil {
				return err
			}
			list := append([]rules.RuleInfo{}, r.set.Rules()...)
			if a.json {
				return a.printJSON(list)
			}
			a.rulesTable(list)
			return nil
		},
	})
}

func (a *app) rulesTable(list []rules.RuleInfo) {
	if len(list) == 0 {
		a.none("rules")
		return
	}
	t := newTable(text("rule"), text("group"), text("mode"), text("does"), elastic("when"), text("where"))
	for i := range list {
		r := &list[i]
		var does []string
		for _, kind := range r.Actions {
			does = append(does, string(kind))
		}
		if r.Alert {
			does = append(does, "alert over time")
		}
		where := fmt.Sprintf("%s:%d", r.File, r.Line)
		t.add(r.ID, r.Group, string(r.Mode), strings.Join(does, ", "), r.When, where)
	}
	t.write(a.std.Out, a.std.Width)
}
