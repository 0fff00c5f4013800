package feedback

import (
	"reflect"
	"slices"
	"testing"
)

func TestThemePath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, ancestor ThemePath
		within         bool
	}{
		{"packaging", "packaging", true},
		{"packaging/opening", "packaging", true},
		{"packaging/opening/tab", "packaging/opening", true},
		{"packaging-old", "packaging", false},
		{"pack", "packaging", false},
	} {
		if tt.path.Within(tt.ancestor) != tt.within {
			t.Errorf("%q within %q: want %v", tt.path, tt.ancestor, tt.within)
		}
	}
	if got := slices.Collect(ThemePath("a/b/c").Ancestors); !slices.Equal(got, []ThemePath{"a/b/c", "a/b", "a"}) {
		t.Errorf("Ancestors = %v", got)
	}
	for p := range ThemePath("a/b").Ancestors {
		if p != "a/b" {
			t.Error("goes on after a stop")
		}
		break
	}
}

// The correction of a person stands whatever the model and the rules say afterwards.
func TestFold(t *testing.T) {
	t.Parallel()
	model, rule, human := Author{Layer: LayerModel, Name: "themes"}, Author{Layer: LayerRule, Name: "r1"}, Author{Layer: LayerHuman, Name: "anna"}
	changes := []Change{
		{By: human, Remove: []ThemePath{"shipping"}, Add: []Theme{{Path: "packaging/opening", Confidence: 1}}, Reason: "not damaged, hard to open"},
		{By: model, Add: []Theme{{Path: "shipping/damaged", Confidence: 0.8}, {Path: "price", Confidence: 0.3}}, Sentiment: new(-0.2)},
		{By: rule, Add: []Theme{{Path: "price", Confidence: 1}}, Sentiment: new(-0.9)},
		{By: model, Add: []Theme{{Path: "shipping", Confidence: 0.5}}},
	}
	before := append([]Change(nil), changes...)
	want := Labels{
		Themes: []Theme{
			{Path: "price", Confidence: 1, By: rule},
			{Path: "packaging/opening", Confidence: 1, By: human},
		},
		Sentiment: new(-0.9), SentimentBy: rule,
	}
	got := Fold(changes)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !reflect.DeepEqual(changes, before) || changes[1].Add[0].By != (Author{}) {
		t.Error("the changes were changed")
	}
	if !got.Has("packaging") || got.Has("shipping") {
		t.Error("Has")
	}
	if !reflect.DeepEqual(Fold(nil), Labels{}) {
		t.Error("nothing folds to something")
	}
}
