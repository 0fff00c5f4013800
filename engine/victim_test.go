package engine_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// victims are what this test binary does when it is run to be killed. A victim acknowledges what it has done, one thing
// a line, and returns only when something failed that should not have.
func victims() map[string]func(*victim) error {
	return map[string]func(*victim) error{
		"ingest":          ingestForEver,
		"change rules":    ingestWhileRulesChange,
		"ingest steadily": ingestSteadily,
		"take back":       undoForEver,
		"erase":           eraseForEver,
		"everything":      doEverything,
	}
}

// victimEnv names the victim that the test binary is to be; the others are its folder and the number of its life.
const (
	victimEnv      = "CLOSEDLOOP_TEST_VICTIM"
	victimDirEnv   = "CLOSEDLOOP_TEST_VICTIM_DIR"
	victimRoundEnv = "CLOSEDLOOP_TEST_VICTIM_ROUND"
)

// victim is one life of a process that will be killed.
type victim struct {
	dir   string // what the lives before left
	round int
	mu    sync.Mutex
}

// ack tells the oracle of things that are acknowledged, in one piece.
func (v *victim) ack(things ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Println(strings.Join(things, "\n"))
}

// runVictim is the main function of a victim.
func runVictim(name string) int {
	round, err := strconv.Atoi(os.Getenv(victimRoundEnv))
	if err == nil {
		err = victims()[name](&victim{dir: os.Getenv(victimDirEnv), round: round})
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// killOne starts a victim in dir, kills it, and returns what it acknowledged: one time in five while it opens the state
// that the victim before left, otherwise after it has acknowledged a little.
func killOne(t *testing.T, name, dir string, round int, random *rand.Rand) (acked []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+name, victimDirEnv+"="+dir, victimRoundEnv+"="+strconv.Itoa(round))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait := time.Duration(random.IntN(120)) * time.Millisecond
	early := random.IntN(5) == 0
	kill := func() { time.AfterFunc(wait, func() { _ = cmd.Process.Kill() }) }
	if early {
		kill()
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		acked = append(acked, lines.Text())
		if len(acked) == 1 && !early {
			kill()
		}
	}
	_ = cmd.Wait()
	if stderr.Len() > 0 || len(acked) == 0 && !early {
		t.Fatalf("round %d: the victim ended by itself: %.4000s", round, stderr.String())
	}
	return acked
}

// kills returns how many kills to make: 50, or what CLOSEDLOOP_KILLS says.
func kills(t *testing.T) int {
	if s := os.Getenv("CLOSEDLOOP_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 50
}

// seeded returns random numbers whose seed is told, and is CLOSEDLOOP_SEED when that is set.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	if s := os.Getenv("CLOSEDLOOP_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CLOSEDLOOP_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// rounds returns how often a campaign repeats: quick times, or the given share of full when CLOSEDLOOP_DEEP says so.
func rounds(t *testing.T, quick, full int) int {
	s := os.Getenv("CLOSEDLOOP_DEEP")
	if s == "" {
		return quick
	}
	share, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("CLOSEDLOOP_DEEP=%s: expected a number such as 0.1", s)
	}
	return max(quick, int(share*float64(full)))
}
