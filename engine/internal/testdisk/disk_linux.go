package testdisk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is a mounted ext4 on a device of its own. It is used by one goroutine.
type Disk struct {
	tb    testing.TB
	dev   *device
	fuse  *fuse
	image string // the device as a file
	loop  string // the device as a device, "" when detached
	dir   string
}

// New makes a disk of so many bytes, at least 16 MiB, and mounts it. It skips the test aloud where that cannot be.
func New(tb testing.TB, bytes int64) *Disk {
	tb.Helper()
	base := tb.TempDir()
	d := &Disk{tb: tb, dev: newDevice(bytes), image: filepath.Join(base, "device"), dir: filepath.Join(base, "mnt")}
	if err := errors.Join(os.Mkdir(d.dir, 0o700), os.WriteFile(d.image, nil, 0o600)); err != nil {
		tb.Fatal(err)
	}
	var err error
	if d.fuse, err = mountFile(d.image, d.dev); err != nil {
		tb.Skipf("SKIPPED: this test needs root and FUSE: %v", err)
	}
	tb.Cleanup(d.close)
	if err := d.attach(); err != nil {
		tb.Skipf("SKIPPED: this test needs loop devices: %v", err)
	}
	if err := run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", d.loop); err != nil {
		tb.Skipf("SKIPPED: this test needs ext4: %v", err)
	}
	if err := d.mount(); err != nil {
		tb.Skipf("SKIPPED: this test needs to mount ext4: %v", err)
	}
	return d
}

// Dir returns the folder where the file system is mounted.
func (d *Disk) Dir() string { return d.dir }

// Counts returns what the device has seen since New.
func (d *Disk) Counts() Counts {
	d.dev.mu.Lock()
	defer d.dev.mu.Unlock()
	return d.dev.counts
}

// Fail breaks the device, or mends it.
func (d *Disk) Fail(f Failure) {
	d.dev.mu.Lock()
	defer d.dev.mu.Unlock()
	d.dev.fail = f
}

// Cut takes the power away. Requests wait while kill ends all processes that work on the disk; then they fail, and
// random decides what is left of what was not flushed. Wait for those processes before Restart.
func (d *Disk) Cut(random *rand.Rand, kill func()) {
	d.dev.set(held)
	d.dev.settle(random)
	kill()
	d.dev.set(off)
}

// Restart switches the machine on again: the file system is checked as it is then, and mounted. Without a Cut before,
// the machine was shut down in good order, as far as the device let it, and the device works again.
func (d *Disk) Restart() {
	d.tb.Helper()
	d.unmount()
	d.dev.restart()
	if err := d.attach(); err != nil {
		d.tb.Fatal(err)
	}
	// 1 says that errors were corrected, which a journal is there for.
	if out, err := exec.Command("e2fsck", "-p", d.loop).CombinedOutput(); err != nil && code(err) != 1 {
		d.tb.Fatalf("the file system cannot be repaired: %v: %s", err, out)
	}
	if err := d.mount(); err != nil {
		d.tb.Fatal(err)
	}
}

func (d *Disk) attach() error {
	out, err := exec.Command("losetup", "--find", "--show", d.image).Output()
	if err != nil {
		return fmt.Errorf("losetup: %w", err)
	}
	d.loop = strings.TrimSpace(string(out))
	return nil
}

func (d *Disk) mount() error {
	return unix.Mount(d.loop, d.dir, "ext4", 0, "errors=continue,nodiscard")
}

// unmount takes the file system down and detaches the device, and waits until the kernel has let go of both.
func (d *Disk) unmount() {
	d.tb.Helper()
	if err := unix.Unmount(d.dir, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		if err := unix.Unmount(d.dir, unix.MNT_DETACH); err != nil {
			d.tb.Error("unmount:", err)
		}
	}
	if err := run("losetup", "--detach", d.loop); err != nil {
		d.tb.Error(err)
	}
	for end := time.Now().Add(10 * time.Second); d.attached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			d.tb.Errorf("%s is still in use", d.loop)
			break
		}
	}
	d.loop = ""
}

// attached reports whether the loop device still holds the device.
func (d *Disk) attached() bool {
	b, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(d.loop), "loop/backing_file"))
	return err == nil && strings.TrimSpace(string(b)) == d.image
}

func (d *Disk) close() {
	d.dev.set(on)
	if d.loop != "" {
		d.unmount()
	}
	if err := d.fuse.close(); err != nil {
		d.tb.Error("closing the device:", err)
	}
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func code(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
