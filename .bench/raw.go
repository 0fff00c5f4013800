package main

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/meter"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

// metering is what a guest takes as it is and metered, each compiled twice: the same code may run faster or slower
// where the compiler happens to put it.
type metering struct {
	name string
	rows [4]row // as it is, metered, as it is, metered
}

// plain returns the nanoseconds for an item of the guest as it is, at the batch of that index.
func (m *metering) plain(i int) float64 {
	return min(m.rows[0].figures[i].least, m.rows[2].figures[i].least)
}

// metered returns the nanoseconds for an item of the metered guest.
func (m *metering) metered(i int) float64 {
	return min(m.rows[1].figures[i].least, m.rows[3].figures[i].least)
}

// control returns the ratio of the two that are alike.
func (m *metering) control(i int) float64 {
	return max(m.rows[0].figures[i].least, m.rows[2].figures[i].least) / m.plain(i)
}

// meterings measures each guest as it is and metered, in the same bare host, so that metering is all that differs.
func meterings(ctx context.Context, o *options, g *guests) ([]metering, error) {
	var contenders []contender
	var out []metering
	for _, m := range g.modules {
		for i := range len(metering{}.rows) {
			b, err := openBare(ctx, m.wasm, i%2 == 1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
			defer b.runtime.Close(ctx)
			contenders = append(contenders, contender{m.name, b.call})
		}
	}
	rows, err := compare(ctx, o, contenders)
	for ; len(rows) > 0; rows = rows[4:] {
		out = append(out, metering{rows[0].name, [4]row(rows)})
	}
	return out, err
}

// bare runs a module with wazero and nothing else: no pool, no deadline, no bound of memory.
type bare struct {
	runtime   wazero.Runtime
	module    api.Module
	fuel      api.MutableGlobal // nil when the module is not metered
	deep      api.MutableGlobal
	alloc, do api.Function
	stack     [1]uint64
	ptr, size uint32
	reader    wire.ResultReader
}

// What a call may use of fuel before it asks for more, and of stack, as in the sandbox.
const (
	bareFuel  = 4_000_000
	bareStack = 1 << 20
)

func openBare(ctx context.Context, wasm []byte, metered bool) (*bare, error) {
	if metered {
		var err error
		if wasm, err = meter.Instrument(wasm, meter.Limits{}); err != nil {
			return nil, err
		}
	}
	b := &bare{runtime: wazero.NewRuntime(ctx)}
	err := b.open(ctx, wasm, metered)
	if err != nil {
		_ = b.runtime.Close(ctx)
	}
	return b, err
}

func (b *bare) open(ctx context.Context, wasm []byte, metered bool) error {
	wasi_snapshot_preview1.MustInstantiate(ctx, b.runtime)
	compiled, err := b.runtime.CompileModule(ctx, wasm)
	if err != nil {
		return err
	}
	if err := b.imports(ctx, compiled); err != nil {
		return err
	}
	b.module, err = b.runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		return err
	}
	if metered {
		b.fuel = b.module.ExportedGlobal(meter.Fuel).(api.MutableGlobal)
		b.deep = b.module.ExportedGlobal(meter.Stack).(api.MutableGlobal)
	}
	b.refill()
	if f := b.module.ExportedFunction("_initialize"); f != nil {
		if _, err := f.Call(ctx); err != nil {
			return err
		}
	}
	b.alloc, b.do = b.module.ExportedFunction("cl_alloc"), b.module.ExportedFunction("cl_categorize")
	return b.configure(ctx)
}

// imports offers functions that do nothing under all names that a module imports, and the one that refills its meter.
func (b *bare) imports(ctx context.Context, compiled wazero.CompiledModule) error {
	builders := map[string]wazero.HostModuleBuilder{}
	for _, f := range compiled.ImportedFunctions() {
		from, name, _ := f.Import()
		if from == wasi_snapshot_preview1.ModuleName {
			continue
		}
		if builders[from] == nil {
			builders[from] = b.runtime.NewHostModuleBuilder(from)
		}
		do := func(context.Context, api.Module, []uint64) {}
		if from == meter.ImportModule {
			do = func(_ context.Context, m api.Module, _ []uint64) {
				m.ExportedGlobal(meter.Fuel).(api.MutableGlobal).Set(bareFuel)
			}
		}
		builders[from].NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(do), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, builder := range builders {
		if _, err := builder.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bare) refill() {
	if b.fuel != nil {
		b.fuel.Set(bareFuel)
		b.deep.Set(bareStack)
	}
}

func (b *bare) configure(ctx context.Context) error {
	frame := wire.AppendConfigure(nil, &wire.Configure{
		Now: 1, Settings: []byte("{}"), Instance: "bare", Major: sdk.ContractMajor, Minor: sdk.ContractMinor,
	})
	if err := b.reserve(len(frame)); err != nil {
		return err
	}
	b.module.Memory().Write(b.ptr, frame)
	ref, err := b.module.ExportedFunction("cl_configure").Call(ctx, uint64(len(frame)))
	if err != nil {
		return err
	}
	answer, _ := b.module.Memory().Read(uint32(ref[0]>>32), uint32(ref[0]))
	return wire.ReadOK(answer)
}

// reserve makes room for n bytes of input.
func (b *bare) reserve(n int) error {
	if uint32(n) <= b.size {
		return nil
	}
	b.size, b.stack[0] = uint32(n), uint64(n)
	err := b.alloc.CallWithStack(context.Background(), b.stack[:])
	b.ptr = uint32(b.stack[0])
	return err
}

func (b *bare) call(items []feedback.Item, look func([]sdk.Result)) error {
	b.refill()
	n := wire.ItemsSize(items)
	if err := b.reserve(n); err != nil {
		return err
	}
	memory := b.module.Memory()
	input, _ := memory.Read(b.ptr, b.size)
	wire.PutItems(input, host.TimeOf(items), items)
	b.stack[0] = uint64(n)
	if err := b.do.CallWithStack(context.Background(), b.stack[:]); err != nil {
		return err
	}
	answer, _ := memory.Read(uint32(b.stack[0]>>32), uint32(b.stack[0]))
	results, err := b.reader.Read(answer, len(items))
	if err == nil && look != nil {
		look(results)
	}
	return err
}
