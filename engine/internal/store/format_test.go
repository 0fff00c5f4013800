package store

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/closedloop/closedloop/sdk/feedback"
)

var writeFormat = flag.Bool("write-format", false, "write a store of the present format to testdata, unless there is one")

const formatFile = "testdata/format1.tar.gz"

type formatItem struct {
	ID    string `json:"id"`
	Score int    `json:"score"`
	More  struct {
		Tags []string `json:"tags"`
	} `json:"more"`
}

func formatText(i int) string {
	return fmt.Sprintf(`{"id":"f_%d","score":%d,"more":{"tags":["a","b"],"later":{"deep":[%d]}},"added_later":"x%d"}`, i, i%11, i, i)
}

// A store of format 1 opens, reads and is rewritten without loss for ever.
func TestFormat1(t *testing.T) {
	t.Parallel()
	if *writeFormat {
		writeFormat1(t)
	}
	dir := t.TempDir()
	if err := untar(formatFile, dir); err != nil {
		t.Fatal(err)
	}
	s := reopen(t, dir, small())
	if at := s.Stats().Commit; at != 26 {
		t.Errorf("commit %d, want 26", at)
	}
	for i := range 20 {
		want := formatText(i)
		if i%5 == 0 {
			want = ""
		}
		if got := read(t, s, NewKey(KeyItem).Str(fmt.Sprint(i)).Bytes()); got != want {
			t.Errorf("item %d is %s, want %s", i, got, want)
		}
	}
	if got, want := dueOf(t, s, 1700000000004, 9), "1700000000002 sla k_2 {}; 1700000000003 retry \x00odd\x00 ; "; got != want {
		t.Errorf("timers %q, want %q", got, want)
	}
	if got := read(t, s, NewKey(KeyRollup).Time(-1).Uint64(1<<63).Bytes()); got != "\x00\x01\xff" {
		t.Errorf("rollup is %q", got)
	}
	k := NewKey(KeyItem).Str("3").Bytes()
	must(t, s, func(tx *Tx) {
		it, err := Load[formatItem](tx, k)
		if err != nil {
			t.Fatal(err)
		}
		it.Score = 7
		if err := Put(tx, k, it); err != nil {
			t.Fatal(err)
		}
	})
	if got, want := read(t, s, k), `{"id":"f_3","score":7,"more":{"tags":["a","b"],"later":{"deep":[3]}},"added_later":"x3"}`; got != want {
		t.Errorf("rewritten item is %s, want %s", got, want)
	}
}

// writeFormat1 writes the store that TestFormat1 reads. It was run once, when format 1 came to be.
func writeFormat1(t *testing.T) {
	if _, err := os.Stat(formatFile); err == nil {
		t.Fatalf("%s is there; it stays as it is", formatFile)
	}
	dir := t.TempDir()
	s, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		must(t, s, func(tx *Tx) { tx.Set(NewKey(KeyItem).Str(fmt.Sprint(i)).Bytes(), []byte(formatText(i))) })
	}
	for i := range 4 {
		must(t, s, func(tx *Tx) { tx.Delete(NewKey(KeyItem).Str(fmt.Sprint(i * 5)).Bytes()) })
	}
	must(t, s, func(tx *Tx) {
		tx.SetTimer(feedback.Time(1700000000002), "sla", "k_2", []byte("{}"))
		tx.SetTimer(feedback.Time(1700000000003), "retry", "\x00odd\x00", nil)
		tx.SetTimer(feedback.Time(1700000000005), "sla", "k_3", nil)
	})
	must(t, s, func(tx *Tx) { tx.Set(NewKey(KeyRollup).Time(-1).Uint64(1<<63).Bytes(), []byte("\x00\x01\xff")) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(formatFile)
	if err != nil {
		t.Fatal(err)
	}
	zw := gzip.NewWriter(f)
	tw := tar.NewWriter(zw)
	if err := errors.Join(tw.AddFS(os.DirFS(dir)), tw.Close(), zw.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func untar(name, dir string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(to, 0o700)
		} else {
			var b []byte
			if b, err = io.ReadAll(tr); err == nil {
				err = os.WriteFile(to, b, 0o600)
			}
		}
		if err != nil {
			return err
		}
	}
}
