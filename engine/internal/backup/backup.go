// Package backup is the file format of backups: what a store holds at one commit, or what has changed since an earlier
// backup, in compressed blocks. It knows nothing of stores.
//
// What holds:
//
//   - A file is whole or it is refused: every block has a checksum, the trailer counts what is there and has a digest of
//     all before it, and nothing follows the trailer. A file that was cut off, changed at any bit or appended to is a
//     *DamageError with the byte at which it shows.
//   - Records come in the order of their keys, each once; the keys that are gone come before them, as hashes.
//   - Nothing that a damaged or hostile file says makes a reader take more memory than a few blocks, and what the hashes
//     take, which are each kept once: different ones cannot be compressed.
//
// One use:
//
//	w, err := backup.NewWriter(file, backup.Head{...})
//	err = w.Gone(hash)
//	err = w.Record(key, record)
//	info, err := w.Close()
//
//	r, err := backup.NewReader(file, "monday.clbackup")
//	for r.Next() {
//		use(r.Key(), r.Record())
//	}
//	err = r.Err()
//
// The layout, all numbers little-endian: the magic; frames of a kind, the length of their content as stored and as it
// is (4 bytes each), the CRC32C of these nine bytes and the stored content, and the content. First the head as JSON, then
// blocks of hashes and blocks of records, compressed with zstd, then the trailer.
package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	magic     = "clbackup\x01\n"
	frameHead = 1 + 4 + 4 + 4

	kindHead    = 'h'
	kindGone    = 'd'
	kindRecords = 'r'
	kindTrailer = 't'

	// blockBytes is how large blocks are made; one record more may go in.
	blockBytes = 256 << 10
	// maxBlock is the largest block that a reader takes.
	maxBlock = 4 << 20
	// trailerBytes is the size of a trailer's content: three counts and a digest.
	trailerBytes = 3*8 + sha256.Size
)

// Extension is how the names of backup files end.
const Extension = ".clbackup"

// Hash stands for a key that is gone.
type Hash [16]byte

// HashKey returns the hash of a key of a store.
func HashKey(store string, key []byte) Hash {
	var room [256]byte
	b := append(append(append(room[:0], store...), 0), key...)
	sum := sha256.Sum256(b)
	return Hash(sum[:16])
}

// Head says what a file is a backup of.
type Head struct {
	ID     string `json:"id"`             // of this backup
	Store  string `json:"store"`          // id of the store
	Base   string `json:"base,omitempty"` // id of the backup that this one goes on from; empty for a full one
	From   uint64 `json:"from"`           // the last commit of the base; 0 for a full one
	To     uint64 `json:"to"`             // the last commit that the backup holds
	At     int64  `json:"at"`             // when it was made, in Unix milliseconds
	Format int    `json:"format"`         // of the store
	// Migration is how far the store is on its way to another format, as the store keeps it.
	Migration []byte `json:"migration,omitempty"`
}

// Full reports whether the file needs no other.
func (h *Head) Full() bool { return h.Base == "" }

// Info is a whole file: its head and what its trailer counts.
type Info struct {
	Head
	Records uint64 `json:"records"`
	Gone    uint64 `json:"gone"`  // hashes of keys
	Bytes   uint64 `json:"bytes"` // of keys and records
}

// ErrDamaged says that a file is not what was written.
var ErrDamaged = errors.New("backup: damaged")

// DamageError says where a file is not what was written.
type DamageError struct {
	File   string
	At     int64 // the byte at which it shows
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("backup %s: byte %d: %s", e.File, e.At, e.Reason)
}

// Is makes a DamageError an ErrDamaged.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// frameSum is the checksum of a frame.
func frameSum(head, content []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli(), head[:frameHead-4]), castagnoli(), content)
}

// frame returns the head of a frame.
func frame(kind byte, raw int, stored []byte) []byte {
	b := make([]byte, frameHead)
	b[0] = kind
	binary.LittleEndian.PutUint32(b[1:], uint32(len(stored)))
	binary.LittleEndian.PutUint32(b[5:], uint32(raw))
	binary.LittleEndian.PutUint32(b[9:], frameSum(b, stored))
	return b
}
