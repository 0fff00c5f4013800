package hosttest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/wire"
)

// Attack is a hostile guest: a categorizer that behaves until it is given an item whose text begins with an exclamation
// mark, or a module that should not be loaded.
type Attack struct {
	Name   string
	Module []byte
	Grants host.Grants
	// AtLoad says that loading the module fails, and not a call.
	AtLoad bool
	// Endless says that only Limits.Fuel or Limits.Deadline ends the attack.
	Endless bool
	Code    host.Code
	Cause   string // part of the error
}

const wasi = "wasi_snapshot_preview1"

// Types of imports.
var (
	three = []byte{wasmfile.I32, wasmfile.I32, wasmfile.I32}
	four  = []byte{wasmfile.I32, wasmfile.I32, wasmfile.I32, wasmfile.I32}
)

// Attacks returns the catalogue of hostile guests. An item with a poisonous text costs that item alone; its error has the
// code and the cause that are given. Inside is the name of a host that leads to a loopback address, or "" to do without that
// attack.
func Attacks(tb testing.TB, inside string) []Attack {
	tb.Helper()
	var out []Attack
	for _, part := range [][]spec{loops(), crashes(), lies(), abuses(inside), misfits()} {
		for _, s := range part {
			a := Attack{Name: s.name, Module: s.raw, Grants: s.grants, AtLoad: s.atLoad, Endless: s.endless, Code: s.code, Cause: s.cause}
			if s.raw == nil {
				g := guest(s.attack, s.data)
				if s.change != nil {
					s.change(g)
				}
				m := TinyManifest()
				if !s.unasked {
					m.Capabilities = needed(g)
				}
				a.Module = WithManifest(tb, g.Bytes(), m)
			}
			if s.endless {
				a.Code, a.Cause = host.CodeDeadline, "the call ran more than"
			}
			out = append(out, a)
		}
	}
	return out
}

// needed returns the capabilities of what the guest imports.
func needed(a *Assembly) (list []sdk.Capability) {
	of := map[string]sdk.Capability{"http": sdk.CapabilityHTTP, "kv_get": sdk.CapabilityKV, "kv_put": sdk.CapabilityKV,
		"file_stat": sdk.CapabilityFile, "file_read": sdk.CapabilityFile}
	for _, im := range a.Imports {
		if c, ok := of[im.Name]; ok && !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	return list
}

// Harmless returns a guest like those of Attacks that attacks nobody.
func Harmless(tb testing.TB) []byte {
	tb.Helper()
	return WithManifest(tb, guest(nil, nil).Bytes(), TinyManifest())
}

// spec is an entry of the catalogue.
type spec struct {
	name    string
	attack  code
	data    []byte
	change  func(*Assembly)
	raw     []byte // in place of a guest
	grants  host.Grants
	atLoad  bool
	endless bool
	code    host.Code
	cause   string
	unasked bool // the manifest does not ask for what the guest imports
}

func functions(fs ...Func) func(*Assembly) {
	return func(a *Assembly) { a.Funcs = append(a.Funcs, fs...) }
}

func imports(module, name string, params, results []byte) func(*Assembly) {
	return func(a *Assembly) {
		a.Imports = []Import{{Module: module, Name: name, Params: params, Results: results}}
	}
}

// loops are the guests that do not come back, or not for a long time.
func loops() []spec {
	var tree []Func // each calls the next one twice
	for i := range uint32(48) {
		tree = append(tree, Func{Body: join(call(helper+i+1), call(helper+i+1))})
	}
	tree = append(tree, Func{})
	return []spec{
		{name: "endless loop", attack: forever(), endless: true},
		{name: "loop that calls", attack: forever(call(helper)), change: functions(Func{}), endless: true},
		{name: "loop-free call tree", attack: call(helper), change: functions(tree...), endless: true},
		{name: "endless tail calls", attack: call(helper), change: functions(Func{Body: code{0x12, helper}}), endless: true},
		{name: "memory.fill attack", attack: forever(i32(roomAt), i32(0xff), i32(1<<20), fill), endless: true},
		{name: "memory.copy attack", attack: forever(i32(roomAt), i32(roomAt+1), i32(1<<20), code{0xfc, 0x0a, 0, 0}), endless: true},
		{name: "table.grow attack", attack: forever(nullFunc, i32(1), growTable, drop), endless: true,
			change: func(a *Assembly) { a.Table = 1 }},
		{name: "deep recursion", attack: call(helper), change: functions(Func{Body: call(helper)}), code: host.CodeTrap, cause: "stack overflow"},
		{name: "stack overflow by large frames", attack: call(helper), code: host.CodeTrap, cause: "stack overflow",
			change: functions(Func{Locals: bytes.Repeat([]byte{wasmfile.I64}, 2000), Body: call(helper)})},
	}
}

// crashes are the guests that end in another way than by answering.
func crashes() []spec {
	hog := join(loop(i32(16), grow, i32(-1), unequal, againIf), unreachable)
	return []spec{
		{name: "trap", attack: unreachable, code: host.CodeTrap, cause: "unreachable"},
		{name: "division by zero", attack: join(i32(1), i32(0), code{0x6d}, drop), code: host.CodeTrap, cause: "divide by zero"},
		{name: "access outside memory", attack: join(i32(-4), load(0), drop), code: host.CodeTrap, cause: "out of bounds"},
		{name: "memory hog", attack: hog, code: host.CodeMemory, cause: "more than"},
		{name: "exit", attack: join(i32(7), call(0)), change: imports(wasi, "proc_exit", I32, nil), code: host.CodeExit, cause: "exited with code 7"},
		{name: "exit that reports success", attack: join(i32(0), call(0)), change: imports(wasi, "proc_exit", I32, nil), code: host.CodeExit, cause: "exited with code 0"},
	}
}

// lies are the guests whose answer is not what it says.
func lies() []spec {
	lie := func(name string, change func(b []byte), cause string) spec {
		b := frame(5, 1, 56)
		change(b)
		return spec{name: name, attack: result(dataAt, int64(len(b))), data: b, code: host.CodeFrame, cause: cause}
	}
	put := func(at int, bytes ...byte) func([]byte) { return func(b []byte) { copy(b[at:], bytes) } }
	answers := func(name string, change code, cause string) spec {
		return spec{name: name, attack: join(get(count), change, set(count), answer()), code: host.CodeFrame, cause: cause}
	}
	return []spec{
		{name: "wrong pointer", attack: result(1<<31, 24), code: host.CodeFrame, cause: "leaves the memory"},
		{name: "wrong length", attack: result(resultsAt, 1<<31), code: host.CodeFrame, cause: "too large"},
		{name: "length that leaves the memory", attack: result(roomAt, 8<<20), code: host.CodeFrame, cause: "leaves the memory"},
		answers("answers for items that were not asked", join(i32(1), add), "results"),
		answers("no answer for an item", join(i32(-1), add), "results"),
		lie("frame that lies about its magic", put(0, 'X'), "expected"),
		lie("frame that lies about its kind", put(6, 7), "kind"),
		lie("frame that lies about its size", put(8, 0xff, 0xff, 0xff, 0x7f), "malformed"),
		lie("frame that lies about its count", put(12, 0xff, 0xff, 0xff, 0x3f), "malformed"),
		lie("frame whose records have no size", put(16, 0, 0), "malformed"),
		lie("frame with a text outside", put(24+24, 0xf0, 0xff, 0xff, 0xff, 0x20), "malformed"),
		lie("frame with a list outside", put(24+16, 80, 0, 0, 0, 0xff, 0xff, 40, 0), "malformed"),
		lie("frame with a number that is none", put(24, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f), "malformed"),
	}
}

// abuses are the guests that do to the host's functions what they should not.
func abuses(inside string) []spec {
	iov := []byte{0, 0, 8, 0, 0, 0, 16, 0} // roomAt, 1 MiB
	request := func(url string) spec {
		q := wire.AppendHTTPRequest(nil, &sdk.HTTPRequest{Method: "GET", URL: url})
		return spec{data: q, change: imports("closedloop", "http", four, I64), code: host.CodeRefused,
			// The failure frame that the host answers with is passed on.
			attack: join(i32(dataAt), i32(int64(len(q))), i32(roomAt), i32(64<<10), call(0), i64(0xffffffff), code{0x83}, i64(roomAt<<32), code{0x84, 0x0f})}
	}
	elsewhere, loopback := request("http://elsewhere.example/"), request("http://"+inside+":1/")
	elsewhere.name, elsewhere.grants.HTTP, elsewhere.cause = "request to a host that is not allowed", []string{"hooks.example"}, "host_not_allowed"
	loopback.name, loopback.grants.HTTP, loopback.cause = "request to a name that leads to loopback", []string{inside + ":1"}, "address_not_allowed"
	list := []spec{
		elsewhere,
		{name: "flood on stderr", endless: true, data: iov, change: imports(wasi, "fd_write", four, I32),
			attack: forever(i32(2), i32(dataAt), i32(1), i32(dataAt+16), call(0), drop)},
		{name: "flood of random bytes", endless: true, change: imports(wasi, "random_get", []byte{wasmfile.I32, wasmfile.I32}, I32),
			attack: forever(i32(roomAt), i32(1<<20), call(0), drop)},
		{name: "flood of subscriptions", endless: true, change: imports(wasi, "poll_oneoff", four, I32),
			attack: forever(i32(roomAt), i32(roomAt), i32(20_000), i32(dataAt), call(0), drop)},
		{name: "flood of log lines", endless: true, grants: host.Grants{Log: true}, change: imports("closedloop", "log", three, nil),
			attack: forever(i32(3), i32(roomAt), i32(1<<20), call(0))},
		{name: "flood of pairs", endless: true, grants: host.Grants{KV: true}, change: imports("closedloop", "kv_put", four, I32),
			attack: forever(i32(roomAt), i32(500), i32(roomAt), i32(sdk.MaxKVValue), call(0), drop, i32(roomAt), i32(roomAt), load(0), i32(1), add, store(0))},
		{name: "host function with a pointer outside", code: host.CodeTrap, cause: "leave the memory", change: imports("closedloop", "log", three, nil),
			grants: host.Grants{Log: true}, attack: join(i32(1), i32(-10), i32(100), call(0))},
	}
	if inside != "" {
		list = append(list, loopback)
	}
	return list
}

// misfits are the modules that are not loaded.
func misfits() []spec {
	bomb := func(name string, f Func) spec {
		return spec{name: "compile bomb: " + name, change: functions(f), atLoad: true, code: host.CodeLimit, cause: "expected at most"}
	}
	nested := join(bytes.Repeat(code{0x02, 0x40}, 50_000), bytes.Repeat(code{0x0b}, 50_000))
	return []spec{
		{name: "ungranted import", change: imports("closedloop", "http", four, I64), atLoad: true, code: host.CodeGrant, cause: `does not grant "http"`},
		{name: "ungranted store", change: imports("closedloop", "kv_get", four, I32), atLoad: true, code: host.CodeGrant, cause: `does not grant "kv"`},
		{name: "import that the manifest hides", change: imports("closedloop", "http", four, I64), unasked: true, atLoad: true, code: host.CodeModule, cause: `does not ask for "http"`},
		{name: "import that does not exist", change: imports("env", "system", I32, I32), atLoad: true, code: host.CodeModule, cause: "env.system"},
		bomb("a million locals", Func{Locals: bytes.Repeat([]byte{wasmfile.I64}, 1_000_000)}),
		bomb("deep blocks", Func{Body: nested}),
		bomb("a maze of blocks", Func{Body: bytes.Repeat(code{0x02, 0x40, 0x41, 1, 0x0d, 0, 0x0b}, 60_000)}),
		bomb("loops over many locals", Func{Locals: bytes.Repeat([]byte{wasmfile.I64}, 15_000), Body: bytes.Repeat(code{0x03, 0x40, 0x41, 0, 0x0d, 0, 0x0b}, 10_000)}),
		bomb("a large table of jumps", Func{Body: join(i32(1), code{0x0e}, wasmfile.AppendU32(nil, 1_000_000), make(code, 1_000_001))}),
		bomb("a large function", Func{Body: bytes.Repeat(code{0x01}, 8<<20)}),
		{name: "compile bomb: many functions", atLoad: true, code: host.CodeLimit, cause: "expected at most",
			change: functions(make([]Func, 200_000)...)},
		{name: "compile bomb: a large memory", atLoad: true, code: host.CodeMemory, cause: "expected at most",
			change: func(a *Assembly) { a.Pages = 65536 }},
		{name: "malformed module: invalid code", change: functions(Func{Body: add}), atLoad: true, code: host.CodeModule, cause: "i32.add"},
		{name: "malformed module: cut off", raw: []byte(wasmfile.Header + "\x01\x60"), atLoad: true, code: host.CodeModule, cause: "malformed WebAssembly module"},
		{name: "malformed module: no module", raw: []byte("MZ\x90\x00"), atLoad: true, code: host.CodeModule, cause: "no WebAssembly module"},
	}
}
