package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/closedloop/closedloop/engine/internal/quickjson"
)

// Load reads a record that Put wrote. Errors: ErrNotFound, ErrCorrupt, ErrNewer, or of decoding.
func Load[T any](r Reader, key []byte) (*T, error) {
	p, err := r.Get(key)
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal(p, v); err != nil {
		return nil, fmt.Errorf("store: record %q: %w", key, err)
	}
	return v, nil
}

// Put writes v as JSON. Members of the record that is there and that T does not know, at any depth of objects, are
// kept: an older version of the software rewrites what a newer one wrote without loss. Elements of arrays are
// replaced as they are.
func Put[T any](tx *Tx, key []byte, v *T) error {
	fresh, err := marshal(tx, v)
	if err != nil {
		return fmt.Errorf("store: record %q: %w", key, err)
	}
	old, err := tx.Get(key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil {
		if fresh, err = keepUnknown(fresh, old, tx.s.schemaOf(reflect.TypeFor[T]())); err != nil {
			return fmt.Errorf("store: record %q: %w", key, err)
		}
	}
	tx.Set(key, fresh)
	return nil
}

// PutNew writes v as JSON under a key that is known to hold no record; it saves the look at the old one.
func PutNew[T any](tx *Tx, key []byte, v *T) error {
	fresh, err := marshal(tx, v)
	if err != nil {
		return fmt.Errorf("store: record %q: %w", key, err)
	}
	tx.Set(key, fresh)
	return nil
}

// marshal encodes v into memory that the next call uses again.
func marshal[T any](t *Tx, v *T) (_ []byte, err error) {
	t.json, err = encoderOf[T](t.s).Append(t.json[:0], v)
	return t.json, err
}

// encoderOf returns the encoder of a type, made once.
func encoderOf[T any](s *Store) *quickjson.Encoder[T] {
	t := reflect.TypeFor[T]()
	if e, ok := s.encoders.Load(t); ok {
		return e.(*quickjson.Encoder[T])
	}
	e := quickjson.For[T](false)
	s.encoders.Store(t, e)
	return e
}
