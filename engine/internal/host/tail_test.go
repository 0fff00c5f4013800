package host_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host"
)

func TestTail(t *testing.T) {
	t.Parallel()
	var tail host.Tail
	if tail.String() != "" || tail.Panic() != "" {
		t.Errorf("got %q", tail.String())
	}
	fmt.Fprint(&tail, "first\npanic: at the ", "disco\n\ngoroutine 1\xff")
	if got := tail.String(); got != "first\npanic: at the disco\n\ngoroutine 1\uFFFD" || tail.Panic() != "panic: at the disco" {
		t.Errorf("got %q, %q", got, tail.Panic())
	}
	for i := range 2000 {
		fmt.Fprintf(&tail, "line %d\n", i)
	}
	if got := tail.String(); len(got) != 8<<10+4 || !strings.HasPrefix(got, "...\n") || !strings.HasSuffix(got, "line 1999\n") {
		t.Errorf("got %d bytes, %q", len(got), got[:20])
	}
	tail.Reset()
	fmt.Fprint(&tail, strings.Repeat("x", 10_000))
	if got := tail.String(); len(got) != 8<<10+4 {
		t.Errorf("got %d bytes", len(got))
	}
}
