package meter_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/meter"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

// rounds returns how often a campaign repeats: quick times, or the given share of full when CLOSEDLOOP_DEEP says so.
func rounds(tb testing.TB, quick, full int) int {
	s := os.Getenv("CLOSEDLOOP_DEEP")
	if s == "" {
		return quick
	}
	share, err := strconv.ParseFloat(s, 64)
	if err != nil {
		tb.Fatalf("CLOSEDLOOP_DEEP=%s: expected a number such as 0.1", s)
	}
	return max(quick, int(share*float64(full)))
}

// choices returns the source of a test's choices. CLOSEDLOOP_SEED repeats a run.
func choices(tb testing.TB) *rand.Rand {
	seed := rand.Uint64()
	if s := os.Getenv("CLOSEDLOOP_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			tb.Fatalf("CLOSEDLOOP_SEED=%s: %v", s, err)
		}
	}
	tb.Logf("CLOSEDLOOP_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// maze makes functions (entry, steps) -> trace of the shape that Go's compiler makes, with segments that jump at random.
// Each notes its number in the trace and returns when there are no steps left.
type maze struct {
	*rand.Rand
	segments, numbers int
	segment           int // the one that is being made
}

const (
	entry, steps, trace = 0, 1, 2
	// The functions that a maze calls: some never return zero.
	never, passed, wild, silent = 1, 2, 3, 4
)

func (m *maze) module() *hosttest.Assembly {
	m.segments = 1 + m.IntN(10)
	m.numbers = m.segments + m.IntN(4)
	body := []byte{0x02, 0x40, 0x03, 0x40}
	for range m.segments {
		body = append(body, 0x02, 0x40)
	}
	body = wasmfile.AppendU32(append(body, 0x20, entry, 0x0e), uint32(m.numbers-1))
	for i := range m.numbers {
		body = append(body, byte(min(max(0, i-m.IntN(2)), m.segments-1)))
	}
	for m.segment = range m.segments {
		body = append(body, 0x0b)
		body = append(body, m.note(m.segment+1)...)
		body = append(body, code(0x20, steps, 0x45, 0x0d, m.exit(0), 0x20, steps, i32(1), 0x6b, 0x21, steps)...)
		for range m.IntN(4) {
			body = append(body, m.part()...)
		}
	}
	body = append(body, 0x0b, 0x0b, 0x20, trace)
	run := hosttest.Func{Name: "run", Params: code(hosttest.I32, hosttest.I32), Results: hosttest.I32, Locals: code(hosttest.I32, hosttest.I32), Body: body}
	return &hosttest.Assembly{Pages: 1, Funcs: []hosttest.Func{
		run,
		{Results: hosttest.I32, Body: i32(1)},
		{Results: hosttest.I32, Body: code(0x10, never, 0x0f)},
		{Params: hosttest.I32, Results: hosttest.I32, Body: code(0x20, 0, i32(3), 0x70)}, // its parameter modulo 3
		{Body: code(i32(1), 0x0f)},
	}}
}

// note adds a number to the trace.
func (m *maze) note(n int) []byte {
	return code(0x20, trace, i32(31), 0x6c, i32(int64(n)), 0x6a, 0x21, trace)
}

// some leaves a number on the stack that is zero now and then.
func (m *maze) some() []byte { return code(0x20, trace, i32(int64(2+m.IntN(4))), 0x70) }

// exit is the label of the block around the loop, from as deep in the segment; loop and ahead likewise.
func (m *maze) exit(depth int) int       { return m.loop(depth) + 1 }
func (m *maze) loop(depth int) int       { return depth + m.segments - 1 - m.segment }
func (m *maze) ahead(depth, to int) int  { return depth + to - m.segment - 1 }
func (m *maze) jump(depth int) []byte    { return code(m.aim(), 0x0c, m.loop(depth)) }
func (m *maze) aim() []byte              { return code(i32(int64(m.number())), 0x21, entry) }
func (m *maze) when(then ...any) []byte  { return code(m.some(), 0x04, 0x40, code(then...), 0x0b) }
func (m *maze) countdown(n int64) []byte { return code(i32(n), 0x21, trace+1) }
func (m *maze) one(of ...[]byte) []byte  { return of[m.IntN(len(of))] }
func (m *maze) number() int {
	if m.IntN(4) == 0 {
		return m.IntN(m.numbers + 2) // some are none of the table's
	}
	return max(0, m.segment+m.IntN(6)-2)
}

// part returns a part of a segment.
func (m *maze) part() []byte {
	to := m.segment + 1 + m.IntN(m.segments-m.segment) // a segment ahead, or the loop's end
	label := m.ahead(1, to)
	if to == m.segments {
		label = m.exit(1)
	}
	return m.one(
		m.when(m.jump(1)),
		m.when(m.jump(1)),
		m.jump(0),
		code(m.jump(0), m.note(99)), // what follows is never reached
		code(m.some(), 0x04, 0x40, m.jump(1), 0x05, m.note(50), m.when(m.jump(2)), 0x0b),
		code(0x02, 0x40, m.some(), 0x0d, 0, m.jump(1), 0x0b),
		code(0x02, 0x40, m.some(), 0x0d, label, 0x0b),
		code(0x02, 0x40, m.some(), 0x0e, 2, 0, m.exit(1), label, 0x0b),
		m.when(0x20, trace, 0x0f),
		code(0x20, trace, i32(31), 0x6c, 0x20, entry, 0x6a, 0x21, trace), // notes the number of the last jump
		code(i32(int64(m.IntN(5))), 0x21, entry),
		code(m.countdown(3), 0x03, 0x40, m.note(60), m.when(m.jump(2)), 0x20, trace+1, i32(1), 0x6b, 0x22, trace+1, 0x0d, 0, 0x0b),
		code(0x20, trace, 0x10, wild, 0x0d, m.exit(0)),
		code(0x10, m.one([]byte{never}, []byte{passed}), 0x0d, m.exit(0)),
		m.when(0x10, m.one([]byte{never}, []byte{passed}), 0x0d, m.exit(1)),
		code(m.some(), 0x10, silent, 0x0d, m.exit(0)),
	)
}

// functions returns how many functions of its own a module has.
func functions(tb testing.TB, module []byte) int {
	tb.Helper()
	m, err := wasmfile.Parse(module)
	if err != nil {
		tb.Fatal(err)
	}
	for _, s := range m.Sections {
		if s.ID == wasmfile.SectionFunction {
			return s.Reader().Count(1)
		}
	}
	return 0
}

// Whatever its jumps are and wherever it is entered, a function does what it did.
func TestStructureKeepsMeaning(t *testing.T) {
	t.Parallel()
	random := choices(t)
	e := newEngine(t, wazero.NewRuntimeConfig())
	all, structured := rounds(t, 400, 20_000), 0
	for range all {
		m := &maze{Rand: random}
		module := m.module()
		metered := instrument(t, module)
		if functions(t, metered) > functions(t, module.Bytes()) {
			structured++
		}
		sameRuns(t, e, m, module.Bytes(), metered)
	}
	t.Logf("%d of %d were given structure", structured, all)
	if structured < all/5 {
		t.Errorf("only %d of %d were given structure", structured, all)
	}
}

// sameRuns compares a maze as it is with the metered one, entered at every number.
func sameRuns(t *testing.T, e *engine, m *maze, original, metered []byte) {
	t.Helper()
	ctx := context.Background()
	a, err := e.Instantiate(ctx, original)
	if err != nil {
		t.Fatalf("%v\n%x", err, original)
	}
	defer a.Close(ctx)
	b, err := e.Instantiate(ctx, metered)
	if err != nil {
		t.Fatalf("%v\n%x", err, original)
	}
	defer b.Close(ctx)
	stack := b.ExportedGlobal(meter.Stack).(api.MutableGlobal)
	b.ExportedGlobal(meter.Fuel).(api.MutableGlobal).Set(1 << 40)
	stack.Set(1 << 20)
	for at := range uint64(m.numbers + 1) {
		steps := m.Uint64N(40)
		want, err := a.ExportedFunction("run").Call(ctx, at, steps)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.ExportedFunction("run").Call(ctx, at, steps)
		if err != nil || got[0] != want[0] {
			t.Fatalf("entered at %d for %d steps: got %d, %v; want %d\n%x", at, steps, got, err, want, original)
		}
		if left := stack.Get(); left != 1<<20 {
			t.Fatalf("entered at %d: %d of %d bytes of stack are left\n%x", at, left, 1<<20, original)
		}
	}
}

// A function that is called at its beginning does without its table, and keeps its name; its copy has one of its own.
func TestStructureNamesCopies(t *testing.T) {
	t.Parallel()
	module := jumping(3, func(i int) (int, bool) { return []int{2, 0, 1}[i], false })
	names := code(1, 0, wasmfile.AppendName(nil, "walk"))
	module.Extra = []wasmfile.Section{{Name: "name", Body: code(1, len(names), names)}}
	metered := instrument(t, module)
	if got := functions(t, metered); got != 2 {
		t.Errorf("got %d functions, want 2", got)
	}
	if want := code(wasmfile.AppendName([]byte{1}, "walk"), wasmfile.AppendName([]byte{2}, "walk"+meter.CopySuffix)); !bytes.Contains(metered, want) {
		t.Error("the names are not those of the function and its copy")
	}
}

// What cannot be given structure is left as it is.
func TestStructureIsLeftOut(t *testing.T) {
	t.Parallel()
	none := func(int) (int, bool) { return -1, false }
	for name, module := range map[string]*hosttest.Assembly{
		"nothing leads back": jumping(4, none),
		// 0 goes to 1 or 2, which lead to each other.
		"a loop with two ways in": jumping(3, func(i int) (int, bool) { return []int{2, -1, 1}[i], i == 0 }),
		"a loop around it": func() *hosttest.Assembly {
			a := jumping(2, func(i int) (int, bool) { return 0, i == 0 })
			a.Funcs[0].Body = code(0x03, 0x40, a.Funcs[0].Body[:len(a.Funcs[0].Body)-2], 0x0b, 0x20, 2)
			return a
		}(),
		"a parameter written before it": func() *hosttest.Assembly {
			a := jumping(2, func(i int) (int, bool) { return 0, i == 0 })
			a.Funcs[0].Body = code(i32(1), 0x21, 0, a.Funcs[0].Body)
			return a
		}(),
	} {
		if got := functions(t, instrument(t, module)); got != 1 {
			t.Errorf("%s: got %d functions, want 1", name, got)
		}
	}
}
