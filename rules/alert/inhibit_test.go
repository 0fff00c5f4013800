package alert

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestInhibitions(t *testing.T) {
	t.Parallel()
	n, err := NewInhibitions([]Inhibition{
		{"closed", "flood", false}, {"theme-spike", "theme-rise", true}, {"flood", "theme-rise", false}, {"closed", "flood", true},
	})
	if err != nil {
		t.Fatal(err)
	}
	firing := map[string][]string{"theme-spike": {"packaging"}}
	fires := func(rule, key string, anyKey bool) bool {
		return anyKey && len(firing[rule]) > 0 || slices.Contains(firing[rule], key)
	}
	check := func(rule, key, want string) {
		t.Helper()
		if by, held := n.By(rule, key, fires); by != want || held != (want != "") {
			t.Errorf("%s/%s: found %q, %t, expected %q", rule, key, by, held, want)
		}
	}
	check("theme-rise", "packaging", "theme-spike")
	check("theme-rise", "shipping", "")
	check("theme-spike", "packaging", "")
	firing["flood"] = []string{""}
	check("theme-rise", "shipping", "flood")
	firing["closed"] = []string{"berlin"}
	check("flood", "", "closed")
	check("theme-rise", "shipping", "flood") // what is inhibited itself inhibits
	if by, held := (Inhibitions{}).By("a", "b", fires); held {
		t.Errorf("found %q", by)
	}
}

func TestInhibitionCycles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list []Inhibition
		want string
	}{
		{[]Inhibition{{"b", "b", true}}, "rule b inhibits itself"},
		{[]Inhibition{{"b", "a", true}, {"a", "b", false}}, "rules inhibit each other: a -> b -> a"},
		{[]Inhibition{{"c", "a", true}, {"x", "b", true}, {"b", "c", true}, {"a", "b", true}}, "rules inhibit each other: a -> b -> c -> a"},
		{[]Inhibition{{"a", "b", true}, {"b", "c", true}, {"a", "c", true}, {"a", "c", true}}, ""},
	} {
		_, err := NewInhibitions(c.list)
		var cycle *CycleError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &cycle) || err.Error() != c.want) {
			t.Errorf("%v: found %v, expected %q", c.list, err, c.want)
		}
	}
}

// Among alerts that fire, whoever is inhibited is so because of one that is not, directly or through others: it never
// happens that nobody is told of anything.
func TestInhibitionNeverSilencesAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("r", rapid.IntRange(0, 5).Draw(t, "rule")) })
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Inhibition {
			return Inhibition{rule.Draw(t, "source"), rule.Draw(t, "target"), rapid.Bool().Draw(t, "same key")}
		}), 0, 7).Draw(t, "inhibitions")
		n, err := NewInhibitions(list)
		if cyclic := reaches(list); cyclic != (err != nil) {
			t.Fatalf("%v: found %v", list, err)
		}
		if err != nil {
			return
		}
		type alert struct{ rule, key string }
		firing := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) alert {
			return alert{rule.Draw(t, "rule"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "key")}
		}), 1, 8).Draw(t, "firing")
		told := slices.ContainsFunc(firing, func(a alert) bool {
			_, held := n.By(a.rule, a.key, func(rule, key string, anyKey bool) bool {
				return slices.ContainsFunc(firing, func(b alert) bool { return b.rule == rule && (anyKey || b.key == key) })
			})
			return !held
		})
		if !told {
			t.Fatalf("all of %v are inhibited by %v", firing, list)
		}
	})
}

// reaches reports whether a rule inhibits itself, directly or through others.
func reaches(list []Inhibition) bool {
	reach := map[[2]string]bool{}
	for _, i := range list {
		reach[[2]string{i.Source, i.Target}] = true
	}
	for range list {
		for a := range reach {
			for b := range reach {
				if a[1] == b[0] {
					reach[[2]string{a[0], b[1]}] = true
				}
			}
		}
	}
	for a := range reach {
		if a[0] == a[1] {
			return true
		}
	}
	return false
}
