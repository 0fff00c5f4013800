package wasmhost

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/closedloop/closedloop/engine/internal/host"
)

// TestManyCalls calls one instance of a Go guest again and again: neither the guest nor the host grows. It prints what
// both take. CLOSEDLOOP_DEEP=1 makes it a million calls; it is not parallel because it measures the process.
func TestManyCalls(t *testing.T) {
	calls := 3000
	if deep, err := strconv.ParseFloat(os.Getenv("CLOSEDLOOP_DEEP"), 64); err == nil && deep > 0 {
		calls = max(calls, int(deep*1_000_000))
	}
	p := loadGuest(t, host.Spec{Limits: host.Limits{Instances: 1}}).(*Plugin)
	items := batchOf(16)
	run := func(n int) {
		t.Helper()
		for range n {
			b, err := p.Categorize(t.Context(), items)
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
		}
	}
	run(1000)
	memory, real, process := footprint(p), guestResident(p), resident()
	run(calls)
	memoryAfter, realAfter, processAfter := footprint(p), guestResident(p), resident()
	t.Logf("%d calls: the guest's memory %d KiB, then %d KiB; of these resident %d KiB, then %d KiB; the process resident %d KiB, then %d KiB",
		calls, memory>>10, memoryAfter>>10, real>>10, realAfter>>10, process>>10, processAfter>>10)
	if memoryAfter > memory+1<<20 || processAfter > process+32<<20 {
		t.Error("the memory grows with the calls")
	}
	if s := p.Stats(); s.Made != 2 || s.Recycled != 0 { // one more that polls
		t.Errorf("got %+v", s)
	}
}

// footprint returns the memory of the plugin's only instance in bytes.
func footprint(p *Plugin) int64 {
	return onlyInstance(p, func(in *instance) int64 { return int64(in.memory.Size()) })
}

// guestResident returns the real memory behind it, or 0 where the system does not say.
func guestResident(p *Plugin) int64 {
	return onlyInstance(p, func(in *instance) int64 {
		f, err := os.Open("/proc/self/smaps")
		if err != nil {
			return 0
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		start := fmt.Sprintf("%x-", uintptr(unsafe.Pointer(unsafe.SliceData(in.linear.b))))
		for here := false; lines.Scan(); {
			if strings.HasPrefix(lines.Text(), start) {
				here = true
			}
			if kib, ok := strings.CutPrefix(lines.Text(), "Rss:"); ok && here {
				n, _ := strconv.ParseInt(strings.Fields(kib)[0], 10, 64)
				return min(n<<10, int64(in.memory.Size())) // the mapping may be shown as one with its neighbour
			}
		}
		return 0
	})
}

// onlyInstance asks the instance that the plugin keeps.
func onlyInstance(p *Plugin, ask func(*instance) int64) int64 {
	in, ok, err := p.shared.Get(p.stopped)
	if err != nil || !ok {
		return 0
	}
	defer p.shared.Put(in)
	return ask(in)
}
