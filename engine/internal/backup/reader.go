package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Reader reads a file from its beginning to its end. What it has returned is known to be right only when it has come to
// the end without an error. It is for one goroutine.
type Reader struct {
	name string
	from *bufio.Reader
	zip  *zstd.Decoder // nil when nothing is read but head and trailer
	sum  hash.Hash
	at   int64 // where the next frame begins

	info  Info
	gone  map[Hash]struct{}
	total Info   // counted so far
	block []byte // what is left of the block
	raw   []byte // where blocks are decompressed
	buf   []byte // where they are read
	here  int64  // where the block's frame begins
	key   []byte
	rec   []byte
	last  []byte
	done  bool
	err   error
}

// NewReader reads the head and the hashes of keys that are gone. Name is the file's, for errors. Close releases it.
func NewReader(from io.Reader, name string) (*Reader, error) {
	zip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock), zstd.WithDecoderMaxWindow(maxBlock))
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	r := &Reader{name: name, from: bufio.NewReaderSize(from, 1<<20), zip: zip, sum: sha256.New()}
	if err := errors.Join(r.head(), r.keysGone()); err != nil {
		zip.Close()
		return nil, r.firstErr(err)
	}
	return r, nil
}

func (r *Reader) firstErr(err error) error {
	if r.err != nil {
		return r.err
	}
	return err
}

// Close releases what the reader holds; the file stays open.
func (r *Reader) Close() { r.zip.Close() }

// Head returns what the file is a backup of.
func (r *Reader) Head() Head { return r.info.Head }

// Info returns what the file holds, at its end.
func (r *Reader) Info() Info { return r.info }

// Gone returns the hashes of the keys that are gone. It must not be changed.
func (r *Reader) Gone() map[Hash]struct{} { return r.gone }

// Key returns the key of the record; it is valid until Next.
func (r *Reader) Key() []byte { return r.key }

// Record returns the record; it is valid until Next.
func (r *Reader) Record() []byte { return r.rec }

// Err returns why Next returned false, or nil at the end of a file that is whole.
func (r *Reader) Err() error { return r.err }

// fail notes the first error, at a byte of the file.
func (r *Reader) fail(at int64, format string, args ...any) error {
	if r.err == nil {
		r.err = &DamageError{r.name, at, fmt.Sprintf(format, args...)}
	}
	return r.err
}

// read reads n bytes of the file.
func (r *Reader) read(b []byte) error {
	n, err := io.ReadFull(r.from, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return r.fail(r.at+int64(n), "the file ends too early: it was cut off, or its making was")
	}
	if err != nil {
		r.err = fmt.Errorf("backup %s: %w", r.name, err)
		return r.err
	}
	r.at += int64(n)
	return nil
}

func (r *Reader) head() error {
	b := make([]byte, len(magic))
	if err := r.read(b); err != nil {
		return err
	}
	if string(b) != magic {
		if bytes.HasPrefix(b, []byte(magic[:8])) && b[8] > magic[8] {
			return r.fail(8, "found version %d of the format, this version reads up to %d", b[8], magic[8])
		}
		return r.fail(0, "this is no backup")
	}
	_, _ = r.sum.Write(b)
	kind, content, err := r.frame()
	if err != nil {
		return err
	}
	if kind != kindHead {
		return r.fail(r.here, "found a frame of kind %q, expected the head", kind)
	}
	if err := json.Unmarshal(content, &r.info.Head); err != nil {
		return r.fail(r.here, "the head is no JSON: %v", err)
	}
	return nil
}

// frame reads the next frame, checks it and returns its content as it was before it was compressed.
func (r *Reader) frame() (kind byte, content []byte, err error) {
	r.here = r.at
	head := make([]byte, frameHead)
	if err := r.read(head); err != nil {
		return 0, nil, err
	}
	stored, raw := binary.LittleEndian.Uint32(head[1:]), binary.LittleEndian.Uint32(head[5:])
	if stored > maxBlock || raw > maxBlock {
		return 0, nil, r.fail(r.here, "found a frame of %d bytes, expected at most %d", max(stored, raw), maxBlock)
	}
	if cap(r.buf) < int(stored) {
		r.buf = make([]byte, max(int(stored), blockBytes))
	}
	b := r.buf[:stored]
	if err := r.read(b); err != nil {
		return 0, nil, err
	}
	if frameSum(head, b) != binary.LittleEndian.Uint32(head[9:]) {
		return 0, nil, r.fail(r.here, "the frame has a wrong checksum")
	}
	kind = head[0]
	if kind == kindTrailer {
		return kind, b, nil
	}
	_, _ = r.sum.Write(head)
	_, _ = r.sum.Write(b)
	if kind == kindHead || r.zip == nil {
		return kind, b, nil
	}
	if cap(r.raw) < int(raw) {
		r.raw = make([]byte, 0, max(int(raw), 2*blockBytes))
	}
	content, err = r.zip.DecodeAll(b, r.raw[:0])
	if err != nil || len(content) != int(raw) {
		return 0, nil, r.fail(r.here, "the block cannot be decompressed to %d bytes: %v", raw, err)
	}
	return kind, content, nil
}

// keysGone reads the hashes, and the first block behind them.
func (r *Reader) keysGone() error {
	r.gone = map[Hash]struct{}{}
	for r.err == nil {
		kind, content, err := r.frame()
		if err != nil {
			return err
		}
		if kind != kindGone {
			return r.took(kind, content)
		}
		if len(content)%len(Hash{}) != 0 {
			return r.fail(r.here, "the block of hashes has %d bytes", len(content))
		}
		for ; len(content) > 0; content = content[len(Hash{}):] {
			r.gone[Hash(content[:len(Hash{})])] = struct{}{}
			r.total.Gone++
		}
	}
	return r.err
}

// took takes a frame of records, or the trailer.
func (r *Reader) took(kind byte, content []byte) error {
	switch kind {
	case kindRecords:
		r.block = content
		return nil
	case kindTrailer:
		return r.trailer(content)
	}
	return r.fail(r.here, "found a frame of kind %q, expected records", kind)
}

func (r *Reader) trailer(content []byte) error {
	if len(content) != trailerBytes {
		return r.fail(r.here, "the trailer has %d bytes, expected %d", len(content), trailerBytes)
	}
	t := trailerOf(content)
	r.info.Records, r.info.Gone, r.info.Bytes = t.Records, t.Gone, t.Bytes
	if t.Records != r.total.Records || t.Gone != r.total.Gone || t.Bytes != r.total.Bytes {
		return r.fail(r.here, "found %d records, %d keys gone and %d bytes, the trailer says %d, %d and %d",
			r.total.Records, r.total.Gone, r.total.Bytes, t.Records, t.Gone, t.Bytes)
	}
	if !bytes.Equal(content[3*8:], r.sum.Sum(nil)) {
		return r.fail(r.here, "the digest of the file is another one")
	}
	if _, err := r.from.ReadByte(); err == nil {
		return r.fail(r.at, "something follows the end")
	} else if !errors.Is(err, io.EOF) {
		r.err = fmt.Errorf("backup %s: %w", r.name, err)
		return r.err
	}
	r.done = true
	return nil
}

func trailerOf(content []byte) (t Info) {
	t.Records = binary.LittleEndian.Uint64(content)
	t.Gone = binary.LittleEndian.Uint64(content[8:])
	t.Bytes = binary.LittleEndian.Uint64(content[16:])
	return t
}

// Next goes on to the next record, and returns false at the end and when the file is damaged.
func (r *Reader) Next() bool {
	for r.err == nil && !r.done && len(r.block) == 0 {
		kind, content, err := r.frame()
		if err != nil || r.took(kind, content) != nil {
			return false
		}
	}
	if r.err != nil || r.done {
		return false
	}
	key, n := binary.Uvarint(r.block)
	record, m := binary.Uvarint(r.block[max(n, 0):])
	if n <= 0 || m <= 0 || key == 0 || key > maxBlock || record > maxBlock || uint64(len(r.block)-n-m) < key+record {
		_ = r.fail(r.here, "a record does not fit into its block")
		return false
	}
	b := r.block[n+m:]
	r.key, r.rec, r.block = b[:key], b[key:key+record], b[key+record:]
	if bytes.Compare(r.key, r.last) <= 0 {
		_ = r.fail(r.here, "key %q comes after %q", r.key, r.last)
		return false
	}
	r.last = append(r.last[:0], r.key...)
	r.total.Records++
	r.total.Bytes += key + record
	return true
}

// Look reads the head and the trailer of a file of some size, and not what is between: whether that is right only a
// Reader tells.
func Look(from io.ReaderAt, size int64, name string) (Info, error) {
	r := &Reader{name: name, from: bufio.NewReader(io.NewSectionReader(from, 0, size)), sum: sha256.New()}
	if err := r.head(); err != nil {
		return Info{}, err
	}
	info := r.info
	const last = frameHead + trailerBytes
	end := &Reader{name: name, from: bufio.NewReader(io.NewSectionReader(from, size-last, last)), sum: sha256.New(), at: size - last}
	if size < r.at+last {
		return Info{}, end.fail(size, "the file ends too early: it was cut off, or its making was")
	}
	kind, content, err := end.frame()
	if err != nil || kind != kindTrailer || len(content) != trailerBytes {
		return Info{}, &DamageError{name, size - last, "there is no trailer: the file was cut off, or its making was"}
	}
	t := trailerOf(content)
	info.Records, info.Gone, info.Bytes = t.Records, t.Gone, t.Bytes
	return info, nil
}
