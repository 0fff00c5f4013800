package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// several writes rules of one group, in files of 10,000.
func several(n int, match string, when func() string) (files []File) {
	const each = 10_000
	for from := 0; from < n; from += each {
		var b strings.Builder
		fmt.Fprintf(&b, "version: 1\ngroups:\n  - name: g%d\n    match: %s\n    rules:\n", from, match)
		for i := range min(each, n-from) {
			fmt.Fprintf(&b, "      - {id: r%d, when: '%s', do: [{assign: {queue: %s}}]}\n", from+i, when(), [...]string{"care", "vip", "product"}[i%3])
		}
		files = append(files, File{Name: fmt.Sprintf("f%02d.yaml", from/each), Data: []byte(b.String())})
	}
	return files
}

// TestLintIsBounded holds that what lint looks into does not grow without bound, and that it says what it left out.
func TestLintIsBounded(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	tangled := func() string {
		var parts []string
		for range 12 {
			parts = append(parts, fmt.Sprintf(`(score != %d or product == "p%d" and not (text contains "w%d"))`, r.IntN(11), r.IntN(40), r.IntN(500)))
		}
		return strings.Join(parts, " and ")
	}
	set, err := Compile(several(300, "first", tangled), env())
	if err != nil {
		t.Fatal(err)
	}
	l := newLinter(set, limits{steps: 1_000_000, matches: 1_000_000, pairs: 1000, overlaps: 10})
	findings := l.lint()
	if l.solver.Steps() > 2_000_000 {
		t.Errorf("took %d steps", l.solver.Steps())
	}
	if len(findings) == 0 || findings[0].Code != "not_looked_into" {
		t.Error("it does not say that something was left out")
	}
}

// BenchmarkLint lints 10,000 rules, and tells how often one could compile them instead.
//
//	go test ./rules -run '^$' -bench BenchmarkLint -benchtime 3x
func BenchmarkLint(b *testing.B) {
	for _, kind := range [...]string{"scoped/all", "scoped/first", "coarse/all", "coarse/first"} {
		b.Run(kind, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			shape, match, _ := strings.Cut(kind, "/")
			files := several(10_000, match, func() string {
				if shape == "scoped" {
					return fmt.Sprintf(`location == "shop-%d" and score <= %d and text contains "w%d"`, r.IntN(5000), r.IntN(11), r.IntN(500))
				}
				return fmt.Sprintf(`score <= %d and customer.arr > %d and text matches "(?i)w%d|x%d"`, r.IntN(11), 100*r.IntN(1000), r.IntN(500), r.IntN(500))
			})
			lint, compile := time.Duration(1<<62), time.Duration(1<<62)
			for b.Loop() {
				begin := time.Now()
				set, err := Compile(files, env())
				if err != nil {
					b.Fatal(err)
				}
				compile = min(compile, time.Since(begin))
				begin = time.Now()
				set.Lint()
				lint = min(lint, time.Since(begin))
			}
			b.ReportMetric(lint.Seconds(), "s/lint")
			b.ReportMetric(float64(lint)/float64(compile), "compiles/lint")
		})
	}
}
