package engine_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/testdisk"
)

// TestPowerCuts cuts the power under an engine that does everything that it can do, on a real ext4 of which each sector
// that was not flushed is lost or kept by chance. What was acknowledged is there when the machine is on again, and nothing
// is half done.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	const each = 10 // cuts of a disk, so that looking at it does not take all the time
	random, began := seeded(t), time.Now()
	all := &soak{oracle: newSoakOracle(random)}
	for cuts := rounds(t, 3, 100); cuts > 0 && !t.Failed(); cuts -= each {
		t.Run(strconv.Itoa(cuts), func(t *testing.T) { all.add(cutPower(t, random, min(cuts, each))) })
	}
	o := all.oracle
	t.Logf("%d power cuts in %s, %d of them within Open; %d items, %d acknowledgements; messages about %d items, %d of them more than once with the same key; told of full disks: %v",
		all.kills, time.Since(began).Round(time.Second), all.early, all.items, o.acks, o.about, o.repeats, o.full)
}

// cutPower cuts the power of one disk, again and again.
func cutPower(t *testing.T, random *rand.Rand, cuts int) *soak {
	t.Helper()
	disk, dir := testdisk.New(t, 256<<20), writeProgram(t, soakRules)
	on, _, _ := soakDirs(dir)
	if err := os.Symlink(disk.Dir(), on); err != nil {
		t.Fatal(err)
	}
	s := newSoakOn(t, random, dir)
	s.end = func(kill func()) { disk.Cut(random, kill) }
	for range cuts {
		s.live(t, random.IntN(3), 64<<20)
		disk.Restart()
		s.items = s.oracle.examine(t, copied(t, dir))
	}
	t.Logf("the device: %+v", disk.Counts())
	return s
}

// copied copies a program with its disk, whose files the process that serves it cannot map.
func copied(t *testing.T, program string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	from, _, _ := soakDirs(program)
	to, _, _ := soakDirs(dir)
	if err := errors.Join(os.CopyFS(dir, os.DirFS(program)), os.Remove(to), os.Mkdir(to, 0o700)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil { // with the socket
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}
