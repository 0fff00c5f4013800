package cli

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

//go:embed casereportpage.html
var reportTemplate string

// reportPage writes a report as one page that needs nothing else: no script, no font and no picture from elsewhere.
func reportPage(w io.Writer, r *engine.CaseReport, zone *time.Location) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"grouped": grouped, "percent": percent, "promised": func(p engine.Promise) string { return promised(&p) }, "took": took, "ofAll": ofAll,
		"instant": func(t feedback.Time) string { return instant(t, zone) },
		"whisker": whisker, "barOf": barOf,
		"whole": func(v float64) string { return grouped(int(v)) },
		"value": func(v float64) int { return int(v) },
	}).Parse(reportTemplate)
	if err != nil {
		return err
	}
	return t.Execute(w, r)
}

// whisker draws a share from 0 to 100 % with its interval.
func whisker(s engine.Share) template.HTML {
	if s.Of == 0 {
		return ""
	}
	const width = 200
	return template.HTML(fmt.Sprintf(
		`<svg viewBox="0 0 %d 16" role="img" aria-label="%.0f %%"><rect class="all" y="5" width="%d" height="6" rx="3"/>`+
			`<rect class="hit" x="%.1f" y="5" width="%.1f" height="6" rx="3"/><circle class="dot" cx="%.1f" cy="8" r="5"/></svg>`,
		width, 100*s.Value, width, width*s.Lo, width*(s.Hi-s.Lo), width*s.Value))
}

// barOf draws n of most as a bar.
func barOf(n, most int) template.HTML {
	if most <= 0 {
		return ""
	}
	const width = 200
	return template.HTML(fmt.Sprintf(
		`<svg viewBox="0 0 %d 16" role="img" aria-label="%d"><rect class="hit" y="3" width="%.1f" height="10" rx="2"/></svg>`,
		width, n, max(1, width*float64(n)/float64(most))))
}
