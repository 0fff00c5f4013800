// Package campaign gives tests that try things at random their choices and their length: quick by themselves, long when
// the environment asks for it.
//
//	random := campaign.Rand(t)
//	for range campaign.Rounds(t, 100, 1_000_000) {
//		...
//	}
package campaign

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Rounds returns how often a test repeats: quick times, or the share of full that CLOSEDLOOP_DEEP says when that is more.
func Rounds(tb testing.TB, quick, full int) int {
	tb.Helper()
	s := os.Getenv("CLOSEDLOOP_DEEP")
	if s == "" {
		return quick
	}
	share, err := strconv.ParseFloat(s, 64)
	if err != nil {
		tb.Fatalf("CLOSEDLOOP_DEEP=%s: expected a number such as 0.1", s)
	}
	return max(quick, int(share*float64(full)))
}

// Rand returns a source of choices whose seed is told. CLOSEDLOOP_SEED repeats a run.
func Rand(tb testing.TB) *rand.Rand {
	tb.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("CLOSEDLOOP_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			tb.Fatalf("CLOSEDLOOP_SEED=%s: %v", s, err)
		}
	}
	tb.Logf("CLOSEDLOOP_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
