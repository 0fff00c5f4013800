package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/sdk/feedback"
)

const tableFile = `version: 1
lists: {vips: [gold, platinum]}
macros: {vip: customer.tier in lists.vips}
pools: {team: {owners: [anna, ben]}}
tables:
  owner:
    in: {product: product, score: score, vip: vip, tier: customer.tier}
    out: {queue: string, owner: string, pool: string, priority: string, tags: list}
    rows:
      - [kettle, 0..3, true, "-", vip, exec, "-", urgent, [a, b]]
      - [[kettle, toaster], [4, 5, "6.."], "-", "-", care, "-", team, "-", b]
      - [it startsWith "iron", ">= 2", "-", in, "-", carl, "-", low, "-"]
      - [null, "-", not it, "-", product, "-", "-", "-", c]
      - ["-", "-", "-", [silver], "-", "-", "-", high, "-"]
  tags:
    hit: collect
    in: {product: product, score: score}
    out: [tags]
    rows: [[kettle, "-", [k, all]], ["-", ..6, [low, all]], [toaster, "-", t]]
groups:
  - name: g
    rules:
      - {id: r, when: true, do: [{assign: {table: owner, queue: care, priority: normal}}, {tag: {table: owner}}]}
      - {id: s, when: true, do: [{tag: {table: tags}}]}
      - {id: each, each: theme, when: theme startsWith "ship", do: [{tag: other}]}
`

func TestTables(t *testing.T) {
	t.Parallel()
	set := compile(t, tableFile)
	for _, c := range []struct {
		product, tier string
		score         float64
		want          string
	}{
		{"kettle", "gold", 2, "row 1 queue vip owner exec pool  priority urgent; row 1 tags a,b; row 1 tags all,k,low"},
		{"toaster", "gold", 5, "row 2 queue care owner anna pool team priority normal; row 2 tags b; row 2 tags all,low,t"},
		{"toaster", "gold", 100, "row 2 queue care owner anna pool team priority normal; row 2 tags b; row 3 tags t"},
		{"kettle", "silver", 2, "row 5 queue care owner  pool  priority high; row 5 tags : the row gives no tag; row 1 tags all,k,low"},
		{"Ironing board", "in", 2, "row 3 queue care owner carl pool  priority low; row 3 tags : the row gives no tag; row 2 tags all,low"},
		{"Ironing board", "in", 1, "row 0 queue care owner  pool  priority normal: no row of the table owner fits; row 0 tags : no row of the table owner fits; row 2 tags all,low"},
		{"", "bronze", 9, "row 4 queue product owner  pool  priority normal; row 4 tags c; row 0 tags : no row of the table tags fits"},
		{"", "", 9, "row 0 queue care owner  pool  priority normal: no row of the table owner fits; row 0 tags : no row of the table owner fits; row 0 tags : no row of the table tags fits"},
	} {
		ev := detractor()
		ev.Item.Product, ev.Item.Customer.Tier, ev.Item.Score = c.product, c.tier, new(c.score)
		d, effects := evaluate(set, ev, now, nil)
		var got []string
		for _, f := range d.Groups[0].Fired[:2] {
			for _, a := range f.Actions {
				s := fmt.Sprintf("row %d tags %s", a.Row, strings.Join(a.Tags, ","))
				if a.Kind == Assign {
					s = fmt.Sprintf("row %d queue %s owner %s pool %s priority %s", a.Row, a.Queue, a.Owner, a.Pool, a.Priority)
				}
				if a.Note != "" {
					s += ": " + a.Note
				}
				if a.Dropped != (a.Kind == Tag && len(a.Tags) == 0) {
					t.Errorf("%s: dropped is %t", s, a.Dropped)
				}
				got = append(got, s)
			}
		}
		if got := strings.Join(got, "; "); got != c.want {
			t.Errorf("%s, %s, %v: got\n%s\nwant\n%s", c.product, c.tier, c.score, got, c.want)
		}
		if slices.ContainsFunc(effects, func(x Effect) bool { return x.Kind == Tag && len(x.Tags) == 0 }) {
			t.Error("an effect without tags is carried out")
		}
	}
}

// What is searched in a variable is searched again when the variable has another value.
func TestSearchInEachTheme(t *testing.T) {
	t.Parallel()
	set := compile(t, tableFile)
	ev := detractor()
	ev.Labels.Themes = []feedback.Theme{{Path: "price"}, {Path: "shipping"}, {Path: "box"}}
	d, _ := evaluate(set, ev, now, nil)
	fired := d.Groups[0].Fired
	if len(fired) != 3 || fired[2].Each != "shipping" {
		t.Errorf("got %+v", fired)
	}
	set = compile(t, strings.Replace(tableFile, `theme startsWith "ship"`, `theme == "box"`, 1))
	if d, _ = evaluate(set, ev, now, nil); d.Groups[0].Fired[2].Each != "box" {
		t.Errorf("got %+v", d.Groups[0].Fired[2])
	}
}

func TestTableFindings(t *testing.T) {
	t.Parallel()
	const head = "version: 1\nmacros: {vip: customer.tier == \"gold\"}\ntables:\n  t:\n"
	for in, want := range map[string]string{
		"{in: {p: product, v: vip}, out: [owner], rows: [[a, true, x], [b, '-', x], ['-', false, x]]}": `no row of the table t fits when p is "a", v is missing`,
		"{in: {p: product}, out: [owner], rows: [[a, x], [null, x]]}":                                  "no row of the table t fits when p is anything else",
		"{in: {n: nps}, out: [owner], rows: [['0..6', x], [[7, 8], x], [10, x], [null, x]]}":           "no row of the table t fits when n is 9",
		"{in: {n: nps}, out: [owner], rows: [['0..6', x], [[7, 8], x], ['9..', x], [null, x]]}":        "",
		"{in: {n: sentiment}, out: [owner], rows: [['>= 0.5', x], ['it < 0.25', x], [null, x]]}":       "no row of the table t fits when n is 0.25",
		"{in: {c: nps_class}, out: [owner], rows: [[[detractor, passive, promoter], x], [null, x]]}":   "",
		"{in: {p: product, q: channel}, out: [owner], rows: [[a, b, x], ['-', '-', y]]}":               "",
		"{hit: collect, in: {p: product}, out: [tags], rows: [[a, x]]}":                                "",
	} {
		set := compile(t, head+"    "+in+"\n")
		var got string
		for _, f := range set.tableFindings() {
			got += f.message
			if f.code != "incomplete_table" || f.table != "t" || f.pos.Line != 4 || f.hint == "" {
				t.Errorf("got %+v", f)
			}
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
	}
	var in, row []string
	var rows strings.Builder
	for i := range maxInputs {
		in = append(in, fmt.Sprintf("p%d: product", i))
		row = append(row, "'-'")
	}
	for i := range maxInputs {
		for _, v := range []string{"a", "[a, b, c]"} {
			r := slices.Clone(row)
			r[i], r[(i+1)%maxInputs] = v, "b"
			fmt.Fprintf(&rows, "[%s, x], ", strings.Join(r, ", "))
		}
	}
	set := compile(t, head+"    {in: {"+strings.Join(in, ", ")+"}, out: [owner], rows: ["+rows.String()+"]}\n")
	if f := set.tableFindings(); len(f) != 1 || f[0].code != "incomplete_table" {
		t.Errorf("got %+v", f)
	}
}

// TestTablesThatTakeTooLongToCheck holds that loading ends soon whatever a table says.
func TestTablesThatTakeTooLongToCheck(t *testing.T) {
	t.Parallel()
	var values, rows strings.Builder
	for i := range 300 {
		fmt.Fprintf(&values, "'v%d', ", i)
	}
	for i := range 100 {
		fmt.Fprintf(&rows, "      - [\"it matches '[ab]{99}%d' or it in [%s '']\", x]\n", i, values.String())
	}
	set := compile(t, "version: 1\ntables:\n  t:\n    in: {p: text}\n    out: [owner]\n    rows:\n"+rows.String())
	set.tables[0].overlaps(set.program.NewFrame(), func(int, int, string) {})
	if _, all := set.tables[0].inputs[0].samples(set.program.NewFrame()); all || len(set.tableFindings()) != 1 {
		t.Error("all values are tried")
	}
}

// TestTableModel compares tables with going through their rows one by one.
func TestTableModel(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	texts := []string{"a", "b", "c", "ab", ""}
	for range 300 {
		conditions, file := randomTable(r)
		set := compile(t, file)
		f := set.program.NewFrame()
		gap, all := set.tables[0].gap(f)
		missed := ""
		overlaps := false
		set.tables[0].overlaps(f, func(int, int, string) { overlaps = true })
		for _, product := range texts {
			for score := -1.0; score <= 11; score++ {
				ev := &feedback.Event{Item: &feedback.Item{Product: product, Score: new(score)}}
				if score < 0 {
					ev.Item.Score = nil
				}
				want, fitting := 0, 0
				for i, c := range conditions {
					if c(ev.Item) {
						if fitting++; fitting == 1 {
							want = i + 1
						}
					}
				}
				d, _ := evaluate(set, ev, now, nil)
				if got := d.Groups[0].Fired[0].Actions[0].Row; got != want {
					t.Fatalf("%q and %v: got row %d, want %d of\n%s", product, score, got, want, file)
				}
				if want == 0 {
					missed = fmt.Sprintf("product is %q, score is %v", product, score)
				}
				if fitting > 1 && !overlaps {
					t.Fatalf("an overlap at %q and %v is not found in\n%s", product, score, file)
				}
			}
		}
		if all && missed != "" && gap == "" {
			t.Fatalf("the gap at %s is not found in\n%s", missed, file)
		}
	}
}

// randomTable returns a table of a text and a number, with its rows as functions.
func randomTable(r *rand.Rand) (conditions []func(*feedback.Item) bool, file string) {
	type test[T any] struct {
		text string
		fits func(v T, known bool) bool
	}
	texts := []test[string]{
		{"'-'", func(string, bool) bool { return true }}, {"null", func(_ string, known bool) bool { return !known }},
		{"a", func(v string, _ bool) bool { return v == "a" }}, {"[b, c]", func(v string, _ bool) bool { return v == "b" || v == "c" }},
		{`'!= "a"'`, func(v string, known bool) bool { return known && v != "a" }},
		{`it startsWith "A"`, func(v string, _ bool) bool { return strings.HasPrefix(v, "a") }},
		{`not has(it)`, func(_ string, known bool) bool { return !known }},
	}
	numbers := []test[float64]{
		{"'-'", func(float64, bool) bool { return true }}, {"null", func(_ float64, known bool) bool { return !known }},
		{"5", func(v float64, known bool) bool { return known && v == 5 }}, {"0..6", func(v float64, known bool) bool { return known && v <= 6 }},
		{"[7, '9..']", func(v float64, known bool) bool { return known && (v == 7 || v >= 9) }},
		{"'> 5'", func(v float64, known bool) bool { return known && v > 5 }}, {"'it in [1, 2] or it == 8'", func(v float64, known bool) bool { return known && (v == 1 || v == 2 || v == 8) }},
	}
	var rows []string
	for range 1 + r.IntN(6) {
		a, b := texts[r.IntN(len(texts))], numbers[r.IntN(len(numbers))]
		rows = append(rows, "["+a.text+", "+b.text+", x]")
		conditions = append(conditions, func(it *feedback.Item) bool {
			score := 0.0
			if it.Score != nil {
				score = *it.Score
			}
			return a.fits(it.Product, it.Product != "") && b.fits(score, it.Score != nil)
		})
	}
	return conditions, "version: 1\ntables: {t: {in: {p: product, s: score}, out: [owner], rows: [" + strings.Join(rows, ", ") +
		"]}}\ngroups: [{name: g, rules: [{id: r, when: true, do: [{assign: {table: t}}]}]}]\n"
}

// TestLargeTable is not parallel, since it counts allocations.
func TestLargeTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\ntables:\n  t:\n    hit: unique\n    in: {p: product, s: score}\n    out: [owner]\n    rows:\n")
	for i := range maxRows {
		fmt.Fprintf(&b, "      - [p%d, %d.., owner-%d]\n", i, i%11, i)
	}
	set := compile(t, b.String()+"groups: [{name: g, rules: [{id: r, when: true, do: [{assign: {table: t}}]}]}]\n")
	ev := detractor()
	ev.Item.Product = "p1023"
	if _, effects := evaluate(set, ev, now, nil); effects[0].Owner != "owner-1023" {
		t.Errorf("got %+v", effects)
	}
	f := set.program.NewFrame()
	f.Reset(ev)
	if n := testing.AllocsPerRun(10, func() { set.tables[0].fits(f) }); n > 0 && !raced {
		t.Errorf("choosing a row allocates %v times", n)
	}
	problems := problemsOf(t, File{Name: "big.yaml", Data: []byte(b.String() + "      - [x, 1, y]\n")})
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "found 1025 rows, expected 1 to 1024") {
		t.Error(problems)
	}
}
