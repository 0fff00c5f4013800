package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// request is what one client asks of a store: something about one number.
type request struct {
	op  string // one of linearOps
	key int
	arg int
}

// linearOps are what a client may do: look in a View, look in an Update, set, add one, and add one twice with updates
// that are begun one after the other before the first is durable.
var linearOps = [...]string{"view", "look", "set", "add", "twice"}

// noAnswer is the outcome of a call that the process did not live to answer: it took effect at some time, or never.
const noAnswer = math.MinInt

// register is the model: a number that is set, read and counted up.
var register = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, in, out any) (bool, any) {
		now, c, got := state.(int), in.(request), out.(int)
		switch c.op {
		case "set":
			return true, c.arg
		case "add", "twice":
			now++
		}
		return got == noAnswer || got == now, now
	},
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, o := range history {
			byKey[o.Input.(request).key] = append(byKey[o.Input.(request).key], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %d", in, out) },
}

// serveCalls is the part of a child that does what its standard input asks, all of it at once, on a disk that is now and
// then full for a moment.
func serveCalls(dir string) error {
	o := small()
	var measured atomic.Int64
	o.Reserve = 100
	o.Free = func(string) (int64, error) {
		if measured.Add(1)%13 == 0 {
			return 1, nil
		}
		return 1 << 40, nil
	}
	s, err := Open(dir, o)
	if err != nil {
		return err
	}
	fmt.Println("open")
	var wg sync.WaitGroup
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var id int
		var c request
		if _, err := fmt.Sscanf(lines.Text(), "%d %s %d %d", &id, &c.op, &c.key, &c.arg); err != nil {
			return err
		}
		wg.Go(func() {
			first, second := c.do(s)
			fmt.Println(id, first, second)
		})
	}
	wg.Wait()
	return s.Close()
}

// fullAnswer is the outcome of a call that the store refused: it had no effect.
const fullAnswer = math.MinInt + 1

// do makes the call and returns the number that it read or left, and that of the second update of "twice".
func (c request) do(s *Store) (first, second int) {
	k := key("number", c.key)
	change := func(to *int, by func(int) int) func(*Tx) error {
		return func(tx *Tx) error {
			n, err := count(tx, k)
			if *to = by(n); *to != n {
				tx.Set(k, strconv.AppendInt(nil, int64(*to), 10))
			}
			return err
		}
	}
	one := func(n int) int { return n + 1 }
	ctx := context.Background()
	var err error
	switch c.op {
	case "view":
		err = s.View(func(sn *Snapshot) (err error) { first, err = count(sn, k); return err })
	case "look":
		err = s.Update(ctx, change(&first, func(n int) int { return n }))
	case "set":
		err = s.Update(ctx, change(&first, func(int) int { return c.arg }))
	case "add":
		err = s.Update(ctx, change(&first, one))
	case "twice":
		var a, b *Pending
		if a, err = s.Begin(ctx, nil, change(&first, one)); err != nil {
			return refused(err), fullAnswer
		}
		if b, err = s.Begin(ctx, a, change(&second, one)); err == nil {
			err = b.Wait()
		}
		if err != nil {
			second = refused(err)
		}
		err = a.Wait()
	}
	if err != nil {
		first = refused(err)
	}
	return first, second
}

// refused returns the outcome of a call that failed for want of space, the only reason that there may be.
func refused(err error) int {
	if !errors.Is(err, ErrFull) {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	return fullAnswer
}

const (
	linearClients = 8
	linearKeys    = 6
)

// clients ask children and write down what they asked and were told, and when.
type clients struct {
	begin   time.Time
	ids     atomic.Int64
	mu      sync.Mutex
	history []porcupine.Operation
}

func (cs *clients) now() int64 { return time.Since(cs.begin).Nanoseconds() }

// note writes down one operation. What was refused had no effect, and an unanswered look tells nothing.
func (cs *clients) note(client int, c request, at int64, got int) {
	back := cs.now()
	if got == noAnswer {
		back = math.MaxInt64
	}
	if got == fullAnswer || got == noAnswer && (c.op == "view" || c.op == "look") {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.history = append(cs.history, porcupine.Operation{ClientId: client, Input: c, Call: at, Output: got, Return: back})
}

// life is one process that answers calls.
type life struct {
	in   io.WriteCloser
	dead chan struct{}

	mu      sync.Mutex
	waiting map[int]chan [2]int
}

func (l *life) ask(id int, c request) (got [2]int) {
	answer := make(chan [2]int, 1)
	l.mu.Lock()
	l.waiting[id] = answer
	_, err := fmt.Fprintln(l.in, id, c.op, c.key, c.arg)
	l.mu.Unlock()
	if err == nil {
		select {
		case got = <-answer:
			return got
		case <-l.dead:
		}
	}
	select {
	case got = <-answer: // it was the last
		return got
	default:
		return [2]int{noAnswer, noAnswer}
	}
}

// live runs a child on dir, has the clients ask it, and kills it after a while, or lets it end when that is 0. Then each
// client has looked at each number once.
func (cs *clients) live(t *testing.T, dir string, r *rand.Rand, kill time.Duration) {
	t.Helper()
	cmd := child("serve calls", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &life{dead: make(chan struct{}), waiting: map[int]chan [2]int{}}
	if l.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("the store does not open: %s", lines.Text())
	}
	var wg sync.WaitGroup
	for range linearClients {
		client, random := int(cs.ids.Add(1)), rand.New(rand.NewPCG(r.Uint64(), 0))
		wg.Go(func() { cs.client(l, client, random, kill > 0) })
	}
	if kill > 0 {
		time.AfterFunc(kill, func() { _ = cmd.Process.Kill() })
	} else {
		go func() { wg.Wait(); _ = l.in.Close() }()
	}
	for lines.Scan() {
		var id int
		var got [2]int
		if _, err := fmt.Sscanf(lines.Text(), "%d %d %d", &id, &got[0], &got[1]); err != nil {
			t.Error(lines.Text())
			continue
		}
		l.mu.Lock()
		l.waiting[id] <- got
		delete(l.waiting, id)
		l.mu.Unlock()
	}
	close(l.dead)
	wg.Wait()
	_ = cmd.Wait()
}

// client asks one thing after the other: for ever, until there is no answer, or for each number once.
func (cs *clients) client(l *life, client int, r *rand.Rand, forEver bool) {
	for n := 0; forEver || n < linearKeys; n++ {
		c := request{linearOps[r.IntN(len(linearOps))], r.IntN(linearKeys), r.IntN(1000)}
		if !forEver {
			c = request{"view", n, 0}
		}
		at := cs.now()
		got := l.ask(int(cs.ids.Add(1)), c)
		cs.note(client, c, at, got[0])
		if c.op == "twice" {
			cs.note(client, c, at, got[1])
		}
		if got[0] == noAnswer {
			return
		}
	}
}

// TestLinearizable has clients use a store through processes that are killed, with a disk that is now and then full, and
// looks for an order of all that they did in which each saw what it was told.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	r := random(t)
	operations, unanswered := 0, 0
	n := rounds(t, 2, 60)
	for range n {
		cs, dir := &clients{begin: time.Now()}, t.TempDir()
		for range 3 {
			cs.live(t, dir, r, 10*time.Millisecond+time.Duration(r.Int64N(int64(60*time.Millisecond))))
		}
		cs.live(t, dir, r, 0)
		operations += len(cs.history)
		for _, o := range cs.history {
			if o.Output == noAnswer {
				unanswered++
			}
		}
		if got := porcupine.CheckOperationsTimeout(register, cs.history, time.Minute); got != porcupine.Ok {
			t.Fatalf("%d operations: %s", len(cs.history), got)
		}
	}
	t.Logf("%d histories over %d kills: %d operations, %d of them unanswered", n, 3*n, operations, unanswered)
}
