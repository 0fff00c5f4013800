package store

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Profile sizes the store.
type Profile string

// The profiles. A directory may be opened with either at any time.
const (
	Server Profile = "server" // for throughput
	Small  Profile = "small"  // 2,000 items a second in a process of 64 MiB
)

// badgerOptions are the options that the rules of this package need, sized by profile.
func (p Profile) badgerOptions(dir string) (badger.Options, error) {
	o := badger.DefaultOptions(dir).
		WithSyncWrites(true).WithDetectConflicts(false).WithNumVersionsToKeep(1).WithMetricsEnabled(false).
		// A block that fails Badger's own checksum reads as absent keys; a record that fails ours is an error.
		WithChecksumVerificationMode(options.NoVerification).
		// Values live in the tree, whose log is synced and checked; errors of the value log are swallowed by Badger.
		WithValueThreshold(MaxValueBytes + 1<<10).WithValueLogFileSize(1 << 20).
		WithNumCompactors(2)
	switch p {
	case Server, "":
		return o.WithMemTableSize(16 << 20).WithNumMemtables(3).WithBlockCacheSize(32 << 20).WithIndexCacheSize(16 << 20).
			WithBaseTableSize(8 << 20).WithBaseLevelSize(32 << 20).WithNumLevelZeroTables(4).WithNumLevelZeroTablesStall(12).
			WithNumGoroutines(2), nil
	case Small:
		return o.WithMemTableSize(4 << 20).WithNumMemtables(2).WithBlockCacheSize(4 << 20).WithIndexCacheSize(4 << 20).
			WithBaseTableSize(2 << 20).WithBaseLevelSize(8 << 20).WithNumLevelZeroTables(4).WithNumLevelZeroTablesStall(10).
			WithNumGoroutines(1), nil
	}
	return o, fmt.Errorf("store: profile %q is unknown; expected %q or %q", p, Server, Small)
}

// logger routes what Badger says to a function.
type logger func(slog.Level, string)

func (l logger) say(level slog.Level, format string, args []any) {
	if l != nil {
		l(level, "badger: "+strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

func (l logger) Errorf(f string, a ...any)   { l.say(slog.LevelError, f, a) }
func (l logger) Warningf(f string, a ...any) { l.say(slog.LevelWarn, f, a) }
func (l logger) Infof(f string, a ...any)    { l.say(slog.LevelDebug, f, a) }
func (l logger) Debugf(string, ...any)       {}

var _ badger.Logger = logger(nil)
