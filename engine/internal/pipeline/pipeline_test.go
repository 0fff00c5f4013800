package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func outcomes(r Report) (out []string) {
	for _, row := range r.Rows {
		out = append(out, string(row.Outcome))
	}
	return out
}

func wantOutcomes(t *testing.T, r Report, want ...string) {
	t.Helper()
	if got := outcomes(r); !slices.Equal(got, want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
	i := r.Import
	if i.Read != i.New+i.Revised+i.Duplicate+i.Stale+i.Rejected || i.Read != len(r.Rows) {
		t.Errorf("rows are not accounted for: %+v", i)
	}
}

func TestIdentityIsDerivedAtFirstSightAndStays(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first := w.take(answer("1", 3, "bad"))
	if want := feedback.NewItemID(start, "survey", "1"); first.Rows[0].ID != want {
		t.Errorf("id %s, want %s", first.Rows[0].ID, want)
	}
	later := answer("1", 4, "a bit better")
	later.OccurredAt = start.Add(72 * time.Hour)
	second := w.take(later)
	wantOutcomes(t, second, "revised")
	if second.Rows[0].ID != first.Rows[0].ID {
		t.Errorf("a revision changed the id from %s to %s", first.Rows[0].ID, second.Rows[0].ID)
	}
}

func TestRevisionDuplicateStale(t *testing.T) {
	t.Parallel()
	w := setup(t)
	version := func(v int64, text string) feedback.Item {
		it := answer("1", 3, text)
		it.Version = v
		return it
	}
	wantOutcomes(t, w.take(version(10, "one")), "new")
	wantOutcomes(t, w.take(version(10, "one")), "duplicate")
	wantOutcomes(t, w.take(version(20, "two")), "revised")
	wantOutcomes(t, w.take(version(15, "older")), "stale")
	wantOutcomes(t, w.take(version(10, "one")), "duplicate") // any accepted version, however old
	wantOutcomes(t, w.take(version(30, "one")), "duplicate")
	wantOutcomes(t, w.take(version(20, "same version, other words")), "revised")
	wantOutcomes(t, w.take(version(30, "a"), version(30, "a"), version(31, "b"), version(29, "c")), "revised", "duplicate", "revised", "stale")
}

func TestRowsWithoutIDsAreKeptWhateverTheirOrder(t *testing.T) {
	t.Parallel()
	w := setup(t)
	row := func(text string) feedback.Item { return answer("", 3, text) }
	rows := []feedback.Item{row("a"), row("b"), row("a"), row("a")}
	r := w.takeBatch("import-1", rows...)
	wantOutcomes(t, r, "new", "new", "new", "new")
	if r.Import.Synthetic != 4 || r.Import.Damaged != 0 {
		t.Errorf("synthetic %d, damaged %d", r.Import.Synthetic, r.Import.Damaged)
	}
	slices.Reverse(rows)
	wantOutcomes(t, w.takeBatch("import-2", rows...), "duplicate", "duplicate", "duplicate", "duplicate")
	wantOutcomes(t, w.takeBatch("import-3", append(rows, row("a"))...), "duplicate", "duplicate", "duplicate", "duplicate", "new")
	// An import that is resumed goes on counting.
	wantOutcomes(t, w.takeBatch("import-4", rows[:2]...), "duplicate", "duplicate")
	wantOutcomes(t, w.takeBatch("import-4", rows[2:]...), "duplicate", "duplicate")
}

func TestDamagedIDsAreMarked(t *testing.T) {
	t.Parallel()
	w := setup(t)
	it := answer("", 3, "late")
	it.Synthetic = feedback.SyntheticDamaged
	r := w.take(it)
	rec := load[records.Item](w, records.ItemKey(r.Rows[0].ID))
	if r.Import.Damaged != 1 || rec.Feedback.Synthetic != feedback.SyntheticDamaged || rec.Feedback.ExternalID == "" {
		t.Errorf("damaged %d, item %+v", r.Import.Damaged, rec.Feedback)
	}
}

func TestRowsThatAreNoItemsAreRejected(t *testing.T) {
	t.Parallel()
	w := setup(t)
	big := answer("big", 3, strings.Repeat("x", feedback.MaxItemBytes))
	undeclared := answer("undeclared", 3, "x")
	undeclared.Attributes = feedback.Attributes{"order_vlaue": feedback.NumberValue(3)}
	mistyped := answer("mistyped", 3, "x")
	mistyped.Attributes = feedback.Attributes{"order_value": feedback.StringValue("three")}
	unasked := answer("unasked", 3, "x")
	unasked.Survey = ""
	misspelt := answer("misspelt", 3, "x")
	misspelt.Survey = "npss"
	items := []feedback.Item{big, undeclared, mistyped, unasked, misspelt, answer("range", 11, "x"), {ExternalID: "empty"}, answer("good", 3, "x")}
	for i := range items {
		items[i].Position = fmt.Sprintf("line %d", i+2)
	}
	r := w.take(items...)
	wantOutcomes(t, r, "rejected", "rejected", "rejected", "rejected", "rejected", "rejected", "rejected", "new")
	for i, want := range []string{
		"too_large: found 262", `undeclared_attribute: attributes.order_vlaue is not declared by the program; did you mean "order_value"?`,
		`bad_attribute: attributes.order_value: found the string "three", expected a number`, "without a survey", `did you mean "nps"?`,
		"bad_score: found the score 11, expected 0 to 10", "empty: found neither a score nor a text",
	} {
		if !strings.Contains(r.Rows[i].Reason, want) {
			t.Errorf("row %d: %q, want %q in it", i, r.Rows[i].Reason, want)
		}
	}
	letters := all[feedback.DeadLetter](w, records.DeadLetterPrefix())
	if len(letters) != 7 || letters[0].Kind != feedback.DeadRow || !strings.HasPrefix(letters[0].Position, "line ") {
		t.Errorf("dead letters: %d, first %+v", len(letters), letters[0])
	}
}

func TestTextIsRepairedAndCounted(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.take(answer("1", 3, "caf\xe9 #price"))
	rec := load[records.Item](w, records.ItemKey(r.Rows[0].ID))
	if rec.Feedback.Text != "caf\uFFFD #price" || r.Import.Repaired != 1 {
		t.Errorf("text %q, repaired %d", rec.Feedback.Text, r.Import.Repaired)
	}
}

func TestAbsentTimeIsTheReceiveTime(t *testing.T) {
	t.Parallel()
	w := setup(t)
	it := answer("1", 3, "late")
	it.OccurredAt = 0
	r := w.take(it)
	rec := load[records.Item](w, records.ItemKey(r.Rows[0].ID)).Feedback
	if rec.OccurredAt != w.at || !rec.OccurredAssumed || rec.ReceivedAt != w.at || rec.Batch != "import-1" {
		t.Errorf("item %+v", rec)
	}
	wantOutcomes(t, w.take(it), "duplicate")
}

// Items of the future are taken, and counted: a column may be mapped wrongly.
func TestItemsOfTheFutureAreCounted(t *testing.T) {
	t.Parallel()
	w := setup(t)
	today, tomorrow, later := answer("1", 3, "a"), answer("2", 3, "b"), answer("3", 3, "c")
	today.OccurredAt, tomorrow.OccurredAt, later.OccurredAt = w.at, w.at.Add(24*time.Hour), w.at.Add(25*time.Hour)
	r := w.take(today, tomorrow, later)
	wantOutcomes(t, r, "new", "new", "new")
	if r.Import.Ahead != 1 {
		t.Errorf("%d items are ahead, want 1", r.Import.Ahead)
	}
}

func TestDaysAreOfTheProgramsTimezone(t *testing.T) {
	t.Parallel()
	auckland, err := time.LoadLocation("Pacific/Auckland")
	if err != nil {
		t.Skip("no timezone data on this machine")
	}
	w := setup(t, func(c *Config) { c.Timezone = auckland })
	it := answer("1", 3, "late")
	it.OccurredAt = feedback.TimeOf(time.Date(2026, 3, 2, 23, 0, 0, 0, time.UTC))
	w.take(it)
	if _, ok := w.rollups()["items/all//20260303"]; !ok {
		t.Errorf("rollups %v", slices.Sorted(maps.Keys(w.rollups())))
	}
}

func TestEffectsActOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.take(answer("1", 3, "late"))
	if r.Cases != 1 {
		t.Fatalf("cases %d", r.Cases)
	}
	if r = w.take(answer("1", 2, "very late")); r.Cases != 0 || r.Decided != 1 {
		t.Errorf("a revision opened %d cases in %d decisions", r.Cases, r.Decided)
	}
	if n := len(all[feedback.Case](w, records.CasePrefix())); n != 1 {
		t.Errorf("%d cases", n)
	}
	if n := len(all[rules.Decision](w, records.DecisionPrefix(r.Rows[0].ID))); n != 2 {
		t.Errorf("%d decisions", n)
	}
}

func TestAnotherRulesetDoesNotActAgain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.take(answer("1", 3, "late"))
	again := on(t, w.store, rulesOf(strings.Replace(testRules, "nps <= 6\n", "nps <= 7\n", 1)))
	again.at = w.at
	if w.Rules().Hash() == again.Rules().Hash() {
		t.Fatal("the rulesets have the same hash")
	}
	if r := again.take(answer("1", 3, "still late")); r.Cases != 0 {
		t.Errorf("the new ruleset opened %d cases for what the old one acted on", r.Cases)
	}
	if r := again.take(answer("2", 7, "passive")); r.Cases != 1 {
		t.Errorf("the new ruleset opened %d cases for what is new", r.Cases)
	}
}

func TestWhatNoLongerHoldsIsNotedAndNotClosed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.take(answer("1", 3, "late")).Rows[0].ID
	w.take(answer("1", 9, "they made up for it"))
	c := all[feedback.Case](w, records.CasePrefix())[0]
	kinds := []string{}
	for _, h := range c.History {
		kinds = append(kinds, h.Kind)
	}
	if !c.Status.Open() || !slices.Contains(kinds, cases.Lapsed) {
		t.Errorf("case %s with history %v", c.Status, kinds)
	}
	effects := load[records.Effects](w, records.EffectsKey(id))
	for _, e := range effects.Done {
		if e.Lapsed == 0 {
			t.Errorf("effect %s did not lapse", e.Key)
		}
	}
	lines := len(c.History)
	w.take(answer("1", 2, "no, they did not"))
	c = all[feedback.Case](w, records.CasePrefix())[0]
	if n := len(all[feedback.Case](w, records.CasePrefix())); n != 1 || len(c.History) != lines {
		t.Errorf("%d cases, history %+v", n, c.History)
	}
}

func TestACorrectionReroutesAndStands(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.take(answer("1", 3, "could not open it #shipping")).Rows[0].ID
	before := load[records.Item](w, records.ItemKey(id))
	if before.Queue != "care" {
		t.Fatalf("queue %q", before.Queue)
	}
	w.at = w.at.Add(time.Second)
	_, err := w.Correct(t.Context(), id, feedback.Change{
		By: feedback.Author{Name: "eva"}, At: w.at, Reason: "opening, not transport",
		Remove: []feedback.ThemePath{"shipping"}, Add: []feedback.Theme{{Path: "packaging/opening", Confidence: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	after := load[records.Item](w, records.ItemKey(id))
	c := all[feedback.Case](w, records.CasePrefix())
	if after.Queue != "product" || len(c) != 1 || c[0].Queue != "product" {
		t.Errorf("queue %q, cases %+v", after.Queue, c)
	}
	if got := w.labels(id); !slices.Equal(got, []string{"packaging/opening"}) {
		t.Errorf("labels %v", got)
	}
	sums := w.rollups()
	for _, gone := range []string{"items/theme/shipping/20260302", "nps/queue/care/20260302"} {
		if v, ok := sums[gone]; ok {
			t.Errorf("%s still counts %s", gone, v)
		}
	}
	for _, there := range []string{"items/theme/packaging/20260302", "items/theme/packaging/opening/20260302", "nps/queue/product/20260302"} {
		if _, ok := sums[there]; !ok {
			t.Errorf("%s does not count", there)
		}
	}
	// A revision replaces what the categorizer said; what the person said stands and is marked for review.
	w.take(answer("1", 3, "could not open it, and the courier was rude #shipping #staff"))
	rec := load[records.Item](w, records.ItemKey(id))
	got := w.labels(id)
	slices.Sort(got)
	if !rec.Review || !slices.Equal(got, []string{"packaging/opening", "staff"}) {
		t.Errorf("review %v, labels %v", rec.Review, got)
	}
}

func TestRelabelComesBeforeRouting(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.take(answer("1", 3, "the box was crushed #shipping")).Rows[0].ID
	rec := load[records.Item](w, records.ItemKey(id))
	if got := w.labels(id); !slices.Equal(got, []string{"packaging"}) || rec.Queue != "product" {
		t.Errorf("labels %v, queue %q", got, rec.Queue)
	}
	layers := load[records.Labels](w, records.LabelsKey(id))
	if n := len(layers.Layer(feedback.LayerModel)); n != 1 {
		t.Errorf("%d model changes are left", n)
	}
	w.take(answer("1", 3, "the driver was late #shipping"))
	if got := w.labels(id); !slices.Equal(got, []string{"shipping"}) {
		t.Errorf("labels after the revision: %v", got)
	}
}

func TestMessagesHaveStableKeys(t *testing.T) {
	t.Parallel()
	keys := func() []string {
		w := setup(t)
		w.take(answer("1", 3, "hard to open #packaging"), answer("2", 3, "torn #packaging"))
		var out []string
		for i, d := range all[feedback.Delivery](w, records.DeliveriesPrefix()) {
			if d.Sequence != uint64(i+1) || d.Destination != "team" {
				t.Errorf("delivery %d: %+v", i, d)
			}
			out = append(out, d.Key)
		}
		return out
	}
	first, second := keys(), keys()
	if len(first) != 2 || first[0] == first[1] || !slices.Equal(first, second) {
		t.Errorf("keys %v and %v", first, second)
	}
}

func TestAlertsBeginOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if r := w.take(answer("1", 9, "it caught fire"), answer("2", 9, "fire again")); r.Alerts != 1 {
		t.Errorf("%d alerts began", r.Alerts)
	}
	a := all[feedback.Alert](w, records.AlertPrefix())
	if len(a) != 1 || a[0].Count != 2 || a[0].Severity != "critical" {
		t.Errorf("alerts %+v", a)
	}
}

func TestPoisonAndDrops(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.take(answer("1", 3, "good"), answer("2", 3, "poison"), answer("3", 3, "automatic"), answer("4", 3, "good too"))
	wantOutcomes(t, r, "new", "rejected", "rejected", "new")
	kinds := map[feedback.DeadLetterKind]int{}
	for _, l := range all[feedback.DeadLetter](w, records.DeadLetterPrefix()) {
		kinds[l.Kind]++
		if l.Kind == feedback.DeadItem && (l.Item == nil || l.Item.Text != "poison" || l.Code != "poison") {
			t.Errorf("dead item %+v", l)
		}
	}
	if kinds[feedback.DeadItem] != 1 || kinds[feedback.DeadRow] != 1 {
		t.Errorf("dead letters %v", kinds)
	}
}

func TestItemsWaitForACategorizerThatIsDown(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if _, err := w.try(Chunk{Source: w.source, Items: []feedback.Item{answer("1", 3, "down")}}); err == nil {
		t.Fatal("items passed a categorizer that is down")
	}
	if n := len(all[records.Item](w, store.NewKey('f').Bytes())); n != 0 {
		t.Errorf("%d items are stored", n)
	}
}

func TestUnlabelledItemsAreLabelledLater(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Categorizer[0].PassUnlabelled = true })
	down := true
	flaky := &switched{Plugin: w.plugin, down: &down}
	w.cfg.Categorizer[0].Plugin = flaky
	id := w.take(answer("1", 3, "hard to open #packaging")).Rows[0].ID
	rec := load[records.Item](w, records.ItemKey(id))
	if !slices.Equal(rec.Waiting, []string{"tags"}) || rec.Queue != "care" {
		t.Fatalf("waiting %v, queue %q", rec.Waiting, rec.Queue)
	}
	if n, err := w.LabelWaiting(t.Context(), w.at, 10); err == nil || n != 0 {
		t.Errorf("labelled %d while the plugin is down, %v", n, err)
	}
	down = false
	if n, err := w.LabelWaiting(t.Context(), w.at, 10); err != nil || n != 1 {
		t.Fatalf("labelled %d, %v", n, err)
	}
	rec = load[records.Item](w, records.ItemKey(id))
	if len(rec.Waiting) != 0 || rec.Queue != "product" || !slices.Equal(w.labels(id), []string{"packaging"}) {
		t.Errorf("waiting %v, queue %q, labels %v", rec.Waiting, rec.Queue, w.labels(id))
	}
	if n, err := w.LabelWaiting(t.Context(), w.at, 10); err != nil || n != 0 {
		t.Errorf("labelled %d again, %v", n, err)
	}
}

// switched is a real plugin whose supply can be cut.
type switched struct {
	host.Plugin
	down *bool
}

func (s *switched) Categorize(ctx context.Context, items []feedback.Item) (*host.Batch, error) {
	if *s.down {
		return nil, &host.Error{Plugin: "tags", Call: "categorize", Code: host.CodeUnavailable, Cause: errors.New("cut off")}
	}
	return s.Plugin.Categorize(ctx, items)
}

func TestTheCheckpointIsCommittedWithTheLastItems(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var items []feedback.Item
	for i := range 40 {
		items = append(items, answer(fmt.Sprint(i), 3, strings.Repeat("long text ", 20_000)))
	}
	r, err := w.try(Chunk{Source: w.source, Batch: "b", Items: items, Checkpoint: []byte("at 40"), Rejects: []sdk.Reject{{Position: "line 9", Code: "ragged"}}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Import.New != 40 || r.Import.Rejected != 1 || len(r.Rows) != 40 {
		t.Errorf("report %+v", r.Import)
	}
	var checkpoint string
	err = w.store.View(func(s *store.Snapshot) error {
		b, err := s.Get(records.CheckpointKey("survey"))
		checkpoint = string(b)
		return err
	})
	if err != nil || checkpoint != "at 40" {
		t.Errorf("checkpoint %q, %v", checkpoint, err)
	}
	total := load[records.Import](w, records.ImportKey("survey", "b"))
	if total.Read != 41 || total.New != 40 || total.Rejected != 1 {
		t.Errorf("import %+v", total)
	}
}

func TestHooksHearAfterTheCommit(t *testing.T) {
	t.Parallel()
	var heard []string
	w := setup(t, func(c *Config) {
		c.Hooks.Item = func(rec records.Item, _ *feedback.Labels, o Outcome) {
			heard = append(heard, string(o)+" "+rec.Feedback.ExternalID)
		}
		c.Hooks.Case = func(k feedback.Case) { heard = append(heard, "case "+string(k.Status)) }
	})
	w.take(answer("1", 3, "late"), answer("2", 9, "fine"))
	if want := []string{"case new", "new 1", "new 2"}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

func TestAClockThatStepsBackMakesNothingStale(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.take(answer("1", 3, "late"))
	w.at = w.at.Add(-time.Hour)
	wantOutcomes(t, w.take(answer("1", 4, "later")), "revised")
}

func TestIDsThatAreNoTextStayApart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.take(answer("caf\xe8", 3, "a"), answer("caf\xe9", 3, "b"))
	wantOutcomes(t, r, "new", "new")
	if r.Import.Damaged != 2 {
		t.Errorf("damaged %d", r.Import.Damaged)
	}
}

func TestItemsDoNotWaitForACategorizerThatIsGone(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Categorizer[0].PassUnlabelled = true })
	down := true
	w.cfg.Categorizer[0].Plugin = &switched{Plugin: w.plugin, down: &down}
	id := w.take(answer("1", 3, "late")).Rows[0].ID
	other := on(t, w.store, func(c *Config) { c.Categorizer = nil })
	if err := other.Release(t.Context(), w.at); err != nil {
		t.Fatal(err)
	}
	if rec := load[records.Item](w, records.ItemKey(id)); len(rec.Waiting) != 0 || rec.Decisions != 2 {
		t.Errorf("waiting %v after %d decisions", rec.Waiting, rec.Decisions)
	}
}

func TestCorrectionsAreBroughtIntoRange(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.take(answer("1", 3, "late")).Rows[0].ID
	_, err := w.Correct(t.Context(), id, feedback.Change{By: feedback.Author{Name: "eva"}, At: w.at, Add: []feedback.Theme{
		{Path: "fine", Confidence: 5, Evidence: []feedback.Span{{Start: 2, End: 99}}}, {Path: "\xff\xfe"}, {Path: ""},
	}})
	if err != nil {
		t.Fatal(err)
	}
	l := load[records.Labels](w, records.LabelsKey(id)).Layer(feedback.LayerHuman)
	if len(l) != 1 || len(l[0].Add) != 1 || l[0].Add[0].Confidence != 1 || len(l[0].Add[0].Evidence) != 0 {
		t.Errorf("correction %+v", l)
	}
	checkRollups(t, w)
}
