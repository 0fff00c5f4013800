package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/plugins/codebook"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const (
	benchItems   = 20_000
	benchPhrases = 50
	benchRules   = 100
)

var benchWords = strings.Fields(`the delivery was late again and support did not answer my email twice but the courier was friendly
checkout page crashed when paying with card after update app is slow login fails password reset never arrives great product love
quality price too expensive refund still waiting thanks agent helpful solved quickly billing invoice wrong amount charged cancel
subscription hard to find easy setup documentation unclear feature missing export report dashboard confusing nice design battery
dies fast broken on arrival replacement shipped within two days would recommend to friends never again worst experience okay average`)

func benchFeed(n int) []feedback.Item {
	r := rand.New(rand.NewPCG(7, 11))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	items := make([]feedback.Item, n)
	for i := range items {
		text := make([]string, 12+r.IntN(24))
		for j := range text {
			text[j] = benchWords[r.IntN(len(benchWords))]
		}
		items[i] = feedback.Item{
			ExternalID: fmt.Sprintf("R-%07d", i), Survey: feedback.NPS, Score: new(float64(r.IntN(11))),
			Text: strings.Join(text, " "), Language: "en", Channel: pick("web", "app", "email"),
			Touchpoint: pick("checkout", "support", "delivery", "onboarding", "store"),
			Product:    fmt.Sprintf("product-%d", r.IntN(25)),
			OccurredAt: feedback.Time(1_772_000_000_000 + r.Int64N(28*24*3600*1000)),
			Customer: feedback.Customer{
				ID: fmt.Sprintf("c-%06d", r.IntN(50_000)), Segment: pick("enterprise", "smb", "consumer"),
				Tier: pick("gold", "silver", "bronze"), ARR: new(float64(r.IntN(500) * 1000)), Region: pick("EU", "NA", "APAC"),
			},
		}
	}
	return items
}

// benchProgram writes a program with a codebook of 50 phrases and 100 rules.
func benchProgram(b testing.TB, codebook string) string {
	var book, rules strings.Builder
	book.WriteString("themes:\n")
	for i := 0; i < benchPhrases; i += 5 {
		fmt.Fprintf(&book, "  theme-%d:\n    phrases:\n", i/5)
		for j := i; j < i+5; j++ {
			fmt.Fprintf(&book, "      - '%s %s'\n", benchWords[j%len(benchWords)], benchWords[(j*7+3)%len(benchWords)])
		}
	}
	rules.WriteString("version: 1\ngroups:\n  - name: route\n    match: all\n    rules:\n")
	regions, segments, points := []string{"EU", "NA", "APAC"}, []string{"enterprise", "smb", "consumer"}, []string{"checkout", "support", "delivery"}
	for i := range benchRules {
		when := fmt.Sprintf(`nps <= %d && customer.region == "%s" && customer.segment == "%s" && touchpoint == "%s"`, i%7, regions[i%3], segments[i/3%3], points[i/9%3])
		switch i % 5 {
		case 1:
			when = fmt.Sprintf(`"theme-%d" in themes && nps <= %d`, i%10, i%7)
		case 2:
			when = fmt.Sprintf(`text contains "%s %s" && customer.arr > %d`, benchWords[i%len(benchWords)], benchWords[(i+1)%len(benchWords)], 100_000+i*1000)
		case 3:
			when = fmt.Sprintf(`product == "product-%d" && channel in ["web", "app"] && word_count > 20`, i%25)
		}
		action := fmt.Sprintf("tag: [t%d]", i)
		if i == 0 {
			when, action = "nps <= 6", "case: {sla: 48h}"
		}
		fmt.Fprintf(&rules, "      - id: rule-%d\n        when: '%s'\n        do: [{%s}]\n", i, when, action)
	}
	return writeProgram(b, "-- program.yaml --\nversion: 1\nname: bench\nsources:\n  feed: {plugin: native:feed}\ncategorizers:\n  themes: {plugin: '"+codebook+"', settings: codebook.yaml}\n-- codebook.yaml --\n"+book.String()+"-- rules/rules.yaml --\n"+rules.String())
}

// BenchmarkPipeline takes 20,000 items from a source through the codebook of 50 phrases and 100 rules to synced
// commits, with the codebook in the sandbox and in place, and writes the same records to the store alone. Read the
// ratios: the machine's speed cancels out. Run it with
//
//	go test -run '^$' -bench Pipeline -benchtime 3x ./engine/
func BenchmarkPipeline(b *testing.B) {
	items := benchFeed(benchItems)
	folder, err := filepath.Abs("../plugins/codebook")
	if err != nil {
		b.Fatal(err)
	}
	rates := map[string]float64{}
	var records map[string][]byte
	for _, kind := range []struct{ name, plugin string }{{"wasm", folder}, {"native", "native:codebook"}} {
		b.Run(kind.name, func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				d, dir := benchPass(b, benchProgram(b, kind.plugin), items)
				took += d
				if records == nil {
					records = dumpStore(b, dir)
				}
			}
			rates[kind.name] = float64(b.N*len(items)) / took.Seconds()
			b.ReportMetric(rates[kind.name], "items/s")
			b.ReportMetric(0, "ns/op")
		})
	}
	b.Run("store", func(b *testing.B) {
		var took time.Duration
		bytes := 0
		for b.Loop() {
			d, n := writeStore(b, records, len(items))
			took += d
			bytes = n
		}
		rates["store"] = float64(b.N*len(items)) / took.Seconds()
		b.ReportMetric(rates["store"], "items/s")
		b.ReportMetric(float64(bytes)/float64(len(items)), "B/item")
		b.ReportMetric(rates["wasm"]/rates["store"], "wasm/store")
		b.ReportMetric(rates["wasm"]/rates["native"], "wasm/native")
		b.ReportMetric(0, "ns/op")
	})
}

// benchPass runs the program once and returns how long it took, with the state directory.
func benchPass(b *testing.B, dir string, items []feedback.Item) (time.Duration, string) {
	b.Helper()
	p := &parts{}
	p.feed.items = items
	plugins := p.native()
	plugins["codebook"] = codebook.Plugin
	e, err := engine.Open(context.Background(), dir, engine.Options{Native: plugins})
	if err != nil {
		b.Fatal(err)
	}
	from := time.Now()
	sum, err := e.RunOnce(context.Background())
	took := time.Since(from)
	if err != nil || sum.Total.New != len(items) || sum.Cases == 0 || len(sum.Stats.Themes) == 0 {
		b.Fatalf("%+v, %v", sum, err)
	}
	if err := e.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	return took, e.StateDir()
}

var spaces = []byte("fdcilLrekwoxazpugvmy")

func dumpStore(b *testing.B, dir string) map[string][]byte {
	b.Helper()
	st, err := store.Open(dir, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	out := map[string][]byte{}
	err = st.View(func(s *store.Snapshot) error {
		for _, space := range spaces {
			err := s.Scan([]byte{space}, nil, false, func(key, val []byte) (bool, error) {
				out[string(key)] = append([]byte(nil), val...)
				return true, nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// writeStore writes the records in as many updates as the pipeline makes.
func writeStore(b *testing.B, records map[string][]byte, items int) (took time.Duration, bytes int) {
	b.Helper()
	st, err := store.Open(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	keys := make([]string, 0, len(records))
	for k := range records {
		keys = append(keys, k)
	}
	each := len(keys) / (items / 256)
	from := time.Now()
	for len(keys) > 0 {
		n := min(each, len(keys))
		err := st.Update(context.Background(), func(tx *store.Tx) error {
			for _, k := range keys[:n] {
				tx.Set([]byte(k), records[k])
				bytes += len(k) + len(records[k])
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		keys = keys[n:]
	}
	return time.Since(from), bytes
}
