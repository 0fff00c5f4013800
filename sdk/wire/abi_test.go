package wire

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// abi is what the tables of ABI.md say. The tests read frames with nothing but these tables and compare with the
// package, so that the page is known to be true and enough.
type abi struct {
	frames  map[FrameKind]*structure
	structs map[string]*structure
}

// structure is a head, a record or a list element.
type structure struct {
	name    string
	size    int
	records string // of a frame
	fields  []field
}

type field struct {
	at, size int
	name     string
	kind     string // i64, u64, u32, f64, string, bytes, list, value
	of       string // a list's elements
}

var (
	frameTitle  = regexp.MustCompile(`^### ([a-z ]+) \((\d+)\), head (\d+)(?:, records: (\w+))?`)
	structTitle = regexp.MustCompile(`^([A-Z]\w+) \((\d+) bytes\)`)
	tableRow    = regexp.MustCompile(`^\| (\d+) \| (\d+) \| ([\w.]+) \| (.*)\|$`)
)

func readABI(t testing.TB) *abi {
	t.Helper()
	page, err := os.ReadFile("../ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	a := &abi{map[FrameKind]*structure{}, map[string]*structure{}}
	var s *structure
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if m := frameTitle.FindStringSubmatch(line); m != nil {
			s = &structure{name: m[1], size: number(t, m[3]), records: strings.TrimSuffix(m[4], "s")}
			a.frames[FrameKind(number(t, m[2]))] = s
		} else if m := structTitle.FindStringSubmatch(line); m != nil {
			s = &structure{name: strings.ToLower(m[1]), size: number(t, m[2])}
			a.structs[s.name] = s
		} else if m := tableRow.FindStringSubmatch(line); m != nil && s != nil && m[3] != "reserved" {
			s.fields = append(s.fields, fieldOf(t, m))
		}
	}
	return a
}

func fieldOf(t testing.TB, m []string) field {
	t.Helper()
	f := field{at: number(t, m[1]), size: number(t, m[2]), name: m[3]}
	kind, _, _ := strings.Cut(strings.TrimSpace(m[4]), ":")
	if of, ok := strings.CutPrefix(kind, "list of "); ok {
		f.kind, f.of = "list", strings.TrimSuffix(of, "s")
	} else if strings.Contains(kind, ";") {
		f.kind = "value"
	} else {
		f.kind, _, _ = strings.Cut(kind, " ")
	}
	return f
}

func number(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestABITables checks that the tables are whole: every kind has one, and fields fill their structure in order.
func TestABITables(t *testing.T) {
	t.Parallel()
	a := readABI(t)
	if len(a.frames) != int(KindFiles) || len(a.structs) != 9 {
		t.Errorf("found %d frames and %d structures", len(a.frames), len(a.structs))
	}
	for k, s := range a.frames {
		if s.name != k.String() {
			t.Errorf("kind %d is named %q on the page and %q here", k, s.name, k)
		}
		if s.records != "" && a.structs[s.records] == nil {
			t.Errorf("%s: no table of the record %q", s.name, s.records)
		}
		whole(t, s, HeaderSize)
	}
	for _, s := range a.structs {
		whole(t, s, 0)
	}
}

func whole(t *testing.T, s *structure, start int) {
	t.Helper()
	at := start
	for _, f := range s.fields {
		if f.at != at && f.at != at+4 {
			t.Errorf("%s: the field %q is at %d, expected %d", s.name, f.name, f.at, at)
		}
		at = f.at + f.size
	}
	if at != s.size && at+4 != s.size {
		t.Errorf("%s: its fields end at %d, expected %d", s.name, at, s.size)
	}
}

// decode reads a frame by the tables: fields by name, what is absent or zero left out.
func (a *abi) decode(b []byte) map[string]any {
	s := a.frames[FrameKind(le.Uint16(b[atKind:]))]
	head, stride := int(le.Uint16(b[atHead:])), int(le.Uint16(b[atStride:]))
	out := a.fields(b, s, 0, head)
	out["frame"] = s.name
	if s.records != "" {
		list := []any{}
		for i := range int(le.Uint32(b[atCount:])) {
			list = append(list, a.fields(b, a.structs[s.records], head+i*stride, stride))
		}
		out[s.records+"s"] = list
	}
	return out
}

// fields reads the structure at at, of which size bytes are there.
func (a *abi) fields(b []byte, s *structure, at, size int) map[string]any {
	out := map[string]any{}
	for _, f := range s.fields {
		if f.at+f.size > size {
			continue
		}
		if v := a.value(b, f, at, out["kind"]); v != nil {
			out[f.name] = v
		}
	}
	return out
}

func (a *abi) value(b []byte, f field, at int, valueKind any) any {
	at += f.at
	switch f.kind {
	case "u32":
		return present(int64(le.Uint32(b[at:])))
	case "i64", "u64":
		return present(int64(le.Uint64(b[at:])))
	case "f64":
		return present(math.Float64frombits(le.Uint64(b[at:])))
	case "string", "bytes":
		off, n := le.Uint32(b[at:]), le.Uint32(b[at+4:])
		return present(string(b[off:][:n]))
	case "list":
		off, n, stride := int(le.Uint32(b[at:])), int(le.Uint16(b[at+4:])), int(le.Uint16(b[at+6:]))
		var list []any
		for i := range n {
			list = append(list, a.fields(b, a.structs[f.of], off+i*stride, stride))
		}
		if list == nil {
			return nil
		}
		return list
	case "value":
		kind := map[any]string{int64(1): "string", int64(2): "f64", int64(3): "u64", int64(4): "i64"}[valueKind]
		return a.value(b, field{kind: kind}, at, nil)
	}
	return nil
}

func present[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

// relay writes a frame anew by the tables, with every structure changed in size by grow bytes: longer ones end in
// bytes that nobody knows, shorter ones are cut as an older version would have them.
func (a *abi) relay(b []byte, grow int) []byte {
	s := a.frames[FrameKind(le.Uint16(b[atKind:]))]
	head, stride, count := int(le.Uint16(b[atHead:])), int(le.Uint16(b[atStride:])), int(le.Uint32(b[atCount:]))
	r := relayer{abi: a, from: b, grow: grow}
	newHead, newStride := r.size(head, HeaderSize), 0
	r.to = make([]byte, newHead)
	if count > 0 {
		newStride = r.size(stride, 8)
		r.to = append(r.to, make([]byte, count*newStride)...)
	}
	r.structure(s, 0, head, 0, newHead)
	for i := range count {
		r.structure(a.structs[s.records], head+i*stride, stride, newHead+i*newStride, newStride)
	}
	le.PutUint16(r.to[atHead:], uint16(newHead))
	le.PutUint16(r.to[atStride:], uint16(newStride))
	le.PutUint32(r.to[atTotal:], uint32(len(r.to)))
	return r.to
}

type relayer struct {
	*abi
	from, to []byte
	grow     int
}

func (r *relayer) size(n, least int) int { return max(least, n+r.grow) }

func (r *relayer) structure(s *structure, from, size, to, newSize int) {
	for i := range newSize {
		r.to[to+i] = 0xee
	}
	copy(r.to[to:to+newSize], r.from[from:from+size])
	kind := int64(0)
	for _, f := range s.fields {
		if f.at+f.size > newSize {
			continue
		}
		if f.name == "kind" && f.kind == "u32" {
			kind = int64(le.Uint32(r.from[from+f.at:]))
		}
		switch ref := le.Uint32(r.from[from+f.at:]); {
		case f.kind == "string" || f.kind == "bytes" || f.kind == "value" && kind == 1:
			n := le.Uint32(r.from[from+f.at+4:])
			le.PutUint32(r.to[to+f.at:], uint32(len(r.to)))
			r.to = append(r.to, r.from[ref:][:n]...)
		case f.kind == "list":
			r.list(f, int(ref), from+f.at, to+f.at)
		}
	}
}

func (r *relayer) list(f field, at, from, to int) {
	count, stride := int(le.Uint16(r.from[from+4:])), int(le.Uint16(r.from[from+6:]))
	newStride, start := r.size(stride, 8), len(r.to)
	if count == 0 {
		return
	}
	le.PutUint32(r.to[to:], uint32(start))
	le.PutUint16(r.to[to+6:], uint16(newStride))
	r.to = append(r.to, make([]byte, count*newStride)...)
	for i := range count {
		r.structure(r.structs[f.of], at+i*stride, stride, start+i*newStride, newStride)
	}
}

// rewrite reads a frame with the package's reader of its kind and writes what it read.
func rewrite(b []byte) ([]byte, error) {
	kind, err := Kind(b)
	if err != nil {
		return nil, err
	}
	now, _ := Now(b)
	switch kind {
	case KindConfigure:
		v, err := ReadConfigure(b)
		return AppendConfigure(nil, &v), err
	case KindOK:
		return AppendOK(nil), ReadOK(b)
	case KindFailure:
		v, err := ReadFailure(b)
		if err != nil {
			return nil, err
		}
		return AppendFailure(nil, v), nil
	case KindItems:
		v, err := new(ItemReader).Read(b)
		return AppendItems(nil, now, v), err
	case KindResults:
		v, err := new(ResultReader).Read(b, int(le.Uint32(b[atCount:])))
		return AppendResults(nil, v), err
	case KindPoll:
		v, err := ReadPoll(b)
		return AppendPoll(nil, now, v), err
	case KindPollResult:
		v, err := ReadPollResult(b, MaxRecords)
		return AppendPollResult(nil, &v), err
	case KindReceive:
		v, err := ReadReceive(b)
		return AppendReceive(nil, now, v), err
	case KindReceiveResult:
		v, err := ReadReceiveResult(b)
		return AppendReceiveResult(nil, &v), err
	case KindDeliver:
		v, err := ReadDeliver(b)
		return AppendDeliver(nil, now, v), err
	case KindHTTPRequest:
		v, err := ReadHTTPRequest(b)
		return AppendHTTPRequest(nil, &v), err
	case KindHTTPResponse:
		v, err := ReadHTTPResponse(b)
		return AppendHTTPResponse(nil, &v), err
	case KindFiles:
		v, err := ReadFiles(b)
		return AppendFiles(nil, v), err
	}
	return nil, fmt.Errorf("%v", kind)
}

// TestOtherVersions reads frames of a newer minor version, and frames in which every structure is shorter.
func TestOtherVersions(t *testing.T) {
	t.Parallel()
	a := readABI(t)
	for name, frame := range vectors() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for grow := -304; grow <= 64; grow += 8 {
				other := a.relay(frame, grow)
				got, err := rewrite(other)
				if err != nil {
					t.Fatalf("structures %+d bytes: %v", grow, err)
				}
				if want := a.decode(other); !sameMeaning(a.decode(got), want) {
					t.Fatalf("structures %+d bytes:\n got %v\nwant %v", grow, a.decode(got), want)
				}
				if grow > 0 && string(got) != string(frame) {
					t.Fatalf("structures %+d bytes: read as something else", grow)
				}
			}
		})
	}
}

// sameMeaning compares what two frames say.
func sameMeaning(a, b map[string]any) bool {
	return reflect.DeepEqual(meaning(a), meaning(b))
}

// meaning takes out what a frame may say in more than one way: the order of attributes and headers, and attributes
// that say nothing.
func meaning(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			switch k {
			case "attributes", "customer.attributes":
				by := byName(v[k], func(e map[string]any) bool {
					kind, _ := e["kind"].(int64)
					return kind == 2 || kind == 3 || e["value"] != nil && (kind == 1 || kind == 4)
				})
				if v[k] = by; len(by) == 0 {
					delete(v, k)
				}
			case "headers":
				v[k] = byName(v[k], func(map[string]any) bool { return true })
			default:
				v[k] = meaning(v[k])
			}
		}
	case []any:
		for i := range v {
			v[i] = meaning(v[i])
		}
	}
	return v
}

// byName returns those elements of a list that count, the last of each name.
func byName(list any, counts func(map[string]any) bool) map[any]any {
	by := map[any]any{}
	for _, e := range list.([]any) {
		if e := e.(map[string]any); counts(e) {
			by[e["name"]] = e
		}
	}
	return by
}
