package wasmhost

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/engine/internal/host/meter"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

const (
	pageSize = 64 << 10
	// slice is the fuel between two looks at the clock: from 10 µs of code with large loops, as Go makes it, to a
	// millisecond of a small loop, and 30 of copying memory onto itself.
	slice = 1_000_000
	// stackShallow is the stack, as package meter counts it, that a call may use without any consequence. One that needs
	// more, up to stackDeep, costs its instance: the runtime never gives stack back.
	stackShallow = 1 << 20
	stackDeep    = 32 << 20
	// idleEvery is how many calls an instance serves between two calls of cl_idle.
	idleEvery = 4
	// minInput is the smallest input buffer that is asked for.
	minInput = 16 << 10
)

// Why the host stops a call.
var (
	errDeadline = errors.New("the call took too long")
	errFuel     = errors.New("the call ran too many instructions")
	errStack    = errors.New("the call nests too deep: stack overflow")
	errStopped  = errors.New("the plugin was closed")
	errOutput   = errors.New("the answer is too large")
)

// instance is one instance of the module. It is the context of the calls into it, so that the host's functions find
// the instance without a context being made for each call.
type instance struct {
	context.Context // the caller's
	plugin          *Plugin
	session         *grants.Session

	module    api.Module
	memory    api.Memory
	linear    *linear
	alloc     api.Function
	idle      api.Function // may be nil
	abilities map[sdk.Ability]api.Function
	invoke    api.Function // cl_categorize; may be nil
	stack     [1]uint64

	input, size uint32 // the input buffer

	fuel     api.MutableGlobal
	stackLow api.MutableGlobal // what is left of the stack
	deep     bool              // the call has used more than stackShallow
	left     int64             // fuel of this call besides what the counter has
	limit    time.Duration
	deadline time.Time

	monotonic int64 // nanoseconds: one second, and what the guest slept
	output    host.Tail
	files     fileTable
	answer    []byte // to the last HTTP request, until the guest has room for it
	status    int

	served int
	base   int64 // memory after configure
}

type instanceKey struct{}

// Value returns the instance itself to the host's functions.
func (in *instance) Value(key any) any {
	if _, ok := key.(instanceKey); ok {
		return in
	}
	return in.Context.Value(key)
}

// tick is called by the guest when its counter runs out.
func tick(ctx context.Context, m api.Module, _ []uint64) {
	in := ctx.Value(instanceKey{}).(*instance)
	if in.fuel == nil { // the module's start function runs before instantiation returns
		in.counters(m)
		in.stackLow.Set(in.stackLow.Get() + stackShallow)
	}
	in.left += int64(in.fuel.Get()) // below zero: what was taken beyond the last refill
	if err := in.stopped(); err != nil {
		panic(err)
	}
	in.refuel()
}

// stopped returns why the call must not go on.
func (in *instance) stopped() error {
	if low := int64(in.stackLow.Get()); low < 0 && !in.deep {
		in.deep = true
		in.stackLow.Set(uint64(low + stackDeep - stackShallow))
	}
	switch {
	case int64(in.stackLow.Get()) < 0:
		return errStack
	case in.left <= 0:
		return errFuel
	case !time.Now().Before(in.deadline):
		return errDeadline
	case in.plugin.stopped.Err() != nil:
		return errStopped
	}
	return in.Context.Err()
}

// counters finds the counters of a module.
func (in *instance) counters(m api.Module) {
	in.fuel = m.ExportedGlobal(meter.Fuel).(api.MutableGlobal)
	in.stackLow = m.ExportedGlobal(meter.Stack).(api.MutableGlobal)
}

// refuel moves fuel of the call to the guest's counter.
func (in *instance) refuel() {
	n := min(in.left, slice)
	in.left -= n
	in.fuel.Set(uint64(n))
}

// begin begins a call.
func (in *instance) begin(ctx context.Context, at feedback.Time) {
	in.session.Begin(at)
	in.bound(ctx, in.plugin.limits.Deadline, in.plugin.limits.Fuel)
}

// bound bounds what comes in time and, unless fuel is zero, in fuel.
func (in *instance) bound(ctx context.Context, limit time.Duration, fuel int64) {
	in.Context = ctx
	in.limit, in.deadline = limit, time.Now().Add(limit)
	in.left = math.MaxInt64
	if fuel > 0 {
		in.left = fuel
	}
	in.deep = false
	if in.fuel != nil {
		in.refuel()
		in.stackLow.Set(stackShallow)
	}
	in.output.Reset()
	in.linear.denied = false
}

// end ends a call.
func (in *instance) end() {
	in.Context = context.Background()
	in.answer = nil
}

// instance makes and configures an instance.
func (p *Plugin) instance(ctx context.Context, at feedback.Time) (*instance, error) {
	in := &instance{plugin: p, session: p.set.Session(), linear: &linear{limit: p.limits.Memory}, monotonic: int64(time.Second)}
	in.session.Begin(at)
	in.bound(ctx, p.limits.Start, 0)
	call := "load"
	err := in.start()
	if err == nil {
		call = "configure"
		err = in.configure(at)
	}
	if err == nil {
		err = in.session.End(ctx)
	}
	if err != nil {
		e := in.explain(call, err)
		in.close()
		return nil, e
	}
	in.end()
	in.base = int64(in.memory.Size())
	p.counter.Made()
	return in, nil
}

// start instantiates the module and runs _initialize.
func (in *instance) start() (err error) {
	defer func() {
		if v := recover(); v != nil { // wazero expects that there is memory to begin with
			err = fmt.Errorf("the module cannot be instantiated: %v", v)
		}
	}()
	p := in.plugin
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().WithStdout(&in.output).WithStderr(&in.output)
	config = in.clock(config)
	if p.spec.Grants.Random {
		config = config.WithRandSource(rand.Reader)
	}
	in.module, err = p.code.runtime.InstantiateModule(experimental.WithMemoryAllocator(in, in.linear), p.code.module, config)
	if err != nil {
		return err
	}
	in.memory = in.module.Memory()
	if in.fuel == nil {
		in.counters(in.module)
		in.refuel()
	}
	in.stackLow.Set(stackShallow)
	in.alloc, in.idle = in.module.ExportedFunction("cl_alloc"), in.module.ExportedFunction("cl_idle")
	in.abilities = make(map[sdk.Ability]api.Function)
	for _, a := range p.spec.Manifest.Abilities {
		in.abilities[a] = in.module.ExportedFunction(exports[a])
	}
	in.invoke = in.abilities[sdk.AbilityCategorize]
	if f := in.module.ExportedFunction("_initialize"); f != nil {
		return f.CallWithStack(in, nil)
	}
	return nil
}

// configure checks the contract version and hands over the settings.
func (in *instance) configure(at feedback.Time) error {
	p := in.plugin
	if err := in.module.ExportedFunction("cl_abi").CallWithStack(in, in.stack[:]); err != nil {
		return err
	}
	if major, minor := uint16(in.stack[0]>>16), uint16(in.stack[0]); major != sdk.ContractMajor || minor > sdk.ContractMinor {
		return &contractError{major, minor}
	}
	c := wire.Configure{
		Now: at, Settings: p.spec.Settings, Instance: p.spec.ID, Major: sdk.ContractMajor, Minor: sdk.ContractMinor, Grants: p.set.Bits(),
	}
	if p.spec.Grants.File != "" {
		infos, err := p.set.Files()
		if err != nil {
			return err
		}
		c.Files = in.files.number(infos)
	}
	answer, err := in.send(in.module.ExportedFunction("cl_configure"), wire.AppendConfigure(nil, &c))
	if err != nil {
		return err
	}
	return wire.ReadOK(answer)
}

type contractError struct{ major, minor uint16 }

func (e *contractError) Error() string {
	return fmt.Sprintf("the module speaks contract %d.%d, expected %d.0 to %s", e.major, e.minor, sdk.ContractMajor, sdk.ContractVersion())
}

// reserve returns n bytes of the guest's input buffer, with the rest of it as their capacity.
func (in *instance) reserve(n int) ([]byte, error) {
	if n > math.MaxInt32 {
		return nil, fmt.Errorf("the call has %d bytes, which no memory can hold", n)
	}
	if uint32(n) > in.size {
		size := max(uint32(n)+uint32(n)/4, minInput)
		in.stack[0] = uint64(size)
		if err := in.alloc.CallWithStack(in, in.stack[:]); err != nil {
			in.size = 0
			return nil, err
		}
		in.input, in.size = uint32(in.stack[0]), size
	}
	b, ok := in.memory.Read(in.input, in.size)
	if !ok {
		return nil, &wire.Error{Offset: int(in.input), Reason: "cl_alloc returned a buffer that leaves the memory"}
	}
	return b[:n:len(b)], nil
}

// run calls an export with the n bytes in the input buffer and returns its answer, which is in the guest's memory.
func (in *instance) run(f api.Function, n int) ([]byte, error) {
	in.stack[0] = uint64(n)
	if err := f.CallWithStack(in, in.stack[:]); err != nil {
		return nil, err
	}
	at, size := uint32(in.stack[0]>>32), uint32(in.stack[0])
	if int64(size) > int64(in.plugin.limits.Output) {
		return nil, fmt.Errorf("%w: found %d bytes, expected at most %d", errOutput, size, in.plugin.limits.Output)
	}
	b, ok := in.memory.Read(at, size)
	if !ok {
		return nil, &wire.Error{Offset: int(at), Reason: "the answer leaves the memory"}
	}
	return b, nil
}

// send copies a frame into the guest and runs f on it.
func (in *instance) send(f api.Function, frame []byte) ([]byte, error) {
	b, err := in.reserve(len(frame))
	if err != nil {
		return nil, err
	}
	copy(b, frame)
	return in.run(f, len(frame))
}

// categorize writes items into the guest's memory and reads the results from it.
func (in *instance) categorize(at feedback.Time, items []feedback.Item, into *host.Batch) error {
	b, err := in.reserve(1)
	if err != nil {
		return err
	}
	n := wire.PutItems(b[:cap(b)], at, items)
	if n == 0 {
		if n = wire.ItemsSize(items); n > wire.MaxFrame {
			return sdk.Fatal("the batch does not fit a frame: too many items or too many bytes")
		}
		if b, err = in.reserve(n); err != nil {
			return err
		}
		wire.PutItems(b, at, items)
	}
	answer, err := in.run(in.invoke, n)
	if err != nil {
		return err
	}
	return into.Read(answer, len(items))
}

// rested ends a call that succeeded, and reports whether the instance can serve another one. One that cannot is
// closed.
func (in *instance) rested() bool {
	in.served++
	deep := in.deep
	if in.idle != nil && in.served%idleEvery == 0 {
		in.bound(context.Background(), in.plugin.limits.Deadline, 0)
		if err := in.idle.CallWithStack(in, nil); err != nil {
			in.discard()
			return false
		}
	}
	in.end()
	in.plugin.counter.Held(int64(in.memory.Size()))
	if room := in.plugin.limits.Memory - in.base; deep || int64(in.memory.Size()) > in.base+room/4*3 {
		in.plugin.counter.Recycled()
		in.close()
		return false
	}
	return true
}

// discard closes an instance that failed. Its memory and stack are in an unknown state.
func (in *instance) discard() {
	in.plugin.counter.Discarded()
	in.close()
}

func (in *instance) close() {
	if in.module != nil {
		_ = in.module.Close(context.Background()) // it fails only with an exit code, which explain has seen
	}
	in.linear.Free()
}

// explain makes the error of a call. It is called before the instance is closed.
func (in *instance) explain(call string, err error) *host.Error {
	e := in.plugin.fail(call, host.CodeTrap, err)
	return in.classify(e, err)
}
