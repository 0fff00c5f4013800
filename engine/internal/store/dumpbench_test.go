package store

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkBackup backs up a store of 60,000 items, restores and compacts it, and copies as many bytes as a plain file, in
// turns. MiB/s are of keys and records; the ratios are to the copy, synced, and the least times count.
//
//	go test -run - -bench 'Backup$' -benchtime 5x ./engine/internal/store
func BenchmarkBackup(b *testing.B) {
	s, err := Open(b.TempDir(), Options{Reserve: -1, Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	g := newItemRecords()
	for range 60_000 / 250 {
		must(b, s, func(tx *Tx) {
			for range 250 {
				g.next(tx.Set)
			}
		})
	}
	dir := b.TempDir()
	least := map[string]time.Duration{}
	timed := func(what string, f func() error) {
		from := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		if took := time.Since(from); least[what] == 0 || took < least[what] {
			least[what] = took
		}
	}
	var bytes, stored int64
	for b.Loop() {
		file, to, plain := filepath.Join(dir, "b"), filepath.Join(dir, "r"), filepath.Join(dir, "plain")
		timed("backup", func() error {
			info, err := s.BackupFile(b.Context(), file, BackupOptions{})
			bytes = int64(info.Bytes)
			return err
		})
		timed("verify", func() error { _, err := VerifyBackup(b.Context(), file, nil); return err })
		timed("restore", func() error {
			_, err := Restore(b.Context(), to, []string{file}, RestoreOptions{Options: Options{Reserve: -1, Ballast: -1}})
			return err
		})
		timed("compact", func() error { _, err := s.Compact(b.Context(), nil); return err })
		writePlain(b, plain, g.text, bytes)
		timed("copy", func() error { return copyFile(plain, plain+".copy") })
		if fi, err := os.Stat(file); err == nil {
			stored = fi.Size()
		}
		for _, name := range []string{file, to, plain, plain + ".copy"} {
			if err := os.RemoveAll(name); err != nil {
				b.Fatal(err)
			}
		}
	}
	mib := float64(bytes) / (1 << 20)
	for what, took := range least {
		b.ReportMetric(mib/took.Seconds(), what+"-MiB/s")
		if what != "copy" {
			b.ReportMetric(took.Seconds()/least["copy"].Seconds(), what+"/copy")
		}
	}
	b.ReportMetric(mib, "MiB")
	b.ReportMetric(float64(bytes)/float64(stored), "compression")
	b.ReportMetric(0, "ns/op")
}

// writePlain makes a file of so many bytes.
func writePlain(b *testing.B, name string, text []byte, bytes int64) {
	f, err := os.Create(name)
	for n := int64(0); err == nil && n < bytes; n += int64(len(text)) {
		_, err = f.Write(text)
	}
	if err = errors.Join(err, f.Truncate(bytes), f.Close()); err != nil {
		b.Fatal(err)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(struct{ io.Writer }{out}, struct{ io.Reader }{in}); err != nil { // through the process, as a backup
		return err
	}
	return out.Sync()
}
