package answer

import (
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(1994, 11, 6, 8, 49, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                               0,
		"120":                            2 * time.Minute,
		" 7 ":                            7 * time.Second,
		"0":                              0,
		"-1":                             0,
		"1.5":                            0,
		"soon":                           0,
		"18446744073709551615":           MaxWait,
		"99999999999999999999":           0,
		"Sun, 06 Nov 1994 08:49:37 GMT":  37 * time.Second,
		"Sunday, 06-Nov-94 08:49:37 GMT": 37 * time.Second,
		"Sun Nov  6 08:49:37 1994":       37 * time.Second,
		"Sun, 06 Nov 1994 08:48:37 GMT":  0,
		"Mon, 06 Nov 1995 08:49:37 GMT":  MaxWait,
	} {
		if got := RetryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func TestAgain(t *testing.T) {
	t.Parallel()
	again := map[int]bool{408: true, 425: true, 429: true}
	for status := 100; status < 600; status++ {
		if got, want := Again(status), again[status] || status >= 500; got != want {
			t.Errorf("%d: %t", status, got)
		}
	}
}
