package host_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// scripted is a plugin that fails as the texts of the items say, and counts its calls.
type scripted struct {
	host.Plugin // none: only Categorize is called
	calls       int
	broken      bool // fails on everything
	down        error
	last        func() // called by each call
}

func (s *scripted) Categorize(_ context.Context, items []feedback.Item) (*host.Batch, error) {
	s.calls++
	if s.last != nil {
		s.last()
	}
	if s.down != nil {
		return nil, s.down
	}
	for _, it := range items {
		if code, ok := strings.CutPrefix(it.Text, "!"); ok || s.broken {
			return nil, &host.Error{Plugin: "scripted", Call: "categorize", Code: host.Code(code), Cause: errors.New("poisoned")}
		}
	}
	b := &host.Batch{}
	for _, it := range items {
		r := sdk.Result{Drop: it.Text}
		if it.Text == "bad" {
			r.Err = errors.New("bad item")
		}
		b.Results = append(b.Results, r)
	}
	return b, nil
}

func itemsOf(n int) []feedback.Item {
	items := make([]feedback.Item, n)
	for i := range items {
		items[i].Text = fmt.Sprint(i)
	}
	return items
}

// told is what CategorizeEach told of each item: its text, or its error.
func told(t interface{ Fatalf(string, ...any) }, p host.Plugin, items []feedback.Item) ([]string, error) {
	var out []string
	err := host.CategorizeEach(context.Background(), p, items, func(i int, r *sdk.Result, err error) {
		if i != len(out) {
			t.Fatalf("told of item %d, want %d", i, len(out))
		}
		if err != nil {
			out = append(out, "error: "+err.Error())
			return
		}
		out = append(out, r.Drop)
	})
	return out, err
}

func TestOnePoisonousItem(t *testing.T) {
	t.Parallel()
	for _, code := range []host.Code{host.CodeTrap, host.CodeExit, host.CodeMemory, host.CodeFrame, host.CodeDeadline} {
		p := &scripted{}
		items := itemsOf(64)
		items[20].Text = "!" + string(code)
		items[50].Text = "bad"
		got, err := told(t, p, items)
		if err != nil || len(got) != 64 {
			t.Fatalf("%s: told of %d items, %v", code, len(got), err)
		}
		for i, s := range got {
			want := fmt.Sprint(i)
			switch i {
			case 20:
				want = "error: plugin scripted: categorize: " + string(code) + ": poisoned"
			case 50:
				want = "error: bad item"
			}
			if s != want {
				t.Errorf("%s: item %d: got %q, want %q", code, i, s, want)
			}
		}
		if most := map[bool]int{true: 66, false: 14}[code == host.CodeDeadline]; p.calls > most {
			t.Errorf("%s: %d calls, want at most %d", code, p.calls, most)
		}
	}
}

func TestPluginThatIsDown(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]error{
		"retry":       &host.Error{Code: host.CodeRefused, Cause: sdk.Retry(0, "later")},
		"unavailable": &host.Error{Code: host.CodeUnavailable, Cause: errors.New("does not start")},
		"canceled":    &host.Error{Code: host.CodeCanceled, Cause: context.Canceled},
		"other":       errors.New("something else"),
	} {
		p := &scripted{down: down}
		if got, err := told(t, p, itemsOf(64)); len(got) != 0 || !errors.Is(err, down) || p.calls != 1 {
			t.Errorf("%s: told of %d items after %d calls, %v", name, len(got), p.calls, err)
		}
	}
	p := &scripted{broken: true} // every item looks poisonous
	if got, err := told(t, p, itemsOf(64)); len(got) != 0 || err == nil || p.calls > 9 {
		t.Errorf("told of %d items after %d calls, %v", len(got), p.calls, err)
	}
}

func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	p := &scripted{down: &host.Error{Code: host.CodeRefused, Cause: sdk.Fatal("never")}}
	if got, err := told(t, p, itemsOf(4)); err == nil || len(got) != 0 {
		t.Errorf("told of %v, %v; want the plugin to count as down", got, err)
	}
}

func TestCancelBetweenCalls(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := &scripted{last: cancel}
	items := itemsOf(8)
	items[0].Text = "!trap"
	err := host.CategorizeEach(ctx, p, items, func(int, *sdk.Result, error) { t.Error("told of an item") })
	if err == nil || p.calls != 1 {
		t.Errorf("got %v after %d calls", err, p.calls)
	}
}

// TestAnyPoison wants every item told of once, in order, and the poisonous ones alone with an error.
func TestAnyPoison(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		items := itemsOf(rapid.IntRange(0, 70).Draw(t, "items"))
		poison := rapid.SliceOfNDistinct(rapid.IntRange(0, max(0, len(items)-1)), 0, len(items), rapid.ID).Draw(t, "poison")
		for _, i := range poison {
			items[i].Text = rapid.SampledFrom([]string{"!trap", "!deadline", "!exit"}).Draw(t, "code")
		}
		got, err := told(t, &scripted{}, items)
		if err != nil || len(got) != len(items) {
			t.Fatalf("told of %d items of %d, %v", len(got), len(items), err)
		}
		for i, s := range got {
			if strings.HasPrefix(s, "error") != slices.Contains(poison, i) {
				t.Fatalf("item %d: %s", i, s)
			}
		}
	})
}

func TestErrorReadsWell(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  host.Error
		want string
	}{
		{host.Error{Plugin: "themes", Call: "categorize", Code: host.CodeTrap, Cause: errors.New("unreachable")}, "plugin themes: categorize: trap: unreachable"},
		{host.Error{Plugin: "themes", Call: "configure", Code: host.CodeRefused, Cause: sdk.Fatal("no themes")}, "plugin themes: configure: no themes"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	var c host.Counter
	c.Call(3, 10, nil)
	c.Call(5, 7, errors.New("failed"))
	c.Made()
	c.Discarded()
	c.Recycled()
	want := host.Stats{Calls: 2, Errors: 1, Items: 10, Made: 1, Discarded: 1, Recycled: 1, Busy: 8, Slowest: 5}
	if got := c.Stats(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
