package store

import (
	"encoding/hex"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// Inspect calls fn with every record of the callers, and with those that are damaged: then payload is nil and damage says
// why. It goes on behind them, until fn returns an error. Key and payload are valid during the call only.
func (sn *Snapshot) Inspect(fn func(key, payload []byte, damage error) error) (err error) {
	var key, record []byte
	defer sn.s.readFault(&key, &err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	it := sn.txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Seek([]byte{1}); it.Valid(); it.Next() {
		key = it.Item().KeyCopy(key)
		var damage error
		var p []byte
		if record, damage = it.Item().ValueCopy(record); damage == nil {
			p, damage = payload(key, record)
		}
		if err := inspected(fn, key, p, damage); err != nil {
			return err
		}
	}
	return nil
}

func inspected(fn func(key, payload []byte, damage error) error, key, p []byte, damage error) error {
	_, err := call(func(key, p []byte) (bool, error) { return true, fn(key, p, damage) }, key, p)
	return err
}

// DamagedTables returns what is wrong with the tables on the disk, one error for each that is damaged.
func (sn *Snapshot) DamagedTables() (damaged []error) {
	for _, t := range sn.db.Tables() {
		if _, err := sn.s.checkTable(sn.db, t.ID); err != nil && sn.s.counts(sn.db, t.ID) {
			damaged = append(damaged, err)
		}
	}
	return damaged
}

// TableBytes returns about how many bytes of keys and records are in tables.
func (sn *Snapshot) TableBytes() int64 { return tableBytes(sn.db) }

// KeyText writes the fields of a key for people, as far as they can be told apart without knowing what the key is of.
func KeyText(key []byte) string {
	if len(key) == 0 {
		return `""`
	}
	fields := []string{strconv.QuoteRune(rune(key[0]))}
	r := ReadKey(key)
	if key[0] == KeyTimer {
		fields = append(fields, r.Time().String())
	}
	for !r.Done() {
		rest := r.b
		if s := r.Str(); r.Err() == nil {
			fields = append(fields, strconv.Quote(s))
			continue
		}
		r = &KeyReader{b: rest}
		if n := r.Uint64(); r.Err() == nil {
			fields = append(fields, strconv.FormatUint(n, 10))
			continue
		}
		fields, r = append(fields, "0x"+hex.EncodeToString(rest)), &KeyReader{}
	}
	return strings.Join(fields, " ")
}
