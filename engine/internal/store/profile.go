package store

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Profile sizes the store.
type Profile string

// The profiles. A directory may be opened with either at any time.
const (
	// Server is for throughput: 15,000 items a second and more, of 8 records and 2.5 KB each, in about 200 MiB.
	Server Profile = "server"
	// Small takes 2,000 such items a second in 64 MiB, when the process has a soft memory limit (GOMEMLIMIT) of
	// 40 MiB. What is left is for the pages of mapped files, which the system takes back when it needs them.
	Small Profile = "small"
	// Still is Small without a compaction in the background, whose clock ticks 20 times a second: for tests in virtual
	// time, of stores that stay small.
	Still Profile = "still"
)

// badgerOptions are the options that the rules of this package need, sized by profile.
//
// What sizes the memory is the tables that a compaction builds at the same time, up to 13, each in a buffer of twice
// the table size or more: hence small tables, all of one size, that are not compressed. A flipped bit in a table
// then also damages one record and not a whole block.
func (p Profile) badgerOptions(dir string) (badger.Options, error) {
	o := badger.DefaultOptions(dir).
		WithSyncWrites(true).WithDetectConflicts(false).WithNumVersionsToKeep(1).WithMetricsEnabled(false).
		// A block that fails Badger's own checksum reads as absent keys; a record that fails ours is an error.
		WithChecksumVerificationMode(options.NoVerification).
		// Values live in the tree, whose log is synced and checked; errors of the value log are swallowed by Badger.
		WithValueThreshold(MaxValueBytes + 1<<10).WithValueLogFileSize(1 << 20).
		WithCompression(options.None).WithBlockCacheSize(0).
		WithBaseTableSize(2 << 20).WithNumCompactors(2)
	o.TableSizeMultiplier = 1
	switch p {
	case Server, "":
		return o.WithMemTableSize(8 << 20).WithNumMemtables(2).WithIndexCacheSize(32 << 20).WithBaseLevelSize(64 << 20).
			WithNumLevelZeroTables(16).WithNumLevelZeroTablesStall(32).WithNumGoroutines(2), nil
	case Small:
		return o.WithMemTableSize(3584 << 10).WithNumMemtables(1).WithIndexCacheSize(2 << 20).WithBaseLevelSize(8 << 20).
			WithNumLevelZeroTables(4).WithNumLevelZeroTablesStall(10).WithNumGoroutines(1), nil
	case Still:
		o, err := Small.badgerOptions(dir)
		return o.WithNumCompactors(0), err
	}
	return o, fmt.Errorf("store: profile %q is unknown; expected %q or %q", p, Server, Small)
}
