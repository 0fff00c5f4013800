package grants

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/sdk"
)

// keeping returns a session that may keep so many keys and bytes.
func keeping(t *testing.T, keys, size int64) (*Session, *hosttest.KV) {
	t.Helper()
	m := &hosttest.KV{}
	return session(t, host.Grants{KV: true}, func(s *host.Spec) {
		s.KV, s.Limits.KVKeys, s.Limits.KVBytes = m, keys, size
	}), m
}

func put(t *testing.T, n *Session, key, value string) {
	t.Helper()
	if err := n.KVPut(key, []byte(value)); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
}

func get(t *testing.T, n *Session, key string) string {
	t.Helper()
	v, err := n.KVGet(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(v)
}

func usage(t *testing.T, kv host.KV) host.KVUsage {
	t.Helper()
	u, err := kv.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestKVKeepsACallAsAWhole(t *testing.T) {
	t.Parallel()
	n, m := keeping(t, 0, 0)
	other := n.Set.Session()
	put(t, n, "a", "1")
	put(t, n, "b", "2")
	if get(t, n, "a") != "1" || get(t, other, "a") != "" {
		t.Error("a call sees what it has put, and nobody else does")
	}
	if err := n.End(t.Context()); err != nil || m.Puts() != 1 || get(t, other, "b") != "2" {
		t.Errorf("got %v, %d puts", err, m.Puts())
	}
	if err := n.End(t.Context()); err != nil || m.Puts() != 1 {
		t.Errorf("a call without puts: %v, %d puts", err, m.Puts())
	}
	n.Begin(0)
	put(t, n, "a", "")
	put(t, n, "b", "3")
	if v, err := n.KVGet("a"); v != nil || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
	n.Begin(0) // the call failed
	if get(t, n, "a") != "1" || get(t, n, "b") != "2" {
		t.Error("a call that failed left something behind")
	}
	put(t, n, "a", "")
	if err := n.End(t.Context()); err != nil || get(t, other, "a") != "" || usage(t, m) != (host.KVUsage{Keys: 1, Bytes: 2}) {
		t.Errorf("got %v, %+v", err, usage(t, m))
	}
	wantFailure(t, n.KVPut("c", nil), "bad_argument", true) // between two calls
}

func TestKVQuotas(t *testing.T) {
	t.Parallel()
	n, m := keeping(t, 3, 100)
	wantFailure(t, n.KVPut("", nil), "bad_argument", true)
	wantFailure(t, n.KVPut(strings.Repeat("k", sdk.MaxKVKey+1), nil), "bad_argument", true)
	wantFailure(t, n.KVPut("k", make([]byte, sdk.MaxKVValue+1)), "bad_argument", true)
	_, err := n.KVGet("")
	wantFailure(t, err, "bad_argument", true)
	wantFailure(t, n.KVPut("k", make([]byte, 100)), "kv_full", true)
	put(t, n, "k", strings.Repeat("x", 99))
	put(t, n, "k", strings.Repeat("x", 50))
	put(t, n, "l", strings.Repeat("x", 40))
	wantFailure(t, n.KVPut("m", []byte("12345678")), "kv_full", true)
	put(t, n, "m", "1")
	wantFailure(t, n.KVPut("o", []byte("1")), "kv_full", true)
	put(t, n, "l", "")
	put(t, n, "o", "1")
	if err := n.End(t.Context()); err != nil || usage(t, m) != (host.KVUsage{Keys: 3, Bytes: 55}) {
		t.Fatalf("got %v, %+v", err, usage(t, m))
	}
	// Two calls that would each fit: the second finds the store full and asks to be called again.
	n.Begin(0)
	other := n.Set.Session()
	other.Begin(0)
	put(t, n, "k", strings.Repeat("x", 90))
	put(t, other, "m", strings.Repeat("x", 40))
	if err := n.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, other.End(t.Context()), "kv_full", false)
	if get(t, other, "m") != "1" {
		t.Error("a call that did not fit left something behind")
	}
}

func TestKVOfOneCallIsBounded(t *testing.T) {
	t.Parallel()
	n, m := keeping(t, 0, 0)
	for i := range maxPuts {
		put(t, n, fmt.Sprint(i), "x")
	}
	wantFailure(t, n.KVPut("more", []byte("x")), "kv_full", true)
	n.Begin(0)
	for i := range 3 {
		put(t, n, fmt.Sprint(i), strings.Repeat("x", sdk.MaxKVValue))
	}
	wantFailure(t, n.KVPut("more", make([]byte, sdk.MaxKVValue)), "kv_full", true)
	m.Break(errors.New("the disk is gone"))
	wantFailure(t, n.KVPut("more", []byte("x")), "kv_failed", false)
	_, err := n.KVGet("more")
	wantFailure(t, err, "kv_failed", false)
}
