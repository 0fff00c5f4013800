//go:build !wasip1

package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/wire"
)

// machine is the smallest host of modules that keeps to ABI.md: a compiled module with the host's functions.
type machine struct {
	rt  wazero.Runtime
	mod wazero.CompiledModule
}

func newMachine(t *testing.T, wasm []byte) *machine {
	t.Helper()
	ctx := context.Background()
	m := &machine{rt: wazero.NewRuntime(ctx)}
	t.Cleanup(func() { _ = m.rt.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, m.rt)
	_, err := m.rt.NewHostModuleBuilder("closedloop").
		NewFunctionBuilder().WithFunc(importLog).Export("log").
		NewFunctionBuilder().WithFunc(importFileStat).Export("file_stat").
		NewFunctionBuilder().WithFunc(importFileRead).Export("file_read").
		NewFunctionBuilder().WithFunc(importHTTP).Export("http").
		NewFunctionBuilder().WithFunc(importNow).Export("now").
		NewFunctionBuilder().WithFunc(importKVGet).Export("kv_get").
		NewFunctionBuilder().WithFunc(importKVPut).Export("kv_put").
		Instantiate(ctx)
	if err == nil {
		m.mod, err = m.rt.CompileModule(ctx, wasm)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// imports lists the functions that the module imports from the host.
func (m *machine) imports() []string {
	var names []string
	for _, f := range m.mod.ImportedFunctions() {
		if module, name, _ := f.Import(); module == "closedloop" {
			names = append(names, name)
		}
	}
	return names
}

// instance is one instance of a module.
type instance struct {
	mod    api.Module
	host   sdk.Host
	stderr bytes.Buffer
	answer []byte // of the last request, until it is fetched
}

// instanceKey finds the instance in the context of a call.
type instanceKey struct{}

func (m *machine) instantiate(host sdk.Host) (*instance, error) {
	in := &instance{host: host}
	var err error
	in.mod, err = m.rt.InstantiateModule(context.Background(), m.mod,
		wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize").WithStderr(&in.stderr))
	return in, err
}

func (in *instance) export(name string, args ...uint64) (uint64, error) {
	res, err := in.mod.ExportedFunction(name).Call(context.WithValue(context.Background(), instanceKey{}, in), args...)
	if err != nil || len(res) == 0 {
		return 0, err
	}
	return res[0], nil
}

// call makes the call that the frame's kind names.
func (in *instance) call(frame []byte) ([]byte, error) {
	kind, err := wire.Kind(frame)
	if err != nil {
		return nil, err
	}
	ptr, err := in.export("cl_alloc", uint64(len(frame)))
	if err != nil {
		return nil, err
	}
	if !in.mod.Memory().Write(uint32(ptr), frame) {
		return nil, errors.New("the input buffer lies outside memory")
	}
	name := map[wire.FrameKind]string{
		wire.KindConfigure: "cl_configure", wire.KindItems: "cl_categorize", wire.KindPoll: "cl_poll",
		wire.KindReceive: "cl_receive", wire.KindDeliver: "cl_deliver",
	}[kind]
	at, err := in.export(name, uint64(len(frame)))
	if err != nil {
		return nil, fmt.Errorf("%w; stderr: %s", err, in.stderr.String())
	}
	answer, ok := in.mod.Memory().Read(uint32(at>>32), uint32(at))
	if !ok {
		return nil, errors.New("the answer lies outside memory")
	}
	answer = bytes.Clone(answer)
	_, err = in.export("cl_idle")
	return answer, err
}

func of(ctx context.Context) *instance { return ctx.Value(instanceKey{}).(*instance) }

func importLog(ctx context.Context, m api.Module, level, ptr, n uint32) {
	text, _ := m.Memory().Read(ptr, n)
	of(ctx).host.Log(sdk.Level(level), string(text))
}

func importNow(ctx context.Context) int64 { return int64(of(ctx).host.Now()) }

func importKVGet(ctx context.Context, m api.Module, kptr, klen, ptr, size uint32) int32 {
	key, _ := m.Memory().Read(kptr, klen)
	value, err := of(ctx).host.KVGet(string(key))
	switch {
	case err != nil:
		return wire.ResultNotGranted
	case value == nil:
		return wire.ResultGone
	case len(value) <= int(size):
		m.Memory().Write(ptr, value)
	}
	return int32(len(value))
}

func importKVPut(ctx context.Context, m api.Module, kptr, klen, ptr, n uint32) int32 {
	key, _ := m.Memory().Read(kptr, klen)
	value, _ := m.Memory().Read(ptr, n)
	if err := of(ctx).host.KVPut(string(key), value); err != nil {
		return wire.ResultInvalid
	}
	return 0
}

func importFileStat(ctx context.Context, m api.Module, id int32, ptr, size uint32) int32 {
	infos, err := of(ctx).host.Files()
	if err != nil {
		return wire.ResultNotGranted
	}
	var files []wire.File
	for i, info := range infos {
		if id == wire.AllFiles || int(id) == i {
			files = append(files, wire.File{ID: uint32(i), FileInfo: info})
		}
	}
	frame := wire.AppendFiles(nil, files)
	if len(frame) <= int(size) {
		m.Memory().Write(ptr, frame)
	}
	return int32(len(frame))
}

func importFileRead(ctx context.Context, m api.Module, id int32, offset int64, ptr, size uint32) int32 {
	infos, err := of(ctx).host.Files()
	if err != nil {
		return wire.ResultNotGranted
	}
	p, _ := m.Memory().Read(ptr, min(size, 3)) // a short read is no end
	n, err := of(ctx).host.ReadFile(infos[id].Name, p, offset)
	if err != nil && err != io.EOF {
		return wire.ResultFailed
	}
	return int32(n)
}

func importHTTP(ctx context.Context, m api.Module, rptr, rlen, optr, size uint32) int64 {
	in := of(ctx)
	status := 0
	if rlen > 0 {
		b, _ := m.Memory().Read(rptr, rlen)
		req, err := wire.ReadHTTPRequest(b)
		var resp sdk.HTTPResponse
		if err == nil {
			resp, err = in.host.HTTP(ctx, req)
		}
		if err != nil {
			in.answer = wire.AppendFailure(nil, err)
		} else {
			status, in.answer = resp.Status, wire.AppendHTTPResponse(nil, &resp)
		}
	}
	if len(in.answer) <= int(size) {
		m.Memory().Write(optr, in.answer)
	}
	return int64(status)<<32 | int64(len(in.answer))
}
