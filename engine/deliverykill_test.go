package engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/plugins/webhook"
	"github.com/closedloop/closedloop/sdk"
)

// posterEnv makes the test binary a poster: an engine on this program that ingests and delivers until it is killed.
const posterEnv = "CLOSEDLOOP_TEST_POSTER"

// posterRules tell two destinations of every item: one in strict order, the other with several messages on their way.
const posterRules = `
-- program.yaml --
version: 1
name: poster
destinations:
  strict:
    plugin: native:webhook
    grants: {http: ["HOST"]}
    settings: {url: "http://HOST/strict"}
    retry: {base: 1ms, cap: 5ms, attempts: 100000}
    breaker: {failures: 100000}
  wide:
    plugin: native:webhook
    grants: {http: ["HOST"]}
    settings: {url: "http://HOST/wide"}
    retry: {base: 1ms, cap: 5ms, attempts: 100000}
    breaker: {failures: 100000}
    concurrency: 4
-- rules/tell.yaml --
version: 1
groups:
  - name: tell
    rules:
      - id: tell
        when: nps <= 10
        do: [{notify: {destination: strict, message: "{text}"}}, {notify: {destination: wide, message: "{text}"}}]
`

func posterOptions() engine.Options {
	return engine.Options{Profile: engine.Small, Native: map[string]sdk.Plugin{"webhook": webhook.Plugin}}
}

// poster prints the external id of every item that was acknowledged.
func poster() int {
	ctx := context.Background()
	e, err := engine.Open(ctx, os.Getenv(posterEnv), posterOptions())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _ = e.Run(ctx) }()
	from, _ := strconv.Atoi(os.Getenv("CLOSEDLOOP_TEST_FROM")) // the parent writes a number
	for n := from; ; n++ {
		if _, err := e.Ingest(ctx, "app", answer(strconv.Itoa(n), 3, "late")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(n)
	}
}

// oracle is a receiver in a process that is not killed. It remembers what it has taken, and takes a message also when its
// answer gets lost.
type oracle struct {
	mu     sync.Mutex
	random *rand.Rand
	kind   bool // it does no more harm
	first  map[string][]int
	bodies map[string]string // by key
	taken  map[string]int
	faults []string
}

func (o *oracle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var m struct {
		Item struct {
			ExternalID string `json:"external_id"`
		} `json:"item"`
	}
	if err != nil || json.Unmarshal(body, &m) != nil {
		return // the sender was killed in the middle
	}
	n, _ := strconv.Atoi(m.Item.ExternalID)
	key := r.Header.Get("Webhook-Id")
	o.mu.Lock()
	defer o.mu.Unlock()
	if was, known := o.bodies[key]; known && was != string(body) {
		o.faults = append(o.faults, key+" came with two bodies")
	}
	o.bodies[key] = string(body)
	trouble := o.random.IntN(20)
	if trouble == 0 && !o.kind {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if o.taken[key]++; o.taken[key] == 1 {
		to := strings.Trim(r.URL.Path, "/")
		o.first[to] = append(o.first[to], n)
	}
	if trouble == 1 && !o.kind {
		panic(http.ErrAbortHandler) // it has the message, and its answer is lost
	}
}

// TestKilledWhileDelivering kills an engine with SIGKILL again and again while it posts to a receiver that fails now and
// then. In the end every item that was acknowledged was told to both destinations; what came twice came with the same key
// and the same body, and the first time in order where the order is strict.
func TestKilledWhileDelivering(t *testing.T) {
	t.Parallel()
	rounds := 10
	if os.Getenv("CLOSEDLOOP_KILLS") != "" {
		rounds = kills(t)
	}
	random := seeded(t)
	o := &oracle{random: seeded(t), first: map[string][]int{}, bodies: map[string]string{}, taken: map[string]int{}}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	dir := writeProgram(t, strings.ReplaceAll(posterRules, "HOST", strings.TrimPrefix(server.URL, "http://")))
	var acked []int
	for round := range rounds {
		acked = append(acked, killPoster(t, dir, round*1_000_000, random)...)
	}
	o.mu.Lock()
	o.kind = true
	o.mu.Unlock()
	finishDeliveries(t, dir)
	o.mu.Lock()
	defer o.mu.Unlock()
	twice := 0
	for _, n := range o.taken {
		twice += min(n-1, 1)
	}
	t.Logf("%d kills, %d messages, %d of them twice or more", rounds, len(o.taken), twice)
	for _, fault := range o.faults {
		t.Error(fault)
	}
	if len(o.taken) == 0 {
		t.Error("nothing was delivered: the test shows nothing")
	}
	for _, to := range []string{"strict", "wide"} {
		told := map[int]bool{}
		for _, n := range o.first[to] {
			told[n] = true
		}
		for _, n := range acked {
			if !told[n] {
				t.Errorf("%s was not told of item %d", to, n)
			}
		}
	}
	if !slices.IsSorted(o.first["strict"]) {
		t.Error("the first arrivals in strict order are out of order")
	}
}

// killPoster runs a poster for a while, and returns the items that it has acknowledged.
func killPoster(t *testing.T, dir string, from int, random *rand.Rand) (acked []int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), posterEnv+"="+dir, "CLOSEDLOOP_TEST_FROM="+strconv.Itoa(from+1))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait := time.Duration(20+random.IntN(250)) * time.Millisecond
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		if acked = append(acked, n); len(acked) == 1 {
			time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
	if len(acked) == 0 {
		t.Fatalf("the engine did not come up: %s", stderr.String())
	}
	return acked
}

// finishDeliveries runs the engine until nothing waits any more.
func finishDeliveries(t *testing.T, dir string) {
	t.Helper()
	e, err := engine.Open(t.Context(), dir, posterOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer closeEngine(t, e)
	for {
		if _, err := e.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := e.Deliveries(t.Context(), engine.DeliveryQuery{NoBody: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Deliveries) == 0 {
			return
		}
		if page.Deliveries[0].State == engine.DeliveryDead {
			t.Fatalf("dead: %+v", page.Deliveries[0])
		}
	}
}
