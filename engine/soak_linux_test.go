package engine_test

import (
	"bufio"
	"errors"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// soak is a program on a small disk of its own, whose engine lives again and again.
type soak struct {
	oracle *soakOracle
	random *rand.Rand
	dir    string
	server string
	end    func(kill func()) // ends a life

	lives, kills, early, fills, ended, items int
	most                                     int64 // KiB of memory that a life took
}

// newSoak makes a soak on a disk in memory.
func newSoak(t *testing.T, random *rand.Rand) *soak {
	t.Helper()
	dir := writeProgram(t, soakRules)
	disk, _, _ := soakDirs(dir)
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=384m"); err != nil {
		t.Skipf("SKIPPED: this test needs root, to mount a disk of its own: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return newSoakOn(t, random, dir)
}

// newSoakOn makes a soak of a program, whose disk is there.
func newSoakOn(t *testing.T, random *rand.Rand, dir string) *soak {
	t.Helper()
	s := &soak{oracle: newSoakOracle(random), random: random, dir: dir, end: func(kill func()) { kill() }}
	server := httptest.NewServer(s.oracle)
	t.Cleanup(server.Close)
	s.server = server.URL
	return s
}

// soakRules are rules that remember, with messages that tell which item they are about.
var soakRules = strings.ReplaceAll(strings.ReplaceAll(killRules, "every: 1h", "every: 100ms"), "attempts: 3", "attempts: 20")

// live runs one life until it is killed: one time in five while it opens, else after fills of the disk that leave at
// least so many bytes.
func (s *soak) live(t *testing.T, fills int, leave int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"=everything", victimDirEnv+"="+s.dir, victimRoundEnv+"="+strconv.Itoa(s.lives), serverEnv+"="+s.server)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.lives++
	early := s.lives > 1 && s.random.IntN(5) == 0
	gone, done := make(chan struct{}), make(chan struct{})
	random := rand.New(rand.NewPCG(s.random.Uint64(), 0))
	go func() {
		defer close(done)
		if !early {
			s.disturb(t, random, fills, leave, gone)
		}
		pause(gone, time.Duration(random.IntN(200))*time.Millisecond)
		s.end(func() { _ = cmd.Process.Kill() })
	}()
	opened := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		opened = opened || lines.Text() == "open"
		s.oracle.hear(lines.Text())
	}
	_ = cmd.Wait()
	if use, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.most = max(s.most, use.Maxrss)
	}
	close(gone)
	<-done
	switch {
	case stderr.Len() == 0:
		s.kills++
	case leave == 0 && strings.Contains(stderr.String(), "SIGBUS"):
		s.ended++
	default:
		t.Fatalf("life %d ended by itself: %.6000s", s.lives, stderr.String())
	}
	if !opened {
		s.early++
	}
}

// disturb fills the disk again and again, each time for a while.
func (s *soak) disturb(t *testing.T, random *rand.Rand, fills int, leave int64, gone chan struct{}) {
	disk, _, _ := soakDirs(s.dir)
	filler := filepath.Join(disk, "filler")
	for range fills {
		pause(gone, time.Duration(200+random.IntN(400))*time.Millisecond)
		if leave > 0 {
			leave += random.Int64N(24 << 20)
		}
		if err := fill(disk, filler, leave); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
		s.fills++
		pause(gone, time.Duration(random.IntN(300))*time.Millisecond)
		if err := os.Remove(filler); err != nil {
			t.Error(err)
		}
	}
}

// fill writes a file until the disk has no more than so many bytes left.
func fill(disk, filler string, leave int64) error {
	f, err := os.Create(filler)
	if err != nil {
		return err
	}
	for b := make([]byte, 1<<20); err == nil; {
		var st syscall.Statfs_t
		if err = syscall.Statfs(disk, &st); err != nil || int64(st.Bavail)*st.Bsize < leave+int64(len(b)) {
			break
		}
		_, err = f.Write(b)
	}
	return errors.Join(err, f.Close())
}

func pause(gone chan struct{}, d time.Duration) {
	select {
	case <-time.After(d):
	case <-gone:
	}
}

// add adds what another soak has survived.
func (s *soak) add(o *soak) {
	s.lives, s.kills, s.early, s.fills, s.ended, s.items = s.lives+o.lives, s.kills+o.kills, s.early+o.early, s.fills+o.fills, s.ended+o.ended, s.items+o.items
	s.most = max(s.most, o.most)
	s.oracle.acks += o.oracle.acks
	s.oracle.repeats += o.oracle.repeats
	s.oracle.about += len(o.oracle.told)
	for what, n := range o.oracle.full {
		s.oracle.full[what] += n
	}
}

// tell says what was survived.
func (s *soak) tell(t *testing.T, began time.Time) {
	t.Helper()
	o := s.oracle
	t.Logf("%d lives in %s: %d kills, %d of them within Open; %d full disks, which ended the process %d times; told of full disks: %v",
		s.lives, time.Since(began).Round(time.Second), s.kills, s.early, s.fills, s.ended, o.full)
	t.Logf("%d items, %d acknowledgements of items, labels, notes and backups; messages about %d items, %d of them more than once with the same key; at most %d MiB of memory",
		s.items, o.acks, o.about+len(o.told), o.repeats, s.most>>10)
}

// TestFullDiskAtEveryStage fills the disk while an engine does everything that it can do, so that it is full while the
// engine takes items, commits, makes tables, activates rules, delivers, works on cases, backs up and compacts. As long as
// others leave it half of its reserve the process survives, and goes on when there is space; nothing is ever lost.
func TestFullDiskAtEveryStage(t *testing.T) {
	t.Parallel()
	s, began := newSoak(t, seeded(t)), time.Now()
	for round := range rounds(t, 2, 20) {
		s.live(t, 3, [...]int64{32 << 20, 0}[round%2])
		s.items = s.oracle.examine(t, s.dir)
	}
	s.tell(t, began)
}

// TestSoak has an engine do everything at once, over kills, full disks and steps of its clock, for CLOSEDLOOP_SOAK minutes.
// In the campaigns that is five minutes, and else some seconds.
func TestSoak(t *testing.T) {
	t.Parallel()
	long := time.Duration(rounds(t, 3, 300)) * time.Second
	if m := os.Getenv("CLOSEDLOOP_SOAK"); m != "" {
		minutes, err := strconv.ParseFloat(m, 64)
		if err != nil {
			t.Fatal(err)
		}
		long = time.Duration(minutes * float64(time.Minute))
	}
	random, began := seeded(t), time.Now()
	all := &soak{oracle: newSoakOracle(random)}
	for time.Since(began) < long && !t.Failed() {
		// A store of its own for each part, so that looking at it does not take all the time.
		t.Run("part", func(t *testing.T) {
			s := newSoak(t, random)
			for s.items < 15_000 && time.Since(began) < long && !t.Failed() {
				s.live(t, random.IntN(3), int64(random.IntN(4))*(24<<20))
				s.items = s.oracle.examine(t, s.dir)
			}
			all.add(s)
		})
	}
	all.tell(t, began)
}
