package engine

import (
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/backup"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// A backup that has the person is there as long as an incremental one needs it, whenever that was made.
func TestReceiptCountsBackupsThatOthersNeed(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	at := func(days int) feedback.Time { return feedback.Time(0).Add(time.Duration(days) * day) }
	made := []backup.Info{
		{Head: backup.Head{ID: "old", At: int64(at(1))}},
		{Head: backup.Head{ID: "full", At: int64(at(10))}},
		{Head: backup.Head{ID: "since", Base: "full", At: int64(at(30))}},
		{Head: backup.Head{ID: "last", Base: "since", At: int64(at(50))}},
		{Head: backup.Head{ID: "new", At: int64(at(51))}},
	}
	for _, tt := range []struct {
		done, now, keep int
		want            ErasureLeft
	}{
		{20, 60, 0, ErasureLeft{Backups: 2, LastBackup: at(10)}},
		{20, 60, 15, ErasureLeft{Backups: 1, LastBackup: at(10), BackupsUntil: at(65)}},
		{20, 66, 15, ErasureLeft{}},
		{0, 60, 15, ErasureLeft{Backups: 4, LastBackup: at(51), BackupsUntil: at(66)}},
	} {
		var got ErasureLeft
		got.inBackups(made, at(tt.done), time.Duration(tt.keep)*day, at(tt.now))
		if got.Backups != tt.want.Backups || got.LastBackup != tt.want.LastBackup || got.BackupsUntil != tt.want.BackupsUntil {
			t.Errorf("done %d, now %d, keep %d: got %+v, want %+v", tt.done, tt.now, tt.keep, got, tt.want)
		}
	}
}
