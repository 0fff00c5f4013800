package cli

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

func (a *app) metricCommand() *cobra.Command {
	var q engine.MetricQuery
	var f filters
	var until, every string
	var asCSV bool
	cmd := &cobra.Command{
		Use:     "metric [MEASURE]",
		Aliases: []string{"metrics"},
		Short:   "Tell a figure with its interval: of all, by theme or segment, over time",
		Long: `metric tells a figure with its 95 % interval. The measure is items, share (of all items, by a dimension), or a kind of
survey: nps; csat, as the share of the two best answers; ces, stars and others, as their mean. Without a measure it lists
what there is. Days, weeks from Monday and months are those of the program's timezone.

--compare tells the difference to the time before and how often chance alone makes as great a one: p for each value,
and q corrected for as many values as are compared. Below stands what is beyond chance: q at most 0.05. The time before is
as long as the chosen one; when that is whole months, it is as many whole months.`,
		Example: `  closedloop metric -C examples/retail
  closedloop metric nps --by theme --since 30d --compare
  closedloop metric nps --by theme --since 2026-03-01 --until 2026-03-31 --compare
  closedloop metric nps --by theme --value packaging --every week
  closedloop metric items --by theme --every month --csv`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("one at a time", "%s: found %d measures, expected one", cmd.CommandPath(), len(args))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&q.Dimension, "by", "", "divide by "+list(engine.Dimensions()))
	cmd.Flags().StringVar(&q.Value, "value", "", "only this `value` of what it is divided by")
	cmd.Flags().StringVar(&every, "every", "", "also of each "+list(engine.Periods()))
	cmd.Flags().BoolVar(&q.Compare, "compare", false, "compare with the time before --since")
	f.addSince(cmd)
	cmd.Flags().StringVar(&until, "until", "", "only until the day of this `time`, inclusive, given like --since")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "write the figures as CSV: those of each period, or else of each value")
	cmd.Flags().IntVar(&f.limit, "limit", 20, "list at most `n` values")
	cmd.PreRunE = func(*cobra.Command, []string) error { return f.check() }
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.asked(cmd.Context(), func(s *session) (err error) {
			measures, err := s.Measures(cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case asCSV && (a.json || len(args) == 0):
				return usage("closedloop metric nps --by theme --csv", "--csv is of a measure, and goes without --json")
			case len(args) == 0:
				return a.overview(measures)
			}
			q.Measure, q.Every, q.Limit = args[0], engine.Period(every), f.limit
			if err := checkMetric(&q, f.since, measures); err != nil {
				return err
			}
			now := a.std.Now()
			if q.Since, err = f.from(now, s.zone); err != nil {
				return err
			}
			if q.Until, err = instantOf("--until", until, now, s.zone); err != nil {
				return err
			}
			r, err := s.Metric(cmd.Context(), q)
			if err != nil {
				return err
			}
			if err := a.knownValue(cmd, s, &q, r); err != nil {
				return err
			}
			switch {
			case a.json:
				return a.printJSON(r)
			case asCSV:
				return a.metricCSV(r)
			}
			a.metricText(r, measures)
			return nil
		})
	}
	return a.programFlags(cmd)
}

// checkMetric says what was probably meant where a name is unknown.
func checkMetric(q *engine.MetricQuery, since string, measures []engine.Measure) error {
	known := []string{engine.MeasureItems, engine.MeasureShare, string(feedback.NPS), string(feedback.CSAT), string(feedback.CES), string(feedback.Stars)}
	for _, m := range measures {
		if !slices.Contains(known, m.Measure) {
			known = append(known, m.Measure)
		}
	}
	if _, err := oneOf("measure", q.Measure, known...); err != nil {
		return err
	}
	if q.Dimension != "" {
		if _, err := oneOf("--by", q.Dimension, engine.Dimensions()...); err != nil {
			return err
		}
	}
	if q.Every != "" {
		if _, err := oneOf("--every", string(q.Every), engine.Periods()...); err != nil {
			return err
		}
	}
	switch {
	case q.Value != "" && q.Dimension == "":
		return usage("closedloop metric nps --by theme --value packaging", "--value needs --by, which says of what")
	case q.Measure == engine.MeasureShare && q.Dimension == "":
		return usage("closedloop metric share --by theme", "a share needs --by, which says of what")
	case q.Compare && since == "":
		return usage("closedloop metric nps --since 30d --compare", "--compare needs --since: nothing is before a time without a beginning")
	}
	return nil
}

// knownValue refuses a value that has no feedback at all: it is rather misspelt.
func (a *app) knownValue(cmd *cobra.Command, s *session, q *engine.MetricQuery, r *engine.MetricResult) error {
	if q.Value == "" || len(r.Values) == 1 && (r.Values[0].Total.N > 0 && q.Measure != engine.MeasureShare || r.Values[0].Total.Hits > 0) {
		return nil
	}
	const most = 10_000
	all, err := s.Metric(cmd.Context(), engine.MetricQuery{Measure: engine.MeasureItems, Dimension: q.Dimension, Limit: most})
	if err != nil {
		return err
	}
	var known []string
	for i := range all.Values {
		if all.Values[i].Value == q.Value {
			return nil
		}
		known = append(known, all.Values[i].Value)
	}
	hint := cmp.Or(suggest.DidYouMean(q.Value, known), "closedloop metric items --by "+q.Dimension+" lists those that there are")
	return usage(hint, "--value: there is no feedback of the %s %q", q.Dimension, q.Value)
}

// overview lists what can be measured.
func (a *app) overview(measures []engine.Measure) error {
	if a.json {
		return a.printJSON(measures)
	}
	if len(measures) == 0 {
		a.none("feedback yet")
		return nil
	}
	t := newTable(text("measure"), text("what"), digits("n"), digits("value"), text("95 % interval"), text("from"), text("to"))
	for i := range measures {
		m := &measures[i]
		value, interval := figures(m.Statistic, &m.Total)
		t.add(m.Measure, string(m.Statistic), grouped(m.Total.N), value, interval, m.From, m.To)
	}
	t.write(a.std.Out, a.std.Width)
	return nil
}

// metricText writes a metric for people: values in lines, or the periods of the only one.
func (a *app) metricText(r *engine.MetricResult, measures []engine.Measure) {
	what := "feedback"
	if r.Dimension != "" {
		what += " of a " + r.Dimension
	}
	if none := len(r.Values) == 1 && r.Values[0].Total.N == 0 && r.Before == nil && r.Dimension == ""; none || len(r.Values) == 0 {
		a.none(what + " in that time" + thereIs(r.Measure, measures))
		return
	}
	fmt.Fprintln(a.std.Out, clean(metricTitle(r), oneLine))
	if len(r.Values) == 1 && len(r.Periods) > 0 {
		a.metricPeriods(r)
		return
	}
	t := newTable(elastic(cmp.Or(r.Dimension, "all")), digits("n"), digits(valueTitle(r.Statistic)), text("95 % interval"), text(curveTitle(r)))
	if r.Before != nil {
		t.columns = append(t.columns, digits("before"), digits("change"), digits("p"), digits("q"))
	}
	var totals, all []engine.Figure
	for i := range r.Values {
		totals, all = append(totals, r.Values[i].Total), append(all, r.Values[i].Periods...)
	}
	draw, curves := drawing(r.Statistic, totals), drawing(engine.MeanAnswer, all)
	for i := range r.Values {
		v := &r.Values[i]
		value, interval := figures(r.Statistic, &v.Total)
		drawn := curves.curve(v.Periods)
		if r.Every == "" {
			drawn = draw.figure(&v.Total)
		}
		cells := []string{cmp.Or(v.Value, "all"), grouped(answers(r.Statistic, &v.Total)), value, interval, drawn}
		t.add(append(cells, changeCells(r.Statistic, v.Change)...)...)
	}
	t.write(a.std.Out, a.std.Width)
	if r.More > 0 {
		fmt.Fprintf(a.std.Out, "and %s more: --limit\n", grouped(r.More))
	}
	if r.Before != nil {
		fmt.Fprintln(a.std.Out, clean(beyondChance(r), oneLine))
	}
}

// thereIs tells of which time there is feedback.
func thereIs(measure string, measures []engine.Measure) string {
	if measure == engine.MeasureShare {
		measure = engine.MeasureItems
	}
	for i := range measures {
		if m := &measures[i]; m.Measure == measure && m.From != "" {
			return "; there is some from " + m.From + " to " + m.To
		}
	}
	return ""
}

// surely is the share of false alarms up to which a change is told as one.
const surely = 0.05

// beyondChance says in a sentence which of the listed values have changed by more than chance makes.
func beyondChance(r *engine.MetricResult) string {
	var changed []string
	for i := range r.Values {
		if v := &r.Values[i]; v.Change != nil && v.Change.Value != nil && v.Change.Q <= surely {
			changed = append(changed, cmp.Or(v.Value, "all")+" "+changeCells(r.Statistic, v.Change)[1])
		}
	}
	if len(changed) == 0 {
		return "nothing here changed by more than chance makes"
	}
	return "beyond chance: " + strings.Join(changed, ", ")
}

func metricTitle(r *engine.MetricResult) string {
	parts := []string{r.Measure}
	if r.Statistic != engine.CountOfItems && string(r.Statistic) != r.Measure {
		parts[0] += " (" + string(r.Statistic) + ")"
	}
	if r.From != "" || r.To != "" {
		parts = append(parts, cmp.Or(r.From, "the beginning")+" to "+cmp.Or(r.To, "the end"))
	}
	if r.Before != nil {
		parts = append(parts, "compared with "+r.Before.From+" to "+r.Before.To)
	}
	return strings.Join(parts, ", ")
}

// metricPeriods writes the periods of one value, one below the other.
func (a *app) metricPeriods(r *engine.MetricResult) {
	v := &r.Values[0]
	t := newTable(text("from"), text("to"), digits("n"), digits(valueTitle(r.Statistic)), text("95 % interval"), text(axis(r.Statistic)))
	draw := drawing(r.Statistic, v.Periods)
	for i := range v.Periods {
		p := &v.Periods[i]
		value, interval := figures(r.Statistic, p)
		t.add(r.Periods[i].From, r.Periods[i].To, grouped(answers(r.Statistic, p)), value, interval, draw.figure(p))
	}
	value, interval := figures(r.Statistic, &v.Total)
	t.add(cmp.Or(v.Value, "all"), "", grouped(answers(r.Statistic, &v.Total)), value, interval)
	t.write(a.std.Out, a.std.Width)
	if c := v.Change; c != nil {
		cells := changeCells(r.Statistic, c)
		fmt.Fprintf(a.std.Out, "before %s, change %s, p %s\n", cells[0], cells[1], cells[2])
	}
}

// answers returns how many there are of what a line tells.
func answers(s engine.Statistic, f *engine.Figure) int {
	if s == engine.ShareOfItems {
		return f.Hits
	}
	return f.N
}

func valueTitle(s engine.Statistic) string {
	switch s {
	case engine.CountOfItems:
		return "items"
	case engine.NetPromoterScore:
		return "nps"
	case engine.MeanAnswer:
		return "mean"
	}
	return "share"
}

// figures writes a value and its interval.
func figures(s engine.Statistic, f *engine.Figure) (value, interval string) {
	if f.Value == nil {
		return "-", ""
	}
	value = inUnits(s, *f.Value)
	if f.Lo != nil && f.Hi != nil {
		interval = inUnits(s, *f.Lo) + " to " + inUnits(s, *f.Hi)
	}
	return value, interval
}

func inUnits(s engine.Statistic, v float64) string {
	switch s {
	case engine.CountOfItems:
		return grouped(int(math.Round(v)))
	case engine.NetPromoterScore:
		return signed(v)
	case engine.MeanAnswer:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.1f %%", 100*v)
}

// changeCells writes what a comparison tells. Nothing makes no cells.
func changeCells(s engine.Statistic, c *engine.Change) []string {
	if c == nil {
		return nil
	}
	before, _ := figures(s, &c.Before)
	change := "-"
	if c.Value != nil {
		switch s {
		case engine.CountOfItems:
			change = fmt.Sprintf("%+.0f %%", 100*(*c.Value-1))
		case engine.NetPromoterScore:
			change = signed(*c.Value)
		case engine.MeanAnswer:
			change = fmt.Sprintf("%+.2f", *c.Value)
		default:
			change = fmt.Sprintf("%+.1f", 100**c.Value)
		}
	}
	return []string{before, change, probability(c.P), probability(c.Q)}
}

func probability(p float64) string {
	if p < 0.001 {
		return "<0.001"
	}
	return fmt.Sprintf("%.3f", p)
}

func curveTitle(r *engine.MetricResult) string {
	if r.Every == "" {
		return axis(r.Statistic)
	}
	return "each " + string(r.Every)
}
