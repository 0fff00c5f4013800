package testdisk

import (
	"math/rand/v2"
	"sync"

	"golang.org/x/sys/unix"
)

// sector is what a device writes as a whole or not at all. The first sectors, with the superblock, are written together:
// ext4 itself does not come back with half a superblock.
const (
	sector     = 512
	superblock = 4096
)

// device is a disk with a volatile cache: a write is safe once a flush has succeeded.
type device struct {
	mu       sync.Mutex
	moved    *sync.Cond
	seen     []byte // what a reader sees
	safe     []byte // what has been flushed
	volatile []piece
	power    power
	fail     Failure
	counts   Counts
}

// piece is what one request wrote.
type piece struct {
	off  int64
	data []byte
}

// power is what a device does with requests.
type power int

const (
	on   power = iota
	held       // requests wait
	off        // requests fail
)

// Failure is how a device is broken.
type Failure int

// The ways to fail.
const (
	Works         Failure = iota
	WritesFail            // every write is an I/O error
	FlushesFail           // every flush is an I/O error, and what was to be flushed stays volatile
	EverythingOff         // both
)

// Counts is what a device has seen.
type Counts struct {
	Writes, Flushes int // requests that succeeded
	Failed          int // requests that were made to fail
	Kept, Lost      int // volatile sectors at cuts
}

func newDevice(bytes int64) *device {
	d := &device{seen: make([]byte, bytes), safe: make([]byte, bytes)}
	d.moved = sync.NewCond(&d.mu)
	return d
}

func (d *device) size() int64 { return int64(len(d.seen)) }

func (d *device) read(p []byte, at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(p, d.seen[at:])
}

// ready waits while the power is held and says whether a request of a kind can be done; the caller holds mu.
func (d *device) ready(broken Failure) unix.Errno {
	for d.power == held {
		d.moved.Wait()
	}
	if d.power == off {
		return unix.EIO
	}
	if d.fail == broken || d.fail == EverythingOff {
		d.counts.Failed++
		return unix.EIO
	}
	return 0
}

func (d *device) write(p []byte, at int64) unix.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errno := d.ready(WritesFail); errno != 0 {
		return errno
	}
	if at+int64(len(p)) > d.size() {
		return unix.ENOSPC
	}
	copy(d.seen[at:], p)
	d.volatile = append(d.volatile, piece{at, append([]byte(nil), p...)})
	d.counts.Writes++
	return 0
}

func (d *device) flush() unix.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errno := d.ready(FlushesFail); errno != 0 {
		return errno
	}
	for _, v := range d.volatile {
		copy(d.safe[v.off:], v.data)
	}
	d.volatile = nil
	d.counts.Flushes++
	return 0
}

func (d *device) set(p power) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.power = p
	d.moved.Broadcast()
}

// settle decides what is left of the volatile writes when the power has gone: of each all, nothing, or some sectors.
func (d *device) settle(random *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.volatile {
		keep := [...]float64{0, 0.5, 1}[random.IntN(3)]
		for part := v.data; len(part) > 0; {
			at := v.off + int64(len(v.data)-len(part))
			n := min(sector, len(part))
			if at < superblock {
				n = min(int(superblock-at), len(part))
			}
			if random.Float64() < keep {
				copy(d.safe[at:], part[:n])
				d.counts.Kept++
			} else {
				d.counts.Lost++
			}
			part = part[n:]
		}
	}
	d.volatile = nil
}

// restart mends the device. After a loss of power what is safe is all there is; otherwise nothing is lost.
func (d *device) restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.power == on {
		copy(d.safe, d.seen)
	}
	copy(d.seen, d.safe)
	d.volatile, d.power, d.fail = nil, on, Works
}
