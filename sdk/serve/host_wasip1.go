//go:build wasip1

package serve

import (
	"context"
	"errors"
	"io"
	"unsafe"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

// The host's functions are plain functions, each called from one method of sandbox: the linker leaves out methods that
// the plugin cannot reach, and with them the imports.

//go:wasmimport closedloop log
func hostLog(level uint32, p unsafe.Pointer, n uint32)

//go:wasmimport closedloop file_stat
func hostFileStat(id int32, p unsafe.Pointer, n uint32) int32

//go:wasmimport closedloop file_read
func hostFileRead(id int32, offset int64, p unsafe.Pointer, n uint32) int32

//go:wasmimport closedloop http
func hostHTTP(request unsafe.Pointer, length uint32, p unsafe.Pointer, n uint32) int64

//go:wasmimport closedloop kv_get
func hostKVGet(key unsafe.Pointer, length uint32, p unsafe.Pointer, n uint32) int32

//go:wasmimport closedloop kv_put
func hostKVPut(key unsafe.Pointer, length uint32, p unsafe.Pointer, n uint32) int32

//go:wasmimport closedloop now
func hostNow() int64

// sandbox is the host as the guest sees it.
type sandbox struct{}

var _ sdk.Host = sandbox{}

func (sandbox) Log(level sdk.Level, message string) {
	hostLog(uint32(level), unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}

func (sandbox) Files() ([]sdk.FileInfo, error) {
	files, err := listFiles()
	infos := make([]sdk.FileInfo, len(files))
	for i := range files {
		infos[i] = files[i].FileInfo
	}
	return infos, err
}

func (sandbox) ReadFile(name string, p []byte, offset int64) (int, error) {
	id, err := fileID(name)
	if err != nil || len(p) == 0 {
		return 0, err
	}
	n := 0
	for n < len(p) {
		got := hostFileRead(id, offset+int64(n), unsafe.Pointer(&p[n]), uint32(len(p)-n))
		if got < 0 {
			return n, fileError(name, got)
		}
		if got == 0 {
			return n, io.EOF
		}
		n += int(got)
	}
	return n, nil
}

func (sandbox) HTTP(ctx context.Context, req sdk.HTTPRequest) (sdk.HTTPResponse, error) {
	if err := ctx.Err(); err != nil {
		return sdk.HTTPResponse{}, err
	}
	q := wire.AppendHTTPRequest(nil, &req)
	p := make([]byte, 16<<10)
	n := uint32(hostHTTP(pointer(q), uint32(len(q)), pointer(p), uint32(len(p))))
	if int(n) > len(p) { // the host keeps the answer until it is fetched
		p = make([]byte, n)
		n = uint32(hostHTTP(nil, 0, pointer(p), uint32(len(p))))
	}
	return wire.ReadHTTPResponse(p[:min(int(n), len(p))])
}

func (sandbox) KVGet(key string) ([]byte, error) {
	p := make([]byte, 1<<10)
	n := hostKVGet(unsafe.Pointer(unsafe.StringData(key)), uint32(len(key)), pointer(p), uint32(len(p)))
	for int(n) > len(p) {
		p = make([]byte, n)
		n = hostKVGet(unsafe.Pointer(unsafe.StringData(key)), uint32(len(key)), pointer(p), uint32(len(p)))
	}
	if n == wire.ResultGone {
		return nil, nil
	}
	if n < 0 {
		return nil, kvError(n)
	}
	return p[:n], nil
}

func (sandbox) KVPut(key string, value []byte) error {
	n := hostKVPut(unsafe.Pointer(unsafe.StringData(key)), uint32(len(key)), pointer(value), uint32(len(value)))
	if n < 0 {
		return kvError(n)
	}
	return nil
}

func kvError(code int32) error {
	switch code {
	case wire.ResultNotGranted:
		return sdk.Fatal(`the program does not grant "kv" to this plugin`)
	case wire.ResultInvalid:
		return sdk.Fatal("a key has 1 to %d bytes and a value at most %d", sdk.MaxKVKey, sdk.MaxKVValue)
	case wire.ResultFull:
		return sdk.Fatal("the plugin keeps as many keys or bytes as the program allows")
	}
	return errors.New("the engine's store cannot be used")
}

func (sandbox) Now() feedback.Time {
	if guest.grants&wire.GrantClock != 0 {
		return feedback.Time(hostNow())
	}
	return guest.now
}

// files maps the names that the host has given to their ids.
var files map[string]int32

func fileID(name string) (int32, error) {
	if id, ok := files[name]; ok {
		return id, nil
	}
	if _, err := listFiles(); err != nil {
		return 0, err
	}
	id, ok := files[name]
	if !ok {
		return 0, fileError(name, wire.ResultGone)
	}
	return id, nil
}

// listFiles asks the host for the granted files and notes their ids.
func listFiles() ([]wire.File, error) {
	p := make([]byte, 4<<10)
	n := hostFileStat(wire.AllFiles, pointer(p), uint32(len(p)))
	for int(n) > len(p) {
		p = make([]byte, n)
		n = hostFileStat(wire.AllFiles, pointer(p), uint32(len(p)))
	}
	if n < 0 {
		return nil, fileError("the granted files", n)
	}
	list, err := wire.ReadFiles(p[:n])
	if err != nil {
		return nil, err
	}
	files = make(map[string]int32, len(list))
	for i := range list {
		files[list[i].Name] = int32(list[i].ID)
	}
	return list, nil
}

func fileError(name string, code int32) error {
	switch code {
	case wire.ResultNotGranted:
		return sdk.Fatal(`%s cannot be read: the program does not grant "file" to this plugin`, name)
	case wire.ResultGone:
		return sdk.Retry(0, "%s is not among the granted files", name)
	}
	return errors.New(name + " cannot be read")
}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }
