package meter_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

// jumping makes a function of the shape that Go's compiler makes: (entry, steps) -> trace. Each of its stretches of code
// notes its number in the trace, returns when there are no steps left, and then goes on, or jumps where target says.
// target returns -1 for no jump, and whether a jump depends on the trace.
func jumping(stretches int, target func(i int) (number int, conditional bool)) *hosttest.Assembly {
	const entry, steps, trace = 0, 1, 2
	body := []byte{0x02, 0x40, 0x03, 0x40} // what leaves the loop goes to the end of the block around it
	for range stretches {
		body = append(body, 0x02, 0x40)
	}
	body = append(body, 0x20, entry, 0x0e)
	body = wasmfile.AppendU32(body, uint32(stretches-1))
	for i := range stretches {
		body = wasmfile.AppendU32(body, uint32(i))
	}
	for i := range stretches {
		depth := stretches - 1 - i // labels from here to the loop
		body = append(body, 0x0b)
		body = append(body, code(0x20, trace, i32(31), 0x6c, i32(int64(i+1)), 0x6a, 0x21, trace)...)
		body = append(body, code(0x20, steps, 0x45, 0x0d, depth+1, 0x20, steps, i32(1), 0x6b, 0x21, steps)...)
		number, conditional := target(i)
		if number < 0 {
			continue
		}
		jump := code(i32(int64(number)), 0x21, entry, 0x0c)
		if conditional {
			body = append(body, code(0x20, trace, i32(int64(2+i%5)), 0x70, 0x04, 0x40, jump, depth+1, 0x0b)...)
		} else {
			body = append(body, code(jump, depth)...)
		}
	}
	body = append(body, 0x0b, 0x0b, 0x20, trace)
	return one(hosttest.Func{Params: code(hosttest.I32, hosttest.I32), Results: hosttest.I32, Locals: hosttest.I32, Body: body})
}

// Jumps that do without the table lead where it would lead them, for any jumps and wherever the function is entered.
func TestJumpsLeadWhereTheyDid(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	e := newEngine(t, wazero.NewRuntimeConfig())
	e.fuel = 1 << 40
	for range 300 {
		stretches := 1 + random.IntN(12)
		module := jumping(stretches, func(int) (int, bool) {
			return random.IntN(stretches+3) - 1, random.IntN(3) > 0 // some numbers are none of the table's
		})
		original, err := e.Instantiate(context.Background(), module.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		metered := instrument(t, module)
		for entry := range uint64(stretches + 2) {
			steps := random.Uint64N(50)
			want, err := original.ExportedFunction("run").Call(context.Background(), entry, steps)
			if err != nil {
				t.Fatal(err)
			}
			if got, _, err := e.run(t, metered, entry, steps); err != nil || got != want[0] {
				t.Fatalf("seed %d: entered at %d for %d steps: got %d, %v; want %d\n%x", seed, entry, steps, got, err, want[0], module.Bytes())
			}
		}
		_ = original.Close(context.Background())
	}
}

// What lies ahead is paid for once, however often it is jumped to; a loop is paid for at every iteration, without what
// stands behind it or within a loop inside it.
func TestJumpsAhead(t *testing.T) {
	t.Parallel()
	const stretch, jump = 13, 3 // instructions
	e := newEngine(t, wazero.NewRuntimeConfig())
	e.fuel = 1 << 40
	spent := func(steps uint64, jumps map[int]int) int64 {
		_, spent, err := e.run(t, instrument(t, jumping(8, func(i int) (int, bool) {
			if to, ok := jumps[i]; ok {
				return to, false
			}
			return -1, false
		})), 0, steps)
		if err != nil {
			t.Fatal(err)
		}
		return spent
	}
	for _, c := range []struct {
		name  string
		jumps map[int]int
		round uint64 // stretches in an iteration
	}{
		{"of one stretch", map[int]int{0: 0}, 1},
		{"of four", map[int]int{4: 1}, 4},
		{"with jumps ahead", map[int]int{1: 3, 6: 1}, 5},
		{"entered in its middle", map[int]int{0: 4, 5: 2}, 4},
	} {
		once := spent(100, c.jumps)
		body := int64(c.round*stretch + jump)
		if c.name == "with jumps ahead" {
			body += jump
		}
		if more := spent(100+10*c.round, c.jumps) - once; more != 10*body {
			t.Errorf("a loop %s: ten iterations more took %d, want %d", c.name, more, 10*body)
		}
	}
	ahead := map[int]int{0: 2, 2: 4, 4: 6}
	if two, three := spent(2, ahead), spent(3, ahead); two != three {
		t.Errorf("two jumps ahead took %d, three took %d", two, three)
	}
}
