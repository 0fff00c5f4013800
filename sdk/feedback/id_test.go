package feedback

import (
	"slices"
	"strings"
	"testing"
)

func TestNewItemID(t *testing.T) {
	t.Parallel()
	// Computed apart in Python: 1760000000000<<80 | first 10 bytes of sha256(b"store-survey\0R-1001"), in Crockford digits.
	const want = ItemID("f_01K742SG0059GT82M74BNTCVB2")
	id := NewItemID(1760000000000, "store-survey", "R-1001")
	if len(id) != 28 || id[:2] != "f_" {
		t.Fatalf("%q is no id", id)
	}
	if id != want {
		t.Errorf("got %s, want %s", id, want)
	}
	for name, other := range map[string]ItemID{
		"another time":                     NewItemID(1760000000001, "store-survey", "R-1001"),
		"another source":                   NewItemID(1760000000000, "store-surve", "yR-1001"),
		"another external id":              NewItemID(1760000000000, "store-survey", "R-1002"),
		"the id of a case, without prefix": "f" + ItemID(NewCaseID(1760000000000, "store-survey", "R-1002"))[1:],
	} {
		if other == id {
			t.Errorf("%s gives the same id", name)
		}
	}
	if NewItemID(-5, "s", "x") != NewItemID(0, "s", "x") {
		t.Error("an instant before 1970 does not count as 1970")
	}
}

func TestIDsSortByTime(t *testing.T) {
	t.Parallel()
	var ids []ItemID
	for _, at := range []Time{0, 1, 31, 32, 1 << 20, 1760000000000, 1760000000001, 1<<48 - 1} {
		ids = append(ids, NewItemID(at, "s", "x"))
		if got := ids[len(ids)-1].Occurred(); got != at {
			t.Errorf("%s is of %d, want %d", ids[len(ids)-1], got, at)
		}
	}
	if !slices.IsSorted(ids) {
		t.Errorf("not sorted: %v", ids)
	}
	for _, id := range []ItemID{"", "f_", "f_01K742SG0059GT82M74BNTCVB", "f_01K742Sü0059GT82M74BNTCVB2", "f_01k742sg0059gt82m74bntcvb2"} {
		if got := id.Occurred(); got != 0 {
			t.Errorf("%q is of %d, want none", id, got)
		}
	}
}

func TestParseItemID(t *testing.T) {
	t.Parallel()
	id := NewItemID(1760000000000, "s", "x")
	for _, typed := range []string{
		string(id), strings.ToLower(string(id)), strings.ToUpper(string(id)), strings.NewReplacer("0", "o", "1", "l").Replace(string(id)),
	} {
		if got, err := ParseItemID(typed); err != nil || got != id {
			t.Errorf("ParseItemID(%q) = %q, %v, want %q", typed, got, err, id)
		}
	}
	kase := NewCaseID(1760000000000, "x")
	if got, err := ParseCaseID(strings.ToLower(string(kase))); err != nil || got != kase {
		t.Errorf("ParseCaseID = %q, %v", got, err)
	}
	for _, typed := range []string{
		"", "f_", string(kase), string(id)[:27], string(id) + "0", "f_" + strings.Repeat("U", 26), "f_8" + string(id)[3:],
		"f_0" + strings.Repeat("ı", 12) + "0", "f_" + strings.Repeat("0", 24) + "ſ",
	} {
		if got, err := ParseItemID(typed); err == nil {
			t.Errorf("ParseItemID(%q) = %q, expected an error", typed, got)
		}
	}
}
