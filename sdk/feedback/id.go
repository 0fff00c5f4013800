package feedback

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
)

// ItemID identifies an item for ever: "f_" and 26 characters of Crockford base32. Ids sort by the item's time.
type ItemID string

// CaseID identifies a case: "k_" and 26 characters of Crockford base32. Ids sort by the time of opening.
type CaseID string

// The alphabet of Crockford, "Base 32" (2002): no I, L, O or U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewItemID derives an id from the first sight of an item: 48 bits of its time in milliseconds, then 80 bits of the
// SHA-256 of source, a zero byte and external id. Instants before 1970 count as 1970.
func NewItemID(occurred Time, source, externalID string) ItemID {
	return ItemID("f_" + newID(occurred, source, externalID))
}

// Occurred returns the instant that NewItemID was given, or 0 when it was none, or id is no id.
func (id ItemID) Occurred() Time {
	var ms Time
	if len(id) != len("f_")+26 {
		return 0
	}
	for _, digit := range []byte(id[2:12]) { // 50 bits, of which the first two are 0
		n := strings.IndexByte(crockford, digit)
		if n < 0 {
			return 0
		}
		ms = ms<<5 | Time(n)
	}
	return ms
}

// NewCaseID derives an id from the instant of opening and the case's origin, in the way of NewItemID.
func NewCaseID(opened Time, origin ...string) CaseID {
	return CaseID("k_" + newID(opened, origin...))
}

func newID(at Time, parts ...string) string {
	var b [16]byte
	ms := uint64(max(at, 0))
	binary.BigEndian.PutUint64(b[:8], ms<<16)
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	copy(b[6:], sum[:10])
	return encode(b)
}

// encode writes 128 bits as 26 characters, as ULID does: the first carries 3 bits.
func encode(b [16]byte) string {
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	var out [26]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(out[:])
}

var errID = errors.New(`expected a prefix such as f_ and 26 characters of 0-9 and A-Z without I, L, O and U`)

// ParseItemID checks an id as a person types it: lower case, and the look-alikes I, L and O, are understood.
func ParseItemID(s string) (ItemID, error) {
	id, err := parseID("f_", s)
	return ItemID(id), err
}

// ParseCaseID checks a case id in the way of ParseItemID.
func ParseCaseID(s string) (CaseID, error) {
	id, err := parseID("k_", s)
	return CaseID(id), err
}

func parseID(prefix, s string) (string, error) {
	if len(s) != len(prefix)+26 || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", errID
	}
	digits := strings.NewReplacer("I", "1", "L", "1", "O", "0").Replace(strings.ToUpper(s[len(prefix):]))
	if len(digits) != 26 || digits[0] > '7' { // upper case may be shorter, as that of ı is
		return "", errID
	}
	for i := range len(digits) {
		if strings.IndexByte(crockford, digits[i]) < 0 {
			return "", errID
		}
	}
	return prefix + digits, nil
}
