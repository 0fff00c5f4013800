package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Customers are found by a part of what they are called, whatever its case: each once, as the latest feedback has it.
func TestCustomersAreFound(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles), &parts{})
	given := []feedback.Customer{
		{ID: "c-1", Name: "Anna Berg", Email: "anna@example.com"},
		{ID: "c-2", Name: "Ben", Account: "Bergwerk"},
		{ID: "c-1", Name: "Anna Tal", Email: "anna@example.com"},
		{Email: "Cara@example.com"},
		{Email: "cara@example.com"},
		{Name: "Nobody Berg"}, // who is not to be told from another one
	}
	for i := range given {
		it := answer(fmt.Sprint("n", i), 9, "fine")
		it.Customer = given[i]
		it.OccurredAt = feedback.TimeOf(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Hour))
		if _, err := e.Ingest(t.Context(), "app", it); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]string{
		"":            "/cara@example.com/2 c-1/anna@example.com/2 c-2//1",
		"ANNA":        "c-1/anna@example.com/2",
		"berg":        "c-1/anna@example.com/2 c-2//1",
		"example.com": "/cara@example.com/2 c-1/anna@example.com/2",
		"c-2":         "c-2//1",
		"x":           "/cara@example.com/2 c-1/anna@example.com/2",
		"nobody":      "",
	} {
		found, err := e.Customers(t.Context(), engine.CustomerQuery{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range found {
			got = append(got, fmt.Sprintf("%s/%s/%d", f.Customer.ID, f.Customer.Email, f.Items))
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%q: found %s, want %s", text, g, want)
		}
	}
	if found, err := e.Customers(t.Context(), engine.CustomerQuery{Limit: 1}); err != nil || len(found) != 1 {
		t.Error(found, err)
	}
}
