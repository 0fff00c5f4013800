package store

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/sdk/feedback"
)

type address struct {
	City string `json:"city,omitempty"`
	Zip  string
}

type base struct {
	ID string `json:"id"`
}

type person struct {
	base
	Name    string             `json:"name,omitempty"`
	Address address            `json:"address"`
	Second  *address           `json:"second,omitempty"`
	ByName  map[string]address `json:"by_name,omitempty"`
	Counts  map[string]int     `json:"counts,omitempty"`
	Tags    []address          `json:"tags,omitempty"`
	Any     any                `json:"any,omitempty"`
	At      feedback.Time      `json:"at,omitzero"`
	Value   feedback.Value     `json:"value,omitzero"`
	Hidden  string             `json:"-"`
	Self    *person            `json:"self,omitempty"`
	private int                //nolint:unused // stands for a field that is not exported
}

func TestUnknownMembersSurvive(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, old, fresh, want string }{
		{"nothing unknown", `{"id":"1","name":"a","address":{"Zip":"x"}}`, `{"id":"2","address":{"Zip":""}}`, `{"id":"2","address":{"Zip":""}}`},
		{"at the top", `{"new":{"a":[1,2]},"id":"1","more":null}`, `{"id":"2","address":{"Zip":""}}`,
			`{"id":"2","address":{"Zip":""},"new":{"a":[1,2]},"more":null}`},
		{"in an object", `{"address":{"street":"S","city":"C"}}`, `{"id":"","address":{"Zip":"z"}}`, `{"id":"","address":{"Zip":"z","street":"S"}}`},
		{"in an object that is gone", `{"second":{"street":"S"},"x":1}`, `{"id":"","address":{"Zip":""}}`, `{"id":"","address":{"Zip":""},"x":1}`},
		{"in an object that was null", `{"second":null}`, `{"second":{"Zip":""}}`, `{"second":{"Zip":""}}`},
		{"in a map of objects", `{"by_name":{"a":{"street":"S"},"b":{"street":"T"}}}`, `{"by_name":{"a":{"Zip":""}}}`, `{"by_name":{"a":{"Zip":"","street":"S"}}}`},
		{"a map's keys are data", `{"counts":{"a":1}}`, `{"counts":{"b":2}}`, `{"counts":{"b":2}}`},
		{"any is data", `{"any":{"a":1}}`, `{"any":{"b":2}}`, `{"any":{"b":2}}`},
		{"arrays are replaced", `{"tags":[{"street":"S"}]}`, `{"tags":[{"Zip":""}]}`, `{"tags":[{"Zip":""}]}`},
		{"a type in itself is replaced", `{"self":{"x":1}}`, `{"self":{"id":""}}`, `{"self":{"id":""}}`},
		{"an unknown member that is written after all", `{"-":1}`, `{"-":2}`, `{"-":2}`},
		{"an excluded and a private field are unknown", `{"Hidden":"h","private":1}`, `{"id":""}`, `{"id":"","Hidden":"h","private":1}`},
		{"odd names", `{"a\"\u00e9\n":1}`, `{}`, `{"a\"é\n":1}`},
		{"not an object before", `[1]`, `{"id":""}`, `{"id":""}`},
	}
	s := setup(t)
	sc := s.schemaOf(reflect.TypeFor[person]())
	for _, c := range cases {
		got, err := keepUnknown([]byte(c.fresh), []byte(c.old), sc)
		if err != nil || string(got) != c.want {
			t.Errorf("%s:\n got %s (%v)\nwant %s", c.name, got, err, c.want)
		}
	}
	if _, err := keepUnknown([]byte(`{"id":""}`), []byte(`{"x":`), sc); err == nil {
		t.Error("broken JSON was merged")
	}
}

func TestPutAndLoad(t *testing.T) {
	t.Parallel()
	s := setup(t)
	k := key("p")
	must(t, s, func(tx *Tx) {
		if err := PutNew(tx, k, &person{base: base{ID: "1"}, Name: "<A&B>"}); err != nil {
			t.Error(err)
		}
		p, err := Load[person](tx, k)
		if err != nil || p.Name != "<A&B>" || p.ID != "1" {
			t.Errorf("%+v, %v", p, err)
		}
	})
	if v := read(t, s, k); !strings.Contains(v, "<A&B>") {
		t.Errorf("written as %s", v)
	}
	// A newer version adds members; this one rewrites the record twice.
	must(t, s, func(tx *Tx) { tx.Set(k, []byte(`{"id":"1","plan":{"a":1},"address":{"city":"C","geo":[1,2]}}`)) })
	for range 2 {
		must(t, s, func(tx *Tx) {
			p, err := Load[person](tx, k)
			if err != nil {
				t.Error(err)
				return
			}
			p.Name = "B"
			if err := Put(tx, k, p); err != nil {
				t.Error(err)
			}
		})
	}
	want := `{"id":"1","name":"B","address":{"city":"C","Zip":"","geo":[1,2]},"plan":{"a":1}}`
	if v := read(t, s, k); v != want {
		t.Errorf("got %s\nwant %s", v, want)
	}
	err := s.View(func(sn *Snapshot) error {
		_, err := Load[person](sn, key("none"))
		return err
	})
	if !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	must(t, s, func(tx *Tx) {
		tx.Set(key("bad"), []byte("{"))
		if _, err := Load[person](tx, key("bad")); err == nil {
			t.Error("broken JSON was loaded")
		}
		if err := PutNew(tx, key("chan"), &struct{ C chan int }{}); err == nil {
			t.Error("a channel was written")
		}
	})
}

// Whatever was in a record, a rewrite by a type that knows some members leaves the others as they were.
func TestRewriteKeepsTheRest(t *testing.T) {
	t.Parallel()
	s := setup(t)
	sc := s.schemaOf(reflect.TypeFor[person]())
	names := rapid.SampledFrom([]string{"id", "name", "address", "city", "Zip", "x", "y", "é\""})
	var object func(depth int) *rapid.Generator[map[string]any]
	object = func(depth int) *rapid.Generator[map[string]any] {
		leaf := rapid.OneOf(rapid.Just[any]("v"), rapid.Just[any](1.5), rapid.Just[any](nil))
		if depth == 0 {
			return rapid.MapOfN(names, leaf, 0, 4)
		}
		deeper := rapid.Map(object(depth-1), func(m map[string]any) any { return m })
		return rapid.MapOfN(names, rapid.OneOf(leaf, deeper), 0, 5)
	}
	rapid.Check(t, func(t *rapid.T) {
		old := object(2).Draw(t, "old")
		raw, err := json.Marshal(old)
		if err != nil {
			t.Fatal(err)
		}
		fresh := `{"id":"new","address":{"Zip":"new"}}`
		got, err := keepUnknown([]byte(fresh), raw, sc)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{}
		for k, v := range old {
			if _, known := sc.fields[k]; !known {
				want[k] = v
			}
		}
		addr := map[string]any{}
		if m, ok := old["address"].(map[string]any); ok {
			for k, v := range m {
				if k != "city" && k != "Zip" {
					addr[k] = v
				}
			}
		}
		addr["Zip"] = "new"
		want["id"], want["address"] = "new", addr
		var back map[string]any
		if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, want) {
			t.Fatalf("old %s\n got %s (%v)\nwant %v", raw, got, err, want)
		}
	})
}

// The members of an object are those that encoding/json finds in it.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1}`, "{ \"a\" :\t[1, {\"b\":\"}\"}] , \"c\\\"\":-1.5e3,\n\"d\":null,\"e\":{} }", `{"\u00e9":"\\","\"":"\"","a":1,"a":2}`, `{"x":`, `{"a":1}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !isObject(b) {
			return
		}
		want := map[string]json.RawMessage{}
		wantErr := json.Unmarshal(b, &want)
		got, err := members(b)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("%q: %v, want %v", b, err, wantErr)
		}
		if !utf8.Valid(b) || err != nil {
			return
		}
		found := map[string]json.RawMessage{}
		for _, m := range got {
			found[m.name] = m.value
		}
		if !reflect.DeepEqual(found, want) {
			t.Fatalf("%q has the members %q, want %q", b, found, want)
		}
		if err := json.Unmarshal(object(got), &found); err != nil {
			t.Fatalf("%q is put together as %q: %v", b, object(got), err)
		}
	})
}
