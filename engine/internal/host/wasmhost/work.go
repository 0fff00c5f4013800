package wasmhost

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// What a call of a host function takes from the guest's fuel besides what meter takes for it: about as much as the guest
// could have done meanwhile. Without it a loop around a slow function would look at the clock too seldom.
const (
	workLog    = 20_000
	workFile   = 20_000
	workList   = slice // the folder is read
	workHTTP   = slice
	workKV     = 20_000
	workWASI   = 1_000
	workVector = 1_000 // for each of the pieces that a WASI function reads or writes
	bytesFuel  = 8     // bytes that cost one instruction
)

// charge takes fuel from the running call of the module; the guest finds out where it counts next.
func (in *instance) charge(m api.Module, n int64) {
	if in.fuel == nil { // the module's start function runs before instantiation returns
		in.counters(m)
	}
	in.fuel.Set(uint64(int64(in.fuel.Get()) - n))
}

// instantiateWASI offers the functions of WASI, each of which is charged for before it runs.
func instantiateWASI(ctx context.Context, r wazero.Runtime) error {
	_, err := wasi_snapshot_preview1.Instantiate(experimental.WithFunctionListenerFactory(ctx, wasiWork{}), r)
	return err
}

// wasiWork charges for the functions of WASI.
type wasiWork struct{}

// NewFunctionListener implements experimental.FunctionListenerFactory.
func (wasiWork) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	cost := func([]uint64) int64 { return workWASI }
	switch f.Name() {
	case "random_get":
		cost = func(p []uint64) int64 { return workWASI + int64(uint32(p[1]))/bytesFuel }
	case "poll_oneoff", "fd_write", "fd_pwrite", "fd_read", "fd_pread":
		cost = func(p []uint64) int64 { return workWASI + workVector*int64(uint32(p[2])) }
	}
	return experimental.FunctionListenerFunc(func(ctx context.Context, m api.Module, _ api.FunctionDefinition, p []uint64, _ experimental.StackIterator) {
		ctx.Value(instanceKey{}).(*instance).charge(m, cost(p))
	})
}
