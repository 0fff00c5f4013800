package store

import (
	"encoding/binary"
	"hash/crc32"
)

// A record is a format byte, the CRC32C of key and payload, and the payload.
const (
	formatByte   = 1
	recordHeader = 5
)

// MaxValueBytes is the size of the largest payload of a record.
const MaxValueBytes = 512 << 10

func checksum(key, payload []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Update(0, t, key), t, payload)
}

// seal fills in the header of a record whose payload is in place.
func seal(record, key []byte) {
	record[0] = formatByte
	binary.BigEndian.PutUint32(record[1:], checksum(key, record[recordHeader:]))
}

// payload checks a record and returns what it holds.
func payload(key, record []byte) ([]byte, error) {
	if len(record) < recordHeader {
		return nil, errorf(ErrCorrupt, corruptHint, "record %q is %d bytes long, expected at least %d", key, len(record), recordHeader)
	}
	p := record[recordHeader:]
	sum := binary.BigEndian.Uint32(record[1:])
	if sum == checksum(key, p) && record[0] == formatByte {
		return p, nil
	}
	if sum == checksum(key, p) && record[0] > formatByte {
		return nil, errorf(ErrNewer, "use the version that wrote it", "record %q has format %d, this version reads %d", key, record[0], formatByte)
	}
	return nil, errorf(ErrCorrupt, corruptHint, "record %q has a wrong checksum", key)
}

const corruptHint = "restore a backup"
