// Package answer reads what the answer of an HTTP server means for a message that was posted to it: whether it is to be
// tried again, and when.
//
//	if answer.Again(resp.Status) {
//		return sdk.Retry(answer.RetryAfter(resp.Headers["retry-after"], host.Now().Std()), "the receiver answered %d", resp.Status)
//	}
package answer

import (
	"strconv"
	"strings"
	"time"
)

// MaxWait is the longest wait that an answer may ask for.
const MaxWait = 24 * time.Hour

// Again reports whether an answer of the status may be another one next time: 408, 425, 429 and 5xx.
func Again(status int) bool {
	return status == 408 || status == 425 || status == 429 || status >= 500
}

// RetryAfter reads the header Retry-After, which is a number of seconds or a date (RFC 9110, section 10.2.3). What is no
// such thing, or is past, is zero; no wait is longer than MaxWait.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(MaxWait/time.Second))) * time.Second
	}
	// The forms of a date: RFC 9110, section 5.6.7.
	for _, form := range [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
		if at, err := time.Parse(form, value); err == nil {
			return min(max(at.Sub(now), 0), MaxWait)
		}
	}
	return 0
}
