package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

func (a *app) deliveriesCommand() *cobra.Command {
	list := a.showDeliveries()
	list.Use = "list"
	list.Example = "  closedloop deliveries list -C examples/retail --destination care-team\n  closedloop deliveries list --status dead --since 7d --json"
	return group("deliveries", "See what is on its way to destinations, try it again, or drop it",
		`a delivery is a message to a destination. It waits, is tried again when it has failed, and is dead when it was given up.
Its key, which the destination sees too, never changes; its beginning is enough when only one delivery has it.`,
		`  closedloop deliveries status
  closedloop deliveries list --destination care-team --status dead
  closedloop deliveries replay msg_4f0c
  closedloop deliveries replay --all --destination care-team --yes`,
		a.deliveriesStatus(), list, a.deliveryShow(), a.deliveriesReplay(), a.deliveriesDrop())
}

// deliveryFlags are flags that choose deliveries.
type deliveryFlags struct {
	q             engine.DeliveryQuery
	status        string
	since, before filters
}

func (f *deliveryFlags) add(cmd *cobra.Command) {
	states := make([]string, 0, 3)
	for _, st := range engine.DeliveryStates() {
		states = append(states, string(st))
	}
	flags := cmd.Flags()
	flags.StringVar(&f.q.Destination, "destination", "", "only to the destination with this `id`")
	flags.StringVar(&f.status, "status", "", "only "+list(states))
	flags.StringVar(&f.q.Kind, "kind", "", "only of this `kind`, such as notify, alert, digest or escalation")
	flags.StringVar(&f.q.Code, "code", "", "only those given up with this `code`: refused, attempts, too_old or no_destination")
	flags.StringVar(&f.since.since, "since", "", "only from this `time` on: 7d, 36h, 2026-03-02 or 2026-03-02T10:00:00Z")
	flags.StringVar(&f.before.since, "before", "", "only older than this `time`, written likewise")
}

// query returns what the flags choose.
func (f *deliveryFlags) query(a *app, s *session) (q engine.DeliveryQuery, err error) {
	q = f.q
	if f.status != "" {
		var states []string
		for _, st := range engine.DeliveryStates() {
			states = append(states, string(st))
		}
		if _, err := oneOf("--status", f.status, states...); err != nil {
			return q, err
		}
		q.State = engine.DeliveryState(f.status)
	}
	if q.Since, err = f.since.from(a.std.Now(), s.zone); err != nil {
		return q, err
	}
	q.Before, err = f.before.from(a.std.Now(), s.zone)
	return q, err
}

// knownDestination refuses a destination of which there is nothing: it is rather misspelt.
func (s *session) knownDestination(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	all, err := s.Destinations(ctx)
	if err != nil {
		return err
	}
	var known []string
	for i := range all {
		known = append(known, all[i].ID)
	}
	if slices.Contains(known, id) {
		return nil
	}
	hint := cmp.Or(suggest.DidYouMean(id, known), "closedloop deliveries status lists them")
	return usage(hint, "--destination: there is no destination %q", id)
}

func (a *app) showDeliveries() *cobra.Command {
	var f deliveryFlags
	var limit filters
	cmd := &cobra.Command{
		Use:     "deliveries",
		Short:   "List the messages that have not reached their destination",
		Long:    "Those that wait come first, by destination in their order, and then those that were given up, the latest first.",
		Example: "  closedloop show deliveries -C examples/retail --destination care-team",
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.q.After, "after", "", "go on behind this `place`, which the page before names")
	limit.addLimit(cmd)
	ask := func(ctx context.Context, s *session) (page engine.DeliveryPage, err error) {
		q, err := f.query(a, s)
		if err != nil {
			return page, err
		}
		q.Limit, q.NoBody = limit.limit, !a.json
		if page, err = s.Deliveries(ctx, q); err == nil && len(page.Deliveries) == 0 {
			err = s.knownDestination(ctx, q.Destination)
		}
		return page, err
	}
	return listed(a, limited(cmd, &limit), ask, a.deliveriesTable)
}

func (a *app) deliveriesTable(s *session, page engine.DeliveryPage) {
	if len(page.Deliveries) == 0 {
		a.none("deliveries")
		return
	}
	t := newTable(ident("key"), narrow("destination"), text("state"), text("kind"), ident("item"), text("since"), digits("attempts"), text("next"), elastic("why"))
	for i := range page.Deliveries {
		d := &page.Deliveries[i]
		t.add(d.Key, d.Destination, string(d.State), d.Kind, string(d.Item), instant(d.CreatedAt, s.zone), strconv.Itoa(d.Attempts), nextTry(d, s), undelivered(d))
	}
	t.write(a.std.Out, a.std.Width)
	if page.Next != "" {
		fmt.Fprintf(a.std.Out, "\nmore: --after %s\n", page.Next)
	}
}

// nextTry says when a delivery is tried again; one that was given up is not.
func nextTry(d *engine.Delivery, s *session) string {
	if d.State == engine.DeliveryDead {
		return ""
	}
	return moment(d.NextAt, s.zone)
}

// undelivered says why a delivery has not reached its destination.
func undelivered(d *engine.Delivery) string {
	if d.State == engine.DeliveryDead {
		return d.Code + ": " + d.Reason
	}
	return d.LastError
}

func (a *app) deliveryShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show KEY",
		Short:   "Show a delivery with what it says",
		Example: "  closedloop deliveries show msg_4f0c",
		Args:    exact(1, "the key of a delivery, which closedloop deliveries list lists"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asked(cmd.Context(), func(s *session) error {
				d, err := s.delivery(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(d)
				}
				a.deliveryText(s, d)
				return nil
			})
		},
	}
	return a.programFlags(cmd)
}

// delivery returns the delivery that a person means by a whole key or the beginning of one, or by a dead letter's id.
func (s *session) delivery(ctx context.Context, typed string) (*engine.Delivery, error) {
	key := strings.ToLower(strings.TrimSuffix(typed, "…"))
	if !strings.HasPrefix(key, "msg_") && !strings.HasPrefix(key, "x_") {
		key = "msg_" + key
	}
	if key == "msg_" || key == "x_" {
		return nil, noID("delivery", typed, "closedloop deliveries list")
	}
	page, err := s.Deliveries(ctx, engine.DeliveryQuery{Key: key, Limit: 2})
	switch found := page.Deliveries; {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, usage("it may have been delivered; closedloop deliveries list lists what there is", "there is no delivery %q", typed)
	case len(found) > 1:
		return nil, usage("add more of the key: closedloop deliveries list lists them", "more than one delivery has a key that begins with %s", typed)
	default:
		return &found[0], nil
	}
}

func (a *app) deliveryText(s *session, d *engine.Delivery) {
	var f facts
	f.add("key", d.Key)
	f.add("destination", d.Destination)
	f.add("state", string(d.State))
	f.add("kind", d.Kind)
	f.add("item", string(d.Item))
	f.add("case", string(d.Case))
	f.add("about", strings.ReplaceAll(d.Subject, "\x1f", ", "))
	f.add("since", instant(d.CreatedAt, s.zone))
	f.add("replayed", instant(d.ReplayedAt, s.zone))
	f.add("attempts", strconv.Itoa(d.Attempts))
	f.add("next", nextTry(d, s))
	f.add("died", instant(d.DiedAt, s.zone))
	f.add("dead letter", d.Letter)
	f.add("why", undelivered(d))
	f.write(a.std.Out, a.std.Width)
	var body any
	if json.Unmarshal(d.Body, &body) == nil {
		if b, err := json.MarshalIndent(body, "  ", "  "); err == nil {
			fmt.Fprintf(a.cleaned(), "\nbody\n  %s\n", b)
		}
	}
}

// deliveryAct is what a command does to deliveries.
type deliveryAct struct {
	act   engine.DeliveryAction
	which deliveryFlags
	all   bool
	yes   bool
}

func (x *deliveryAct) add(a *app, cmd *cobra.Command) *cobra.Command {
	a.programFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&x.act.Why, "why", "", "the `reason`")
	f.StringVar(&x.act.By.Name, "by", whoAmI(), "`who` does it")
	f.StringSliceVar(&x.act.By.Roles, "role", nil, "a `role` of who does it, for the host to judge")
	f.BoolVar(&x.all, "all", false, "all deliveries that the flags choose")
	f.BoolVar(&x.yes, "yes", false, "do it to all; without it the command only says what it would do")
	f.BoolVar(&x.act.Rehearse, "dry-run", false, "only say what would be done")
	x.which.add(cmd)
	cmd.Args = x.arguments
	return cmd
}

func (x *deliveryAct) arguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0 && !x.all:
		return usage("closedloop deliveries list lists them", "%s needs the key of a delivery, or --all", cmd.CommandPath())
	case len(args) > 0 && x.all:
		return usage("", "%s: found a key and --all, expected one of them", cmd.CommandPath())
	}
	return nil
}

func (a *app) deliveriesReplay() *cobra.Command {
	x := &deliveryAct{act: engine.DeliveryAction{Action: engine.ActionReplay}}
	return x.add(a, &cobra.Command{
		Use:   "replay [KEY ...]",
		Short: "Try deliveries again",
		Long: `replay puts dead deliveries back at the end of their destination's line, and has those that wait for another try be tried
at once. Key and body stay as they are, so that a destination that has seen one can drop it. With --all it takes the dead
ones that the flags choose, in the order in which they were first sent, unless --status says otherwise.`,
		Example: "  closedloop deliveries replay msg_4f0c\n  closedloop deliveries replay --all --destination care-team --dry-run\n  closedloop deliveries replay --all --destination care-team --code refused --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			if x.which.status == "" {
				x.which.status = string(engine.DeliveryDead)
			}
			return a.actOnDeliveries(cmd.Context(), x, args)
		},
	})
}

func (a *app) deliveriesDrop() *cobra.Command {
	x := &deliveryAct{act: engine.DeliveryAction{Action: engine.ActionDrop}}
	return x.add(a, &cobra.Command{
		Use:   "drop [KEY ...]",
		Short: "Give deliveries up for good",
		Long: `drop takes deliveries away, waiting or dead, for a reason that the audit log keeps. One that is just on its way may
arrive all the same.`,
		Example: "  closedloop deliveries drop msg_4f0c --why 'was told by phone'\n  closedloop deliveries drop --all --destination old-hook --status dead --why 'moved' --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.actOnDeliveries(cmd.Context(), x, args)
		},
	})
}

// acted is what became of the deliveries that a command acted on.
type acted struct {
	Action   engine.Action `json:"action"`
	Rehearse bool          `json:"rehearsed,omitempty"` // nothing was done
	engine.DeliveryResult
}

func (a *app) actOnDeliveries(ctx context.Context, x *deliveryAct, typed []string) error {
	return a.asked(ctx, func(s *session) error {
		act := x.act
		total := acted{Action: act.Action, DeliveryResult: engine.DeliveryResult{Destinations: map[string]int{}}}
		if x.all {
			q, err := x.which.query(a, s)
			if err != nil {
				return err
			}
			act.All, act.Rehearse = &q, act.Rehearse || !x.yes
			total.Rehearse = act.Rehearse
			if total.DeliveryResult, err = s.ActOnDeliveries(ctx, act); err == nil && total.Done == 0 {
				err = s.knownDestination(ctx, q.Destination)
			}
			if err != nil {
				return err
			}
			return a.tellActed(&total)
		}
		total.Rehearse = act.Rehearse
		for _, t := range typed {
			d, err := s.delivery(ctx, t)
			if err != nil {
				return err
			}
			act.Key = d.Key
			result, err := s.ActOnDeliveries(ctx, act)
			if err != nil {
				return err
			}
			total.Done += result.Done
			for id, n := range result.Destinations {
				total.Destinations[id] += n
			}
		}
		return a.tellActed(&total)
	})
}

func (a *app) tellActed(r *acted) error {
	if a.json {
		return a.printJSON(r)
	}
	if r.Done == 0 {
		a.none("deliveries")
		return nil
	}
	verb := map[engine.Action]string{engine.ActionReplay: "replayed", engine.ActionDrop: "dropped"}[r.Action]
	would := ""
	if r.Rehearse {
		would = "would be "
	}
	for _, id := range slices.Sorted(maps.Keys(r.Destinations)) {
		fmt.Fprintf(a.cleaned(), "%s to %s %s%s\n", count(r.Destinations[id], "delivery"), id, would, verb)
	}
	if r.Rehearse {
		fmt.Fprintln(a.std.Out, "nothing was done: --yes does it")
	}
	return nil
}

func (a *app) deliveriesStatus() *cobra.Command {
	return listed(a, &cobra.Command{
		Use:   "status",
		Short: "Show how the destinations stand",
		Long: `status shows what each destination does, what waits for it and what was given up. A destination that failed several times
in a row is left alone for a time, so that nothing is tried in vain: its breaker is open. Then a single message tries
whether it works again (half open). What waits meanwhile loses no attempts. Sent and failed count attempts since the
engine was started.`,
		Example: "  closedloop deliveries status -C examples/retail",
	}, func(ctx context.Context, s *session) ([]engine.DestinationState, error) { return s.Destinations(ctx) }, a.destinationsTable)
}

func (a *app) destinationsTable(s *session, all []engine.DestinationState) {
	if len(all) == 0 {
		a.none("destinations")
		return
	}
	t := newTable(narrow("destination"), elastic("state"), digits("waiting"), text("oldest"), text("next"), digits("dead"), digits("sent"), digits("failed"), elastic("last error"))
	for i := range all {
		d := &all[i]
		sent, failed := "", ""
		if m := d.Serving; m != nil {
			sent, failed = grouped(int(m.Sent)), grouped(int(m.Failed))
		}
		t.add(d.ID, stateOf(d, s), grouped(d.Waiting), instant(d.Oldest, s.zone), moment(d.NextAt, s.zone), grouped(d.Dead), sent, failed, d.LastError)
	}
	t.write(a.std.Out, a.std.Width)
}

func (a *app) destinationMetrics(all map[string]engine.DestinationMetrics) {
	t := indented(text("id"), text("breaker"), digits("opened"), digits("on their way"), digits("sent"), digits("failed"), digits("dead"))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		m := all[id]
		t.add(id, strings.ReplaceAll(m.Breaker, "_", " "), grouped(int(m.Opened)), grouped(m.InFlight), grouped(int(m.Sent)), grouped(int(m.Failed)), grouped(int(m.Dead)))
	}
	t.write(a.std.Out, a.std.Width)
}

// stateOf says in a few words how a destination stands.
func stateOf(d *engine.DestinationState, s *session) string {
	m := d.Serving
	switch {
	case d.Gone:
		return "not in the program"
	case m == nil:
		return "not running"
	case m.Trouble != "":
		return "held up: " + m.Trouble
	case m.Breaker != "closed":
		return joined(" ", "left alone", until(m.Resting, s), "(breaker "+strings.ReplaceAll(m.Breaker, "_", " ")+")")
	case m.Resting != 0:
		return "left alone " + until(m.Resting, s)
	}
	return cmp.Or(map[bool]string{true: "sending"}[m.InFlight > 0], "ready")
}

func until(t feedback.Time, s *session) string {
	if t == 0 {
		return ""
	}
	return "until " + moment(t, s.zone)
}
