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

// Poller checks a poller over a source that does not change meanwhile. It expects that the limit is kept, that polling
// comes to an end, and that the same items come in the same order whatever the limit is and however often a fresh
// instance goes on from a checkpoint, so that an engine can be stopped at any moment.
func Poller(t TB, fresh func() (sdk.Poller, error)) {
	t.Helper()
	p := &poller{t: t, fresh: fresh}
	want := p.harvest(1000, false)
	t.Logf("%d items, %d rejects in %d polls", len(want.items), len(want.rejects), want.polls)
	for i := range want.items {
		checkItem(t, &want.items[i].item, fmt.Sprintf("item %d", i))
	}
	for i := range want.rejects {
		checkReject(t, &want.rejects[i], fmt.Sprintf("reject %d", i))
	}
	for _, limit := range []int{1, 2, 7} {
		p.compare(want, limit, false)
		p.compare(want, limit, true)
	}
	p.end(want.next)
	p.garbage()
}

type poller struct {
	t     TB
	fresh func() (sdk.Poller, error)
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

// harvest polls until there is no more. With restart each poll is made twice, by a fresh instance each.
func (p *poller) harvest(limit int, restart bool) harvest {
	p.t.Helper()
	var all harvest
	instance := open(p.t, p.fresh)
	for more := true; more; all.polls++ {
		if all.polls == maxPolls {
			p.t.Fatalf("limit %d: there is still more after %d polls", limit, maxPolls)
		}
		res := p.poll(instance, all.next, limit)
		if restart {
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
func (p *poller) end(next []byte) {
	p.t.Helper()
	res := p.poll(open(p.t, p.fresh), next, 10)
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
		if _, ok := err.(*panicError); ok {
			p.t.Errorf("checkpoint %q: %v", checkpoint, err)
		}
	}
}
