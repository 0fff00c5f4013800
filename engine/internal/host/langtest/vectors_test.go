package langtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

var le = binary.LittleEndian

// exported names the export that takes each kind of call.
var exported = map[wire.FrameKind]string{
	wire.KindConfigure: "cl_configure",
	wire.KindItems:     "cl_categorize",
	wire.KindPoll:      "cl_poll",
	wire.KindReceive:   "cl_receive",
	wire.KindDeliver:   "cl_deliver",
}

func TestItemsVectors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, language string) {
		g := configured(t, module(t, language+"-echo"), "{}")
		for _, name := range vectors(t, "", wire.KindItems) {
			if err := g.reads(vector(t, name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestShorterItems cuts the records of items, as an older host would write them.
func TestShorterItems(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, language string) {
		g := configured(t, module(t, language+"-echo"), "{}")
		frame := vector(t, "items")
		head, count, stride := int(le.Uint16(frame[18:])), int(le.Uint32(frame[12:])), int(le.Uint16(frame[16:]))
		for size := 8; size < stride; size += 8 {
			short := bytes.Clone(frame)
			le.PutUint16(short[16:], uint16(size))
			for i := range count {
				copy(short[head+i*size:], frame[head+i*stride:][:size])
			}
			if err := g.reads(short); err != nil {
				t.Errorf("records of %d bytes: %v", size, err)
			}
		}
		le.PutUint16(frame[18:], 24)
		le.PutUint32(frame[12:], 0)
		if err := g.reads(frame); err != nil {
			t.Errorf("a head without the time: %v", err)
		}
	})
}

// reads compares what the guest reads from an items frame with what the Go reader reads.
func (g *guest) reads(frame []byte) error {
	items, err := new(wire.ItemReader).Read(frame)
	if err == nil && le.Uint16(frame[18:]) > wire.HeaderSize {
		_, err = wire.Now(frame)
	}
	answer := g.call("cl_categorize", frame)
	if err != nil {
		if f, wrong := wire.ReadFailure(answer); wrong != nil || !f.Fatal || f.Message == "" {
			return fmt.Errorf("the answer to a malformed frame (%w) is %v, %v", err, f, wrong)
		}
		return nil
	}
	results, err := new(wire.ResultReader).Read(answer, len(items))
	if err != nil {
		return err
	}
	for i := range results {
		if want := dumpItem(&items[i]); valid(want) && !slices.Equal(lines(results[i].Drop), lines(want)) {
			return fmt.Errorf("item %d was read as\n%s\nwant\n%s", i, results[i].Drop, want)
		}
	}
	return nil
}

// valid says that no language may take a text for something else: what is not UTF-8 is cut or replaced by some.
func valid(s string) bool {
	return strings.ToValidUTF8(s, "") == s
}

// lines splits what an echo says, with attributes in order and the last of each name alone, as the Go reader has them.
func lines(text string) []string {
	all, attributes := []string{}, map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, _ := strings.Cut(line, "="); strings.Contains(name, "attributes.") {
			attributes[name] = value
		} else {
			all = append(all, line)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		all = append(all, name+"="+attributes[name])
	}
	return all
}

// TestDamagedItems changes bytes of frames at random: a guest refuses what the Go reader refuses, reads what it reads,
// and never traps.
func TestDamagedItems(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, language string) {
		g := configured(t, module(t, language+"-echo"), "{}")
		random := rand.New(rand.NewPCG(7, 11))
		frames := [][]byte{vector(t, "items"), vector(t, "newer-items"), vector(t, "newer-attribute")}
		refused := 0
		for i := range 4000 {
			frame := bytes.Clone(frames[i%len(frames)])
			for range 1 + random.IntN(3) {
				at := random.IntN(len(frame))
				switch random.IntN(4) {
				case 0:
					frame[at] = byte(random.Uint32())
				case 1:
					frame[at] ^= 1 << random.IntN(8)
				case 2:
					copy(frame[at&^7:], frame[random.IntN(len(frame))&^7:][:8*random.IntN(2)])
				case 3:
					frame = frame[:max(1, at)]
				}
			}
			if err := g.reads(frame); err != nil {
				t.Fatalf("%x:\n%v", frame, err)
			}
			if _, err := new(wire.ItemReader).Read(frame); err != nil {
				refused++
			}
		}
		if refused < 500 || refused > 3500 {
			t.Errorf("%d of 4000 frames were refused: the test shows little", refused)
		}
	})
}

// TestMalformedVectors hands every malformed frame to every export.
func TestMalformedVectors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, language string) {
		wasm := module(t, language+"-echo")
		g, fresh := configured(t, wasm, "{}"), start(t, wasm)
		for _, name := range vectors(t, "malformed", 0) {
			frame := vector(t, name)
			for _, export := range exported {
				on := g
				if export == "cl_configure" {
					on = fresh
				}
				f, err := wire.ReadFailure(on.call(export, frame))
				if err != nil || f.Message == "" {
					t.Errorf("%s to %s: %+v %v, expected a failure", name, export, f, err)
				}
			}
		}
		if err := g.reads(vector(t, "items")); err != nil {
			t.Errorf("after malformed frames: %v", err)
		}
		f, err := wire.ReadFailure(fresh.call("cl_categorize", vector(t, "items")))
		if err != nil || f.Code != "not_configured" {
			t.Errorf("before it is configured: %+v %v", f, err)
		}
	})
}

func TestConfigureVectors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, language string) {
		wasm := module(t, language+"-echo")
		for _, name := range vectors(t, "", wire.KindConfigure) {
			g := start(t, wasm)
			c, err := wire.ReadConfigure(vector(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := wire.ReadOK(g.call("cl_configure", vector(t, name))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if want := []string{dumpConfigure(&c)}; !slices.Equal(g.logged, want) {
				t.Errorf("%s was read as\n%s\nwant\n%s", name, g.logged, want)
			}
		}
		g := start(t, wasm)
		settings := `{"a":["{\"",{}], "refuse" : "because \"so\" \u00fc\ud83d\ude00\n"}`
		err := wire.ReadOK(g.call("cl_configure", wire.AppendConfigure(nil, &wire.Configure{Settings: []byte(settings), Major: 1})))
		if f := (*sdk.Failure)(nil); !errors.As(err, &f) || !f.Fatal || f.Code != "refused" || f.Message != "because \"so\" ü😀\n" {
			t.Errorf("found %+v, expected the plugin's refusal", err)
		}
	})
}

// TestResultsVectors has guests build what the vectors hold, in one batch and item by item.
func TestResultsVectors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, language string) {
		g := configured(t, module(t, language+"-echo"), "{}")
		for _, name := range vectors(t, "", wire.KindResults) {
			frame := vector(t, name)
			want, err := new(wire.ResultReader).Read(frame, int(le.Uint32(frame[12:])))
			if err != nil {
				t.Fatal(err)
			}
			items := make([]feedback.Item, len(want))
			for i := range items {
				items[i] = feedback.Item{Source: "script", Text: script(&want[i])}
			}
			for size := 1; size <= len(items); size += max(1, len(items)-1) {
				for from := 0; from+size <= len(items); from += size {
					g.builds(name, items[from:from+size], want[from:from+size])
				}
			}
		}
	})
}

// builds compares what the guest builds with what was meant.
func (g *guest) builds(name string, items []feedback.Item, want []sdk.Result) {
	g.tb.Helper()
	got, err := new(wire.ResultReader).Read(g.call("cl_categorize", wire.AppendItems(nil, 0, items)), len(items))
	if err != nil {
		g.tb.Errorf("%s: %v", name, err)
	} else if !reflect.DeepEqual(got, want) {
		g.tb.Errorf("%s: built\n%+v\nwant\n%+v", name, got, want)
	}
}

// TestLargeResults has guests build more than fits at first, and more than a frame can carry.
func TestLargeResults(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, language string) {
		g := configured(t, module(t, language+"-echo"), "{}")
		want := make([]sdk.Result, 300)
		items := make([]feedback.Item, len(want))
		for i := range want {
			for j := range i {
				spans := slices.Repeat([]feedback.Span{{Start: uint32(j), End: 0xffffffff}}, j%5)
				want[i].AddTheme(feedback.ThemePath(fmt.Sprintf("a/%d", j)), 1/float64(j+1), spans...)
				if len(spans) == 0 {
					want[i].Labels.Themes[j].Evidence = nil
				}
			}
			items[i] = feedback.Item{Source: "script", Text: script(&want[i])}
		}
		g.builds("many themes", items, want)
		long := strings.Repeat("ä", 3000)
		lines := fmt.Sprintf("fatal 0 %s %s", strings.Repeat("c", 70), long)
		cut := sdk.Failure{Fatal: true, Code: strings.Repeat("c", 64), Message: strings.Repeat("ä", 2048)}
		answer := g.call("cl_categorize", wire.AppendItems(nil, 0, []feedback.Item{{Source: "script", Text: lines}}))
		got, err := new(wire.ResultReader).Read(answer, 1)
		if err != nil || !reflect.DeepEqual(got[0].Err, error(&cut)) {
			t.Errorf("a long message: %v %v", got, err)
		}
		many := strings.Repeat("theme 0 a\n", 65536)
		f, err := wire.ReadFailure(g.call("cl_categorize", wire.AppendItems(nil, 0, []feedback.Item{{Source: "script", Text: many}})))
		if err != nil || f.Code != "too_large" {
			t.Errorf("65536 themes of one item: %+v %v, expected a failure", f, err)
		}
		g.builds("after a failure", items[:3], want[:3])
	})
}

// TestCallVectors hands over the calls of connectors.
func TestCallVectors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, language string) {
		g := configured(t, module(t, language+"-echo"), "{}")
		for _, name := range vectors(t, "", wire.KindPoll) {
			frame, d := vector(t, name), &dump{}
			req, err := wire.ReadPoll(frame)
			now, _ := wire.Now(frame)
			d.number("now", uint64(now))
			d.text("checkpoint", string(req.Checkpoint))
			d.number("limit", uint64(req.Limit))
			want := sdk.PollResult{Items: []feedback.Item{{ExternalID: "1", Text: d.String(), Score: new(3.0)}}, Next: []byte("next")}
			got, wrong := wire.ReadPollResult(g.call("cl_poll", frame), 1)
			if err != nil || wrong != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v %v\n got %+v\nwant %+v", name, err, wrong, got, want)
			}
		}
		for _, name := range vectors(t, "", wire.KindReceive) {
			frame, d := vector(t, name), &dump{}
			req, err := wire.ReadReceive(frame)
			now, _ := wire.Now(frame)
			d.number("now", uint64(now))
			d.text("content-type", req.Headers["content-type"])
			d.text("x-event", req.Headers["x-event"])
			d.text("body", string(req.Body))
			want := sdk.ReceiveResult{Rejects: []sdk.Reject{{Code: "said", Message: d.String()}}}
			got, wrong := wire.ReadReceiveResult(g.call("cl_receive", frame))
			if err != nil || wrong != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v %v\n got %+v\nwant %+v", name, err, wrong, got, want)
			}
		}
		for _, name := range vectors(t, "", wire.KindDeliver) {
			frame, d := vector(t, name), &dump{}
			m, err := wire.ReadDeliver(frame)
			now, _ := wire.Now(frame)
			d.number("now", uint64(now))
			d.text("key", m.Key)
			d.text("kind", m.Kind)
			d.text("body", string(m.Body))
			d.number("at", uint64(m.At))
			d.number("attempt", uint64(m.Attempt))
			f, wrong := wire.ReadFailure(g.call("cl_deliver", frame))
			if err != nil || wrong != nil || f.Fatal || f.Code != "said" || f.Message != d.String() || f.After.Milliseconds() != 1500 {
				t.Errorf("%s: %v %v\n got %+v\nwant %s", name, err, wrong, f, d)
			}
		}
	})
}

// TestMemoryStays calls guests many times.
func TestMemoryStays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, language string) {
		g := configured(t, module(t, language+"-echo"), "{}")
		frames := [][]byte{vector(t, "items"), wire.AppendItems(nil, 0, []feedback.Item{{Source: "script", Text: "theme 0 a\nspan 0 1\nfatal 0 a b"}}), vector(t, "ok")}
		size := uint32(0)
		for i := range 3000 {
			g.call("cl_categorize", frames[i%len(frames)])
			if i == 600 {
				size = g.module.Memory().Size()
			}
		}
		if got := g.module.Memory().Size(); got != size {
			t.Errorf("its memory grew from %d to %d bytes", size, got)
		}
	})
}
