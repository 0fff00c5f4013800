package meter

import "github.com/closedloop/closedloop/engine/internal/host/wasmfile"

// exits is what the first reading of a function shows of its result. It is settled when all functions have been read.
type exits struct {
	zero bool   // it may return zero
	call bool   // it returns what callee returns
	last uint32 // the callee
}

// exit notes that the function returns what the instruction before, which a tells of, has left on the stack.
func (f *function) exit(a aim) {
	if f.settled {
		return
	}
	e := &f.exits[f.index]
	switch {
	case a.ended || a.constant && a.number != 0:
	case a.called && (!e.call || e.last == a.number):
		e.call, e.last = true, a.number
	default:
		e.zero = true
	}
}

// returnsZero reports whether a function of the original may return zero. Go's functions return zero, but one when the
// stack is to be unwound; after a call of one that always panics, the code that a zero would lead to is what happens to
// stand there, and would make loops of what is none.
func (w *rewriter) returnsZero(function uint32) bool {
	const most = 8 // functions that return what the next returns
	for range most {
		if function < w.imported || !w.settled {
			return true
		}
		function -= w.imported
		results := w.types[w.functions[function]].results
		switch e := w.exits[function]; {
		case e.zero || len(results) == 0 || results[len(results)-1] != wasmfile.I32:
			return true
		case !e.call:
			return false
		default:
			function = e.last
		}
	}
	return true
}
