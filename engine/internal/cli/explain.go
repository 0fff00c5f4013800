package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func (a *app) explainCommand() *cobra.Command {
	var rule string
	cmd := &cobra.Command{
		Use:   "explain ITEM",
		Short: "Say why an item was decided on as it was",
		Long: `explain shows an item, what its words were taken to mean, the rules that fired on it with the values that they saw,
and of the others why they did not fire and what would have to be otherwise. The rules are those that decided, also when
others decide by now, and what windows told is what they told then.

Of many rules only those that nearly fired are listed; --rule shows one with each of its comparisons. The beginning of
an id is enough when only one item has it, and so is the id that the item has at its source.`,
		Example: "  closedloop explain -C examples/retail f_01KK6SPQ48\n  closedloop explain --rule detractor -C examples/retail f_01KK6SPQ48BJDG4TRTEMN5WTJP",
		Args:    exact(1, itemIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asked(cmd.Context(), func(s *session) error {
				id, err := s.item(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				x, err := s.Explain(cmd.Context(), id)
				if err != nil {
					return err
				}
				if rule != "" {
					if err := keepRule(x, rule); err != nil {
						return err
					}
				}
				switch {
				case a.json:
					return a.printJSON(x)
				case rule != "":
					a.explainedRule(s, x)
				default:
					a.explained(s, x)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&rule, "rule", "", "show one rule with each of its comparisons: its `id`")
	return a.programFlags(cmd)
}

// itemIDs says what a command takes for an item.
const itemIDs = "the id of an item, which closedloop show items lists, or its id at the source"

// item returns the id of the item that a person means by a whole id, the beginning of one, or the id that its source gave
// it.
func (s *session) item(ctx context.Context, typed string) (feedback.ItemID, error) {
	if id, err := feedback.ParseItemID(typed); err == nil {
		it, err := s.Item(ctx, id)
		if errors.Is(err, engine.ErrNotFound) {
			return "", noItem(typed)
		}
		if err != nil {
			return "", err
		}
		return it.ID, nil
	}
	prefix := "f_" + strings.ToUpper(strings.TrimPrefix(strings.ToLower(strings.TrimSuffix(typed, "…")), "f_"))
	if prefix == "f_" {
		return "", noID("feedback", typed, "closedloop show items")
	}
	found, err := s.external(ctx, typed)
	if err == nil && len(found) == 0 {
		found, err = s.Items(ctx, engine.ItemQuery{Prefix: prefix, Limit: 2})
	}
	switch {
	case err != nil:
		return "", err
	case len(found) > 1 && found[0].ExternalID == typed:
		return "", usage("give the id of one: closedloop show items lists them",
			"more than one source has an item %s: %s is of %s, %s of %s", typed, found[0].ID, found[0].Source, found[1].ID, found[1].Source)
	case len(found) == 0:
		return "", noItem(typed)
	case len(found) > 1:
		return "", usage("add more of the id: closedloop show items lists them", "more than one item has an id that begins with %s", typed)
	}
	return found[0].ID, nil
}

// external returns the items that sources of the program call by an id.
func (s *session) external(ctx context.Context, id string) (found []engine.Item, err error) {
	for _, source := range s.sources {
		of, err := s.Items(ctx, engine.ItemQuery{Source: source, External: id, Limit: 1})
		if err != nil {
			return nil, err
		}
		found = append(found, of...)
	}
	return found, nil
}

func noItem(typed string) error {
	return usage("closedloop show items lists what there is", "there is no item %q", typed)
}

// explained writes an explanation for people.
func (a *app) explained(s *session, x *engine.Explanation) {
	w := a.std.Out
	a.itemHead(s, &x.Item)
	a.decided(s, x)
	a.outcome(&x.Decision)
	for i := range x.Corrections {
		a.corrected(s, &x.Corrections[i])
	}
	var fired, other []*rules.RuleExplanation
	for i := range x.Rules.Groups {
		for j := range x.Rules.Groups[i].Rules {
			r := &x.Rules.Groups[i].Rules[j]
			if r.Outcome == rules.OutcomeFired || r.Outcome == rules.OutcomeShadow {
				fired = append(fired, r)
			} else {
				other = append(other, r)
			}
		}
	}
	fmt.Fprintf(w, "\n%s fired\n", count(len(fired), "rule"))
	for _, r := range fired {
		writeFired(w, r, actions(&x.Decision, r))
	}
	a.notFired(other)
	a.done(s, x.Done)
}

// decided says when and by which rules, and whether others decide by now.
func (a *app) decided(s *session, x *engine.Explanation) {
	fmt.Fprintf(a.std.Out, "\ndecision %d of %s by ruleset %s\n", x.Number, instant(x.Decision.At, s.zone), short(x.Decision.Ruleset))
	if x.Active != "" && x.Active != x.Decision.Ruleset {
		fmt.Fprintf(a.std.Out, "  others decide by now: ruleset %s; closedloop rules diff %s says what differs\n", short(x.Active), short(x.Decision.Ruleset))
	}
}

// corrected writes what a person has corrected.
func (a *app) corrected(s *session, c *feedback.Change) {
	var parts []string
	for i := range c.Add {
		parts = append(parts, "+"+string(c.Add[i].Path))
	}
	for _, path := range c.Remove {
		parts = append(parts, "-"+string(path))
	}
	if c.Sentiment != nil {
		parts = append(parts, "sentiment "+strconv.FormatFloat(*c.Sentiment, 'g', -1, 64))
	}
	fmt.Fprintf(a.std.Out, "  corrected by %s on %s: %s\n", c.By.Name, instant(c.At, s.zone), strings.Join(parts, " "))
	if c.Reason != "" {
		fmt.Fprintf(a.std.Out, "    because %s\n", c.Reason)
	}
}

// outcome writes what a decision says of the item.
func (a *app) outcome(d *rules.Decision) {
	var f facts
	f.add("  queue", d.Outputs.Queue)
	f.add("  owner", d.Outputs.Owner)
	f.add("  priority", string(d.Outputs.Priority))
	f.add("  severity", string(d.Outputs.Severity))
	f.add("  tags", strings.Join(d.Outputs.Tags, ", "))
	for _, e := range d.Errors {
		f.add("  conflict", e.Message)
	}
	if len(f.rows) == 0 {
		fmt.Fprintln(a.std.Out, "  no rule asked for anything")
	}
	f.write(a.std.Out, a.std.Width)
}

// actions returns what a rule asked for in a decision.
func actions(d *rules.Decision, r *rules.RuleExplanation) []rules.Effect {
	for _, g := range d.Groups {
		for _, f := range g.Fired {
			if f.Rule == r.Rule && f.Each == r.Each {
				return f.Actions
			}
		}
	}
	return nil
}

func writeFired(w io.Writer, r *rules.RuleExplanation, asked []rules.Effect) {
	head := ruleName(r)
	if r.Outcome == rules.OutcomeShadow {
		head += " (shadow: without effects)"
	}
	fmt.Fprintln(w, "  "+clean(head, oneLine))
	writeTerm(w, r.When, 0)
	for i := range asked {
		fmt.Fprintln(w, "    -> "+clean(effectLine(&asked[i]), oneLine))
	}
}

// writeTerm writes a condition with the truth of its parts. What must all hold is listed without a word.
func writeTerm(w io.Writer, t *rules.Term, depth int) {
	if t == nil {
		return
	}
	if t.Op != "and" || depth > 0 {
		fmt.Fprintf(w, "    %-7s  %s%s\n", t.Truth, strings.Repeat("  ", depth), clean(termText(t), oneLine))
		depth++
	}
	for _, sub := range t.Terms {
		writeTerm(w, sub, depth)
	}
}

func termText(t *rules.Term) string {
	if t.Op != "atom" {
		return joined(": ", t.Macro, t.Op)
	}
	seen := make([]string, len(t.Seen))
	for i, s := range t.Seen {
		if list, ok := s.Value.([]any); ok { // what came as JSON
			s.Value = stringsOf(list)
		}
		seen[i] = s.String()
	}
	line := joined(": ", t.Macro, t.Text)
	if len(seen) > 0 {
		line += "  (" + strings.Join(seen, ", ") + ")"
	}
	return line
}

func stringsOf(list []any) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprint(v)
	}
	return out
}

// messageColumns is how much of a message is shown with the action that sends it.
const messageColumns = 80

// effectLine writes an action: case in queue packaging, due in 48h.
func effectLine(e *rules.Effect) string {
	parts := []string{string(e.Kind)}
	add := func(word, value string) {
		if value != "" {
			parts = append(parts, word+value)
		}
	}
	add("queue ", e.Queue)
	add("owner ", e.Owner)
	add("of the pool ", e.Pool)
	add("priority ", string(e.Priority))
	if e.Row > 0 {
		add("by row ", fmt.Sprintf("%d of the table %s", e.Row, e.Table))
	}
	if e.SLA > 0 {
		add("due within ", span(e.SLA))
	}
	if e.Resolve > 0 {
		add("to be resolved within ", span(e.Resolve))
	}
	add("severity ", string(e.Severity))
	add("to ", e.Destination)
	add("", strings.Join(e.Tags, " "))
	if words := cmp.Or(e.Summary, e.Message); words != "" {
		add("", strconv.Quote(cut(clean(words, oneLine), messageColumns)))
	}
	line := parts[0] + ": " + strings.Join(parts[1:], ", ")
	if len(parts) == 1 {
		line = parts[0]
	}
	if e.Note != "" {
		line += " (" + e.Note + ")"
	}
	return line
}

// done tells which effects were acted on, once and for all.
func (a *app) done(s *session, done []engine.EffectDone) {
	if len(done) == 0 {
		return
	}
	fmt.Fprintln(a.std.Out, "\nacted on")
	t := indented(text(""), text(""), text(""), text(""))
	for _, d := range done {
		lapsed := ""
		if d.Lapsed != 0 {
			lapsed = "no longer asked for since " + instant(d.Lapsed, s.zone)
		}
		t.add(instant(d.At, s.zone), d.Kind, d.Rule, lapsed)
	}
	t.write(a.std.Out, a.std.Width)
}
