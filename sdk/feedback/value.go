package feedback

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Time is an instant: milliseconds since 1970-01-01T00:00:00Z. Zero means not given. It is written to JSON in RFC 3339.
type Time int64

// TimeOf returns t cut to the millisecond.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMilli())
}

// Std returns the instant in UTC, or the zero time.Time when t is not given.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t)).UTC()
}

// Add returns the instant d later, cut to the millisecond.
func (t Time) Add(d time.Duration) Time { return t + Time(d/time.Millisecond) }

// IsZero reports whether the instant is not given.
func (t Time) IsZero() bool { return t == 0 }

// String writes the instant in RFC 3339 with milliseconds, or "" when it is not given.
func (t Time) String() string {
	if t == 0 {
		return ""
	}
	return string(t.append(nil))
}

const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// append writes the instant as the layout does, three times as fast: package time has a short way for whole seconds.
func (t Time) append(b []byte) []byte {
	std := t.Std()
	if y := std.Year(); y < 0 || y > 9999 {
		return std.AppendFormat(b, timeLayout)
	}
	b = std.AppendFormat(b, time.RFC3339)
	ms := std.Nanosecond() / int(time.Millisecond)
	return append(b[:len(b)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// MarshalJSON writes the instant as a string in RFC 3339, or null when it is not given.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.AppendJSON(make([]byte, 0, len(timeLayout)+2)), nil
}

// AppendJSON appends what MarshalJSON returns.
func (t Time) AppendJSON(b []byte) []byte {
	if t == 0 {
		return append(b, "null"...)
	}
	return append(t.append(append(b, '"')), '"')
}

// UnmarshalJSON reads an RFC 3339 string or null.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" || string(b) == `""` {
		*t = 0
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("time: found %s, expected an RFC 3339 string", b)
	}
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return fmt.Errorf("time: found %q, expected RFC 3339 such as 2026-03-02T10:00:00Z", s)
	}
	*t = TimeOf(v)
	return nil
}

// Kind is the type of a Value or of a rule's field.
type Kind uint8

// The kinds. Strings, Themes and ThemeList are types of fields only.
const (
	Absent Kind = iota
	String
	Number
	Bool
	Instant
	Strings   // list of strings
	Themes    // the paths of an item's themes; `in` also finds descendants
	ThemeList // the themes themselves, to look through with any and all
)

var kindNames = [...]string{"absent", "string", "number", "bool", "time", "strings", "themes", "theme list"}

// String returns the kind's name: string, number, bool, time, ...
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Value is one typed value of an attribute. The zero Value is absent.
type Value struct {
	kind Kind
	num  float64 // Number; Bool as 0 or 1; Instant as milliseconds
	str  string
}

// StringValue returns a string. The empty string is absent.
func StringValue(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{kind: String, str: s}
}

// NumberValue returns a number. NaN and the infinities are absent.
func NumberValue(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{kind: Number, num: f}
}

// BoolValue returns a truth value.
func BoolValue(b bool) Value {
	if b {
		return Value{kind: Bool, num: 1}
	}
	return Value{kind: Bool}
}

// TimeValue returns an instant. The zero Time is absent.
func TimeValue(t Time) Value {
	if t == 0 {
		return Value{}
	}
	return Value{kind: Instant, num: float64(t)}
}

// Kind returns the value's type: Absent, String, Number, Bool or Instant.
func (v Value) Kind() Kind { return v.kind }

// Str returns a string value.
func (v Value) Str() (string, bool) { return v.str, v.kind == String }

// Num returns a number value.
func (v Value) Num() (float64, bool) { return v.num, v.kind == Number }

// Truth returns a truth value.
func (v Value) Truth() (b, ok bool) { return v.num != 0, v.kind == Bool }

// Time returns an instant value.
func (v Value) Time() (Time, bool) { return Time(v.num), v.kind == Instant }

// String writes the value for people.
func (v Value) String() string {
	switch v.kind {
	case String:
		return v.str
	case Number:
		return strconv.FormatFloat(v.num, 'g', -1, 64)
	case Bool:
		return strconv.FormatBool(v.num != 0)
	case Instant:
		return Time(v.num).String()
	}
	return ""
}

// timeJSON sets an instant apart from a string.
type timeJSON struct {
	Time Time `json:"time"`
}

// MarshalJSON writes a string, number, truth value, {"time": RFC 3339} or null.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.kind {
	case String:
		return json.Marshal(v.str)
	case Number:
		return json.Marshal(v.num)
	case Bool:
		return strconv.AppendBool(nil, v.num != 0), nil
	case Instant:
		return json.Marshal(timeJSON{Time(v.num)})
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (v *Value) UnmarshalJSON(b []byte) error {
	var x any
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	switch x := x.(type) {
	case nil:
		*v = Value{}
	case string:
		*v = StringValue(x)
	case float64:
		*v = NumberValue(x)
	case bool:
		*v = BoolValue(x)
	case map[string]any:
		var t timeJSON
		if err := json.Unmarshal(b, &t); err != nil {
			return err
		}
		*v = TimeValue(t.Time)
	default:
		return fmt.Errorf("attribute: found %s, expected a string, number, truth value or {\"time\": ...}", b)
	}
	return nil
}

// Attributes are the program's own fields of an item or customer, by name. The program declares their kinds.
type Attributes map[string]Value

func (a Attributes) size() int {
	n := 0
	for k, v := range a {
		n += len(k) + len(v.str) + 8
	}
	return n
}

// ParseDuration reads a positive duration as programs and rules write it: what time.ParseDuration reads, and days as
// in "7d", which are 24 hours each.
func ParseDuration(s string) (time.Duration, error) {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		if days, err := strconv.ParseFloat(n, 64); err == nil && days > 0 && days <= 36500 {
			if d := time.Duration(days * float64(24*time.Hour)); d > 0 {
				return d, nil
			}
		}
	} else if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return d, nil
	}
	return 0, fmt.Errorf("found %q, expected a duration such as 30s, 5m, 48h or 7d", s)
}
