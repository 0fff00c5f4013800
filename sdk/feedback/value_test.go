package feedback

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

func TestValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v    Value
		kind Kind
		json string
		text string
	}{
		{Value{}, Absent, `null`, ""},
		{StringValue("a\"b"), String, `"a\"b"`, `a"b`},
		{StringValue(""), Absent, `null`, ""},
		{NumberValue(49.9), Number, `49.9`, "49.9"},
		{NumberValue(0), Number, `0`, "0"},
		{NumberValue(math.NaN()), Absent, `null`, ""},
		{NumberValue(math.Inf(-1)), Absent, `null`, ""},
		{BoolValue(true), Bool, `true`, "true"},
		{BoolValue(false), Bool, `false`, "false"},
		{TimeValue(1767225600000), Instant, `{"time":"2026-01-01T00:00:00.000Z"}`, "2026-01-01T00:00:00.000Z"},
		{TimeValue(0), Absent, `null`, ""},
	} {
		b, err := json.Marshal(tt.v)
		if err != nil || string(b) != tt.json || tt.v.Kind() != tt.kind || tt.v.String() != tt.text {
			t.Errorf("%#v: %v %s %q, %v; want %v %s %q", tt.v, tt.v.Kind(), b, tt.v, err, tt.kind, tt.json, tt.text)
		}
		var back Value
		if err := json.Unmarshal(b, &back); err != nil || back != tt.v {
			t.Errorf("%s is read as %#v, %v", b, back, err)
		}
	}
	for _, bad := range []string{`[1]`, `{`, `{"time":"yesterday"}`, `{"time":5}`} {
		if err := new(Value).UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// Each accessor answers for its own kind only.
func TestValueAccessors(t *testing.T) {
	t.Parallel()
	for _, v := range []Value{{}, StringValue("x"), NumberValue(1), BoolValue(true), TimeValue(1)} {
		_, isString := v.Str()
		_, isNumber := v.Num()
		_, isBool := v.Truth()
		_, isTime := v.Time()
		for kind, is := range map[Kind]bool{String: isString, Number: isNumber, Bool: isBool, Instant: isTime} {
			if is != (v.Kind() == kind) {
				t.Errorf("a %v answers as %v: %v", v.Kind(), kind, is)
			}
		}
	}
	if Kind(99).String() != "kind 99" || Instant.String() != "time" {
		t.Error("names of kinds")
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	at := TimeOf(time.Date(2026, 3, 2, 11, 0, 0, 123456789, time.FixedZone("", 3600)))
	if got := at.String(); got != "2026-03-02T10:00:00.123Z" {
		t.Errorf("String = %s", got)
	}
	if at.Add(1999*time.Microsecond) != at+1 || !at.Std().Equal(time.UnixMilli(int64(at))) {
		t.Error("Add or Std")
	}
	if TimeOf(time.Time{}) != 0 || !Time(0).Std().IsZero() || Time(0).String() != "" || !Time(0).IsZero() {
		t.Error("an instant that is not given")
	}
	for text, want := range map[string]Time{
		`null`: 0, `""`: 0, `"2026-03-02T10:00:00.123Z"`: at, `"2026-03-02T12:00:00.123+02:00"`: at,
	} {
		var got Time
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is read as %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{`5`, `"2026-03-02"`, `"now"`} {
		if err := json.Unmarshal([]byte(bad), new(Time)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "48h": 48 * time.Hour, "7d": 168 * time.Hour, "1.5d": 36 * time.Hour, "1h30m": 90 * time.Minute,
		"": 0, "0s": 0, "-5m": 0, "0d": 0, "-1d": 0, "d": 0, "5": 0, "40000d": 0, "1d2h": 0,
	} {
		got, err := ParseDuration(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
}

// Instants are written as their layout says, whatever the way.
func TestTimeIsWrittenByItsLayout(t *testing.T) {
	t.Parallel()
	for _, at := range []Time{
		1, -1, 999, 1000, -999, -1000, 1_772_445_600_007, 1_772_445_600_070, 1_772_445_600_700, -62_135_596_800_000, -62_167_219_200_000,
		-62_167_219_200_001, 253_402_300_799_999, 253_402_300_800_000, math.MaxInt64 / 1000, math.MinInt64 / 1000,
	} {
		if got, want := at.String(), at.Std().Format(timeLayout); got != want {
			t.Errorf("%d: found %s, expected %s", at, got, want)
		}
	}
}

func BenchmarkTime(b *testing.B) {
	at := Time(1_772_445_600_123)
	buf := make([]byte, 0, 64)
	var layout, short time.Duration
	for b.Loop() {
		from := time.Now()
		for range 1000 {
			buf = at.Std().AppendFormat(buf[:0], timeLayout)
		}
		layout += time.Since(from)
		from = time.Now()
		for range 1000 {
			buf = at.append(buf[:0])
		}
		short += time.Since(from)
	}
	b.ReportMetric(float64(layout)/float64(short), "layout/short")
}
