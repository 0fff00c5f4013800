package pool_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host/pool"
)

func TestLastUsedFirst(t *testing.T) {
	t.Parallel()
	p := pool.New[int](3)
	for range 3 {
		if _, ok, err := p.Get(t.Context()); ok || err != nil {
			t.Fatalf("got ok %v, %v from an empty pool", ok, err)
		}
	}
	p.Put(1)
	p.Put(2)
	p.Drop()
	for _, want := range []int{2, 1} {
		if v, ok, err := p.Get(t.Context()); v != want || !ok || err != nil {
			t.Errorf("got %d, %v, %v; want %d", v, ok, err, want)
		}
	}
}

func TestGetWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool.New[int](1)
		if _, _, err := p.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := p.Get(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		go func() {
			time.Sleep(time.Second)
			p.Put(7)
		}()
		if v, ok, err := p.Get(t.Context()); v != 7 || !ok || err != nil {
			t.Errorf("got %d, %v, %v", v, ok, err)
		}
		p.Put(7)
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool.New[int](2)
		for range 2 {
			if _, _, err := p.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		waiting := make(chan error)
		go func() {
			_, _, err := p.Get(context.Background())
			waiting <- err
		}()
		synctest.Wait()
		p.Put(1)
		if err := <-waiting; err != nil { // it came before Close
			t.Fatal(err)
		}
		p.Put(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if free, err := p.Close(ctx); len(free) != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", free, err)
		}
		if _, _, err := p.Get(t.Context()); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("got %v", err)
		}
		p.Put(2)
		if free, err := p.Close(t.Context()); len(free) != 1 || free[0] != 2 || err != nil {
			t.Errorf("got %v, %v", free, err)
		}
	})
}

func TestHammer(t *testing.T) {
	t.Parallel()
	p := pool.New[*atomic.Int32](3)
	var made atomic.Int32
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				v, ok, err := p.Get(context.Background())
				if errors.Is(err, pool.ErrClosed) {
					return
				}
				if !ok {
					v = new(atomic.Int32)
					made.Add(1)
				}
				if v.Add(1) != 1 {
					t.Error("lent twice")
				}
				v.Add(-1)
				if (i+g)%50 == 0 {
					p.Drop()
				} else {
					p.Put(v)
				}
				if g == 0 && i == 1900 {
					if _, err := p.Close(context.Background()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if made.Load() == 0 {
		t.Error("nothing was made")
	}
}
