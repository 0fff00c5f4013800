// Package meter rewrites a core WebAssembly module so that it counts what it does and asks its host to go on whenever
// the count runs out. The guest comes back to Go at bounded intervals, whatever it does, so a runaway guest can
// neither outlive its deadline nor hold up the garbage collector of the host.
//
// # What is counted
//
// The counter is an i64 global that the guest cannot name. These take from it:
//
//   - every iteration of a loop, the weight of the loop's body without the loops inside it;
//   - every entry to a function that calls, or whose weight outside loops is over 64, that weight;
//   - memory.copy, memory.fill and memory.init, one per 64 bytes, and table.copy, table.fill, table.init and
//     table.grow, one per 8 elements, at the time they run.
//
// An instruction weighs 1, a call of an imported function 64, and memory.grow and table.grow 256. What is not counted
// is bounded: a function that does not call and has at most 64 instructions outside loops, once per counted call.
//
// Code that finds the counter below zero calls the imported function ImportModule.ImportName of type () -> (), before
// it does what it has paid for. The host refills the global that is exported as Fuel, or panics to stop the guest.
//
// # How deep calls may nest
//
// A second i64 global, exported as Stack, has the bytes of stack that are left. A function that calls takes its frame on
// entry and gives it back when it returns or makes a tail call; below zero it asks the host as above. A frame is taken to
// have 64 bytes, 8 for each parameter and local, and 1 for each byte of the function's code, which is more than what
// compilers' output needs and may be less than what a hostile function makes of it: up to 8 for a value of 3 bytes of
// code. The stack lies outside the guest's memory, so nothing else bounds it in time. After a trap the count is off.
//
// # Structure
//
// Compilers that have jumps and no structure to translate, Go's among them, make functions that are one loop around a
// table: a jump sets a parameter to the number of its target and goes back to the table, and whoever calls the function
// may enter it at any number. The compiler of wazero makes slow code of that: every target can be reached from
// everywhere, and all loops of the function are one. Metering gives such functions their structure back:
//
//   - A jump that leads ahead, to a block of the table that is still open, goes there at once.
//   - A function that has jumps back is split. Under its index stands code for calls at number 0, without the table: its
//     loops are loops, each charged by itself, and jumps ahead leave blocks. A call at another number is passed on to a
//     copy, which is the function as it was, at the end of the functions; in the names of functions it has CopySuffix.
//     Such a call is charged, and its frame counted, in both.
//
// The second is done to the first table of a function only, and only if all ways through it are known: control enters
// at the entry of number 0, because the parameter is not written before and no loop is around it; its targets are the
// ends of its own blocks, where the stack is empty; what goes back to the table has just set the parameter to a
// constant; and every loop is entered by one way. The parameter is still set, as it may be read. Every segment between
// two targets is copied whole, with only its labels renumbered. Whatever is left out by the first code because it
// cannot be reached stands in the copy, so an invalid function stays invalid. A function has at most one copy, so that
// at most as much code is added as there was.
//
// A loop that is none would hide others: after a call that always panics, Go's code goes on with whatever stands next.
// So a jump out on a result other than zero, after a call of a function that can be seen to return nothing else, is
// taken to be always taken, and followed by unreachable.
//
// # What holds
//
//   - The counters and the import are out of reach: every index of a global, function, local and type that stands in
//     the module is checked against what the original module has, and moved past what was added.
//   - Everything else behaves as before. Tables grow to Limits.Table elements only.
//   - Every index, count and constant is read as the compiler of wazero reads it and written anew in its shortest
//     form: the compiler cannot see other instructions than meter saw.
//   - A module that does not make sense gives an error, never a panic, and time and memory are linear in its size. A
//     module that is accepted holds no count that its bytes do not back, and stays within Limits; the compiler, which
//     allocates by these counts, relies on it.
//   - If the original is valid, so is the result. Validity itself is for the compiler to judge.
//
// Supported is WebAssembly 2.0 with tail calls, and imports of functions only. The name section is kept, with its
// function names moved; all other custom sections are dropped.
//
//	metered, err := meter.Instrument(module, meter.Limits{})
package meter

import (
	"fmt"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

// What the rewritten module has in addition.
const (
	Fuel         = "closedloop.fuel"  // the exported counter of instructions; zero at first
	Stack        = "closedloop.stack" // the exported counter of stack; zero at first
	ImportModule = "closedloop.meter" // the imported function that is called when a counter is below zero
	ImportName   = "tick"
	CopySuffix   = ".resumed" // what the name of a function's copy ends with
)

// Limits bounds a module. Zero means the default.
type Limits struct {
	// Functions is how many functions a module may have. Defaults to 100,000.
	Functions int
	// Body is the largest function in bytes. Defaults to 4 MiB.
	Body int
	// Locals is how many parameters and locals a function may have, and a hundredth of what all functions may have
	// together. Defaults to 20,000.
	Locals int
	// Nesting is how deep blocks may stand within each other. Defaults to 20,000.
	Nesting int
	// Effort is what compiling may cost: the sum over all functions of b*(b+8*l), where b counts a function's blocks,
	// labels and, six times, its loops, and l its parameters and locals. So grows the time that wazero takes, about 4 ns for each, and hardly less
	// for a small module. Defaults to 2,000,000,000; the codebook, of 4.5 MB, has 144 million.
	Effort int
	// Table is how many elements all tables may have at first, and how many each may grow to. Defaults to 131,072.
	Table int
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{{&l.Functions, 100_000}, {&l.Body, 4 << 20}, {&l.Locals, 20_000}, {&l.Nesting, 20_000}, {&l.Effort, 2_000_000_000}, {&l.Table, 1 << 17}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return l
}

// maxEntries bounds what has no limit of its own: types, imports, globals, exports, and elements and segments.
const maxEntries = 1 << 20

// maxTuples bounds the lists of more than one result that a module's functions have.
const maxTuples = 1000

// LimitError is a module that is larger than Limits.
type LimitError struct {
	What         string // such as "locals of function 12"
	Found, Limit int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the module has %d %s, expected at most %d", e.Found, e.What, e.Limit)
}

// Instrument returns the rewritten module. It returns an error of wasmfile, or a *LimitError.
func Instrument(module []byte, l Limits) ([]byte, error) {
	m, err := wasmfile.Parse(module)
	if err != nil {
		return nil, err
	}
	r := rewriter{outline: m, limits: l.withDefaults()}
	return r.run(len(module))
}
