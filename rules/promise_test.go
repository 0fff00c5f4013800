package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

const promising = `version: 1
calendars:
  office: {days: mon-fri, hours: "09:00-17:00"}
groups:
  - name: route
    rules:
      - id: detractor
        when: nps <= 6
        do:
          - case:
              {sla: 4h, resolve: 5d, calendar: office, escalate: [
                {after: 5d, contacts: 2, queue: product, owner: paul, notify: exec, message: "{customer.name} waits: {text}"},
                {after: 24h, value: 100000, priority: urgent}]}
      - {id: calm, when: nps > 6, do: [{case: {resolve: 7d, warn: 50%}}]}
`

func TestACaseIsPromised(t *testing.T) {
	t.Parallel()
	set := compile(t, promising)
	ev := &feedback.Event{Item: &feedback.Item{Survey: feedback.NPS, Score: new(2.0), Text: "well", Customer: feedback.Customer{Name: "Kim"}}}
	e := set.Evaluate(ev, 0, nil).Effects[0]
	if e.SLA != 4*time.Hour || e.Resolve != 5*24*time.Hour || e.Warn != 0.75 || e.Calendar != "office" {
		t.Errorf("%+v", e)
	}
	steps := set.Escalations("detractor")
	if len(steps) != 2 || steps[0].After != 24*time.Hour || steps[0].Value != 100_000 || steps[0].Priority != Urgent || steps[0].Destination != "" ||
		steps[1].Contacts != 2 || steps[1].Queue != "product" || steps[1].Owner != "paul" || steps[1].Destination != "exec" {
		t.Errorf("%+v", steps)
	}
	if got := set.EscalationText(&steps[1], ev, 0); got != "Kim waits: well" {
		t.Errorf("the step tells %q", got)
	}
	if got := set.EscalationText(&steps[0], ev, 0); got != "" {
		t.Errorf("the silent step tells %q", got)
	}
	ev.Item.Score = new(9.0)
	if e := set.Evaluate(ev, 0, nil).Effects[0]; e.Warn != 0.5 || e.SLA != 0 || len(set.Escalations("calm")) != 0 || len(set.Escalations("gone")) != 0 {
		t.Errorf("%+v", e)
	}
}

func TestLeftIsTheOtherSideOfDue(t *testing.T) {
	t.Parallel()
	set := compile(t, promising)
	monday := feedback.TimeOf(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	for _, c := range []struct {
		calendar string
		d        time.Duration
	}{{"office", 4 * time.Hour}, {"office", 40 * time.Hour}, {"", 40 * time.Hour}, {"gone", time.Minute}} {
		if left := set.Left(monday, set.Due(monday, c.d, c.calendar), c.calendar); left != c.d {
			t.Errorf("%s of %q: %s", c.d, c.calendar, left)
		}
	}
	if left := set.Left(monday, monday-1, "office"); left != 0 {
		t.Errorf("back in time: %s", left)
	}
}

func TestPromiseProblems(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]string{
		`{calendar: office}`:                                                        `found calendar without sla, resolve or escalate`,
		`{warn: 50%}`:                                                               `found warn without sla or resolve`,
		`{sla: 4h, warn: 0.5}`:                                                      `expected a string`,
		`{sla: 4h, warn: 100%}`:                                                     `expected a share of the time between 0% and 100%`,
		`{sla: 4h, warn: 50}`:                                                       `expected a string`,
		`{sla: 48h, resolve: 4h}`:                                                   `found a resolution within 4h0m0s, which is before the first response`,
		`{escalate: []}`:                                                            `found no step`,
		`{escalate: [{priority: high}]}`:                                            `missing key "after"`,
		`{escalate: [{after: 4h}]}`:                                                 `found a step that does nothing`,
		`{escalate: [{after: 4h, queue: nowhere}]}`:                                 `the program declares no queue "nowhere"`,
		`{escalate: [{after: 4h, notify: nobody}]}`:                                 `the program declares no destination "nobody"`,
		`{escalate: [{after: 4h, priority: high, message: x}]}`:                     `found message without notify`,
		`{escalate: [{after: 4h, priority: high, value: -1}]}`:                      `expected an account value of 0 or more`,
		`{escalate: [{after: 4h, priority: high, contacts: 0}]}`:                    `expected a number of contacts of 1 or more`,
		`{escalate: [{after: 4h, notify: exec, message: "{custmer.name}"}]}`:        `did you mean`,
		`{escalate: [` + strings.Repeat(`{after: 4h, priority: high}, `, 17) + `]}`: `found 17 steps, expected at most 16`,
	} {
		file := "version: 1\ncalendars: {office: {days: mon-fri, hours: \"09:00-17:00\"}}\ngroups:\n  - name: g\n    rules:\n" +
			"      - {id: a, when: nps < 3, do: [{case: " + action + "}]}\n"
		_, err := Compile([]File{{Name: "x.yaml", Data: []byte(file)}}, env())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", action, err, want)
		}
	}
}
