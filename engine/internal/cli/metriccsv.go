package cli

import (
	"encoding/csv"
	"strconv"

	"github.com/closedloop/closedloop/engine"
)

// metricCSV writes a metric for spreadsheets: a line for each value, or for each of its periods. What is not known is empty.
func (a *app) metricCSV(r *engine.MetricResult) error {
	w := csv.NewWriter(a.cleaned())
	header := []string{"measure", "dimension", "value", "from", "to", "n", "figure", "lo", "hi"}
	if r.Before != nil && len(r.Periods) == 0 {
		header = append(header, "before_from", "before_to", "before_n", "before", "change", "p", "q")
	}
	lines := [][]string{header}
	for i := range r.Values {
		v := &r.Values[i]
		line := func(from, to string, f *engine.Figure) []string {
			return []string{r.Measure, r.Dimension, v.Value, from, to, strconv.Itoa(answers(r.Statistic, f)), cell(f.Value), cell(f.Lo), cell(f.Hi)}
		}
		for j := range v.Periods {
			lines = append(lines, line(r.Periods[j].From, r.Periods[j].To, &v.Periods[j]))
		}
		if len(r.Periods) > 0 {
			continue
		}
		total := line(r.From, r.To, &v.Total)
		if c := v.Change; c != nil {
			b := &c.Before
			total = append(total, r.Before.From, r.Before.To, strconv.Itoa(answers(r.Statistic, b)), cell(b.Value), cell(c.Value), cell(&c.P), cell(&c.Q))
		}
		lines = append(lines, total)
	}
	return w.WriteAll(lines)
}

// cell writes a number of at most six digits.
func cell(v *float64) string {
	if v == nil {
		return ""
	}
	const digits = 6
	return strconv.FormatFloat(*v, 'g', digits, 64)
}
