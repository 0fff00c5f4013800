package engine_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// soakOracle knows what the lives of a soak have acknowledged, and is the server that they deliver to.
type soakOracle struct {
	items, labels, notes map[string]bool // as they were acknowledged, labels and notes with what they belong to
	erased               map[string]bool // what is not to be there, by external id
	backups              map[string]bool // by path
	full                 map[string]int  // how often what was told that the disk is full
	acks                 int
	about                int // items that messages of oracles before were about

	mu      sync.Mutex
	random  *rand.Rand
	told    map[string]map[string]bool // keys of the messages about an item, by its external id
	repeats int
}

func newSoakOracle(random *rand.Rand) *soakOracle {
	return &soakOracle{
		items: map[string]bool{}, labels: map[string]bool{}, notes: map[string]bool{}, erased: map[string]bool{}, backups: map[string]bool{}, full: map[string]int{},
		random: rand.New(rand.NewPCG(random.Uint64(), 0)), told: map[string]map[string]bool{},
	}
}

// hear takes note of a line of a victim.
func (o *soakOracle) hear(line string) {
	what, of, _ := strings.Cut(line, " ")
	set := map[string]map[string]bool{"item": o.items, "label": o.labels, "note": o.notes, "erased": o.erased, "backup": o.backups}[what]
	if set != nil {
		set[of] = true
		o.acks++
	} else if what == "full" {
		o.full[of]++
	}
}

var aboutItem = regexp.MustCompile(`id=([0-9a-z-]+);`)

// ServeHTTP is a server that refuses, is slow, and answers so that nobody hears it, each at times.
func (o *soakOracle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client was killed
	}
	o.mu.Lock()
	fate := o.random.IntN(10)
	o.mu.Unlock()
	if fate == 0 {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	o.mu.Lock()
	key := r.Header.Get("Idempotency-Key")
	if about := aboutItem.FindSubmatch(body); about != nil && r.Header.Get("Kind") == "notify" {
		o.tell(string(about[1]), key)
	}
	o.mu.Unlock()
	switch fate {
	case 1:
		panic(http.ErrAbortHandler) // it arrived, and the sender does not know
	case 2:
		time.Sleep(20 * time.Millisecond)
	}
}

// tell notes that a message about an item exists; the caller holds mu.
func (o *soakOracle) tell(item, key string) {
	if o.told[item] == nil {
		o.told[item] = map[string]bool{}
	}
	if o.told[item][key] {
		o.repeats++
	}
	o.told[item][key] = true
}

// examine opens what a life left and compares it with what was acknowledged. It returns how many items there are.
func (o *soakOracle) examine(t *testing.T, dir string) int {
	t.Helper()
	e, err := openSoak(t.Context(), dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer closeEngine(t, e)
	const every = 1 << 30
	items, err := e.Items(t.Context(), engine.ItemQuery{Limit: every})
	if err != nil {
		t.Fatal(err)
	}
	cases, err := e.Cases(t.Context(), engine.CaseQuery{Limit: every})
	if err != nil {
		t.Fatal(err)
	}
	caseOf := map[feedback.ItemID]int{}
	for i := range cases {
		caseOf[cases[i].Item]++
	}
	missing := map[string]bool{}
	maps.Copy(missing, o.items)
	seen, labelled := map[string]bool{}, map[string]bool{}
	messages := o.messages(t, e, items)
	streamed, scored, last := 0, 0, -1
	for i := range items {
		it := &items[i]
		if seen[it.ExternalID] {
			t.Errorf("item %s is there twice", it.ExternalID)
		}
		seen[it.ExternalID] = true
		delete(missing, it.ExternalID)
		if it.Score == nil {
			if o.erased[it.ExternalID] {
				t.Errorf("item %s was erased and is there", it.ExternalID)
			}
			continue
		}
		scored++
		want := 0
		if *it.Score <= 6 {
			want = 1
		}
		if caseOf[it.ID] != want || len(messages[it.ExternalID]) != want {
			t.Errorf("item %s has %d cases and the messages %v, want %d", it.ExternalID, caseOf[it.ID], messages[it.ExternalID], want)
		}
		for _, theme := range it.Labels.Themes {
			labelled[fmt.Sprintf("%s %s", it.ID, theme.Path)] = true
		}
		if n := 0; it.Source == "feed" {
			if _, err := fmt.Sscanf(it.ExternalID, "stream-%d", &n); err != nil {
				t.Error(err)
			}
			streamed, last = streamed+1, max(last, n)
		}
	}
	if streamed != last+1 {
		t.Errorf("the source gave items up to %d, %d are there", last, streamed)
	}
	expectNone(t, "items", missing)
	expectNone(t, "labels", without(o.labels, labelled))
	o.examineRest(t, e, scored)
	return len(items)
}

// messages returns the keys of the messages about each item: delivered, waiting and given up.
func (o *soakOracle) messages(t *testing.T, e *engine.Engine, items []engine.Item) map[string]map[string]bool {
	t.Helper()
	const every = 1 << 30
	external := map[feedback.ItemID]string{}
	for i := range items {
		external[items[i].ID] = items[i].ExternalID
	}
	page, err := e.Deliveries(t.Context(), engine.DeliveryQuery{Limit: every, NoBody: true})
	if err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	all := map[string]map[string]bool{}
	for item, keys := range o.told {
		all[item] = maps.Clone(keys)
	}
	for _, d := range page.Deliveries {
		if item := external[d.Item]; d.Kind == "notify" && item != "" {
			if all[item] == nil {
				all[item] = map[string]bool{}
			}
			all[item][d.Key] = true
		}
	}
	return all
}

// examineRest looks at the audit log, the metrics and the backups.
func (o *soakOracle) examineRest(t *testing.T, e *engine.Engine, items int) {
	t.Helper()
	if _, err := e.AuditVerify(t.Context()); err != nil {
		t.Error("the audit log:", err)
	}
	entries, err := e.Audit(t.Context(), engine.AuditQuery{Who: "anna", Limit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	noted := map[string]bool{}
	for _, a := range entries {
		noted[a.What+" "+a.Why] = true
	}
	expectNone(t, "notes", without(o.notes, noted))
	nps, err := e.NPS(t.Context(), engine.MetricQuery{})
	if err != nil || nps.N != items {
		t.Errorf("the metric counts %d of %d items: %v", nps.N, items, err)
	}
	for path := range o.backups {
		if _, err := engine.VerifyBackup(t.Context(), path, nil); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("backup %s: %v", path, err)
		}
	}
	clear(o.backups)
}

func without(all, found map[string]bool) map[string]bool {
	rest := map[string]bool{}
	for x := range all {
		if !found[x] {
			rest[x] = true
		}
	}
	return rest
}

func expectNone(t *testing.T, what string, missing map[string]bool) {
	t.Helper()
	for x := range missing {
		t.Errorf("%d %s were acknowledged and are gone, such as %s", len(missing), what, x)
		return
	}
}
