package testdisk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// file is the one file of a FUSE mount. Its methods are called one after the other.
type file interface {
	size() int64
	read(p []byte, off int64)
	write(p []byte, off int64) unix.Errno
	flush() unix.Errno
}

// The requests of the FUSE protocol that a file system of one open file meets.
const (
	opForget      = 2
	opGetattr     = 3
	opSetattr     = 4
	opOpen        = 14
	opRead        = 15
	opWrite       = 16
	opStatfs      = 17
	opRelease     = 18
	opFsync       = 20
	opFlush       = 25
	opInit        = 26
	opInterrupt   = 36
	opDestroy     = 38
	opBatchForget = 42
)

// Sizes of the protocol's structures, and what this server says of itself.
const (
	inHeader     = 40
	outHeader    = 16
	rwHeader     = 40 // of a read or write request, after the header
	attrBytes    = 88
	initOutBytes = 64
	maxWrite     = 1 << 20
	protoMajor   = 7
	protoMinor   = 31
	flagBig      = 1 << 5  // writes of more than a page
	flagMaxPages = 1 << 22 // maxWrite in one request
	directIO     = 1       // no page cache of the kernel between the loop device and the file
)

// fuse serves a file as the root of a FUSE mount: the mount point is a file itself.
type fuse struct {
	f     file
	dev   int // of /dev/fuse
	point string
	done  sync.WaitGroup
	reply []byte
}

// mountFile mounts f over the file at point and serves it.
func mountFile(point string, f file) (*fuse, error) {
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d", dev, unix.S_IFREG|0o600, os.Getuid(), os.Getgid())
	if err := unix.Mount("testdisk", point, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return nil, errors.Join(fmt.Errorf("mounting FUSE: %w", err), unix.Close(dev))
	}
	s := &fuse{f: f, dev: dev, point: point, reply: make([]byte, outHeader+maxWrite)}
	s.done.Go(s.serve)
	return s, nil
}

// close unmounts and ends serving.
func (s *fuse) close() error {
	err := unix.Unmount(s.point, 0)
	if err != nil {
		err = errors.Join(err, unix.Unmount(s.point, unix.MNT_DETACH))
	}
	s.done.Wait()
	return errors.Join(err, unix.Close(s.dev))
}

// serve answers requests until the file system is unmounted.
func (s *fuse) serve() {
	request := make([]byte, inHeader+rwHeader+maxWrite+4096)
	for {
		n, err := unix.Read(s.dev, request)
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOENT):
			continue
		case err != nil || n < inHeader:
			return // unmounted
		}
		op := binary.NativeEndian.Uint32(request[4:])
		if op == opForget || op == opBatchForget || op == opInterrupt {
			continue // nobody waits for an answer
		}
		out := s.reply[:outHeader]
		out, errno := s.answer(op, request[inHeader:n], out)
		if errno != 0 {
			out = out[:outHeader]
		}
		binary.NativeEndian.PutUint32(out, uint32(len(out)))
		binary.NativeEndian.PutUint32(out[4:], -uint32(errno))
		copy(out[8:16], request[8:16]) // the number of the request
		if _, err := unix.Write(s.dev, out); err != nil && !errors.Is(err, unix.ENOENT) {
			return
		}
		if op == opDestroy {
			return
		}
	}
}

// answer appends the answer to a request to out.
func (s *fuse) answer(op uint32, in, out []byte) ([]byte, unix.Errno) {
	word := binary.NativeEndian.AppendUint32
	long := binary.NativeEndian.AppendUint64
	switch op {
	case opInit:
		out = word(word(out, protoMajor), protoMinor)
		out = word(word(out, 0), flagBig|flagMaxPages)
		out = word(out, 0) // default of requests in the background
		out = word(word(out, maxWrite), 1)
		out = word(out, maxWrite/4096) // pages a request
		return append(out, make([]byte, outHeader+initOutBytes-len(out))...), 0
	case opGetattr, opSetattr:
		out = long(out, 3600)
		return s.attr(long(out, 0)), 0
	case opOpen:
		return word(word(long(out, 0), directIO), 0), 0
	case opRead:
		off, n := place(in)
		out = out[:outHeader+max(min(n, s.f.size()-off), 0)]
		s.f.read(out[outHeader:], off)
		return out, 0
	case opWrite:
		off, n := place(in)
		errno := s.f.write(in[rwHeader:rwHeader+n], off)
		return word(word(out, uint32(n)), 0), errno
	case opFsync:
		return out, s.f.flush()
	case opStatfs:
		return append(out, make([]byte, 80)...), 0
	case opFlush, opRelease, opDestroy:
		return out, 0
	}
	return out, unix.ENOSYS
}

// attr appends the attributes of the file.
func (s *fuse) attr(out []byte) []byte {
	var a [attrBytes]byte
	binary.NativeEndian.PutUint64(a[0:], 1) // inode
	binary.NativeEndian.PutUint64(a[8:], uint64(s.f.size()))
	binary.NativeEndian.PutUint64(a[16:], uint64(s.f.size()/512))
	binary.NativeEndian.PutUint32(a[60:], unix.S_IFREG|0o600)
	binary.NativeEndian.PutUint32(a[64:], 1) // links
	binary.NativeEndian.PutUint32(a[80:], 4096)
	return append(out, a[:]...)
}

// place returns where a read or write request begins and how many bytes it has.
func place(in []byte) (off, n int64) {
	return int64(binary.NativeEndian.Uint64(in[8:])), int64(binary.NativeEndian.Uint32(in[16:]))
}
