package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/testdisk"
)

// TestPowerCuts cuts the power under a store that writes, on a real ext4: each sector that was not flushed is lost or
// kept by chance. What was acknowledged is there when the machine is on again, and nothing else is.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	r := random(t)
	disk := testdisk.New(t, 192<<20)
	var o oracle
	dir := filepath.Join(disk.Dir(), "state 0")
	updates, built, opening := 0, 0, 0
	n := rounds(t, 4, 100)
	for round := range n {
		wait := time.Duration(r.Int64N(int64(400 * time.Millisecond)))
		early := round > 0 && r.IntN(3) == 0
		if early {
			wait /= 30
		}
		var once sync.Once
		dark := make(chan struct{})
		last := o.watch(t, dir, func(c *exec.Cmd, open bool) {
			if open || early {
				once.Do(func() {
					time.AfterFunc(wait, func() {
						disk.Cut(r, func() { _ = c.Process.Kill() })
						close(dark)
					})
				})
			}
		})
		<-dark
		if last != "" {
			t.Fatalf("it ended by itself: %.4000s", last)
		}
		disk.Restart()
		if !o.opened {
			opening++
		}
		updates = o.examine(t, dir)
		if round%10 == 9 || round == n-1 {
			t.Logf("%d updates", updates)
			built += tables(t, dir)
			o = oracle{}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			dir = filepath.Join(disk.Dir(), fmt.Sprint("state ", round)) // the removal may be lost
		}
	}
	t.Logf("%d power cuts, %d of them within Open; %d tables were written meanwhile; the device: %+v", n, opening, built, disk.Counts())
}

// TestFailingDevice has a device fail at some moment, and then lose its power. However the process ended, what was
// acknowledged is there when the device works again.
func TestFailingDevice(t *testing.T) {
	t.Parallel()
	r := random(t)
	ends := map[string]int{}
	for round := range rounds(t, 3, 30) {
		failure := [...]testdisk.Failure{testdisk.WritesFail, testdisk.FlushesFail, testdisk.EverythingOff}[round%3]
		t.Run(fmt.Sprint(round), func(t *testing.T) { ends[failOnce(t, r, failure)]++ })
	}
	t.Log(ends)
}

// failOnce has the device fail while a store writes to it, and returns how the process ended.
func failOnce(t *testing.T, r *rand.Rand, failure testdisk.Failure) (end string) {
	disk := testdisk.New(t, 96<<20)
	dir := filepath.Join(disk.Dir(), "state")
	wait := time.Duration(r.Int64N(int64(300 * time.Millisecond)))
	var o oracle
	var once sync.Once
	last := o.watch(t, dir, func(_ *exec.Cmd, open bool) {
		if open {
			once.Do(func() { time.AfterFunc(wait, func() { disk.Fail(failure) }) })
		}
	})
	switch {
	case strings.Contains(last, ErrPoisoned.Error()):
		end = "poisoned"
	case strings.Contains(last, "SIGBUS"):
		end = "ended by the system"
	default:
		t.Fatalf("it ended with %.4000s", last)
	}
	disk.Cut(r, func() {})
	disk.Restart()
	o.examine(t, dir)
	return end
}
