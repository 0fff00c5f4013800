package records

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// idTime is how much of an item's id tells of the time at which it occurred: the kind and 48 bits.
const idTime = 12

// Past is an item of the past as it is stored.
type Past struct{ key, item, labels []byte }

// History calls yield with the items whose ids say that they occurred at from or later and before until, in the order of
// their ids, until yield returns false. A revision may have changed when an item occurred; its id stays.
func History(s *store.Snapshot, from, until feedback.Time, yield func(Past) (bool, error)) error {
	return ItemsBetween(s, from, until, func(key, val []byte) (bool, error) {
		id, err := lastString(key, 1)
		if err != nil {
			return false, err
		}
		labels, err := s.Get(LabelsKey(feedback.ItemID(id)))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return false, err
		}
		return yield(Past{bytes.Clone(key), bytes.Clone(val), labels})
	})
}

// ItemsBetween calls yield with the records of the items that History tells of, which are valid during the call only.
func ItemsBetween(s *store.Snapshot, from, until feedback.Time, yield func(key, val []byte) (bool, error)) error {
	end := ItemKey(feedback.NewItemID(until, "", "")[:idTime])
	return s.Scan(ItemsPrefix(), ItemKey(feedback.NewItemID(from, "", "")[:idTime]), false, func(key, val []byte) (bool, error) {
		if bytes.Compare(key, end) >= 0 {
			return false, nil
		}
		return yield(key, val)
	})
}

// Decode returns what the rules are handed, and what people have corrected.
func (p Past) Decode() (ev *feedback.Event, corrections []feedback.Change, err error) {
	var it Item
	var labels Labels
	var decoded struct { // what the rules need of an Item
		Feedback *feedback.Item `json:"item"`
		Waiting  *[]string      `json:"waiting"`
	}
	decoded.Feedback, decoded.Waiting = &it.Feedback, &it.Waiting
	if err = json.Unmarshal(p.item, &decoded); err == nil && len(p.labels) > 0 {
		err = json.Unmarshal(p.labels, &labels)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("record %q: %w", p.key, err)
	}
	return EventBeforeRules(&it, &labels), labels.Layer(feedback.LayerHuman), nil
}

// Span returns when the first and the last item occurred, as their ids say; both are 0 when there is none.
func Span(s *store.Snapshot) (first, last feedback.Time, err error) {
	for _, end := range []struct {
		reverse bool
		into    *feedback.Time
	}{{false, &first}, {true, &last}} {
		err = errors.Join(err, Each(s, store.NewKey('f').Bytes(), nil, end.reverse, func(it *Item) (bool, error) {
			*end.into = it.Feedback.OccurredAt
			return false, nil
		}))
	}
	return first, last, err
}

// RulesetHashes returns the hashes of the rulesets that are kept, of those that begin with a prefix.
func RulesetHashes(s *store.Snapshot, prefix string) (out []string, err error) {
	err = s.Scan(store.NewKey('v').Bytes(), nil, false, func(key, _ []byte) (bool, error) {
		hash, err := lastString(key, 1)
		if err == nil && strings.HasPrefix(hash, prefix) {
			out = append(out, hash)
		}
		return err == nil, err
	})
	return out, err
}
