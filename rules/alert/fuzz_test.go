package alert

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// accepted unmarshals a state that anybody may have written. One that is refused is ErrDamaged; one that is accepted is
// stored and read as it is.
func accepted[T any](t *testing.T, data []byte) (*T, bool) {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		if json.Valid(data) && !errors.Is(err, ErrDamaged) {
			t.Fatalf("refused with %v", err)
		}
		return nil, false
	}
	again := v
	reread(t, &again)
	if !reflect.DeepEqual(v, again) {
		t.Fatalf("a restart makes %+v of %+v", again, v)
	}
	return &v, true
}

// Any stored alert that is accepted goes on, and ends when its condition ceases to hold.
func FuzzInstance(f *testing.F) {
	f.Add([]byte(`{}`), int64(minute(5)))
	f.Add([]byte(`{"status":"pending","since":"2026-03-02T00:00:00Z"}`), int64(minute(5)))
	f.Add([]byte(`{"status":"firing","since":"2026-03-02T00:00:00Z","firing_at":"2026-03-02T00:00:00Z","ended_at":"2026-03-02T00:00:00Z"}`), int64(0))
	f.Add([]byte(`{"status":"resolved","firing_at":"2026-03-02T00:00:00Z","resolved_at":"9999-12-31T23:59:59Z"}`), int64(-5))
	f.Fuzz(func(t *testing.T, data []byte, now int64) {
		in, ok := accepted[Instance](t, data)
		if !ok {
			return
		}
		p := Policy{For: 10 * time.Minute, KeepFiring: time.Hour, Stale: 2 * time.Hour}
		at := min(instant(feedback.Time(now)), minute(1e9))
		for _, holds := range []Truth{Unknown, True, Unknown, False} {
			in.Observe(holds, at, p)
			reread(t, in)
			for range 3 {
				due, ok := in.Due()
				if !ok {
					break
				}
				if due <= at {
					t.Fatalf("observed at %s and due at %s: %+v", at, due, in)
				}
				at = due
				in.Observe(holds, at, p)
				reread(t, in)
			}
		}
		if in.Status == Pending || in.Status == Firing {
			t.Fatalf("the condition does not hold, and it is %+v", in)
		}
	})
}

// Any stored group that is accepted can be told, and then knows nothing that the destination does not.
func FuzzGroup(f *testing.F) {
	f.Add([]byte(`{}`), int64(minute(5)))
	f.Add([]byte(`{"members":[{"rule":"a","firing":true,"told":true,"severity":"critical"},{"rule":"b","firing":true}]}`), int64(minute(5)))
	f.Add([]byte(`{"members":[{"rule":"a","owed":true},{"rule":"b","told":true}],"seen":"2026-03-02T00:00:00Z","due_at":"9999-12-31T23:59:59Z"}`), int64(0))
	f.Add([]byte(`{"overflow":3,"last_sent":"9999-12-31T23:59:59Z","sequence":9223372036854775807}`), int64(-5))
	f.Fuzz(func(t *testing.T, data []byte, now int64) {
		g, ok := accepted[Group](t, data)
		if !ok {
			return
		}
		at := min(instant(feedback.Time(now)), minute(1e9))
		pace := DefaultPace()
		g.Update(Member{Rule: "new"}, true, at, pace)
		for range 4 {
			g.Flush(at, pace, Conditions{})
			reread(t, g)
			due, ok := g.Due()
			if !ok {
				break
			}
			if due <= at {
				t.Fatalf("flushed at %s and due at %s: %+v", at, due, g)
			}
			at = due
		}
		for _, m := range g.Members {
			if !m.Firing || !m.Told || m.NewsAt != 0 {
				t.Fatalf("not everything was told: %+v", m)
			}
		}
		if size := g.stored; size < 0 {
			t.Fatalf("%d members take %d bytes", len(g.Members), size)
		}
	})
}

// Any stored digest that is accepted is sent.
func FuzzDigest(f *testing.F) {
	f.Add([]byte(`{"entries":[{"rule":"a"}],"count":2,"first_at":"2026-03-02T00:00:00Z","due_at":"2026-03-03T00:00:00Z"}`), int64(minute(5)))
	f.Add([]byte(`{"count":1,"first_at":"9999-12-31T23:59:59Z","due_at":"9999-12-31T23:59:59Z"}`), int64(0))
	f.Fuzz(func(t *testing.T, data []byte, now int64) {
		d, ok := accepted[Digest](t, data)
		if !ok {
			return
		}
		at := min(instant(feedback.Time(now)), minute(1e9))
		waiting := d.Count
		c, _ := d.Flush(at, Rhythm{}, nil)
		if due, ok := d.Due(); ok {
			if due <= at {
				t.Fatalf("flushed at %s and due at %s", at, due)
			}
			c, _ = d.Flush(due, Rhythm{}, nil)
		}
		if waiting > 0 && (c == nil || c.Count != waiting) || !d.Idle() {
			t.Fatalf("of %d messages %+v were sent", waiting, c)
		}
	})
}

// Any stored silence that is accepted is valid, and matching ends.
func FuzzSilence(f *testing.F) {
	f.Add([]byte(`{"id":"s_1","rule":"a*","starts":"2026-03-02T00:00:00Z","ends":"2026-03-03T00:00:00Z","by":"a","why":"b"}`), "aaa")
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		s, ok := accepted[Silence](t, data)
		if !ok {
			return
		}
		s.Matches(key, key)
		if err := s.Validate(); err != nil || !s.Active(s.Starts) || s.Active(s.Ends) {
			t.Fatalf("%+v: %v", s, err)
		}
	})
}
