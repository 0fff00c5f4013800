package wire

import (
	"maps"
	"slices"

	"github.com/closedloop/closedloop/sdk"
)

// The head of an http request frame; its records are headers.
const (
	httpURL         = 24 // string
	httpMethod      = 32 // string
	httpBody        = 40 // bytes
	httpAuthScheme  = 48 // string
	httpAuthSecret  = 56 // string
	httpSignScheme  = 64 // string
	httpSignSecret  = 72 // string
	httpSignID      = 80 // string
	httpSignTime    = 88 // i64
	httpRequestHead = 96
)

// The head of an http response frame; its records are headers.
const (
	httpStatus       = 24 // u32
	httpAnswer       = 32 // bytes
	httpResponseHead = 40
)

// AllFiles is the id with which a guest asks file_stat for every granted file.
const AllFiles = -1

// Negative results of file_stat, file_read, kv_get and kv_put.
const (
	ResultFailed     = -1 // the file cannot be read, the store cannot be used
	ResultNotGranted = -2
	ResultGone       = -3 // no such id or key, or the file is gone
	ResultInvalid    = -4 // a wrong argument
	ResultFull       = -5 // the plugin keeps as much as it may
)

// AppendHTTPRequest appends a request that a plugin asks the host to make.
func AppendHTTPRequest(dst []byte, q *sdk.HTTPRequest) []byte {
	w := begin(dst, KindHTTPRequest, httpRequestHead, len(q.Headers), headerSize)
	w.str(httpURL, q.URL)
	w.str(httpMethod, q.Method)
	w.bytes(httpBody, q.Body)
	w.str(httpAuthScheme, q.Auth.Scheme)
	w.str(httpAuthSecret, q.Auth.Secret)
	w.str(httpSignScheme, q.Sign.Scheme)
	w.str(httpSignSecret, q.Sign.Secret)
	w.str(httpSignID, q.Sign.ID)
	w.u64(httpSignTime, uint64(q.Sign.Timestamp))
	w.headers(httpRequestHead, q.Headers)
	return w.end()
}

// ReadHTTPRequest reads a request that a plugin asks the host to make. What it returns does not alias b.
func ReadHTTPRequest(b []byte) (sdk.HTTPRequest, error) {
	var r reader
	h, err := r.expect(b, KindHTTPRequest, httpRequestHead)
	if err != nil {
		return sdk.HTTPRequest{}, err
	}
	r.own()
	q := sdk.HTTPRequest{
		URL:    r.str(le.Uint64(h[httpURL:])),
		Method: r.str(le.Uint64(h[httpMethod:])),
		Body:   r.bytes(le.Uint64(h[httpBody:])),
		Auth:   sdk.HTTPAuth{Scheme: r.str(le.Uint64(h[httpAuthScheme:])), Secret: r.str(le.Uint64(h[httpAuthSecret:]))},
		Sign: sdk.HTTPSign{
			Scheme:    r.str(le.Uint64(h[httpSignScheme:])),
			Secret:    r.str(le.Uint64(h[httpSignSecret:])),
			ID:        r.str(le.Uint64(h[httpSignID:])),
			Timestamp: r.time(httpSignTime, int64(le.Uint64(h[httpSignTime:]))),
		},
		Headers: r.headers(),
	}
	return q, r.done()
}

// AppendHTTPResponse appends the answer to a request.
func AppendHTTPResponse(dst []byte, p *sdk.HTTPResponse) []byte {
	w := begin(dst, KindHTTPResponse, httpResponseHead, len(p.Headers), headerSize)
	w.u32(httpStatus, uint32(max(p.Status, 0)))
	w.bytes(httpAnswer, p.Body)
	w.headers(httpResponseHead, p.Headers)
	return w.end()
}

// ReadHTTPResponse reads the answer to a request. What it returns does not alias b.
func ReadHTTPResponse(b []byte) (sdk.HTTPResponse, error) {
	var r reader
	h, err := r.expect(b, KindHTTPResponse, httpResponseHead)
	if err != nil {
		return sdk.HTTPResponse{}, err
	}
	r.own()
	p := sdk.HTTPResponse{
		Status:  int(le.Uint32(h[httpStatus:])),
		Body:    r.bytes(le.Uint64(h[httpAnswer:])),
		Headers: r.headers(),
	}
	return p, r.done()
}

// AppendFiles appends a list of granted files: the answer to file_stat.
func AppendFiles(dst []byte, files []File) []byte {
	w := begin(dst, KindFiles, HeaderSize, len(files), fileSize)
	w.files(HeaderSize, files)
	return w.end()
}

// ReadFiles reads a list of granted files. What it returns does not alias b.
func ReadFiles(b []byte) ([]File, error) {
	var r reader
	if _, err := r.expect(b, KindFiles, HeaderSize); err != nil {
		return nil, err
	}
	r.own()
	files := r.files()
	return files, r.done()
}

func (w *writer) files(at int, files []File) {
	if w.full {
		return
	}
	for i := range files {
		f := &files[i]
		w.str(at+fileName, f.Name)
		w.u64(at+fileBytes, uint64(f.Size))
		w.u64(at+fileModified, uint64(f.Modified))
		w.u64(at+fileIdentity, f.Identity)
		w.u32(at+fileID, f.ID)
		at += fileSize
	}
}

func (r *reader) files() []File {
	if r.count == 0 {
		return nil
	}
	out := make([]File, r.count)
	for i := range out {
		at, e := r.record(i, fileSize)
		f := File{ID: le.Uint32(e[fileID:]), FileInfo: sdk.FileInfo{
			Name:     r.str(le.Uint64(e[fileName:])),
			Size:     int64(le.Uint64(e[fileBytes:])),
			Modified: r.time(at+fileModified, int64(le.Uint64(e[fileModified:]))),
			Identity: le.Uint64(e[fileIdentity:]),
		}}
		if f.Size < 0 {
			_ = r.bad(at+fileBytes, "found a negative size")
			return nil
		}
		out[i] = f
	}
	return out
}

func (w *writer) headers(at int, h map[string]string) {
	if w.full {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		w.str(at, name)
		w.str(at+8, h[name])
		at += headerSize
	}
}

func (r *reader) headers() map[string]string {
	if r.count == 0 {
		return nil
	}
	h := make(map[string]string, r.count)
	for i := range r.count {
		_, e := r.record(i, headerSize)
		h[r.str(le.Uint64(e))] = r.str(le.Uint64(e[8:]))
	}
	return h
}
