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

// Again reports whether a message is to be tried again after an answer of the status that is no success. It is not when the
// answer speaks of the message itself, which will not change: 400, 406, 409, 411 to 417, 422 and 431. All others speak of
// the receiver, of its address or of the right to post there, which somebody can mend while messages wait.
func Again(status int) bool {
	switch status {
	case 400, 406, 409, 411, 412, 413, 414, 415, 416, 417, 422, 431:
		return false
	}
	return true
}

// Misplaced reports whether an answer speaks of the address, or of the right to post there: such as 401 and 404.
func Misplaced(status int) bool {
	return status < 500 && status != 408 && status != 425 && status != 429 && Again(status)
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
