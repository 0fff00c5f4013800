package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// keySeparator divides the values of a key.
const keySeparator = "\x1f"

// The longest value of a key, and the longest key. A store can keep no key of any length, and texts are of any length.
const (
	maxKeyValue = 1 << 10
	maxKey      = 2 << 10
)

func joinKey(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = bounded(v, maxKeyValue)
	}
	return bounded(strings.Join(out, keySeparator), maxKey)
}

// bounded returns the text, or for one of more than n bytes its beginning with a hash that tells it apart.
func bounded(s string, n int) string {
	if len(s) <= n {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	end := "…" + hex.EncodeToString(sum[:16])
	return strings.ToValidUTF8(s[:n-len(end)], "") + end
}

// KeyText writes the key of a window, a throttle or an alert as people read it.
func KeyText(key string) string { return strings.ReplaceAll(key, keySeparator, ", ") }

// KeyOf joins the values of several fields to a key.
func KeyOf(values ...string) string { return joinKey(values) }
