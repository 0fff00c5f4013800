package pipeline

import (
	"bytes"
	"slices"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/redact"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// What is redacted is nowhere in the store: not in items, nor in messages, nor in what is kept of rows and items that are
// rejected. Evidence counts into the text as it is stored.
func TestRedactionComesBeforeEverything(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.ItemAttributes["note"] = feedback.String })
	w.source.Redact = redact.All
	secret := "anna@example.com or +44 20 7946 0958"
	first := answer("1", 3, "Write to "+secret+" about the #packaging of the box")
	first.Title = "From anna@example.com"
	first.URL = "https://example.com/r/4111111111111111?from=anna%40example.com"
	first.Customer.Name, first.Customer.Email = "anna@example.com", "anna@customer.example"
	first.Attributes = feedback.Attributes{"note": feedback.StringValue("card 4111 1111 1111 1111")}
	given := first.Attributes["note"]
	bad := answer("3", 30, secret)
	r, err := w.try(Chunk{
		Source: w.source, Batch: "b", Items: []feedback.Item{first, answer("2", 3, "poison "+secret), bad},
		Rejects: []sdk.Reject{{Position: "line 9", Code: "bad", Message: "found " + secret, Raw: "9," + secret}},
		Notices: []sdk.Notice{{Code: "odd", Message: "line 9 has " + secret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Import.New != 1 || r.Import.Rejected != 3 || r.Import.Redacted != 6 {
		t.Errorf("got %+v", r.Import)
	}
	rec := load[records.Item](w, records.ItemKey(r.Rows[0].ID))
	it := rec.Feedback
	if want := "Write to [email] or [phone] about the #packaging of the box"; it.Text != want {
		t.Errorf("got the text %q, want %q", it.Text, want)
	}
	if note := it.Attributes["note"].String(); note != "card [card]" {
		t.Errorf("got the attribute %q", note)
	}
	if it.Customer.Email != "anna@customer.example" || it.Customer.ID != "c-1" {
		t.Errorf("the customer's keys changed: %+v", it.Customer)
	}
	if it.URL != "https://example.com/r/4111111111111111?from=[email]" {
		t.Errorf("got the URL %q", it.URL)
	}
	if first.Attributes["note"] != given {
		t.Error("the caller's attributes changed")
	}
	labels := load[records.Labels](w, records.LabelsKey(it.ID))
	span := labels.Changes[0].Add[0].Evidence[0]
	if got := it.Text[span.Start:span.End]; got != "#packaging" {
		t.Errorf("the evidence is %q", got)
	}
	for _, part := range []string{"anna@example", "anna%40", "7946", "1111 1111"} {
		w.lacks(part)
	}
}

// lacks checks that no record has the text.
func (w *world) lacks(text string) {
	w.t.Helper()
	err := w.store.View(func(s *store.Snapshot) error {
		return s.Scan(nil, nil, false, func(key, payload []byte) (bool, error) {
			if bytes.Contains(key, []byte(text)) || bytes.Contains(payload, []byte(text)) {
				w.t.Errorf("found %q in %q: %s", text, key, payload)
			}
			return true, nil
		})
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// What a row says is compared as it is stored: importing it again brings nothing, also when the number behind the marker
// is another one, and rows without an id that differ in nothing else are told apart by their order.
func TestRedactedRowsAreRecognised(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.source.Redact = redact.All
	plain := func(text string) feedback.Item { return feedback.Item{Text: text, OccurredAt: start} }
	rows := []feedback.Item{plain("call +44 20 7946 0958"), plain("call +44 20 7946 0959"), answer("1", 3, "or a@example.com")}
	if r := w.takeBatch("one", rows...); r.Import.New != 3 || r.Import.Synthetic != 2 {
		t.Fatalf("got %+v", r.Import)
	}
	slices.Reverse(rows)
	if r := w.takeBatch("two", rows...); r.Import.Duplicate != 3 || r.Import.Redacted != 0 {
		t.Errorf("got %+v", r.Import)
	}
	if r := w.take(answer("1", 3, "or b@example.com")); r.Import.Duplicate != 1 {
		t.Errorf("got %+v", r.Import)
	}
}

// A program that begins to redact brings its old items in line by reading them again.
func TestReadingAgainRedactsWhatIsStored(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first := w.take(answer("1", 3, "write to anna@example.com"))
	w.source.Redact = redact.Email
	if r := w.take(answer("1", 3, "write to anna@example.com")); r.Import.Revised != 1 || r.Rows[0].ID != first.Rows[0].ID {
		t.Fatalf("got %+v", r.Import)
	}
	if it := load[records.Item](w, records.ItemKey(first.Rows[0].ID)); it.Feedback.Text != "write to [email]" {
		t.Errorf("got %q", it.Feedback.Text)
	}
}
