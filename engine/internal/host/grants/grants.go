// Package grants does for a plugin what its program grants, and nothing else. All transports share it.
//
// Invariants:
//
//   - What is not granted fails with a fatal sdk.Failure of the code "not_granted"; a log line is dropped.
//   - Files are read only. A plugin names a file as Files listed it; a folder is opened as an os.Root.
//   - A request goes to an allowed host at an address that was checked when it was dialled. No proxy and no other
//     setting of the environment takes part.
//   - A secret is added to a request here and stands in no error and no log line.
//
// One instance of a plugin, during its calls:
//
//	set, err := grants.Open(&spec)
//	defer set.Close()
//	session := set.Session()
//	session.Begin(at) // each call
//	var host sdk.Host = session
package grants

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

// Set is what one plugin may do. It may be used by many goroutines at once.
type Set struct {
	spec   *host.Spec
	limits host.Limits
	folder bool // the granted path is a folder
	hosts  hosts
	client *http.Client
}

// Open checks the grants of spec, which must not change afterwards. A file or HTTP that the manifest asks for must be
// granted; a plugin without log or clock does as well. Its errors are of the code host.CodeGrant.
func Open(spec *host.Spec) (*Set, error) {
	s := &Set{spec: spec, limits: spec.Limits.WithDefaults()}
	fail := func(err error, hint string) (*Set, error) {
		return nil, &host.Error{Plugin: spec.ID, Call: "load", Code: host.CodeGrant, Cause: err, Hint: hint}
	}
	for capability, granted := range map[sdk.Capability]bool{
		sdk.CapabilityFile: spec.Grants.File != "",
		sdk.CapabilityHTTP: len(spec.Grants.HTTP) > 0,
	} {
		if !granted && spec.Manifest.Wants(capability) {
			return fail(fmt.Errorf("the plugin asks for %q, which the program does not grant", capability),
				fmt.Sprintf("add %s to the plugin's grants in program.yaml", capability))
		}
	}
	if path := spec.Grants.File; path != "" {
		if !filepath.IsAbs(path) {
			return fail(fmt.Errorf("grant file: found %q, expected an absolute path", path), "")
		}
		info, err := os.Stat(path)
		if err != nil {
			return fail(fmt.Errorf("grant file: %w", err), "the file or folder must exist when the plugin is loaded")
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			return fail(fmt.Errorf("grant file: %s is neither a file nor a folder", path), "")
		}
		s.folder = info.IsDir()
	}
	var err error
	if s.hosts, err = parseHosts(spec.Grants.HTTP); err != nil {
		return fail(err, `name hosts as "hooks.example.com", "hooks.example.com:8443", "*.example.com", "127.0.0.1:8990" or "10.0.0.0/8"`)
	}
	if len(s.hosts) > 0 {
		s.client = s.newClient()
	}
	return s, nil
}

// Close drops idle connections.
func (s *Set) Close() {
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
}

// Bits returns the grants as they travel to a plugin.
func (s *Set) Bits() wire.Grants {
	var bits wire.Grants
	for _, g := range []struct {
		granted bool
		bit     wire.Grants
	}{
		{s.spec.Grants.Log, wire.GrantLog},
		{s.spec.Grants.File != "", wire.GrantFile},
		{len(s.spec.Grants.HTTP) > 0, wire.GrantHTTP},
		{s.spec.Grants.Clock, wire.GrantClock},
	} {
		if g.granted {
			bits |= g.bit
		}
	}
	return bits
}

// Clock returns the engine's time.
func (s *Set) Clock() feedback.Time {
	if s.spec.Now != nil {
		return s.spec.Now()
	}
	return systemTime()
}

// Session serves one instance of a plugin. Between two calls of Begin it may be used by many goroutines at once.
type Session struct {
	*Set
	at    atomic.Int64 // the time of the call
	lines atomic.Int64 // logged in this call
}

var _ sdk.Host = (*Session)(nil)

// Session returns a session for a new instance.
func (s *Set) Session() *Session { return &Session{Set: s} }

// Begin begins a call at the given time.
func (n *Session) Begin(at feedback.Time) {
	n.at.Store(int64(at))
	n.lines.Store(0)
}

// At returns the time of the call.
func (n *Session) At() feedback.Time { return feedback.Time(n.at.Load()) }

// Now returns the engine's time if the clock is granted, else the time of the call.
func (n *Session) Now() feedback.Time {
	if n.spec.Grants.Clock {
		return n.Clock()
	}
	return n.At()
}

// HTTP makes a request. It takes no longer than ctx and the limit of the plugin's calls.
func (n *Session) HTTP(ctx context.Context, req sdk.HTTPRequest) (sdk.HTTPResponse, error) {
	if n.client == nil {
		return sdk.HTTPResponse{}, notGranted("http", "the hosts that it may reach")
	}
	return n.request(ctx, n.Now(), req)
}

func notGranted(grant, what string) error {
	return &sdk.Failure{Fatal: true, Code: "not_granted",
		Message: fmt.Sprintf("the program does not grant %q to this plugin: add %s: %s to its grants", grant, grant, what)}
}

// refuse returns a fatal failure.
func refuse(code, format string, args ...any) error {
	return &sdk.Failure{Fatal: true, Code: code, Message: fmt.Sprintf(format, args...)}
}

// retry returns a failure that may pass.
func retry(code, format string, args ...any) error {
	return &sdk.Failure{Code: code, Message: fmt.Sprintf(format, args...)}
}
