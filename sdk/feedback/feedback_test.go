package feedback

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// full returns an item with every field set, found by reflection, so that no field can be forgotten.
func full(t *testing.T) *Item {
	t.Helper()
	it := &Item{}
	fill(t, reflect.ValueOf(it).Elem())
	it.Survey = NPS
	return it
}

func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case *float64:
			f.Set(reflect.ValueOf(new(float64(i))))
		case *bool:
			f.Set(reflect.ValueOf(new(true)))
		case Attributes:
			f.Set(reflect.ValueOf(Attributes{"plan": StringValue("pro")}))
		case Customer:
			fill(t, f)
		default:
			switch f.Kind() {
			case reflect.String:
				f.SetString(v.Type().Field(i).Name)
			case reflect.Int64:
				f.SetInt(1760000000000 + int64(i))
			case reflect.Bool:
				f.SetBool(true)
			default:
				t.Fatalf("a field of the type %v: say here how to set it", f.Type())
			}
		}
	}
}

func TestScaleAndClass(t *testing.T) {
	t.Parallel()
	for score, want := range map[float64]NPSClass{0: Detractor, 6: Detractor, 6.5: Passive, 7: Passive, 8: Passive, 9: Promoter, 10: Promoter} {
		if got := (&Item{Survey: NPS, Score: new(score)}).NPSClass(); got != want {
			t.Errorf("%v is a %q, want %q", score, got, want)
		}
	}
	if c := (&Item{Survey: NPS}).NPSClass() + (&Item{Survey: CSAT, Score: new(1.0)}).NPSClass(); c != "" {
		t.Errorf("an item without an NPS answer is a %q", c)
	}
	for survey, want := range map[Survey][2]float64{NPS: {0, 10}, CSAT: {1, 5}, CES: {1, 7}, Stars: {1, 5}} {
		if lo, hi, ok := (&Item{Survey: survey, ScaleMin: new(2.0)}).Scale(); !ok || lo != want[0] || hi != want[1] {
			t.Errorf("scale of %s: %v to %v, %v", survey, lo, hi, ok)
		}
	}
	if _, _, ok := (&Item{Survey: "mood"}).Scale(); ok {
		t.Error("a survey of no usual scale has one")
	}
	if lo, hi, ok := (&Item{Survey: CSAT, ScaleMin: new(0.0), ScaleMax: new(100.0)}).Scale(); !ok || lo != 0 || hi != 100 {
		t.Error("the item's own scale does not count")
	}
}

func TestItemJSON(t *testing.T) {
	t.Parallel()
	it := full(t)
	b, err := json.Marshal(it)
	if err != nil {
		t.Fatal(err)
	}
	var back Item
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(&back, it) {
		t.Errorf("read as %+v, %v\nwant %+v", back, err, *it)
	}
	if b, err := json.Marshal(Item{}); string(b) != "{}" || err != nil {
		t.Errorf("an empty item is %s, %v", b, err)
	}
}

// IsZero looks at every field of a customer.
func TestCustomerIsZero(t *testing.T) {
	t.Parallel()
	if !(Customer{}).IsZero() {
		t.Error("an empty customer is known")
	}
	all := reflect.ValueOf(full(t).Customer)
	for i := range all.NumField() {
		var c Customer
		reflect.ValueOf(&c).Elem().Field(i).Set(all.Field(i))
		if c.IsZero() {
			t.Errorf("a customer with nothing but %s counts as unknown", all.Type().Field(i).Name)
		}
	}
}

// Size counts every string that came from outside.
func TestItemSize(t *testing.T) {
	t.Parallel()
	all := reflect.ValueOf(full(t)).Elem()
	for _, of := range []reflect.Value{all, all.FieldByName("Customer")} {
		for i := range of.NumField() {
			name := of.Type().Field(i).Name
			if of.Field(i).Kind() != reflect.String || name == "ID" && of == all || name == "Synthetic" {
				continue
			}
			before := all.Addr().Interface().(*Item).Size()
			of.Field(i).SetString(of.Field(i).String() + "123")
			if got := all.Addr().Interface().(*Item).Size(); got != before+3 {
				t.Errorf("%s: three bytes more make %d bytes of %d", name, got, before)
			}
		}
	}
	if (&Item{}).Size() != 0 || (&Item{Attributes: Attributes{"a": StringValue("bc")}}).Size() != 11 {
		t.Error("attributes count their name, their text and eight bytes")
	}
}

func FuzzWordCount(f *testing.F) {
	f.Add("  zwei Wörter ")
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := (&Item{Text: text}).WordCount(), len(strings.Fields(text)); got != want {
			t.Errorf("%q has %d words, want %d", text, got, want)
		}
	})
}

// derived are the names that are no members of an item's JSON.
var derived = []string{"nps", "csat", "ces", "stars", "nps_class", "word_count", "sentiment", "themes", "theme_scores"}

// TestFields compares the table of names with the JSON of an item: rules and JSON use the same names and values.
func TestFields(t *testing.T) {
	t.Parallel()
	it := full(t)
	leaves := jsonLeaves(t, it)
	seen := map[string]bool{}
	for _, f := range Fields() {
		if seen[f.Name] || f.Doc == "" {
			t.Errorf("%s: twice, or without a description", f.Name)
		}
		seen[f.Name] = true
		if f.Kind == Themes || f.Kind == ThemeList {
			continue
		}
		got, ok := access(t, f, &Event{Item: it, Labels: &Labels{Sentiment: new(-0.5)}})
		if slices.Contains(derived, f.Name) {
			continue
		}
		if want := leaves[f.Name]; !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v; the JSON has %v", f.Name, got, ok, want)
		}
		if v, ok := access(t, f, &Event{Item: &Item{}}); ok {
			t.Errorf("%s: an empty item has %v", f.Name, v)
		}
	}
	for name := range leaves {
		switch name {
		case "version", "occurred_assumed", "position", "scale_min", "scale_max": // not for rules
		default:
			if !seen[name] && !strings.Contains(name, "attributes.") {
				t.Errorf("%s is in the JSON of an item but not in the table", name)
			}
		}
	}
}

// jsonLeaves returns the members of an item's JSON by their path.
func jsonLeaves(t *testing.T, it *Item) map[string]any {
	t.Helper()
	var tree map[string]any
	b, err := json.Marshal(it)
	if err == nil {
		err = json.Unmarshal(b, &tree)
	}
	if err != nil {
		t.Fatal(err)
	}
	leaves := map[string]any{}
	var walk func(prefix string, m map[string]any)
	walk = func(prefix string, m map[string]any) {
		for k, v := range m {
			if sub, ok := v.(map[string]any); ok {
				walk(prefix+k+".", sub)
			} else {
				leaves[prefix+k] = v
			}
		}
	}
	walk("", tree)
	return leaves
}

// access reads a field as JSON would have it. Exactly the accessor of the field's kind must be there.
func access(t *testing.T, f Field, e *Event) (any, bool) {
	t.Helper()
	if (f.Str != nil) != (f.Kind == String) || (f.Num != nil) != (f.Kind == Number) ||
		(f.Truth != nil) != (f.Kind == Bool) || (f.Instant != nil) != (f.Kind == Instant) {
		t.Fatalf("%s: the accessors do not fit the kind %v", f.Name, f.Kind)
	}
	switch f.Kind {
	case String:
		return f.Str(e)
	case Number:
		return f.Num(e)
	case Bool:
		return f.Truth(e)
	default:
		at, ok := f.Instant(e)
		return at.String(), ok
	}
}

func TestDerivedFields(t *testing.T) {
	t.Parallel()
	fields := map[string]Field{}
	for _, f := range Fields() {
		fields[f.Name] = f
	}
	e := &Event{Item: &Item{Survey: CES, Score: new(2.0), Text: "too  hard"}, Labels: &Labels{Sentiment: new(-0.5)}}
	for name, want := range map[string]float64{"ces": 2, "nps": math.NaN(), "csat": math.NaN(), "stars": math.NaN(), "word_count": 2, "sentiment": -0.5} {
		got, ok := fields[name].Num(e)
		if ok == math.IsNaN(want) || ok && got != want {
			t.Errorf("%s = %v, %v, want %v", name, got, ok, want)
		}
	}
	if _, ok := fields["sentiment"].Num(&Event{Item: &Item{}}); ok {
		t.Error("an item that nobody labelled has a sentiment")
	}
	if class, ok := fields["nps_class"].Str(&Event{Item: &Item{Survey: NPS, Score: new(9.0)}}); class != "promoter" || !ok {
		t.Errorf("nps_class = %q", class)
	}
}

func TestAttributeFields(t *testing.T) {
	t.Parallel()
	fields := AttributeFields(
		map[string]Kind{"plan": String, "value": Number, "gift": Bool, "ordered": Instant, "odd": Themes},
		map[string]Kind{"newsletter": Bool})
	e := &Event{Item: &Item{
		Attributes: Attributes{"plan": StringValue("pro"), "value": NumberValue(5), "gift": BoolValue(false), "ordered": TimeValue(1000)},
		Customer:   Customer{Attributes: Attributes{"newsletter": BoolValue(true)}},
	}}
	got := map[string]any{}
	for _, f := range fields {
		v, ok := access(t, f, e)
		if _, empty := access(t, f, &Event{Item: &Item{}}); !ok || empty {
			t.Errorf("%s: present %v, and in an empty item %v", f.Name, ok, empty)
		}
		got[f.Name] = v
	}
	want := map[string]any{
		"attributes.plan": "pro", "attributes.value": 5.0, "attributes.gift": false, "attributes.ordered": "1970-01-01T00:00:01.000Z",
		"customer.attributes.newsletter": true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
