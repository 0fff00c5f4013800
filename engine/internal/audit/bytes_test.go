package audit_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/store"
)

// A record is written as encoding/json writes it, so that its digest is that of what is read.
func TestRecordsAreWrittenAsJSONIs(t *testing.T) {
	t.Parallel()
	type front struct {
		N    json.Number `json:"n"`
		At   string      `json:"at"`
		Kind string      `json:"kind"`
		Who  string      `json:"who"`
		Sum  string      `json:"sum"`
		Prev string      `json:"prev"`
	}
	type body struct {
		Salt string         `json:"salt"`
		What string         `json:"what"`
		Why  string         `json:"why,omitempty"`
		Data map[string]any `json:"data,omitempty"`
	}
	const odd = "<a> & \"b\"\u2028 é"
	data, err := json.Marshal(map[string]any{"text": odd})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t)
	entries := []audit.Entry{
		{At: 1_772_445_600_000, Kind: "test", Who: odd, What: odd, Why: odd, Data: data},
		{At: 1_772_445_600_000, Kind: "test", Who: "anna", What: "x", Data: data},
		{At: 1_772_445_600_000, Kind: "test", Who: "anna", What: "x"},
	}
	update(t, s, func(tx *store.Tx) error {
		if _, err := audit.Append(tx, entries...); err != nil {
			return err
		}
		for n := range entries {
			got, err := tx.Get(entryKey(uint64(n + 1)))
			if err != nil {
				return err
			}
			head, rest, _ := bytes.Cut(got, []byte{'\n'})
			var want []byte
			for _, part := range []struct {
				written []byte
				as      any
			}{{head, &front{}}, {rest, &body{}}} {
				if err := json.Unmarshal(part.written, part.as); err != nil {
					return err
				}
				b, err := json.Marshal(part.as)
				if err != nil {
					return err
				}
				want = append(append(want, b...), '\n')
			}
			if string(got) != string(want[:len(want)-1]) {
				t.Errorf("entry %d is\n%s\nwant\n%s", n+1, got, want)
			}
		}
		return nil
	})
}
