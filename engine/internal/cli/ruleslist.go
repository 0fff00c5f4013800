package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/rules"
)

// ruleListed is a rule as rules list writes it as JSON.
type ruleListed struct {
	rules.RuleInfo
	Fired *int `json:"fired,omitempty"` // on so many items since --since, by the latest decision about each
}

func (a *app) rulesList() *cobra.Command {
	var f filters
	cmd := a.programFlags(&cobra.Command{
		Use:   "list [PROGRAM | FILE ...]",
		Short: "List rules in the order in which they are evaluated",
		Long: `list shows the rules of a program's files in the order in which they are evaluated: what they do, whether they act, only
look on (shadow) or are off, and where they stand. With --since it counts on how many items of the feedback since then
each one fires.`,
		Example: "  closedloop rules list examples/retail --since 30d\n  closedloop rules list --json rules/route.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.ruleFilesOf(cmd, args)
			if err == nil {
				err = r.err()
			}
			if err != nil {
				return err
			}
			list := []ruleListed{}
			for _, info := range r.set.Rules() {
				list = append(list, ruleListed{RuleInfo: info})
			}
			if f.since != "" {
				if err := a.countFirings(cmd, &f, list); err != nil {
					return err
				}
			}
			if a.json {
				return a.printJSON(list)
			}
			a.rulesTable(list)
			return nil
		},
	})
	cmd.Flags().StringVar(&f.since, "since", "", "count firings from this `time` on: 30d, 36h, 2026-03-02 or 2026-03-02T10:00:00Z")
	return cmd
}

// countFirings fills in how often the rules fired.
func (a *app) countFirings(cmd *cobra.Command, f *filters, list []ruleListed) error {
	return a.asked(cmd.Context(), func(s *session) error {
		since, err := f.from(a.std.Now(), s.zone)
		if err != nil {
			return err
		}
		fired, err := s.Firings(cmd.Context(), since)
		if err != nil {
			return err
		}
		for i := range list {
			if !list[i].Alert {
				list[i].Fired = new(fired[list[i].ID])
			}
		}
		return nil
	})
}

func (a *app) rulesTable(list []ruleListed) {
	if len(list) == 0 {
		a.none("rules")
		return
	}
	columns := []column{text("rule"), text("group"), text("mode"), text("does"), elastic("when"), text("where")}
	counted := false
	for i := range list {
		counted = counted || list[i].Fired != nil
	}
	if counted {
		columns = append([]column{digits("fired")}, columns...)
	}
	t := newTable(columns...)
	for i := range list {
		r := &list[i]
		var does []string
		for _, kind := range r.Actions {
			does = append(does, string(kind))
		}
		if r.Alert {
			does = append(does, "alert over time")
		}
		cells := []string{r.ID, r.Group, string(r.Mode), strings.Join(does, ", "), r.When, fmt.Sprintf("%s:%d", r.File, r.Line)}
		if counted {
			n := ""
			if r.Fired != nil {
				n = grouped(*r.Fired)
			}
			cells = append([]string{n}, cells...)
		}
		t.add(cells...)
	}
	t.write(a.std.Out, a.std.Width)
}
