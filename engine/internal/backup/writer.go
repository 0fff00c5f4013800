package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
)

// Writer writes a file. Blocks are compressed beside the caller and written in their order. It is for one goroutine.
type Writer struct {
	info  Info
	zip   *zstd.Encoder
	kind  byte
	block []byte
	last  []byte // key

	queue chan *block // in the order of the file
	done  chan error  // what the goroutine that writes came to
	ended bool
}

// block is a block on its way to the file.
type block struct {
	kind   byte
	raw    []byte
	stored chan []byte
}

// NewWriter begins a file. Close or Abort must be called.
func NewWriter(to io.Writer, h Head) (*Writer, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(blockBytes))
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	f := &file{to: to, sum: sha256.New()}
	f.write([]byte(magic))
	f.frame(kindHead, len(head), head)
	w := &Writer{
		info: Info{Head: h}, zip: zip, kind: kindGone, queue: make(chan *block, runtime.GOMAXPROCS(0)), done: make(chan error, 1),
	}
	go func() { w.done <- f.run(w.queue, &w.info) }()
	return w, nil
}

// Gone writes the hash of a key that is gone. All come before the first record.
func (w *Writer) Gone(h Hash) error {
	if w.kind != kindGone {
		return errors.New("backup: the hash of a key after a record")
	}
	w.info.Gone++
	w.block = append(w.block, h[:]...)
	return w.flush(blockBytes)
}

// Record writes a record. Keys come in their order.
func (w *Writer) Record(key, record []byte) error {
	if w.kind == kindGone {
		if err := w.flush(1); err != nil {
			return err
		}
		w.kind = kindRecords
	} else if bytes.Compare(key, w.last) <= 0 {
		return fmt.Errorf("backup: key %q after %q", key, w.last)
	}
	w.last = append(w.last[:0], key...)
	w.info.Records++
	w.info.Bytes += uint64(len(key) + len(record))
	w.block = binary.AppendUvarint(w.block, uint64(len(key)))
	w.block = binary.AppendUvarint(w.block, uint64(len(record)))
	w.block = append(append(w.block, key...), record...)
	return w.flush(blockBytes)
}

// flush hands the block on when it has a size.
func (w *Writer) flush(size int) error {
	if len(w.block) < size {
		return nil
	}
	b := &block{w.kind, w.block, make(chan []byte, 1)}
	w.block = make([]byte, 0, blockBytes+blockBytes/4)
	select {
	case w.queue <- b:
	case err := <-w.done:
		w.done <- err
		return err
	}
	go func() { b.stored <- w.zip.EncodeAll(b.raw, make([]byte, 0, len(b.raw)/2)) }()
	return nil
}

// Close writes the trailer and returns what the file holds.
func (w *Writer) Close() (Info, error) {
	err := w.flush(1)
	return w.info, errors.Join(err, w.end(true))
}

// Abort ends a file that is not finished, and leaves it without a trailer. After Close it does nothing.
func (w *Writer) Abort() { _ = w.end(false) }

func (w *Writer) end(whole bool) error {
	if w.ended {
		return nil
	}
	w.ended = true
	if whole {
		b := &block{kind: kindTrailer}
		select {
		case w.queue <- b:
		case err := <-w.done:
			w.done <- err
		}
	}
	close(w.queue)
	err := <-w.done
	return errors.Join(err, w.zip.Close())
}

// file is the end of a writer that writes.
type file struct {
	to  io.Writer
	sum hash.Hash
	err error
}

// run writes blocks until there are no more. The trailer is made when its turn comes: the counts are final then.
func (f *file) run(queue <-chan *block, info *Info) error {
	for b := range queue {
		if b.kind == kindTrailer {
			content := make([]byte, 0, trailerBytes)
			content = binary.LittleEndian.AppendUint64(content, info.Records)
			content = binary.LittleEndian.AppendUint64(content, info.Gone)
			content = binary.LittleEndian.AppendUint64(content, info.Bytes)
			f.frame(kindTrailer, trailerBytes, f.sum.Sum(content))
			continue
		}
		if f.frame(b.kind, len(b.raw), <-b.stored); f.err != nil {
			return f.err
		}
	}
	return f.err
}

func (f *file) frame(kind byte, raw int, stored []byte) {
	f.write(frame(kind, raw, stored))
	f.write(stored)
}

func (f *file) write(b []byte) {
	if f.err != nil {
		return
	}
	_, _ = f.sum.Write(b)
	_, f.err = f.to.Write(b)
}
