package engine_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// slow is a categorizer that holds its first call until it is let go.
type slow struct {
	called       atomic.Bool
	began, letGo chan struct{}
}

func (s *slow) Categorize(context.Context, []feedback.Item, []sdk.Result) error {
	if s.called.CompareAndSwap(false, true) {
		close(s.began)
		<-s.letGo
	}
	return nil
}

// While Close waits for a call of a plugin, new items are refused as closed, and no plugin is blamed for it.
func TestIngestWhileClosing(t *testing.T) {
	t.Parallel()
	s := &slow{began: make(chan struct{}), letGo: make(chan struct{})}
	p := &parts{}
	o := engine.Options{Profile: engine.Small, Native: p.native(), Events: engine.Events{PluginChanged: func(s engine.PluginState) {
		t.Errorf("plugin %s changed: %s", s.ID, s.Reason)
	}}}
	o.Native["words"] = native(sdk.AbilityCategorize, s)
	e, err := engine.Open(t.Context(), writeProgram(t, programFiles), o)
	if err != nil {
		t.Fatal(err)
	}
	early, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := e.Ingest(context.Background(), "app", answer("early", 3, "a"))
		early <- err
	}()
	<-s.began
	go func() { closed <- e.Close(context.Background()) }()
	for n, refused := 0, 0; refused < 20; n++ {
		_, err := e.Ingest(t.Context(), "app", answer("late", float64(n%11), "b"))
		if err == nil {
			continue
		}
		if refused++; !errors.Is(err, engine.ErrClosed) {
			t.Fatal(err)
		}
	}
	if _, err := e.Ingest(t.Context(), "app"); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("nothing to take in: %v", err)
	}
	close(s.letGo)
	if err := <-early; err != nil && !errors.Is(err, engine.ErrClosed) {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// What takes its time does not hold Close up.
func TestCloseEndsWhatTakesItsTime(t *testing.T) {
	t.Parallel()
	for name, long := range map[string]func(*engine.Engine, func(done, total int)) error{
		"check": func(e *engine.Engine, told func(done, total int)) error {
			_, err := e.CheckStore(context.Background(), told)
			return err
		},
		"backup": func(e *engine.Engine, told func(done, total int)) error {
			_, err := e.Backup(context.Background(), io.Discard, engine.BackupOptions{Progress: told})
			return err
		},
		"stats": func(e *engine.Engine, told func(done, total int)) error {
			_, err := e.StoreStats(context.Background(), told)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := open(t, writeProgram(t, programFiles), &parts{})
			items := make([]feedback.Item, 900)
			for i := range items {
				items[i] = answer(strconv.Itoa(i), float64(i%11), "#packaging")
			}
			if _, err := e.Ingest(t.Context(), "app", items...); err != nil {
				t.Fatal(err)
			}
			closed := make(chan error, 1)
			var once sync.Once
			err := long(e, func(int, int) {
				once.Do(func() {
					go func() { closed <- e.Close(context.Background()) }()
					for {
						if _, err := e.Ingest(context.Background(), "app"); err != nil {
							return // it is closing
						}
						runtime.Gosched()
					}
				})
			})
			if !errors.Is(err, engine.ErrClosed) {
				t.Errorf("found %v, want that the engine is closed", err)
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
		})
	}
}
