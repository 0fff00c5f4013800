package grants

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// What a plugin can log: bytes of one message, and messages of one call.
const (
	maxLine  = 4 << 10
	maxLines = 100
)

var levels = [...]zerolog.Level{sdk.Debug: zerolog.DebugLevel, sdk.Info: zerolog.InfoLevel, sdk.Warn: zerolog.WarnLevel, sdk.Error: zerolog.ErrorLevel}

// Log writes to the engine's log under the plugin's id. Long messages are cut; after 100 in one call the rest is
// dropped.
func (n *Session) Log(level sdk.Level, message string) {
	if !n.spec.Grants.Log {
		return
	}
	switch line := n.lines.Add(1); {
	case line == maxLines+1:
		level, message = sdk.Warn, "more than 100 messages in one call: the rest is dropped"
	case line > maxLines:
		return
	}
	if len(message) > maxLine {
		cut := maxLine
		for cut > 0 && !utf8.RuneStart(message[cut]) {
			cut--
		}
		message = message[:cut]
	}
	n.spec.Log.WithLevel(levels[min(int(level), len(levels)-1)]).Str("plugin", n.spec.ID).Msg(strings.ToValidUTF8(message, "\uFFFD"))
}

func systemTime() feedback.Time { return feedback.TimeOf(time.Now()) }
