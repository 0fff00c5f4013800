package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// FuzzFrame hands arbitrary bytes to every reader: each gives an error or a value that is written and read as itself.
func FuzzFrame(f *testing.F) {
	a, v := readABI(f), vectors()
	for _, frame := range v {
		f.Add(frame)
		f.Add(a.relay(frame, -8))
	}
	for _, o := range others(a, v) {
		f.Add(o[0])
	}
	for _, frame := range malformed(v) {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.Clone(data) // of exactly its size, so that nothing can be read behind it
		for kind := KindConfigure; kind <= KindFiles; kind++ {
			if len(data) > atKind {
				data[atKind] = byte(kind)
			}
			frame, err := rewrite(data)
			if err != nil {
				continue
			}
			if again, err := rewrite(frame); err != nil || !bytes.Equal(again, frame) {
				t.Errorf("%v: written as\n%x, and again, %v, as\n%x", kind, frame, err, again)
			}
		}
	})
}

// FuzzRoundTrip writes and reads generated values with all their fields: a field that does not travel is found here.
func FuzzRoundTrip(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		items := generate[[]feedback.Item](r)
		same(t, items)(new(ItemReader).Read(AppendItems(nil, 1, items)))
		results := generate[[]sdk.Result](r)
		same(t, results)(new(ResultReader).Read(AppendResults(nil, results), len(results)))
		harvest := generate[sdk.PollResult](r)
		same(t, harvest)(ReadPollResult(AppendPollResult(nil, &harvest), MaxRecords))
		received := generate[sdk.ReceiveResult](r)
		same(t, received)(ReadReceiveResult(AppendReceiveResult(nil, &received)))
		poll := generate[sdk.PollRequest](r)
		same(t, poll)(ReadPoll(AppendPoll(nil, 1, poll)))
		receive := generate[sdk.ReceiveRequest](r)
		same(t, receive)(ReadReceive(AppendReceive(nil, 1, receive)))
		message := generate[sdk.Message](r)
		same(t, message)(ReadDeliver(AppendDeliver(nil, 1, message)))
		request := generate[sdk.HTTPRequest](r)
		same(t, request)(ReadHTTPRequest(AppendHTTPRequest(nil, &request)))
		response := generate[sdk.HTTPResponse](r)
		same(t, response)(ReadHTTPResponse(AppendHTTPResponse(nil, &response)))
		conf := generate[Configure](r)
		same(t, conf)(ReadConfigure(AppendConfigure(nil, &conf)))
	})
}

func generate[T any](r *rand.Rand) T {
	var v T
	fill(r, reflect.ValueOf(&v).Elem())
	return v
}

// fill sets v to a random value that travels. Slices and maps are nil or not empty, for a frame knows no difference.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Interface().(type) {
	case feedback.Time:
		v.SetInt(minTime + r.Int64N(maxTime-minTime))
		return
	case time.Duration:
		v.SetInt(r.Int64N(1e6) * int64(time.Millisecond))
		return
	case feedback.Value:
		v.Set(reflect.ValueOf([...]feedback.Value{
			feedback.StringValue("v" + text(r)), feedback.NumberValue(r.NormFloat64()), feedback.BoolValue(r.IntN(2) == 0),
			feedback.TimeValue(1 + feedback.Time(r.Int64N(maxTime))),
		}[r.IntN(4)]))
		return
	case feedback.Author: // does not travel
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text(r))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int64N(MaxRecords))
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64N(1 << 16))
	case reflect.Uint8:
		v.SetUint(r.Uint64N(256))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64())
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Slice:
		if n := r.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(r, v.Index(i))
			}
		}
	case reflect.Map:
		for range r.IntN(12) {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			e := reflect.New(v.Type().Elem()).Elem()
			fill(r, e)
			v.SetMapIndex(reflect.ValueOf(text(r)), e)
		}
	case reflect.Interface: // sdk.Result.Err
		if r.IntN(4) == 0 {
			v.Set(reflect.ValueOf(&sdk.Failure{Fatal: r.IntN(2) == 0, Code: text(r), Message: text(r), After: 3 * time.Millisecond}))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	default:
		panic("no values of the kind " + v.Kind().String())
	}
}

func text(r *rand.Rand) string {
	b := make([]byte, r.IntN(12))
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return string(b)
}

// TestReuse reads batches of different shapes with one reader: nothing of an earlier one is left.
func TestReuse(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	var items ItemReader
	var results ResultReader
	for range 200 {
		batch := generate[[]feedback.Item](r)
		got, err := items.Read(AppendItems(nil, 1, batch))
		if err != nil || len(got) != len(batch) || len(batch) > 0 && !reflect.DeepEqual(got, batch) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, batch)
		}
		rs := generate[[]sdk.Result](r)
		again, err := results.Read(AppendResults(nil, rs), len(rs))
		if err != nil || len(again) != len(rs) || len(rs) > 0 && !reflect.DeepEqual(again, rs) {
			t.Fatalf("got %+v, %v\nwant %+v", again, err, rs)
		}
	}
}

// TestAttributesOfManyShapes writes items whose attributes change from item to item, in number and in name.
func TestAttributesOfManyShapes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}
	items := make([]feedback.Item, 500)
	for i := range items {
		items[i].Attributes = feedback.Attributes{}
		for _, j := range r.Perm(len(names))[:1+r.IntN(len(names))] {
			items[i].Attributes[names[j]] = feedback.NumberValue(float64(j))
		}
	}
	frame := AppendItems(nil, 1, items)
	same(t, items)(new(ItemReader).Read(frame))
	if again := AppendItems(nil, 1, items); !bytes.Equal(again, frame) {
		t.Error("equal items give different frames")
	}
	items[0].Attributes["absent"] = feedback.Value{}
	if n := len(frame); ItemsSize(items) != n || len(AppendItems(nil, 1, items)) != n {
		t.Error("an absent attribute takes space")
	}
}

// TestNoAllocations holds the promise that batches come and go without allocating.
func TestNoAllocations(t *testing.T) {
	items, rs := batch(perBatch), labels(perBatch)
	buf := make([]byte, ItemsSize(items))
	frame := AppendItems(nil, 1, items)
	out := AppendResults(nil, rs)
	var ir ItemReader
	var rr ResultReader
	for name, f := range map[string]func(){
		"ItemsSize":     func() { _ = ItemsSize(items) },
		"PutItems":      func() { PutItems(buf, 1, items) },
		"ItemReader":    func() { _, _ = ir.Read(frame) },
		"AppendResults": func() { out = AppendResults(out[:0], rs) },
		"ResultReader":  func() { _, _ = rr.Read(out, len(rs)) },
	} {
		for range 3 {
			f()
		}
		if n := testing.AllocsPerRun(20, f); n > 0 {
			t.Errorf("%s: %v allocations a batch", name, n)
		}
	}
}

// TestLimits checks what does not fit a frame, in both directions.
func TestLimits(t *testing.T) {
	t.Parallel()
	items := make([]feedback.Item, MaxRecords+1)
	if ItemsSize(items) <= MaxFrame || PutItems(make([]byte, 1<<10), 1, items) != 0 {
		t.Error("too many items were taken")
	}
	one := []feedback.Item{fullItem()}
	for n := range ItemsSize(one) {
		if PutItems(make([]byte, n), 1, one) != 0 {
			t.Fatalf("an item was put into %d bytes of %d", n, ItemsSize(one))
		}
	}
	spans := make([]sdk.Result, 1)
	spans[0].AddTheme("a", 1, make([]feedback.Span, MaxRecords+1)...)
	tooMany := map[string][]byte{
		"results":     AppendResults(nil, make([]sdk.Result, MaxRecords+1)),
		"spans":       AppendResults(nil, spans),
		"poll result": AppendPollResult(nil, &sdk.PollResult{Items: items}),
		"rejects":     AppendPollResult(nil, &sdk.PollResult{Rejects: make([]sdk.Reject, MaxRecords+1)}),
		"checkpoint":  AppendPollResult(nil, &sdk.PollResult{Next: make([]byte, sdk.MaxCheckpoint+1)}),
		"items":       AppendItems(nil, 1, items),
	}
	for name, frame := range tooMany {
		if f, err := ReadFailure(frame); err != nil || !f.Fatal || f.Message == "" {
			t.Errorf("%s: %v, %v, expected a fatal failure", name, f, err)
		}
	}
	long := string(bytes.Repeat([]byte("ä"), 4000))
	f, err := ReadFailure(AppendFailure(nil, &sdk.Failure{Code: long, Message: long}))
	if err != nil || len(f.Code) != MaxCode || len(f.Message) != MaxMessage {
		t.Errorf("a long failure: %d and %d bytes, %v", len(f.Code), len(f.Message), err)
	}
}

// TestSharedStrings reads strings that several records share, as long as they do not multiply the frame.
func TestSharedStrings(t *testing.T) {
	t.Parallel()
	share := func(n, size int) []byte {
		rs := make([]sdk.Result, n)
		rs[0].Drop = string(bytes.Repeat([]byte("x"), size))
		frame := AppendResults(nil, rs)
		for i := range n {
			copy(frame[resultsHead+i*resultSize+resultDrop:][:8], frame[resultsHead+resultDrop:])
		}
		return frame
	}
	rs, err := new(ResultReader).Read(share(64, 200), 64)
	if err != nil || len(rs[63].Drop) != 200 {
		t.Errorf("64 items share a reason: %v", err)
	}
	if _, err := new(ResultReader).Read(share(1000, 1<<20), 1000); err == nil {
		t.Error("a frame of 1 MB that says 1 GB was taken")
	}
}

// TestNames checks that the table of names stays bounded.
func TestNames(t *testing.T) {
	t.Parallel()
	var n names
	for i := range 3 * maxNames {
		if s := string(rune(i)); n.own(s) != s {
			t.Fatal("another name")
		}
		if len(n.known) > maxNames {
			t.Fatalf("%d names are kept", len(n.known))
		}
	}
	long := string(make([]byte, maxName+1))
	if n.own(long) != long || n.known[long] != "" {
		t.Error("a long name is kept")
	}
}

// TestErrors checks what people read.
func TestErrors(t *testing.T) {
	t.Parallel()
	_, err := ReadPoll(AppendOK(nil))
	if want := "wire: malformed ok frame at byte 6: found a frame of the kind ok, expected poll"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err := Now(AppendOK(nil)); err == nil {
		t.Error("an answer has a time")
	}
	var wrong *Error
	if _, err := Kind([]byte("short")); !errors.As(err, &wrong) || wrong.Offset != 5 {
		t.Errorf("%v", err)
	}
	if got := FrameKind(77).String(); got != "kind 77" {
		t.Error(got)
	}
}
