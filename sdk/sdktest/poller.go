package sdktest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// maxPolls bounds how often a poller is asked before it is taken never to end.
const maxPolls = 100_000

// freshPolls is how many polls are each made by a fresh instance, before only every freshPolls-th is.
const freshPolls = 128

// Poller checks a poller over a source that does not change meanwhile. It runs PollerChecks.
func Poller(t TB, fresh func() (sdk.Poller, error)) {
	t.Helper()
	run(t, PollerChecks(fresh))
}

// PollerChecks returns the checks of Poller one by one, to be run in their order. They expect that the limit is kept,
// that polling comes to an end, and that the same items come in the same order whatever the limit is and however often a
// fresh instance goes on from a checkpoint, so that an engine can be stopped at any moment.
func PollerChecks(fresh func() (sdk.Poller, error)) []Check {
	p := &poller{fresh: fresh}
	return []Check{
		opens(fresh),
		p.check("keeps the limit and comes to an end", func() { p.reference() }),
		p.check("brings items and rejects that are well formed", p.wellFormed),
		p.check("brings the same whatever the limit is", func() { p.compareAll(false) }),
		p.check("goes on from each checkpoint in a fresh instance", func() { p.compareAll(true) }),
		p.check("brings nothing after the last checkpoint", p.end),
		p.check("survives checkpoints that it never gave", p.garbage),
		p.check("goes on after a call that was cancelled", p.cancelled),
	}
}

type poller struct {
	t     TB // of the check that runs
	fresh func() (sdk.Poller, error)
	want  *harvest // once it was taken
}

// check makes a check of a function.
func (p *poller) check(name string, f func()) Check {
	return Check{Name: name, Run: func(t TB) {
		t.Helper()
		p.t = t
		f()
	}}
}

// reference returns what the other checks compare with.
func (p *poller) reference() harvest {
	p.t.Helper()
	if p.want == nil {
		want := p.harvest(1000, false)
		p.want = &want
		p.t.Logf("%d items, %d rejects in %d polls", len(want.items), len(want.rejects), want.polls)
	}
	return *p.want
}

func (p *poller) wellFormed() {
	p.t.Helper()
	want := p.reference()
	for i := range want.items {
		checkItem(p.t, &want.items[i].item, fmt.Sprintf("item %d", i))
	}
	for i := range want.rejects {
		checkReject(p.t, &want.rejects[i], fmt.Sprintf("reject %d", i))
	}
}

func (p *poller) compareAll(restart bool) {
	p.t.Helper()
	want := p.reference()
	for _, limit := range []int{1, 2, 7} {
		p.compare(want, limit, restart)
	}
}

// cancelled expects the same items after a call whose caller has gone away, whatever that call gives.
func (p *poller) cancelled() {
	p.t.Helper()
	want := p.reference()
	instance := open(p.t, p.fresh)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	err := safely(func() error {
		_, err := instance.Poll(gone, sdk.PollRequest{Limit: 10})
		return err
	})
	if crashed(err) {
		p.t.Errorf("cancelled call: %v", err)
	}
	limit := max(1, len(want.items)+len(want.rejects))
	if res := p.poll(instance, nil, limit); len(want.items) > 0 && len(res.Items)+len(res.Rejects) == 0 {
		p.t.Errorf("after a call that was cancelled: nothing, expected %d items", len(want.items))
	}
}

// harvest is all that a source holds.
type harvest struct {
	items   []batched
	rejects []sdk.Reject
	next    []byte
	polls   int
}

// batched is an item with the import that it belongs to.
type batched struct {
	item  feedback.Item
	batch string
}

// harvest polls until there is no more. With restart polls are made twice, by a fresh instance each: all of the first
// freshPolls, then some.
func (p *poller) harvest(limit int, restart bool) harvest {
	p.t.Helper()
	var all harvest
	instance := open(p.t, p.fresh)
	for more := true; more; all.polls++ {
		if all.polls == maxPolls {
			p.t.Fatalf("limit %d: there is still more after %d polls", limit, maxPolls)
		}
		res := p.poll(instance, all.next, limit)
		if restart && (all.polls < freshPolls || all.polls%freshPolls == 0) {
			instance = open(p.t, p.fresh)
			if again := p.poll(instance, all.next, limit); !reflect.DeepEqual(again, res) {
				p.t.Errorf("limit %d: a second poll from one checkpoint gives something else:\n got %+v\nwant %+v", limit, again, res)
			}
		}
		if res.More && len(res.Items)+len(res.Rejects) == 0 && bytes.Equal(res.Next, all.next) {
			p.t.Fatalf("limit %d: a poll promises more but brings nothing and leaves the checkpoint as it was", limit)
		}
		for i := range res.Items {
			all.items = append(all.items, batched{res.Items[i], res.Batch})
		}
		all.rejects = append(all.rejects, res.Rejects...)
		all.next, more = res.Next, res.More
	}
	return all
}

// poll makes one poll. The checkpoint is a copy, and what comes back is checked.
func (p *poller) poll(instance sdk.Poller, checkpoint []byte, limit int) sdk.PollResult {
	p.t.Helper()
	var res sdk.PollResult
	err := safely(func() (err error) {
		res, err = instance.Poll(context.Background(), sdk.PollRequest{Checkpoint: bytes.Clone(checkpoint), Limit: limit})
		return err
	})
	if err != nil {
		p.t.Fatalf("poll with limit %d from the checkpoint %.100q: %v", limit, checkpoint, err)
	}
	if n := len(res.Items) + len(res.Rejects); n > limit {
		p.t.Errorf("limit %d: a poll brings %d items and rejects", limit, n)
	}
	if len(res.Next) > sdk.MaxCheckpoint {
		p.t.Errorf("limit %d: a checkpoint of %d bytes, expected at most %d", limit, len(res.Next), sdk.MaxCheckpoint)
	}
	if res.Wait < 0 {
		p.t.Errorf("limit %d: wait is %v", limit, res.Wait)
	}
	res.Next = bytes.Clone(res.Next)
	return res
}

func (p *poller) compare(want harvest, limit int, restart bool) {
	p.t.Helper()
	how := fmt.Sprintf("limit %d", limit)
	if restart {
		how += ", going on from each checkpoint with a fresh instance"
	}
	got := p.harvest(limit, restart)
	if len(got.items) != len(want.items) {
		p.t.Errorf("%s: %d items, expected %d", how, len(got.items), len(want.items))
		return
	}
	for i := range got.items {
		if !reflect.DeepEqual(got.items[i], want.items[i]) {
			p.t.Errorf("%s: item %d is another:\n got %+v\nwant %+v", how, i, got.items[i], want.items[i])
			return
		}
	}
	if !slices.Equal(got.rejects, want.rejects) {
		p.t.Errorf("%s: other rejects:\n got %+v\nwant %+v", how, got.rejects, want.rejects)
	}
}

// end expects nothing after the last checkpoint.
func (p *poller) end() {
	p.t.Helper()
	res := p.poll(open(p.t, p.fresh), p.reference().next, 10)
	if len(res.Items)+len(res.Rejects) > 0 || res.More {
		p.t.Errorf("after the last checkpoint: %d items, %d rejects, more %v, expected nothing", len(res.Items), len(res.Rejects), res.More)
	}
}

// garbage expects an error or items, but no panic, for checkpoints that the plugin never gave.
func (p *poller) garbage() {
	p.t.Helper()
	for _, checkpoint := range []string{"x", "{", "\xff\x00", "{}", "null", "-1", "99999999999999999999"} {
		err := safely(func() error {
			_, err := open(p.t, p.fresh).Poll(context.Background(), sdk.PollRequest{Checkpoint: []byte(checkpoint), Limit: 10})
			return err
		})
		if crashed(err) {
			p.t.Errorf("checkpoint %q: %v", checkpoint, err)
		}
	}
}
