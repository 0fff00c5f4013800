package alert

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func silence(change func(*Silence)) Silence {
	s := Silence{Rule: "drop", Starts: minute(0), Ends: minute(60), By: "anna", Why: "known since the move"}
	change(&s)
	return s
}

func TestSilenceValidate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*Silence)
		want   string
	}{
		{func(*Silence) {}, ""},
		{func(s *Silence) { s.Rule, s.Key = "", "ket*" }, ""},
		{func(s *Silence) { s.Rule = "" }, "neither rule nor key"},
		{func(s *Silence) { s.Rule = `a\` }, "after the last backslash"},
		{func(s *Silence) { s.Rule = `a\\` }, ""},
		{func(s *Silence) { s.Key = strings.Repeat("x", 1001) }, "at most 1000"},
		{func(s *Silence) { s.Ends = 0 }, "expected both"},
		{func(s *Silence) { s.Ends = s.Starts }, "an end after its start"},
		{func(s *Silence) { s.Ends = minute(400 * 24 * 60) }, "lasts 400 days, expected at most 366"},
		{func(s *Silence) { s.By, s.Why = "", "" }, "no name"},
		{func(s *Silence) { s.By, s.Why = "", "" }, "no reason"},
	} {
		s := silence(c.change)
		made, err := NewSilence(s)
		if c.want == "" && (err != nil || made.ID == "") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: found %v, expected %q", s, err, c.want)
		}
	}
}

// The ID is that of what is asked for: prolonging keeps it, anything else is another silence.
func TestSilenceID(t *testing.T) {
	t.Parallel()
	id := func(change func(*Silence)) string {
		s, err := NewSilence(silence(change))
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	first := id(func(*Silence) {})
	if !regexp.MustCompile(`^s_[0-9a-f]{16}$`).MatchString(first) || id(func(s *Silence) { s.Ends++ }) != first {
		t.Errorf("found %s", first)
	}
	for n, other := range []func(*Silence){
		func(s *Silence) { s.Rule = "flood" }, func(s *Silence) { s.Key = "k" }, func(s *Silence) { s.Starts++ },
		func(s *Silence) { s.By = "ben" }, func(s *Silence) { s.Why = "other" }, func(s *Silence) { s.Rule, s.Key = "", "drop" },
	} {
		if id(other) == first {
			t.Errorf("case %d has the same ID", n)
		}
	}
}

func TestSilenceMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule, key   string // patterns
		ofRule, ofK string
		want        bool
	}{
		{"drop", "", "drop", "kettle", true},
		{"drop", "", "drops", "", false},
		{"", "kettle", "drop", "kettle", true},
		{"drop", "kettle", "drop", "mixer", false},
		{"*", "", "", "", true},
		{"nps-*", "", "nps-drop", "", true},
		{"nps-*", "", "nps-", "", true},
		{"", "packaging/*", "r", "packaging/opening/tape", true},
		{"", "*/tape", "r", "packaging/opening/tape", true},
		{"", "*a*b*c", "r", "xxaxxbxxbcxc", true},
		{"", "*a*b*c", "r", "xxaxxbxxbcx", false},
		{"", "k?ttle", "r", "kéttle", true},
		{"", "k?ttle", "r", "kttle", false},
		{"", `50\*`, "r", "50*", true},
		{"", `50\*`, "r", "500", false},
		{"", `a\\b`, "r", `a\b`, true},
		{"", "a**", "r", "a", true},
		{"", strings.Repeat("*a", 400) + "b", "r", strings.Repeat("a", 2000), false},
	} {
		s := Silence{Rule: c.rule, Key: c.key}
		if got := s.Matches(c.ofRule, c.ofK); got != c.want {
			t.Errorf("%.40q %.40q of %q %.40q: found %t", c.rule, c.key, c.ofRule, c.ofK, got)
		}
	}
}

// Patterns mean what the regular expression means that they are another spelling of.
func TestPatternModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`([ab*?é]|\\[ab*?\\]){0,9}`).Draw(t, "pattern")
		text := rapid.StringMatching(`[ab*?é\\]{0,9}`).Draw(t, "text")
		var re strings.Builder
		for r := []rune(pattern); len(r) > 0; r = r[1:] {
			switch r[0] {
			case '*':
				re.WriteString("(?s:.*)")
			case '?':
				re.WriteString("(?s:.)")
			case '\\':
				r = r[1:]
				fallthrough
			default:
				re.WriteString(regexp.QuoteMeta(string(r[0])))
			}
		}
		if want := regexp.MustCompile("^" + re.String() + "$").MatchString(text); fits(pattern, text) != want {
			t.Fatalf("%q of %q: expected %t", pattern, text, want)
		}
	})
}

func TestSilenced(t *testing.T) {
	t.Parallel()
	list := []Silence{
		{ID: "s_2", Rule: "d*", Starts: minute(10), Ends: minute(60)},
		{ID: "s_1", Rule: "*", Key: "kettle", Starts: minute(10), Ends: minute(60)},
		{ID: "s_0", Rule: "drop", Starts: minute(0), Ends: minute(30)},
	}
	for _, c := range []struct {
		at   int
		key  string
		want string
	}{{-1, "kettle", ""}, {0, "kettle", "s_0"}, {10, "mixer", "s_2"}, {10, "kettle", "s_1"}, {59, "mixer", "s_2"}, {60, "kettle", ""}} {
		id, until, held := Silenced(list, "drop", c.key, minute(c.at))
		if id != c.want || held != (c.want != "") || held && until <= minute(c.at) {
			t.Errorf("minute %d, %s: found %q until %s", c.at, c.key, id, until)
		}
	}
}
