package host

import (
	"sync"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/wire"
)

// Batch is the answer to Categorize.
type Batch struct {
	// Results has one result per item. The slices in it, but not the strings, are overwritten after Release.
	Results []sdk.Result
	reader  wire.ResultReader
	home    *Batches // may be nil
}

// Read reads a frame that answers n items. It returns an error of package wire, or what the plugin answered.
func (b *Batch) Read(frame []byte, n int) (err error) {
	b.Results, err = b.reader.Read(frame, n)
	return err
}

// Release gives the batch's memory back. Neither the batch nor its results may be used after it.
func (b *Batch) Release() {
	if b.home != nil {
		b.home.put(b)
	}
}

// maxBatches is how many batches that are not in use are kept.
const maxBatches = 64

// Batches lends batches, for the packages that load plugins, so that a call allocates nothing once they have grown. The
// zero value is ready; it may be used by many goroutines at once.
type Batches struct {
	mu   sync.Mutex
	free []*Batch
}

// Get returns a batch that is not in use. Its Release gives it back.
func (bs *Batches) Get() *Batch {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	n := len(bs.free)
	if n == 0 {
		return &Batch{home: bs}
	}
	b := bs.free[n-1]
	bs.free = bs.free[:n-1]
	return b
}

func (bs *Batches) put(b *Batch) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if len(bs.free) < maxBatches {
		bs.free = append(bs.free, b)
	}
}
