package grants

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// What a plugin can log: bytes of one message, messages at once, and messages per second in the long run.
const (
	maxLine     = 4 << 10
	burst       = 100
	linesSecond = 10
)

// bucket lets burst messages pass at once and linesSecond per second in the long run.
type bucket struct {
	mu      sync.Mutex
	spent   float64
	last    time.Time
	dropped int // since the last message that passed
}

// take reports whether a message may pass now, and how many were dropped before it.
func (b *bucket) take(now time.Time) (dropped int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(0, b.spent-max(0, now.Sub(b.last).Seconds())*linesSecond)
	b.last = now
	if b.spent > burst-1 {
		b.dropped++
		return 0, false
	}
	b.spent++
	dropped, b.dropped = b.dropped, 0
	return dropped, true
}

var levels = [...]zerolog.Level{sdk.Debug: zerolog.DebugLevel, sdk.Info: zerolog.InfoLevel, sdk.Warn: zerolog.WarnLevel, sdk.Error: zerolog.ErrorLevel}

// Log writes to the engine's log under the plugin's id and version. Long messages are cut. What a plugin logs faster than
// it may is dropped; the next message says how much.
func (n *Session) Log(level sdk.Level, message string) {
	if !n.spec.Grants.Log {
		return
	}
	dropped, ok := n.lines.take(time.Now())
	if !ok {
		return
	}
	if len(message) > maxLine {
		cut := maxLine
		for cut > 0 && !utf8.RuneStart(message[cut]) {
			cut--
		}
		message = message[:cut]
	}
	e := n.spec.Log.WithLevel(levels[min(int(level), len(levels)-1)]).Str("plugin", n.spec.ID).Str("version", n.version)
	if dropped > 0 {
		e = e.Int("dropped", dropped)
	}
	e.Msg(strings.ToValidUTF8(message, "\uFFFD"))
}

func systemTime() feedback.Time { return feedback.TimeOf(time.Now()) }
