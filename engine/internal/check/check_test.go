package check

import (
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const at feedback.Time = 1767225600000

var (
	item = records.Item{
		Feedback: feedback.Item{
			ID: "f_1", Source: "survey", ExternalID: "1", OccurredAt: at, Survey: feedback.NPS, Score: new(3.0),
			Customer: feedback.Customer{ID: "c-7"},
		},
		Revision: 1, Decisions: 1, Queue: "care", Owner: "anna", Case: "k_1", Waiting: []string{"themes"},
	}
	kase = feedback.Case{
		ID: "k_1", Item: "f_1", Customer: "c-7", Status: feedback.CaseAssigned, Queue: "care", Owner: "anna",
		OpenedAt: at, DueAt: at + 1000,
	}
	due = feedback.Delivery{Destination: "desk", Sequence: 4, Key: "msg_1", CreatedAt: at}
)

// setup returns a store in which one of everything is as it should be.
func setup(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Options{Profile: store.Small, Reserve: -1, Ballast: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	it := item
	it.Counted = records.ContributionOf(&it.Feedback, &feedback.Labels{}, it.Queue, time.UTC)
	update(t, s, func(tx *store.Tx) {
		put(t, tx, records.ItemKey("f_1"), &it)
		put(t, tx, records.IdentityKey("survey", "1"), &records.Identity{ID: "f_1"})
		put(t, tx, records.LabelsKey("f_1"), &records.Labels{Version: 1})
		put(t, tx, records.LabelHistoryKey("f_1", 1, 1), &feedback.Change{})
		put(t, tx, records.EffectsKey("f_1"), &records.Effects{})
		put(t, tx, records.DecisionKey("f_1", 1), &struct{}{})
		put(t, tx, records.CaseKey("k_1"), &kase)
		put(t, tx, records.DeliveryKey("desk", 4), &due)
		tx.Set(records.SequenceKey("desk"), []byte("9"))
		tx.Set(records.LoadKey("anna"), []byte("1"))
		tx.Set(records.OpenCaseKey("care", at+1000, "k_1"), records.OpenCaseValue(&kase))
		for _, key := range [][]byte{
			records.QueueKey("care", "f_1"), records.CustomerKey("c-7", "f_1"), records.WaitingKey("themes", "f_1"),
			records.CaseStatusKey(feedback.CaseAssigned, "k_1"), records.CustomerCaseKey("c-7", "k_1"),
		} {
			tx.Set(key, nil)
		}
		tx.SetTimer(at+1000, records.TimerCase, "k_1", nil)
		tx.SetTimer(at, "retry", "desk", nil)
		var tally records.Tally
		tally.Add(&it.Counted, 1)
		if err := tally.Write(tx); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := audit.Append(tx, audit.Entry{At: at, Kind: "test", Who: "anna"}); err != nil {
				t.Fatal(err)
			}
		}
	})
	return s
}

func put[T any](t *testing.T, tx *store.Tx, key []byte, v *T) {
	t.Helper()
	if err := store.PutNew(tx, key, v); err != nil {
		t.Fatal(err)
	}
}

func update(t *testing.T, s *store.Store, do func(tx *store.Tx)) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx *store.Tx) error { do(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

func findings(t *testing.T, s *store.Store) (out []Finding) {
	t.Helper()
	r, err := Store(t.Context(), s, func(f Finding) { out = append(out, f) }, nil)
	if err != nil || r.Findings != len(out) {
		t.Fatalf("%+v, %v", r, err)
	}
	return out
}

func TestNothingIsWrong(t *testing.T) {
	t.Parallel()
	if got := findings(t, setup(t)); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

// The secret of tombstones is random, and may look like the beginning of an object.
func TestASecretIsNoJSON(t *testing.T) {
	t.Parallel()
	s := setup(t)
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		tx.Set(records.TombSecretKey(), []byte("{\x00secret"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := findings(t, s); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

// Each fault is found, with the key of the record in fields.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	remove := func(key []byte) func(tx *store.Tx) { return func(tx *store.Tx) { tx.Delete(key) } }
	set := func(key []byte, value string) func(tx *store.Tx) {
		return func(tx *store.Tx) { tx.Set(key, []byte(value)) }
	}
	for name, c := range map[string]struct {
		fault func(tx *store.Tx)
		want  string
	}{
		"no item":             {remove(records.ItemKey("f_1")), `index 'i' "queue" "care" "f_1": what it names is not there`},
		"no item of labels":   {remove(records.ItemKey("f_1")), `missing 'l' "f_1": the item that it is about is not there`},
		"undecodable item":    {set(records.ItemKey("f_1"), "{"), `undecodable 'f' "f_1": `},
		"undecodable case":    {set(records.CaseKey("k_1"), "[]"), `undecodable 'k' "k_1": `},
		"no identity":         {remove(records.IdentityKey("survey", "1")), `missing 'f' "f_1": its source and external id do not lead to it`},
		"another identity":    {set(records.IdentityKey("survey", "1"), `{"id":"f_2"}`), `lead to f_2`},
		"no queue":            {remove(records.QueueKey("care", "f_1")), `index 'f' "f_1": it is not found by its queue care`},
		"another queue":       {set(records.QueueKey("vip", "f_1"), ""), `index 'i' "queue" "vip" "f_1": f_1 does not belong there`},
		"no customer":         {remove(records.CustomerKey("c-7", "f_1")), `index 'f' "f_1": it is not found by its customer`},
		"does not wait":       {set(records.WaitingKey("tone", "f_1"), ""), `index 'i' "waiting" "tone" "f_1": f_1 does not belong there`},
		"no decision":         {remove(records.DecisionKey("f_1", 1)), `missing 'f' "f_1": its decision 1 is not there`},
		"no case":             {remove(records.CaseKey("k_1")), `missing 'f' "f_1": its case k_1 is not there`},
		"timer of no case":    {remove(records.CaseKey("k_1")), `timer 'w' 2026-01-01T00:00:01.000Z "sla" "k_1": the case that it is for is not there`},
		"no timer":            {func(tx *store.Tx) { tx.ClearTimer(at+1000, records.TimerCase, "k_1") }, `timer 'k' "k_1": the case has a promise and no timer`},
		"no status":           {remove(records.CaseStatusKey(feedback.CaseAssigned, "k_1")), `index 'k' "k_1": it is not found by its status assigned`},
		"another status":      {set(records.CaseStatusKey(feedback.CaseNew, "k_1"), ""), `index 'i' "case" "new" "k_1": k_1 does not belong there`},
		"not open":            {remove(records.OpenCaseKey("care", at+1000, "k_1")), `it is not found among the open cases of its queue`},
		"open for another":    {set(records.OpenCaseKey("care", at+1000, "k_1"), "new\x00ben"), `among the open cases of its queue it is "new\x00ben"`},
		"no case of customer": {remove(records.CustomerCaseKey("c-7", "k_1")), `index 'k' "k_1": it is not found by its customer`},
		"load":                {set(records.LoadKey("anna"), "3"), `load 'm' "load" "anna": the number of open cases of anna is off by 2`},
		"load of nobody":      {set(records.LoadKey("ben"), "1"), `load 'm' "load" "ben": the number of open cases of ben is off by 1`},
		"no sequence":         {remove(records.SequenceKey("desk")), `outbox 'o' "desk" 4: no number was given out for desk`},
		"low sequence":        {set(records.SequenceKey("desk"), "3"), `outbox 'o' "desk" 4: the last number given out for desk is 3`},
		"another place":       {func(tx *store.Tx) { put(t, tx, records.DeliveryKey("desk", 5), &due) }, `outbox 'o' "desk" 5: it holds delivery 4 for desk`},
		"a rollup too many":   {set(records.RollupID{Measure: "nps", Day: 20260202}.Key(), strings.Repeat("\x00", 16)+"\x02\x16"+strings.Repeat("\x00", 11)), `rollup 'u'`},
		"a rollup too few":    {remove(records.RollupID{Measure: "nps", Dim: records.Dim{Name: records.DimQueue, Value: "care"}, Day: 20260100}.Key()), `found n 0 and sum 0, the items come to n 1 and sum 3`},
		"audit":               {set(store.NewKey(store.KeyAudit).Str("entry").Uint64(2).Bytes(), "{}"), `audit : audit: entry 2: `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			update(t, s, c.fault)
			var all strings.Builder
			for _, f := range findings(t, s) {
				all.WriteString(f.What + " " + f.Key + ": " + f.Text + "\n")
			}
			if !strings.Contains(all.String(), c.want) {
				t.Errorf("found:\n%s\nwant: %s", &all, c.want)
			}
		})
	}
}
