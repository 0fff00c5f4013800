package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/wire"
)

// Where a module may import functions from.
const (
	importModule = "closedloop"
	wasi         = "wasi_snapshot_preview1"
)

// hostFunction is one of the host's functions.
type hostFunction struct {
	call            api.GoModuleFunc
	params, results []api.ValueType
}

// imports are the host's functions.
var imports = map[string]hostFunction{
	"log":       {on(hostLog, workLog), []api.ValueType{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}, nil},
	"file_stat": {on(hostFileStat, workList), []api.ValueType{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}, i32},
	"file_read": {on(hostFileRead, workFile), []api.ValueType{api.ValueTypeI32, api.ValueTypeI64, api.ValueTypeI32, api.ValueTypeI32}, i32},
	"http":      {on(hostHTTP, workHTTP), []api.ValueType{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}, i64},
	"kv_get":    {on(hostKVGet, workKV), []api.ValueType{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}, i32},
	"kv_put":    {on(hostKVPut, workKV), []api.ValueType{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}, i32},
	"now":       {on(hostNow, workWASI), nil, i64},
}

// on hands a host function the instance that calls it, its memory, and the stack of parameters and results. A call takes
// the cost from the guest's fuel.
func on(f func(in *instance, memory api.Memory, stack []uint64), cost int64) api.GoModuleFunc {
	return func(ctx context.Context, m api.Module, stack []uint64) {
		in := ctx.Value(instanceKey{}).(*instance)
		in.charge(m, cost)
		f(in, m.Memory(), stack)
	}
}

// view returns a piece of the guest's memory; one that is none ends the call.
func view(memory api.Memory, at, n uint64) []byte {
	b, ok := memory.Read(uint32(at), uint32(n))
	if !ok {
		panic(fmt.Errorf("a host function was called with %d bytes at %#x, which leave the memory", uint32(n), uint32(at)))
	}
	return b
}

// maxLog is how much of a message is copied from the guest; package grants cuts it further.
const maxLog = 16 << 10

func hostLog(in *instance, memory api.Memory, stack []uint64) {
	level := min(uint32(stack[0]), uint32(sdk.Error))
	message := view(memory, stack[1], stack[2])
	in.session.Log(sdk.Level(level), string(message[:min(len(message), maxLog)]))
}

func hostFileStat(in *instance, memory api.Memory, stack []uint64) {
	id, to := int32(stack[0]), view(memory, stack[1], stack[2])
	list, err := in.stat(id)
	if err != nil {
		stack[0] = api.EncodeI32(resultCode(err))
		return
	}
	frame := wire.AppendFiles(nil, list)
	if len(frame) <= len(to) {
		copy(to, frame)
	}
	stack[0] = api.EncodeI32(int32(min(len(frame), math.MaxInt32)))
}

func (in *instance) stat(id int32) ([]wire.File, error) {
	if id == wire.AllFiles {
		infos, err := in.session.Files()
		if err != nil {
			return nil, err
		}
		return in.files.number(infos), nil
	}
	name, err := in.fileName(id)
	if err != nil {
		return nil, err
	}
	info, err := in.session.Stat(name)
	if err != nil {
		return nil, err
	}
	return []wire.File{{ID: uint32(id), FileInfo: info}}, nil
}

func hostFileRead(in *instance, memory api.Memory, stack []uint64) {
	id, offset, to := int32(stack[0]), int64(stack[1]), view(memory, stack[2], uint64(min(uint32(stack[3]), math.MaxInt32)))
	if offset < 0 {
		stack[0] = api.EncodeI32(wire.ResultInvalid)
		return
	}
	in.charge(nil, int64(len(to))/bytesFuel)
	n := 0
	name, err := in.fileName(id)
	if err == nil {
		n, err = in.session.ReadFile(name, to, offset)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		stack[0] = api.EncodeI32(resultCode(err))
		return
	}
	stack[0] = api.EncodeI32(int32(n))
}

// fileName returns the name that the guest knows by the id.
func (in *instance) fileName(id int32) (string, error) {
	if id < 0 || int(id) >= len(in.files.names) {
		return "", &sdk.Failure{Code: "no_file"}
	}
	return in.files.names[id], nil
}

// resultCode returns what stands for an error in the result of a function.
func resultCode(err error) int32 {
	switch sdk.FailureOf(err).Code {
	case "not_granted":
		return wire.ResultNotGranted
	case "no_file":
		return wire.ResultGone
	case "bad_argument":
		return wire.ResultInvalid
	case "kv_full":
		return wire.ResultFull
	}
	return wire.ResultFailed
}

func hostKVGet(in *instance, memory api.Memory, stack []uint64) {
	key, to := view(memory, stack[0], stack[1]), view(memory, stack[2], stack[3])
	value, err := in.session.KVGet(string(key[:min(len(key), sdk.MaxKVKey+1)]))
	switch {
	case err != nil:
		stack[0] = api.EncodeI32(resultCode(err))
	case value == nil:
		stack[0] = api.EncodeI32(wire.ResultGone)
	default:
		if len(value) <= len(to) {
			copy(to, value)
		}
		stack[0] = api.EncodeI32(int32(len(value)))
	}
}

func hostKVPut(in *instance, memory api.Memory, stack []uint64) {
	key, value := view(memory, stack[0], stack[1]), view(memory, stack[2], stack[3])
	stack[0] = 0
	if err := in.session.KVPut(string(key[:min(len(key), sdk.MaxKVKey+1)]), value); err != nil {
		stack[0] = api.EncodeI32(resultCode(err))
	}
}

// fileTable gives the files of an instance their ids.
type fileTable struct {
	names []string
	ids   map[string]uint32
}

func (t *fileTable) number(infos []sdk.FileInfo) []wire.File {
	if t.ids == nil {
		t.ids = make(map[string]uint32)
	}
	list := make([]wire.File, len(infos))
	for i := range infos {
		id, ok := t.ids[infos[i].Name]
		if !ok {
			id = uint32(len(t.names))
			t.names = append(t.names, infos[i].Name)
			t.ids[infos[i].Name] = id
		}
		list[i] = wire.File{ID: id, FileInfo: infos[i]}
	}
	return list
}

func hostHTTP(in *instance, memory api.Memory, stack []uint64) {
	request, to := view(memory, stack[0], stack[1]), view(memory, stack[2], stack[3])
	if len(request) > 0 {
		in.answer, in.status = in.http(request)
	}
	if len(in.answer) <= len(to) {
		copy(to, in.answer)
	}
	stack[0] = uint64(in.status)<<32 | uint64(len(in.answer))
}

// http makes a request and returns the frame that answers it. Status is 0 with a failure.
func (in *instance) http(request []byte) (frame []byte, status int) {
	q, err := wire.ReadHTTPRequest(request)
	if err != nil {
		return wire.AppendFailure(nil, sdk.Fatal("%w", err)), 0
	}
	ctx, cancel := context.WithDeadline(in.Context, in.deadline)
	defer cancel()
	defer context.AfterFunc(in.plugin.stopped, cancel)()
	resp, err := in.session.HTTP(ctx, q)
	if err != nil {
		return wire.AppendFailure(nil, err), 0
	}
	return wire.AppendHTTPResponse(nil, &resp), resp.Status
}

func hostNow(in *instance, _ api.Memory, stack []uint64) {
	stack[0] = uint64(in.session.Now())
}

// clock gives the guest's WASI its clocks. Without the grant the wall clock shows the time of the call, and the other
// one moves only when the guest sleeps, which takes no time.
func (in *instance) clock(config wazero.ModuleConfig) wazero.ModuleConfig {
	config = config.WithNanosleep(func(ns int64) { in.monotonic += max(ns, 0) })
	if in.plugin.spec.Grants.Clock {
		return config.WithSysWalltime().WithSysNanotime()
	}
	wall := func() (int64, int32) {
		t := in.session.At().Std()
		return t.Unix(), int32(t.Nanosecond())
	}
	monotonic := func() int64 { return in.monotonic }
	return config.WithWalltime(wall, sys.ClockResolution(time.Millisecond)).WithNanotime(monotonic, sys.ClockResolution(1))
}
