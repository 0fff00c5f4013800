package rulestest

import (
	"fmt"
	"io"
	"strings"
)

// Render writes the report for people: a line for each file, what failed, and what a file's cover misses.
func (r *Report) Render(w io.Writer) error { return r.render(w, false) }

// RenderAll writes the report with every test, and with all that is not covered.
func (r *Report) RenderAll(w io.Writer) error { return r.render(w, true) }

func (r *Report) render(w io.Writer, all bool) error {
	var b strings.Builder
	failed, refused := 0, 0
	for i := range r.Files {
		f := &r.Files[i]
		failed += f.Failed
		if len(f.Problems) > 0 {
			refused++
		}
		f.write(&b)
		if err := f.Problems.Render(&b); err != nil {
			return err
		}
		for j := range r.Tests {
			if t := &r.Tests[j]; t.File == f.Name && (all || !t.OK()) {
				t.write(&b)
			}
		}
		for _, s := range f.Short {
			b.WriteString("  cover: " + s + "\n")
		}
		if all || len(f.Short) > 0 {
			f.Coverage.writeMissing(&b)
		}
	}
	result := count(len(r.Tests), "test")
	if failed > 0 {
		result += fmt.Sprintf(", %d failed", failed)
	}
	if refused > 0 {
		result += ", " + count(refused, "file") + " not run"
	}
	b.WriteString(result + "; together they cover " + r.Coverage.text() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// count writes a number of things.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (f *FileReport) write(b *strings.Builder) {
	switch {
	case len(f.Problems) > 0:
		fmt.Fprintf(b, "FAIL  %s: %s\n", f.Name, count(len(f.Problems), "problem"))
		return
	case f.OK():
		b.WriteString("ok    ")
	default:
		b.WriteString("FAIL  ")
	}
	fmt.Fprintf(b, "%s: %s, ", f.Name, count(f.Tests, "test"))
	if f.Failed > 0 {
		fmt.Fprintf(b, "%d failed, ", f.Failed)
	}
	b.WriteString(f.Coverage.text() + "\n")
}

func (c *Coverage) text() string {
	return fmt.Sprintf("%d of %d rules, %d of %d comparisons (%.0f%%)", c.Fired, c.Rules, c.Decided, c.Conditions, c.ConditionShare())
}

func (t *Test) write(b *strings.Builder) {
	mark := "ok  "
	if !t.OK() {
		mark = "FAIL"
	}
	fmt.Fprintf(b, "  %s %s:%d: %s\n", mark, t.File, t.Line, t.Name)
	step := 0
	for i := range t.Failures {
		f := &t.Failures[i]
		if f.Step != step {
			step = f.Step
			fmt.Fprintf(b, "    step %d at %s\n", f.Step, f.At)
		}
		f.write(b)
	}
}

func (f *Failure) write(b *strings.Builder) {
	fmt.Fprintf(b, "      line %d, %s\n        expected  %s\n        found     %s\n", f.Line, f.What, f.Expected, f.Found)
	for _, w := range f.Why {
		b.WriteString("          " + w + "\n")
	}
}

func (c *Coverage) writeMissing(b *strings.Builder) {
	for i := range c.Missing {
		m := &c.Missing[i]
		fmt.Fprintf(b, "  not covered: %s (%s:%d)", m.Rule, m.File, m.Line)
		if m.NeverFired {
			b.WriteString(" never fired")
		}
		b.WriteByte('\n')
		for _, u := range m.Conditions {
			fmt.Fprintf(b, "    %s: %s\n", u.missing(), u.Text)
		}
	}
}

// missing tells which way a comparison was not shown to decide.
func (u *Undecided) missing() string {
	switch {
	case u.True:
		return "never decided while false"
	case u.False:
		return "never decided while true"
	}
	return "never decided"
}
