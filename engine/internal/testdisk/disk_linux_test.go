package testdisk_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/closedloop/closedloop/engine/internal/testdisk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, name string, b []byte, sync bool) error {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if sync && err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// What was synced is there after a cut, and what was not is gone sooner or later: else the disk would prove nothing.
func TestCut(t *testing.T) {
	t.Parallel()
	d := testdisk.New(t, 32<<20)
	random := rand.New(rand.NewPCG(1, 2))
	lost := 0
	for round := range 6 {
		safe, unsafe := bytes.Repeat([]byte{byte(round + 1)}, 300<<10), bytes.Repeat([]byte{7}, 300<<10)
		if err := write(t, filepath.Join(d.Dir(), "safe"), safe, true); err != nil {
			t.Fatal(err)
		}
		if err := write(t, filepath.Join(d.Dir(), "unsafe"), unsafe, false); err != nil {
			t.Fatal(err)
		}
		d.Cut(random, func() {})
		d.Restart()
		if b, err := os.ReadFile(filepath.Join(d.Dir(), "safe")); err != nil || !bytes.Equal(b, safe) {
			t.Errorf("round %d: what was synced is %d bytes, %v", round, len(b), err)
		}
		if b, err := os.ReadFile(filepath.Join(d.Dir(), "unsafe")); err != nil || !bytes.Equal(b, unsafe) {
			lost++
		}
		if err := os.RemoveAll(filepath.Join(d.Dir(), "unsafe")); err != nil {
			t.Fatal(err)
		}
	}
	if lost == 0 {
		t.Error("nothing was lost in any cut")
	}
	t.Logf("%+v", d.Counts())
}

// A device that fails is an I/O error to who syncs, and works again after it.
func TestFail(t *testing.T) {
	t.Parallel()
	for _, f := range []testdisk.Failure{testdisk.WritesFail, testdisk.FlushesFail, testdisk.EverythingOff} {
		d := testdisk.New(t, 32<<20)
		d.Fail(f)
		if err := write(t, filepath.Join(d.Dir(), "a"), []byte("a"), true); !errors.Is(err, unix.EIO) {
			t.Errorf("failure %d: %v", f, err)
		}
		d.Restart()
		if err := write(t, filepath.Join(d.Dir(), "b"), []byte("b"), true); err != nil {
			t.Errorf("after failure %d: %v", f, err)
		}
	}
}
