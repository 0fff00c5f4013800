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
	for status, want := range map[int]string{
		301: "misplaced", 302: "misplaced", 400: "refused", 401: "misplaced", 403: "misplaced", 404: "misplaced", 405: "misplaced",
		406: "refused", 407: "misplaced", 408: "again", 409: "refused", 410: "misplaced", 411: "refused", 413: "refused", 417: "refused",
		421: "misplaced", 422: "refused", 425: "again", 429: "again", 431: "refused", 451: "misplaced", 500: "again", 503: "again", 599: "again",
	} {
		got := "refused"
		switch {
		case Misplaced(status):
			got = "misplaced"
		case Again(status):
			got = "again"
		}
		if got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}
