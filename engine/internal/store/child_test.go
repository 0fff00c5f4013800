package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// child returns the command that runs a part of runChild in a process of its own.
func child(part string, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "CLOSEDLOOP_CHILD="+part)
	return c
}

func runChild(part string, args []string) int {
	parts := map[string]func(dir string) error{
		"fill": fill, "two logs": twoLogs, "verify": verify, "write for ever": writeForEver,
	}
	maps.Copy(parts, diskParts())
	run, ok := parts[part]
	if !ok {
		fmt.Println("no such part:", part)
		return 2
	}
	if err := run(args[0]); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// record is what fill writes under key(i).
func record(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "record %06d;", i), 60) }

const filled = 400

// fill writes records and leaves the directory as a crash does.
func fill(dir string) error {
	s, err := Open(dir, small())
	if err != nil {
		return err
	}
	for i := range filled {
		if err := s.Update(context.Background(), func(tx *Tx) error { tx.Set(key(i), record(i)); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// twoLogs writes until Badger has two logs and stops as a crash does. The tables that would take the place of the
// older log cannot be written, because directories are in the way.
func twoLogs(dir string) error {
	s, err := Open(dir, small())
	if err != nil {
		return err
	}
	for i := range 100 {
		if err := os.Mkdir(filepath.Join(dir, "badger", fmt.Sprintf("%06d.sst", i)), 0o700); err != nil {
			return err
		}
	}
	for i := range 120 { // 6 MB
		if err := s.Update(context.Background(), func(tx *Tx) error { tx.Set(key(i), make([]byte, 50<<10)); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// verify opens what fill left and says what it finds: wrong, missing and unreadable records.
func verify(dir string) error {
	s, err := Open(dir, small())
	if err != nil {
		return err
	}
	wrong, missing, unreadable := 0, 0, 0
	if err := s.View(func(sn *Snapshot) error {
		for i := range filled {
			v, err := sn.Get(key(i))
			switch {
			case errors.Is(err, ErrNotFound):
				missing++
			case err != nil:
				unreadable++
			case !bytes.Equal(v, record(i)):
				wrong++
			}
		}
		err := sn.Scan([]byte{KeyMeta}, nil, false, func(k, v []byte) (bool, error) {
			if i := int(ReadKey(k).Uint64()); !bytes.Equal(k, key(i)) || !bytes.Equal(v, record(i)) {
				wrong++
			}
			return true, nil
		})
		if err != nil {
			unreadable++
		}
		return nil
	}); err != nil {
		return err
	}
	fmt.Printf("wrong %d missing %d unreadable %d\n", wrong, missing, unreadable)
	return nil
}

// writeForEver has several callers write updates of some records each, and says which are acknowledged.
func writeForEver(dir string) error {
	fmt.Println("started")
	s, err := Open(dir, small())
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for w := range killWriters {
		wg.Go(func() {
			for {
				n := 0
				if err := s.Update(context.Background(), func(tx *Tx) (err error) {
					if n, err = count(tx, key("writer", w)); err != nil {
						return err
					}
					all, err := count(tx, key("all"))
					tx.Set(key("writer", w), strconv.AppendInt(nil, int64(n+1), 10))
					tx.Set(key("all"), strconv.AppendInt(nil, int64(all+1), 10))
					for part := range killParts {
						tx.Set(key("record", w, n, part), bytes.Repeat([]byte{byte(n)}, 200+37*w))
					}
					return err
				}); err != nil {
					fmt.Println("error:", err)
					os.Exit(1)
				}
				fmt.Printf("ack %d %d\n", w, n)
			}
		})
	}
	wg.Wait()
	return nil
}

const (
	killWriters = 6
	killParts   = 3
)

func count(r Reader, key []byte) (int, error) {
	v, err := r.Get(key)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(v))
}

// TestKilledAtAnyMoment kills a process that writes. Every acknowledged update must be there, and none half done.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	r := random(t)
	dir := t.TempDir()
	acked := make([]int, killWriters)
	n := rounds(t, 12, 300)
	for round := range n {
		for w, last := range killOnce(t, dir, time.Duration(r.Int64N(int64(120*time.Millisecond)))) {
			acked[w] = max(acked[w], last)
		}
		if round%20 == 19 || round == n-1 {
			examine(t, dir, acked)
			dir, acked = t.TempDir(), make([]int, killWriters)
		}
	}
}

// killOnce runs the writers and kills them after a while. It returns how many updates of each are acknowledged.
func killOnce(t *testing.T, dir string, after time.Duration) []int {
	c := child("write for ever", dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	acked := make([]int, killWriters)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var w, i int
		line := lines.Text()
		switch n, _ := fmt.Sscanf(line, "ack %d %d", &w, &i); {
		case line == "started":
			time.AfterFunc(after, func() { _ = c.Process.Kill() })
		case n == 2:
			acked[w] = i + 1
		case strings.HasPrefix(line, "error"):
			t.Error(line)
		}
	}
	_ = c.Wait()
	return acked
}

func examine(t *testing.T, dir string, acked []int) {
	s, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	sum := 0
	err = s.View(func(sn *Snapshot) error {
		for w := range killWriters {
			n, err := count(sn, key("writer", w))
			if err != nil {
				return err
			}
			if n < acked[w] {
				t.Errorf("writer %d: %d updates, %d were acknowledged", w, n, acked[w])
			}
			sum += n
			for i := range n + 2 {
				for part := range killParts {
					if v, err := sn.Get(key("record", w, i, part)); (err == nil) != (i < n) || err == nil && !bytes.Equal(v, bytes.Repeat([]byte{byte(i)}, 200+37*w)) {
						t.Errorf("writer %d: update %d of %d, part %d: %d bytes, %v", w, i, n, part, len(v), err)
					}
				}
			}
		}
		all, err := count(sn, key("all"))
		if all != sum {
			t.Errorf("the counter says %d, there are %d", all, sum)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d updates, commit %d", sum, s.Stats().Commit)
}
