// Package admin lets commands talk to a running engine: JSON over HTTP on a Unix socket that only the owner of the
// state directory can open.
//
// The engine that holds the state directory serves; there is at most one, so a socket that is there already is left
// over from an engine that was killed, and is replaced. A path too long for a socket lies in the directory for
// temporary files instead; the file admin.addr in the state directory says where.
//
//	s, err := admin.Serve(stateDir, map[string]admin.Method{"stats": stats})
//	...
//	c, err := admin.Dial(stateDir)
//	err = c.Call(ctx, "stats", nil, &out)
package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrNotRunning says that no engine serves the state directory.
var ErrNotRunning = errors.New("admin: no engine is running")

// Method answers one call: arguments and result are JSON.
type Method func(ctx context.Context, args json.RawMessage) (any, error)

// Telling makes a Method of a function that tells how far it is. A client that does not listen gets the result alone.
func Telling(f func(ctx context.Context, args json.RawMessage, tell func(progress any)) (any, error)) Method {
	return func(ctx context.Context, args json.RawMessage) (any, error) {
		tell, ok := ctx.Value(tellKey{}).(func(any))
		if !ok {
			tell = func(any) {}
		}
		return f(ctx, args, tell)
	}
}

// tellKey is the key under which a context holds what tells the client.
type tellKey struct{}

// line is a line of an answer that tells progress: at most one member is set, and the last line has no progress.
type line struct {
	Progress any    `json:"progress,omitempty"`
	Result   any    `json:"result,omitempty"`
	Error    *Error `json:"error,omitempty"`
}

// lines is the type of such an answer.
const lines = "application/x-ndjson"

// Error is an error of a method as it crosses the socket.
type Error struct {
	Code    string `json:"code"` // stable; empty when the server has no name for it
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

const (
	addrFile = "admin.addr"
	sockFile = "admin.sock"
	// maxPath is what sockaddr_un holds on every system, less the terminating zero.
	maxPath = 103
	// maxBody bounds a request. Answers are not bounded.
	maxBody = 64 << 20
)

// Server serves a state directory.
type Server struct {
	http *http.Server
	done chan struct{}
	path string // of the socket
	dir  string // of the socket, when it was made for it
	addr string // the file that names the socket
}

// Serve starts to serve. Code names an error for clients; it may be nil.
func Serve(stateDir string, methods map[string]Method, code func(error) string) (served *Server, err error) {
	s := &Server{done: make(chan struct{}), addr: filepath.Join(stateDir, addrFile)}
	defer func() {
		if err != nil && s.dir != "" {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	}()
	path := filepath.Join(stateDir, sockFile)
	if len(path) > maxPath {
		dir, err := os.MkdirTemp("", "closedloop-")
		if err != nil {
			return nil, err
		}
		s.dir, path = dir, filepath.Join(dir, sockFile)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(s.addr, []byte(path), 0o600)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s.path = path
	s.http = &http.Server{Handler: handler(methods, code), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // it ends by Close
	}()
	return s, nil
}

// Path returns where the socket is.
func (s *Server) Path() string { return s.path }

// Close ends the calls under way and removes the socket.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	_ = os.Remove(s.addr)
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

func handler(methods map[string]Method, code func(error) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, ok := methods[strings.TrimPrefix(r.URL.Path, "/v1/")]
		if !ok || r.Method != http.MethodPost {
			answer(w, http.StatusNotFound, &Error{Code: "no_method", Message: "the running engine does not know " + r.Method + " " + r.URL.Path})
			return
		}
		args, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			answer(w, http.StatusBadRequest, &Error{Message: err.Error()})
			return
		}
		if r.Header.Get("Accept") == lines {
			answerLines(w, r, m, args, code)
			return
		}
		result, err := m(r.Context(), args)
		if err != nil {
			answer(w, http.StatusUnprocessableEntity, errorOf(err, code))
			return
		}
		answer(w, http.StatusOK, result)
	})
}

func errorOf(err error, code func(error) string) *Error {
	e := &Error{Message: err.Error()}
	if code != nil {
		e.Code = code(err)
	}
	return e
}

// answerLines answers with lines of progress and a last one with the result.
func answerLines(w http.ResponseWriter, r *http.Request, m Method, args json.RawMessage, code func(error) string) {
	w.Header().Set("Content-Type", lines)
	flush := http.NewResponseController(w)
	send := func(l line) {
		b, err := json.Marshal(l)
		if err != nil {
			b = []byte(`{"error":{"code":"","message":"the answer cannot be written as JSON"}}`)
		}
		_, _ = w.Write(append(b, '\n')) // the client is gone when this fails
		_ = flush.Flush()
	}
	ctx := context.WithValue(r.Context(), tellKey{}, func(progress any) { send(line{Progress: progress}) })
	result, err := m(ctx, args)
	if err != nil {
		send(line{Error: errorOf(err, code)})
		return
	}
	send(line{Result: result})
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"message":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client is gone when this fails
}

// Client talks to a running engine.
type Client struct{ http *http.Client }

// Dial returns a client of the engine that serves the state directory, or ErrNotRunning.
func Dial(stateDir string) (*Client, error) {
	path, err := os.ReadFile(filepath.Join(stateDir, addrFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", string(path))
	}
	conn, err := dial(context.Background(), "", "")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	_ = conn.Close()
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// Close releases the connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Call calls a method and reads its result into result, which may be nil. An error of the method is an *Error.
func (c *Client) Call(ctx context.Context, method string, args, result any) error {
	res, err := c.post(ctx, method, "application/json", args)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		e := &Error{}
		if err := json.NewDecoder(res.Body).Decode(e); err != nil {
			return fmt.Errorf("ask the running engine: status %s", res.Status)
		}
		return e
	}
	if result == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(result)
}

// CallTold is Call of a method that was made by Telling: heard is told each progress.
func (c *Client) CallTold(ctx context.Context, method string, args, result any, heard func(progress json.RawMessage)) error {
	res, err := c.post(ctx, method, lines, args)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	if res.StatusCode != http.StatusOK {
		e := &Error{}
		if err := dec.Decode(e); err != nil {
			return fmt.Errorf("ask the running engine: status %s", res.Status)
		}
		return e
	}
	for {
		var l struct {
			Progress json.RawMessage `json:"progress"`
			Result   json.RawMessage `json:"result"`
			Error    *Error          `json:"error"`
		}
		switch err := dec.Decode(&l); {
		case err != nil:
			return fmt.Errorf("ask the running engine: %w", cmp.Or(ctx.Err(), err))
		case l.Error != nil:
			return l.Error
		case l.Progress == nil && l.Result == nil:
			return nil
		case l.Progress == nil:
			return json.Unmarshal(l.Result, result)
		}
		heard(l.Progress)
	}
}

// post sends a call.
func (c *Client) post(ctx context.Context, method, accept string, args any) (*http.Response, error) {
	b, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine/v1/"+method, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running engine: %w", err)
	}
	return res, nil
}
