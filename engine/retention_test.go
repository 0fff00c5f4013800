package engine_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/closedloop/closedloop/engine"
)

// keepFor has the program of a test keep things so long only.
func (v *virtual) keepFor(retention string) {
	v.t.Helper()
	name := filepath.Join(v.dir, "program.yaml")
	b, err := os.ReadFile(name)
	if err == nil {
		b = []byte(strings.SplitAfter(string(b), "name: test\n")[0] + retention + "\n" + strings.SplitAfter(string(b), "name: test\n")[1])
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *virtual) holdsItems(want int, gone int64) {
	v.t.Helper()
	synctest.Wait()
	items, err := v.Items(v.t.Context(), engine.ItemQuery{})
	if err != nil || len(items) != want || v.Metrics().Retention.Items != gone {
		v.t.Errorf("%s: %d items, want %d; %+v are gone, want %d; %v", v.clock(), len(items), want, v.Metrics().Retention, gone, err)
	}
}

// Retention works once a day while the engine runs, and once when it is started again after however long: what is too old
// goes, and no sooner.
func TestRetentionInVirtualTime(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, "Europe/Berlin", "2026-03-02 10:00", func(v *virtual) {
		v.says("1", 9, "well", 0)
		v.says("2", 2, "late", 0) // its case stays open
		v.stop()
		v.keepFor("retention: {items: 20d}")
		v.start()
		v.until("2026-03-02 10:01")
		v.holdsItems(2, 0)
		if r, err := v.Retention(t.Context()); err != nil || r.Items != 0 || !r.NextAt.Std().Equal(v.at("2026-03-03 10:00")) && r.NextAt.Std().Before(v.now()) {
			t.Errorf("got %+v, %v", r, err)
		}
		v.restart(19 * 24 * time.Hour) // a long downtime is one round
		v.until("2026-03-21 10:02")
		v.holdsItems(2, 0)
		v.says("3", 8, "well too", 0)
		v.restart(23 * time.Hour)
		v.until("2026-03-22 10:10")
		v.holdsItems(2, 1)
		if r, err := v.Retention(t.Context()); err != nil || r.Items != 0 || r.Open != 1 {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

// stuck is a log that stops whoever tells that retention took something out.
type stuck struct{ reached, released chan struct{} }

func (s stuck) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("what was too old is gone")) {
		close(s.reached)
		<-s.released
	}
	return len(b), nil
}

// However long a round of retention takes, promises are kept track of to the second meanwhile.
func TestRetentionKeepsNoTimerWaiting(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, "Europe/Berlin", "2026-03-02 10:00", func(v *virtual) {
		v.says("1", 9, "well", 0)
		v.stop()
		v.keepFor("retention: {items: 20d}")
		log := stuck{make(chan struct{}), make(chan struct{})}
		v.log = log
		time.Sleep(21 * 24 * time.Hour)
		v.start()
		<-log.reached
		v.says("2", 2, "late", 0)
		v.until("2026-03-24 12:30")
		v.want("lines during a round", v.lines, "23 10:00 opened", "23 16:00 warned", "24 10:00 breached", "24 11:00 warned", "24 12:00 escalated")
		close(log.released)
		v.holdsItems(1, 1)
		v.until("2026-03-24 16:30")
		if r, err := v.Retention(t.Context()); err != nil || r.NextAt.Std().Before(v.now()) {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}
