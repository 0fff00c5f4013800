package backup

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testHead = Head{ID: "b1", Store: "s1", Base: "b0", From: 3, To: 9, At: 1700000000000, Format: 1, Migration: []byte("{}")}

// made returns a file with some hashes and records.
func made(t testing.TB, gone, records, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, testHead)
	if err != nil {
		t.Fatal(err)
	}
	for i := range gone {
		if err := w.Gone(HashKey("s1", fmt.Append(nil, i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range records {
		if err := w.Record(key(i), value(i, size)); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.Close()
	if err != nil || info.Records != uint64(records) || info.Gone != uint64(gone) {
		t.Fatalf("%+v, %v", info, err)
	}
	return b.Bytes()
}

func key(i int) []byte { return fmt.Appendf(nil, "key %06d", i) }

func value(i, size int) []byte {
	r := rand.New(rand.NewPCG(uint64(i), 1))
	b := make([]byte, r.IntN(size+1))
	for j := range b {
		b[j] = 'a' + byte(r.IntN(8))
	}
	return b
}

// readAll reads a file and returns how many records were right.
func readAll(from io.Reader, size int) (gone, records int, err error) {
	r, err := NewReader(from, "test")
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	for i := range len(r.Gone()) {
		if _, ok := r.Gone()[HashKey("s1", fmt.Append(nil, i))]; ok {
			gone++
		}
	}
	var wrong error
	for ; r.Next(); records++ {
		if !bytes.Equal(r.Key(), key(records)) || !bytes.Equal(r.Record(), value(records, size)) {
			wrong = fmt.Errorf("record %d is %q: %.40q", records, r.Key(), r.Record())
		}
	}
	return gone, records, cmp.Or(r.Err(), wrong)
}

func TestWrittenIsRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ gone, records, size int }{{0, 0, 0}, {3, 0, 0}, {0, 1, 0}, {1, 1, 10}, {40000, 3000, 900}, {0, 9, 600 << 10}} {
		b := made(t, c.gone, c.records, c.size)
		gone, records, err := readAll(bytes.NewReader(b), c.size)
		if gone != c.gone || records != c.records || err != nil {
			t.Errorf("%+v: %d gone, %d records, %v", c, gone, records, err)
		}
		info, err := Look(bytes.NewReader(b), int64(len(b)), "test")
		if err != nil || info.ID != "b1" || info.Base != "b0" || info.Full() || info.Records != uint64(c.records) || string(info.Migration) != "{}" {
			t.Errorf("%+v: look %+v, %v", c, info, err)
		}
	}
}

// damaged checks that a file is refused with the place, at the latest when its end is reached.
func damaged(t *testing.T, what string, b []byte, size int) {
	t.Helper()
	_, _, err := readAll(bytes.NewReader(b), size)
	var d *DamageError
	if !errors.As(err, &d) || d.At < 0 || d.At > int64(len(b)) || d.File != "test" || d.Reason == "" {
		t.Errorf("%s: %v", what, err)
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	b := made(t, 5, 40, 20)
	step := 9 // one bit of each byte
	if os.Getenv("CLOSEDLOOP_DEEP") != "" {
		step = 1
	}
	for i := 0; i < len(b)*8; i += step {
		b[i/8] ^= 1 << (i % 8)
		damaged(t, fmt.Sprintf("bit %d of byte %d", i%8, i/8), b, 20)
		b[i/8] ^= 1 << (i % 8)
	}
}

func TestCutOffAndAppended(t *testing.T) {
	t.Parallel()
	b := made(t, 5, 40, 20)
	for n := range b {
		damaged(t, fmt.Sprintf("cut off at %d of %d", n, len(b)), b[:n], 20)
		if _, err := Look(bytes.NewReader(b), int64(n), "test"); err == nil {
			t.Errorf("look at %d of %d bytes", n, len(b))
		}
	}
	for _, tail := range []string{"\x00", "x", string(b)} {
		damaged(t, "appended", append(bytes.Clone(b), tail...), 20)
	}
	trailer := len(b) - frameHead - trailerBytes
	damaged(t, "two trailers", append(bytes.Clone(b), b[trailer:]...), 20)
}

// A look decompresses nothing, whatever kind of frame is where it expects the head and the trailer.
func TestLookAtOtherFrames(t *testing.T) {
	t.Parallel()
	whole := made(t, 5, 40, 20)
	for _, at := range []int{len(magic), len(whole) - frameHead - trailerBytes} {
		b := bytes.Clone(whole)
		head := b[at : at+frameHead]
		content := b[at+frameHead:][:binary.LittleEndian.Uint32(head[1:])]
		head[0] = kindRecords
		binary.LittleEndian.PutUint32(head[9:], frameSum(head, content))
		var damage *DamageError
		if _, err := Look(bytes.NewReader(b), int64(len(b)), "test"); !errors.As(err, &damage) {
			t.Errorf("records at %d: %v", at, err)
		}
	}
}

// Whole frames that are exchanged, left out or doubled have right checksums of their own: the digest tells.
func TestFramesInAnotherOrder(t *testing.T) {
	t.Parallel()
	b := made(t, 5, 3000, 900)
	var at []int
	for i := len(magic); i < len(b); i += frameHead + int(binary.LittleEndian.Uint32(b[i+1:])) {
		at = append(at, i)
	}
	at = append(at, len(b))
	part := func(i int) []byte { return b[at[i]:at[i+1]] }
	n := len(at) - 1
	if n < 6 {
		t.Fatalf("%d frames", n)
	}
	for i := range n {
		var without, twice, exchanged []byte
		for _, p := range []*[]byte{&without, &twice, &exchanged} {
			*p = append(*p, magic...)
		}
		for j := range n {
			switch {
			case j == i:
				twice = append(append(twice, part(j)...), part(j)...)
				if j+1 < n {
					exchanged = append(append(exchanged, part(j+1)...), part(j)...)
				}
				continue
			case j != i+1:
				exchanged = append(exchanged, part(j)...)
			}
			without, twice = append(without, part(j)...), append(twice, part(j)...)
		}
		damaged(t, fmt.Sprintf("without frame %d of %d", i, n), without, 900)
		damaged(t, fmt.Sprintf("frame %d of %d twice", i, n), twice, 900)
		if i+1 < n {
			damaged(t, fmt.Sprintf("frame %d of %d exchanged", i, n), exchanged, 900)
		}
	}
}

// A file that says that it is another than it is does not take memory for it.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	wrap := func(kind byte, raw int, stored []byte) []byte {
		b := append([]byte(magic), frame(kindHead, 2, []byte("{}"))...)
		b = append(b, "{}"...)
		return append(append(b, frame(kind, raw, stored)...), stored...)
	}
	huge := frame(kindRecords, 1<<31, nil)
	binary.LittleEndian.PutUint32(huge[1:], 1<<31)
	for name, b := range map[string][]byte{
		"huge frame":           append(append([]byte(magic), frame(kindHead, 2, []byte("{}"))...), append([]byte("{}"), huge...)...),
		"no zstd":              wrap(kindRecords, 100, []byte("no zstd")),
		"unknown kind":         wrap('q', 0, nil),
		"trailer of one byte":  wrap(kindTrailer, 1, []byte("x")),
		"head twice":           wrap(kindHead, 2, []byte("{}")),
		"head is no JSON":      append(append([]byte(magic), frame(kindHead, 1, []byte("{"))...), '{'),
		"newer version":        []byte(strings.Replace(magic, "\x01", "\x02", 1)),
		"another file":         []byte("PK\x03\x04 and more of it"),
		"nothing":              nil,
		"bomb":                 wrap(kindRecords, maxBlock, bomb(t)),
		"a record of no block": wrap(kindRecords, 3, zipped(t, []byte{200, 1, 'k'})),
		"a key of no bytes":    wrap(kindRecords, 2, zipped(t, []byte{0, 0})),
	} {
		damaged(t, name, b, 0)
	}
}

func zipped(t *testing.T, b []byte) []byte {
	w, err := NewWriter(io.Discard, Head{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	return w.zip.EncodeAll(b, nil)
}

func bomb(t *testing.T) []byte { return zipped(t, make([]byte, 64<<20)) }

// A writer whose file cannot be written says so.
func TestWriterFails(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	for _, room := range []int{0, 5, 100, 100 << 10, 400 << 10} {
		w, err := NewWriter(&limited{room, full}, testHead)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; err == nil && i < 3000; i++ {
			err = w.Record(key(i), value(i, 900))
		}
		if _, closing := w.Close(); !errors.Is(errors.Join(err, closing), full) {
			t.Errorf("room for %d bytes: %v, %v", room, err, closing)
		}
		w.Abort()
	}
	w, err := NewWriter(io.Discard, testHead)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := errors.Join(w.Record([]byte("b"), nil), w.Gone(Hash{})); err == nil {
		t.Error("a hash after a record")
	}
	if err := w.Record([]byte("a"), nil); err == nil {
		t.Error("a key out of order")
	}
}

type limited struct {
	room int
	err  error
}

func (l *limited) Write(b []byte) (int, error) {
	if l.room -= len(b); l.room < 0 {
		return 0, l.err
	}
	return len(b), nil
}

// FuzzReader reads anything: it ends, with an error unless the file is one that a writer made.
func FuzzReader(f *testing.F) {
	f.Add(made(f, 2, 5, 20))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, err := readAll(bytes.NewReader(b), 20)
		if err != nil {
			return
		}
		const end = trailerBytes + frameHead
		if sum := sha256.Sum256(b[:len(b)-end]); !bytes.Equal(sum[:], b[len(b)-sha256.Size:]) {
			t.Error("a file with another digest was read")
		}
	})
}

// A small file of hashes that repeat takes little memory.
func TestRepeatedHashesAreKeptOnce(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w, err := NewWriter(&b, Head{ID: "b1", Store: "s1", Base: "b0"})
	if err != nil {
		t.Fatal(err)
	}
	const many = 500_000
	for i := range many {
		if err := w.Gone(Hash{byte(i % 3)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(&b, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Next() || r.Err() != nil || len(r.Gone()) != 3 || r.Info().Gone != many {
		t.Errorf("%d hashes are kept of %d, %v", len(r.Gone()), r.Info().Gone, r.Err())
	}
}
