package engine_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// traces are the forms in which a text may lie in a file.
func traces(text string) map[string][]byte {
	wide := utf16.Encode([]rune(text))
	little, big := make([]byte, 0, 2*len(wide)), make([]byte, 0, 2*len(wide))
	for _, u := range wide {
		little, big = append(little, byte(u), byte(u>>8)), append(big, byte(u>>8), byte(u))
	}
	quoted, _ := json.Marshal(text)
	out := map[string][]byte{"raw": []byte(text), "JSON": quoted[1 : len(quoted)-1], "UTF-16LE": little, "UTF-16BE": big}
	for shift := range 3 { // base64 depends on where in its groups of three the text begins; the ends are shared with others
		b := base64.StdEncoding.EncodeToString(append(make([]byte, shift), text...))
		out[fmt.Sprint("base64 ", shift)] = []byte(strings.TrimRight(b, "=")[4 : len(b)-4])
	}
	return out
}

// found returns where texts lie in the files of a directory, and in the keys and records of the store that is there.
func found(t *testing.T, dir string, texts ...string) (places []string) {
	t.Helper()
	look := func(place string, b []byte) {
		for _, text := range texts {
			for form, trace := range traces(text) {
				if bytes.Contains(b, trace) {
					places = append(places, fmt.Sprintf("%s of %q in %s", form, text, place))
				}
			}
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		look(path, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, payload := range recordsIn(t, dir) {
		look("record "+key, []byte(key))
		look("record "+key, []byte(payload))
	}
	return places
}

// recordsIn returns every record of the store that no engine works on.
func recordsIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	st, err := store.Open(dir, store.Options{Profile: store.Small, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	out := map[string]string{}
	err = st.View(func(s *store.Snapshot) error {
		return s.Scan(nil, nil, false, func(key, payload []byte) (bool, error) {
			out[string(key)] = string(payload)
			return true, nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func byPerson(id, customer string, score float64, text string) feedback.Item {
	it := answer(id, score, text)
	it.Customer = feedback.Customer{ID: customer, Name: "Ännä " + customer, Email: customer + "@mail.example"}
	return it
}

// After a person was erased and the store compacted, no file of the state directory has a byte of what the person said or
// was called, in any form; and the rest is there.
func TestErasedPersonIsInNoFile(t *testing.T) {
	t.Parallel()
	dir, p := writeProgram(t, programFiles), &parts{}
	p.sink.set(sdk.Retry(0, "down"))
	e := open(t, dir, p)
	state := e.StateDir()
	personal := []string{"kim-0451", "kim-0451@mail.example", "Ännä kim-0451", "die größte Enttäuschung", "never was I so cold"}
	_, err := e.Ingest(t.Context(), "app",
		byPerson("kim-0451/1", "kim-0451", 2, "die größte Enttäuschung #packaging"), byPerson("kim-0451/2", "kim-0451", 10, "fire! never was I so cold"),
		byPerson("kim-0451/3", "kim-0451", 99, "never was I so cold"), byPerson("lee/1", "lee-0777", 2, "too slow for me"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := e.Cases(t.Context(), engine.CaseQuery{Customer: "kim-0451"})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	by := engine.Actor{Name: "eva"}
	if _, err := e.NoteCase(t.Context(), by, all[0].ID, "Ännä kim-0451 was angry"); err != nil {
		t.Fatal(err)
	}
	told, err := e.EraseCustomer(t.Context(), engine.Erasure{Customer: "kim-0451", By: by, Why: "request 7", Rehearse: true})
	if err != nil || told.Gone.Items != 2 || told.N != 0 {
		t.Fatalf("%+v, %v", told, err)
	}
	r, err := e.EraseCustomer(t.Context(), engine.Erasure{Customer: "kim-0451", By: by, Why: "request 7"})
	if err != nil || r.Gone.Items != 2 || r.Gone.Cases != 1 || r.Gone.Messages != 1 || r.Gone.DeadLetters != 1 || r.DoneAt == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := e.CompactStore(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	head, err := e.AuditVerify(t.Context())
	if err != nil || head.Erased == 0 {
		t.Errorf("%+v, %v", head, err)
	}
	list, err := e.Erasures(t.Context())
	if err != nil || len(list) != 1 || list[0].Gone != r.Gone {
		t.Errorf("%+v, %v", list, err)
	}
	nps, err := e.NPS(t.Context(), engine.MetricQuery{})
	if err != nil || nps.N != 3 {
		t.Errorf("sums went with the person: %+v, %v", nps, err)
	}
	closeEngine(t, e)
	if places := found(t, state, personal...); len(places) > 0 {
		t.Errorf("found\n%s", strings.Join(places, "\n"))
	}
	if places := found(t, state, "too slow for me"); len(places) == 0 {
		t.Error("the text of another is gone too, or the search finds nothing")
	}
	e = open(t, dir, p)
	rep, err := e.Ingest(t.Context(), "app", byPerson("kim-0451/1", "kim-0451", 2, "die größte Enttäuschung #packaging"), byPerson("lee/1", "lee-0777", 2, "too slow for me"))
	if err != nil || rep.Erased != 1 || rep.Stale != 1 || rep.Duplicate != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
	closeEngine(t, e)
	if places := found(t, state, personal...); len(places) > 0 {
		t.Errorf("after a replay found\n%s", strings.Join(places, "\n"))
	}
}

func TestEraseAsksTheHost(t *testing.T) {
	t.Parallel()
	var asked []string
	dir, p := writeProgram(t, programFiles), &parts{}
	no := errors.New("only the data protection officer may")
	e := open(t, dir, p, func(o *engine.Options) {
		o.Authorize = func(_ context.Context, by engine.Actor, what engine.Action, c feedback.Case) error {
			asked = append(asked, fmt.Sprint(by.Name, " ", what, " ", c.Customer))
			if slices.Contains(by.Roles, "dpo") {
				return nil
			}
			return no
		}
	})
	if _, err := e.Ingest(t.Context(), "app", byPerson("1", "kim-0451", 2, "x")); err != nil {
		t.Fatal(err)
	}
	erase := engine.Erasure{Customer: "kim-0451", By: engine.Actor{Name: "eva"}, Why: "request 7"}
	if _, err := e.EraseCustomer(t.Context(), erase); !errors.Is(err, engine.ErrDenied) || !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	dpo := engine.Actor{Name: "dan", Roles: []string{"dpo"}}
	hold := engine.HoldChange{Customer: "kim-0451", By: dpo, Why: "claim 8"}
	if _, err := e.ChangeHold(t.Context(), hold); err != nil {
		t.Fatal(err)
	}
	erase.By = dpo
	if _, err := e.EraseCustomer(t.Context(), erase); !errors.Is(err, engine.ErrHeld) {
		t.Errorf("got %v", err)
	}
	hold.Release = true
	if _, err := e.ChangeHold(t.Context(), hold); err != nil {
		t.Fatal(err)
	}
	if _, err := e.EraseCustomer(t.Context(), erase); err != nil {
		t.Error(err)
	}
	want := "[eva erase kim-0451 dan retain kim-0451 dan erase kim-0451 dan release kim-0451 dan erase kim-0451]"
	if fmt.Sprint(asked) != want {
		t.Errorf("asked %v, want %s", asked, want)
	}
}

// eraseForEver is a victim that takes in people and erases them while their feedback is read again. It acknowledges who
// is there, and then who was erased.
func eraseForEver(v *victim) error {
	ctx := context.Background()
	p := &parts{}
	p.sink.set(sdk.Retry(0, "down"))
	e, err := engine.Open(ctx, v.dir, engine.Options{Native: p.native(), Profile: engine.Small})
	if err != nil {
		return err
	}
	go func() { _ = e.Run(ctx) }()
	for n := 0; ; n++ {
		who := fmt.Sprintf("person-%d-%d", v.round, n)
		var items []feedback.Item
		for i := range eachPersons {
			items = append(items, byPerson(fmt.Sprint(who, "/", i), who, float64(i%11), "words of "+who+" #packaging"))
		}
		if _, err := e.Ingest(ctx, "app", items...); err != nil {
			return err
		}
		v.ack("here " + who)
		again := make(chan error, 1)
		go func() {
			_, err := e.Ingest(ctx, "app", items...)
			again <- err
		}()
		if _, err := e.EraseCustomer(ctx, engine.Erasure{Customer: who, By: engine.Actor{Name: "dpo"}, Why: "request"}); err != nil {
			return err
		}
		v.ack("erased " + who)
		if err := <-again; err != nil {
			return err
		}
	}
}

const eachPersons = 70

// A process is killed while it erases people. Who was erased is gone from every record, and whose erasure had begun is
// gone once the state was opened again; of others all is there.
func TestKilledWhileErasing(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	dir := writeProgram(t, programFiles)
	here, erased := map[string]bool{}, map[string]bool{}
	for round := range max(kills(t)/5, 6) {
		for _, ack := range killOne(t, "erase", dir, round, random) {
			what, who, _ := strings.Cut(ack, " ")
			if what == "here" {
				here[who] = true
			} else {
				erased[who] = true
			}
		}
	}
	p := &parts{}
	e := open(t, dir, p) // goes on with the last erasure
	if _, err := e.AuditVerify(t.Context()); err != nil {
		t.Error(err)
	}
	list, err := e.Erasures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if r.DoneAt == 0 || r.DoneAt > feedback.TimeOf(time.Now()) {
			t.Errorf("erasure %d is not whole: %+v", r.N, r)
		}
	}
	state := e.StateDir()
	closeEngine(t, e)
	items, last := map[string]int{}, map[string]string{}
	all := recordsIn(t, state)
	for key, payload := range all {
		for who := range here {
			if strings.Contains(key, who+"\x00") || strings.Contains(payload, who+`"`) || strings.Contains(payload, who+" ") || strings.Contains(payload, who+"/") {
				if erased[who] {
					t.Errorf("%s was erased, and is in %q: %.300s", who, key, payload)
				}
				items[who]++
				last[who] = fmt.Sprintf("%q: %.200s", key, payload)
			}
		}
	}
	for who := range here {
		if n := items[who]; !erased[who] && n != 0 && n < eachPersons {
			t.Errorf("of %s there are %d records, neither all nor none, such as %s", who, n, last[who])
		}
	}
	t.Logf("%d people, %d erased and acknowledged, %d receipts", len(here), len(erased), len(list))
}
