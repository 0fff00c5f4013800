package records

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/quickjson"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// caseDelta is what the audit log says of a change of a case.
type caseDelta struct {
	Before map[string]any       `json:"before,omitempty"`
	After  map[string]any       `json:"after,omitempty"`
	Lines  []feedback.CaseEvent `json:"lines,omitempty"`
}

// caseOpened is what it says of a new case.
type caseOpened struct {
	After caseOpening          `json:"after"`
	Lines []feedback.CaseEvent `json:"lines,omitempty"`
}

var (
	caseDeltas  = quickjson.For[caseDelta](true)
	casesOpened = quickjson.For[caseOpened](true)
)

// caseOpening is where a new case is; its line says what was promised.
type caseOpening struct {
	Item     feedback.ItemID     `json:"item"`
	Rule     string              `json:"rule"`
	Status   feedback.CaseStatus `json:"status"`
	Queue    string              `json:"queue,omitempty"`
	Owner    string              `json:"owner,omitempty"`
	Priority string              `json:"priority,omitempty"`
	OpenedAt feedback.Time       `json:"opened_at"`
}

// CaseDelta writes the members of a case that differ, before and after, and the lines that its history has gained; of
// lists, which only grow, what they have gained. The customer is left out: what is said here cannot be taken back. Of a
// new case, whose before is nil, it says where it is.
func CaseDelta(before, after *feedback.Case) (b json.RawMessage, err error) {
	b = make([]byte, 0, 384) // which is enough for most
	if before == nil {
		b, err = casesOpened.Append(b, &caseOpened{
			After: caseOpening{
				Item: after.Item, Rule: after.Rule, Status: after.Status, Queue: after.Queue, Owner: after.Owner, Priority: after.Priority,
				OpenedAt: after.OpenedAt,
			},
			Lines: after.History,
		})
	} else {
		lines := after.HistoryBefore + len(after.History) - before.HistoryBefore - len(before.History)
		d := caseDelta{Lines: after.History[max(0, len(after.History)-lines):]}
		d.Before, d.After = differing(before, after)
		b, err = caseDeltas.Append(b, &d)
	}
	if err != nil {
		return nil, fmt.Errorf("case %s: %w", after.ID, err)
	}
	return b, nil
}

// caseMember is a member of a case of which the audit log tells.
type caseMember struct {
	name  string
	index int
}

var caseMembers = membersOf(reflect.TypeFor[feedback.Case](), "id", "customer", "history", "history_before")

// membersOf returns the members of a struct by their names in JSON, but for some.
func membersOf(t reflect.Type, but ...string) (out []caseMember) {
	skip := map[string]bool{}
	for _, name := range but {
		skip[name] = true
	}
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); !skip[name] {
			out = append(out, caseMember{name, i})
		}
	}
	return out
}

// differing returns the members that differ, where they are not empty.
func differing(before, after *feedback.Case) (was, is map[string]any) {
	was, is = map[string]any{}, map[string]any{}
	a, b := reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem()
	for _, m := range caseMembers {
		x, y := a.Field(m.index), b.Field(m.index)
		if x.Kind() == reflect.Slice {
			if x.Len() < y.Len() {
				is[m.name] = y.Slice(x.Len(), y.Len()).Interface()
			}
			continue
		}
		if x.Equal(y) {
			continue
		}
		if !x.IsZero() {
			was[m.name] = x.Interface()
		}
		if !y.IsZero() {
			is[m.name] = y.Interface()
		}
	}
	return was, is
}
