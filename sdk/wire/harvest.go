package wire

import (
	"github.com/closedloop/closedloop/sdk"
)

// The head of a poll result frame; its records are items.
const (
	harvestNext    = 24 // bytes
	harvestBatch   = 32 // string
	harvestWait    = 40 // u64: milliseconds
	harvestFlags   = 48 // u64: 1 more
	harvestRejects = 56 // list of rejects
	harvestNotices = 64 // list of notices
	harvestHead    = 72
)

// The head of a receive result frame; its records are items.
const (
	receivedRejects = 24 // list of rejects
	receivedHead    = 32
)

// Rejects and notices.
const (
	rejectPosition = 0  // string
	rejectCode     = 8  // string
	rejectMessage  = 16 // string
	noticeSize     = 24
	rejectRaw      = 24 // string
	rejectSize     = 32
)

// AppendPollResult appends what a poll brought. What a frame cannot carry becomes a failure frame.
func AppendPollResult(dst []byte, p *sdk.PollResult) []byte {
	w := begin(dst, KindPollResult, harvestHead, len(p.Items), itemSize)
	if len(p.Next) > sdk.MaxCheckpoint {
		return AppendFailure(dst, sdk.Fatal("the checkpoint is larger than %d bytes", sdk.MaxCheckpoint))
	}
	w.bytes(harvestNext, p.Next)
	w.str(harvestBatch, p.Batch)
	w.u64(harvestWait, millis(p.Wait))
	if p.More {
		w.u64(harvestFlags, 1)
	}
	w.rejects(harvestRejects, p.Rejects)
	w.notices(harvestNotices, p.Notices)
	w.items(harvestHead, p.Items)
	return w.end()
}

// ReadPollResult reads what a poll of at most limit items and rejects brought. What it returns does not alias b: its
// strings share one copy of it.
func ReadPollResult(b []byte, limit int) (sdk.PollResult, error) {
	var r reader
	h, err := r.expect(b, KindPollResult, harvestHead)
	if err != nil {
		return sdk.PollResult{}, err
	}
	r.own()
	rejects, notices := r.list(le.Uint64(h[harvestRejects:])), r.list(le.Uint64(h[harvestNotices:]))
	if r.count+rejects.count > limit {
		return sdk.PollResult{}, r.bad(atCount, "found more items and rejects than were asked for")
	}
	p := sdk.PollResult{
		Next:  r.bytes(le.Uint64(h[harvestNext:])),
		Batch: r.str(le.Uint64(h[harvestBatch:])),
		Wait:  r.duration(harvestWait, le.Uint64(h[harvestWait:])),
		More:  le.Uint64(h[harvestFlags:])&1 != 0,
	}
	if len(p.Next) > sdk.MaxCheckpoint {
		return sdk.PollResult{}, r.bad(harvestNext, "found a checkpoint of more than 64 KiB")
	}
	p.Rejects, p.Notices, p.Items = r.rejects(rejects), r.notices(notices), r.ownItems()
	if err := r.done(); err != nil {
		return sdk.PollResult{}, err
	}
	return p, nil
}

// AppendReceiveResult appends what a request held. What a frame cannot carry becomes a failure frame.
func AppendReceiveResult(dst []byte, p *sdk.ReceiveResult) []byte {
	w := begin(dst, KindReceiveResult, receivedHead, len(p.Items), itemSize)
	w.rejects(receivedRejects, p.Rejects)
	w.items(receivedHead, p.Items)
	return w.end()
}

// ReadReceiveResult reads what a request held. What it returns does not alias b: its strings share one copy of it.
func ReadReceiveResult(b []byte) (sdk.ReceiveResult, error) {
	var r reader
	h, err := r.expect(b, KindReceiveResult, receivedHead)
	if err != nil {
		return sdk.ReceiveResult{}, err
	}
	r.own()
	p := sdk.ReceiveResult{Rejects: r.rejects(r.list(le.Uint64(h[receivedRejects:]))), Items: r.ownItems()}
	if err := r.done(); err != nil {
		return sdk.ReceiveResult{}, err
	}
	return p, nil
}

func (w *writer) rejects(ref int, rs []sdk.Reject) {
	at, ok := w.list(ref, len(rs), rejectSize)
	if !ok {
		return
	}
	for i := range rs {
		w.note(at, rs[i].Position, rs[i].Code, rs[i].Message)
		w.str(at+rejectRaw, rs[i].Raw)
		at += rejectSize
	}
}

func (w *writer) notices(ref int, ns []sdk.Notice) {
	at, ok := w.list(ref, len(ns), noticeSize)
	if !ok {
		return
	}
	for i := range ns {
		w.note(at, ns[i].Position, ns[i].Code, ns[i].Message)
		at += noticeSize
	}
}

func (w *writer) note(at int, position, code, message string) {
	w.str(at+rejectPosition, position)
	w.str(at+rejectCode, code)
	w.str(at+rejectMessage, message)
}

func (r *reader) rejects(l list) []sdk.Reject {
	if l.count == 0 {
		return nil
	}
	out := make([]sdk.Reject, l.count)
	for i := range out {
		_, e := r.element(l, i, rejectSize)
		out[i] = sdk.Reject{
			Position: r.str(le.Uint64(e[rejectPosition:])),
			Code:     r.str(le.Uint64(e[rejectCode:])),
			Message:  r.str(le.Uint64(e[rejectMessage:])),
			Raw:      r.str(le.Uint64(e[rejectRaw:])),
		}
	}
	return out
}

func (r *reader) notices(l list) []sdk.Notice {
	if l.count == 0 {
		return nil
	}
	out := make([]sdk.Notice, l.count)
	for i := range out {
		_, e := r.element(l, i, noticeSize)
		out[i] = sdk.Notice{
			Position: r.str(le.Uint64(e[rejectPosition:])),
			Code:     r.str(le.Uint64(e[rejectCode:])),
			Message:  r.str(le.Uint64(e[rejectMessage:])),
		}
	}
	return out
}
