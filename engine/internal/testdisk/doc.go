// Package testdisk gives tests a disk that is theirs to break: a real ext4 on a block device in memory, whose power can
// be cut and whose writes and flushes can be made to fail.
//
// What holds:
//
//   - A write is volatile until the next flush of the device has succeeded. A cut loses or keeps each volatile sector
//     by chance, whatever the order in which they were written; what was flushed is never lost.
//   - The kernel between the program and the device is the real one: page cache, ext4 with its journal, loop device.
//     The device is a file in user space (FUSE) behind the loop device.
//   - Nothing of it is left behind when the test ends.
//
// The process that serves a disk must not map files of it into memory: a fault would wait for the process itself, also
// for its garbage collector. Let a child process work on the disk.
//
//	d := testdisk.New(t, 256<<20)
//	... // a child process writes below d.Dir()
//	d.Cut(random, kill)
//	d.Restart()
//	... // another one looks at what is there
//
// It needs Linux, root, /dev/fuse and loop devices; New skips the test aloud where they are not to be had.
package testdisk
