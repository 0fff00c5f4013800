package lang

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// exhausting are expressions of a few hundred bytes or more that make expr's parser or virtual machine take all memory
// or all time. Each is refused before anything of it runs.
func exhausting() map[string]string {
	doublings, last := "", "a"
	for i := range 28 {
		next := fmt.Sprintf("b%d", i)
		doublings += fmt.Sprintf("let %s = %s + %s; ", next, last, last)
		last = next
	}
	return map[string]string{
		"concat":              `let a = "xxxxxxxxxxxxxxxx"; ` + doublings + "len(" + last + ") > 0",
		"replace":             `len(replace(repeat("a", 999990), "a", repeat("b", 9999))) > 0`,
		"replace2":            `len(replace(repeat("a", 400000), "a", repeat("b", 400000))) > 0`,
		"loops":               `let a = 1..999000; count(a, count(a, # > 0) > 0) > 0`,
		"loops2":              `let a = 1..900000; reduce(a, #acc + reduce(a, #acc + #, 0), 0) > 0`,
		"loops2s":             `let a = 1..3000; reduce(a, #acc + reduce(a, #acc + #, 0), 0) > 0`,
		"loops3":              `let a = 1..2000; count(a, count(a, count(a, # > 0) > 0) > 0) > 0`,
		"loops nested":        `count(1..20000, count(1..20000, # > 0) > 0) > 0`,
		"loops themes":        `any(theme_scores, any(theme_scores, any(theme_scores, .confidence > 0)))`,
		"join":                `let a = map(1..900, repeat("x", 1000)); len(join(map(1..900, join(a, "")))) > 0`,
		"tojson":              `let a = map(1..900, text); let b = map(1..900, a); len(toJSON(b)) > 0`,
		"regex":               `count(1..20000, text matches ("(a|b|c|d|e){900}" + string(#))) > 0`,
		"regex large":         `text matches "(abcdefghijklm){900}(nopqrstuvwxyz){900}"`,
		"regex many":          `text matches "` + strings.Repeat("(abc){999}", 300) + `"`,
		"regex nested":        `text matches "((((a{9}){9}){9}){9}){9}"`,
		"parens4k":            strings.Repeat("(", 2000) + "1" + strings.Repeat(")", 2000) + " > 0",
		"parens20k":           strings.Repeat("(", 10_000) + "1" + strings.Repeat(")", 10_000),
		"parens200k":          strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000),
		"parens1m":            strings.Repeat("(", 1_000_000) + "1" + strings.Repeat(")", 1_000_000),
		"parens3m":            strings.Repeat("(", 3_000_000) + "1" + strings.Repeat(")", 3_000_000),
		"brackets":            "score in " + strings.Repeat("[", 1500) + strings.Repeat("]", 1500),
		"braces":              strings.Repeat("{a:", 1000) + "1" + strings.Repeat("}", 1000),
		"unary":               strings.Repeat("-", 9_000) + "1",
		"unary short":         "score > " + strings.Repeat("-", 3_000) + "1",
		"not":                 strings.Repeat("not ", 900) + "contactable",
		"power":               "2" + strings.Repeat("**2", 1300) + " > 1",
		"ternary":             strings.Repeat("contactable?", 300) + "true" + strings.Repeat(":true", 300),
		"longstr":             `len("` + strings.Repeat("x", 5_000_000) + `") > 0`,
		"macros doubled":      `b19 and b19`, // each bN joins the one before with itself
		"macros of constants": `c39 and c39`,
		"macros of texts":     `t39 and t39`,
	}
}

func TestExhaustingExpressionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, source := range exhausting() {
		c := setup(t)
		refused := 0
		report := func(p Problem) {
			refused++
			if len(p.Message) > 500 || p.Message == "" {
				t.Errorf("%s: message of %d bytes", name, len(p.Message))
			}
		}
		c.DefineMacro("b0", `text contains "a" or text contains "b"`, report)
		c.DefineMacro("c0", `true`, report)
		c.DefineMacro("t0", `text contains "`+strings.Repeat("x", 3000)+`"`, report)
		for i := range 39 {
			c.DefineMacro(fmt.Sprint("b", i+1), fmt.Sprintf("b%d and (b%d or score > %d)", i, i, i), report)
			c.DefineMacro(fmt.Sprint("c", i+1), fmt.Sprintf("c%d and c%d", i, i), report)
			c.DefineMacro(fmt.Sprint("t", i+1), fmt.Sprintf("t%d and not t%d", i, i), report)
		}
		if c.Condition(source, report) != nil || refused == 0 {
			t.Errorf("%s is not refused", name)
		}
	}
}

// TestRefusals shows, for every surprise that expr has, the reason with which it is refused, or that it is harmless
// here. The golden file holds one expression to a paragraph.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const file = "testdata/refusals.txt"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n\n") {
		lines := strings.Split(paragraph, "\n")
		if strings.HasPrefix(lines[0], "## ") {
			out.WriteString(paragraph + "\n\n")
			continue
		}
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "  ") })
		source := strings.Join(lines, "\n")
		out.WriteString(source + "\n" + outcome(t, source) + "\n")
	}
	got := strings.TrimRight(out.String(), "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != string(data) {
		t.Errorf("%s differs; run with -update and look at the difference. Got\n%s", file, got)
	}
}

func outcome(t *testing.T, source string) string {
	c := setup(t)
	var b strings.Builder
	cond := c.Condition(source, func(p Problem) {
		fmt.Fprintf(&b, "  %d %s: %s\n", p.Offset, p.Code, p.Message)
		if p.Hint != "" {
			fmt.Fprintf(&b, "    %s\n", p.Hint)
		}
	})
	if cond != nil {
		f := c.Program().NewFrame()
		f.Reset(full())
		fmt.Fprintf(&b, "  %s, at a cost of %d\n", [...]string{"false", "unknown", "true"}[f.Eval(cond)], cond.Cost())
	}
	return b.String()
}

func TestMacroCycles(t *testing.T) {
	t.Parallel()
	c := setup(t)
	var got []string
	for name, text := range map[string]string{"a": "b and contactable", "b": "score > 3 or c", "c": "not a", "self": "self or true", "good": "score > 3"} {
		c.DefineMacro(name, text, func(p Problem) { got = append(got, fmt.Sprintf("%s %d %s", name, p.Offset, p.Message)) })
	}
	if c.Condition("a and good", func(p Problem) { t.Error("the problem of a macro is reported where it is used") }) != nil {
		t.Error("compiles")
	}
	c.CheckMacros()
	slices.Sort(got)
	want := []string{"c 4 the macro a is defined by itself", "self 0 the macro self is defined by itself"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A macro is a part of its own, whatever stands around it.
func TestMacrosAreHygienic(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]Truth{
		`not vip`: False, `vip and false`: False, `false and vip`: False, `doubled * 2 == 24`: True, `0 - doubled == -12`: True, `detractor == false`: False,
	} {
		if got := truth(t, source, full()); got != want {
			t.Errorf("%s: got %d, want %d", source, got, want)
		}
	}
	if outcome(t, "any(theme_scores, detractor and .confidence > 0.5)") != "  true, at a cost of 2048\n" {
		t.Error(outcome(t, "any(theme_scores, detractor and .confidence > 0.5)"))
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	c := setup(t)
	for _, name := range []string{"score", "customer", "and", "has", "lists", "repeat", "9a", "a-b", "", "ä", "attributes"} {
		if c.CheckName(name) == "" {
			t.Errorf("the name %q is accepted", name)
		}
	}
	for _, name := range []string{"detractor2", "_x", "VIP"} {
		if why := c.CheckName(name); why != "" {
			t.Error(why)
		}
	}
}

func FuzzCondition(f *testing.F) {
	for _, s := range exhausting() {
		if len(s) < 300 {
			f.Add(s)
		}
	}
	data, err := os.ReadFile("testdata/refusals.txt")
	if err != nil {
		f.Fatal(err)
	}
	for paragraph := range strings.SplitSeq(string(data), "\n\n") {
		first, _, _ := strings.Cut(paragraph, "\n")
		f.Add(first)
	}
	f.Fuzz(func(t *testing.T, source string) {
		c := setup(t)
		reported := false
		cond := c.Condition(source, func(p Problem) {
			reported = true
			if p.Offset < 0 || p.Offset > len(source) || p.Message == "" {
				t.Errorf("%+v", p)
			}
		})
		if (cond == nil) != reported {
			t.Fatal("neither compiled nor refused, or both")
		}
		if cond == nil {
			return
		}
		fr := c.Program().NewFrame()
		for _, ev := range [...]*feedback.Event{full(), empty(), unlabelled()} {
			fr.Reset(ev)
			got := fr.Eval(cond)
			if traced := fr.Trace(cond).Truth; traced != got || fr.Eval(cond) != got {
				t.Fatalf("evaluated to %d, traced as %d", got, traced)
			}
			fr.Release()
		}
	})
}
