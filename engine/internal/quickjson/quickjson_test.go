package quickjson_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/quickjson"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

type level string

// odd has what an encoder writes by itself, and members whose types it leaves to encoding/json.
type odd struct {
	embedded
	Plain string
	Not   string              `json:"-"`
	Name  level               `json:"name,omitempty"`
	Same  same                `json:"same,omitempty"`
	Zero  embedded            `json:"zero,omitzero"`
	Bytes []byte              `json:"bytes,omitempty"`
	Array [2]int              `json:"array"`
	Map   map[string]*level   `json:"map,omitempty"`
	Raw   json.RawMessage     `json:"raw,omitempty"`
	Num   json.Number         `json:"num,omitempty"`
	Hash  *records.Hash       `json:"hash,omitempty"`
	Many  [][]float64         `json:"many"`
	Any   any                 `json:"any"`
	Self  *odd                `json:"self,omitempty"`
	Small int8                `json:"small"`
	Wide  uint64              `json:"wide,omitempty"`
	Some  *feedback.Time      `json:"some,omitempty"`
	Truth *bool               `json:"truth"`
	Attrs feedback.Attributes `json:"attrs,omitempty"`
}

type embedded struct {
	Count int     `json:"count,omitempty"`
	Part  float64 `json:"part,omitempty"`
	Yes   bool    `json:"yes,omitempty"`
	small int     //nolint:unused // stands for a field that is not exported
}

// What follows is left to encoding/json as a whole.
type (
	Pointed struct{ Deep string }
	pointed struct{ *Pointed }
	same    struct {
		embedded
		Again struct{ Inner string } `json:"count"`
		Other uint32                 `json:"other,omitempty"`
	}
	dash struct {
		Dash string `json:"-,"` //nolint:staticcheck // a member that is called by a dash
	}
	quoted struct {
		Quoted int `json:"quoted,string"`
	}
	strange struct {
		Strange string `json:"a&b,omitempty"`
	}
	array struct {
		Array [2]int `json:"array,omitempty"`
	}
	zeroPointer struct {
		Hash *records.Hash `json:"hash,omitzero"`
	}
)

// TestAppend compares the JSON of records, and of odder types, with that of encoding/json.
func TestAppend(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		compareAll(t, seed, "")
	}
}

func FuzzAppend(f *testing.F) {
	f.Add(uint64(1), "a\u2028<b>\xff")
	f.Fuzz(func(t *testing.T, seed uint64, text string) { compareAll(t, seed, text) })
}

func compareAll(t *testing.T, seed uint64, text string) {
	compare[odd](t, seed, text)
	compare[pointed](t, seed, text)
	compare[same](t, seed, text)
	compare[dash](t, seed, text)
	compare[quoted](t, seed, text)
	compare[strange](t, seed, text)
	compare[array](t, seed, text)
	compare[zeroPointer](t, seed, text)
	compare[[]odd](t, seed, text)
	compare[*level](t, seed, text)
	compare[any](t, seed, text)
	compare[feedback.Item](t, seed, text)
	compare[feedback.Case](t, seed, text)
	compare[feedback.DeadLetter](t, seed, text)
	compare[rules.Decision](t, seed, text)
	compare[records.Item](t, seed, text)
	compare[records.Identity](t, seed, text)
	compare[records.Import](t, seed, text)
	compare[records.Labels](t, seed, text)
	compare[records.Effects](t, seed, text)
	compare[records.Throttled](t, seed, text)
	compare[records.AlertGroup](t, seed, text)
	compare[records.Digest](t, seed, text)
}

func compare[T any](t *testing.T, seed uint64, text string) {
	t.Helper()
	v := new(T)
	(&filler{rand.New(rand.NewPCG(seed, 1)), text}).fill(reflect.ValueOf(v).Elem(), 0)
	for _, escapeHTML := range []bool{false, true} {
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(escapeHTML)
		wantErr := enc.Encode(v)
		got, err := quickjson.For[T](escapeHTML).Append([]byte("before"), v)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("%T: %v, want %v", v, err, wantErr)
		}
		if err == nil && string(got) != "before"+string(bytes.TrimSuffix(want.Bytes(), []byte("\n"))) {
			t.Fatalf("%T:\n got %s\nwant before%s", v, got, &want)
		}
	}
}

// filler fills values with what it draws.
type filler struct {
	*rand.Rand
	text string
}

func (f *filler) str() string {
	from := []string{"", "plain", "a \"quoted\" \\ text", "<b>&amp;", "line\nend\r\t\b\f\x00\x1f\x7f", "ü€😀", "\u2028\u2029\ufffd", "cut \xe2\x82", f.text}
	return from[f.IntN(len(from))] + from[f.IntN(len(from))]
}

func (f *filler) float() float64 {
	from := []float64{0, math.Copysign(0, -1), 1, -3, 0.75, 1e6, 1e21, -1e21, 1e-6, 9e-7, 1 << 53, 1<<53 - 1, -12345678901234567890, 5e-324, math.MaxFloat64, f.Float64(), f.NormFloat64() * 1e9}
	if f.IntN(200) == 0 {
		return math.NaN()
	}
	return from[f.IntN(len(from))]
}

func (f *filler) any() any {
	from := []any{nil, f.str(), f.float(), true, int64(7), []string{f.str()}, map[string]any{f.str(): 1}, level(f.str()), feedback.Time(1), json.Number("1.50")}
	return from[f.IntN(len(from))]
}

func (f *filler) fill(v reflect.Value, depth int) {
	if !v.CanSet() || depth > 6 || f.IntN(5) == 0 {
		return
	}
	switch v.Addr().Interface().(type) {
	case *json.RawMessage:
		v.SetBytes([]byte([]string{"", "null", ` {"a" : "<" } `, `[1,2]`}[f.IntN(4)]))
		return
	case *json.Number:
		v.SetString([]string{"", "1", "-2.50e3"}[f.IntN(3)])
		return
	case *feedback.Value:
		values := []feedback.Value{feedback.StringValue(f.str()), feedback.NumberValue(f.float()), feedback.BoolValue(true), feedback.TimeValue(5)}
		v.Set(reflect.ValueOf(values[f.IntN(len(values))]))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(f.str())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int64:
		v.SetInt(f.Int64N(1<<f.IntN(62)+1) - 1<<f.IntN(60))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(f.Uint64())
	case reflect.Float64:
		v.SetFloat(f.float())
	case reflect.Interface:
		if x := f.any(); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), f.IntN(3), 3))
		f.elements(v, depth)
	case reflect.Array:
		f.elements(v, depth)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range f.IntN(3) {
			elem := reflect.New(v.Type().Elem()).Elem()
			f.fill(elem, depth+1)
			v.SetMapIndex(reflect.ValueOf(f.str()).Convert(v.Type().Key()), elem)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), depth+1)
		}
	}
}

func (f *filler) elements(v reflect.Value, depth int) {
	for i := range v.Len() {
		f.fill(v.Index(i), depth+1)
	}
}

// Once its memory is there, a record is written without any more.
func TestAppendAllocates(t *testing.T) {
	it := &records.Item{Feedback: feedback.Item{Text: "a text", Score: new(3.0), OccurredAt: 1}, Tags: []string{"a", "b"}}
	e := quickjson.For[records.Item](false)
	b := make([]byte, 0, 1<<10)
	if n := testing.AllocsPerRun(100, func() { b, _ = e.Append(b[:0], it) }); n > 0 {
		t.Errorf("%v allocations for a record", n)
	}
}
