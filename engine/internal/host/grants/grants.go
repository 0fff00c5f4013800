// Package grants does for a plugin what its program grants, and nothing else. All transports share it.
//
// Invariants:
//
//   - What is not granted fails with a fatal sdk.Failure of the code "not_granted"; a log line is dropped.
//   - Files are read only. A plugin names a file as Files listed it; a folder is opened as an os.Root.
//   - A request goes to an allowed host at an address that was checked when it was dialled. No proxy and no other
//     setting of the environment takes part.
//   - What a call puts is kept when the call is ended with success, and then as a whole.
//   - A secret is added to a request here and stands in no error and no log line, nor does a URL that is one in the
//     answer of a server that repeats it.
//
// One instance of a plugin, during its calls:
//
//	set, err := grants.Open(&spec, version)
//	defer set.Close()
//	session := set.Session()
//	var host sdk.Host = session
//	session.Begin(at) // each call
//	err = session.End(ctx) // each call that succeeded
package grants

import (
	"context"
	"encoding/json"
	"errors"
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
	spec    *host.Spec
	version string
	limits  host.Limits
	folder  bool // the granted path is a folder
	hosts   hosts
	client  *http.Client
	lines   bucket // of log lines
}

// Open checks the grants of spec, which must not change afterwards, for a version of the plugin. What the manifest asks
// for must be granted, but for log and clock, without which a plugin does as well. Its errors are of the code
// host.CodeGrant.
func Open(spec *host.Spec, version string) (*Set, error) {
	s := &Set{spec: spec, version: version, limits: spec.Limits.WithDefaults()}
	fail := func(err error, hint string) (*Set, error) {
		return nil, &host.Error{Plugin: spec.ID, Version: version, Call: "load", Code: host.CodeGrant, Cause: err, Hint: hint}
	}
	for _, c := range spec.Manifest.Capabilities {
		if line, needed := Line(c); needed && !Has(&spec.Grants, c) {
			return fail(fmt.Errorf("the plugin asks for %q, which the program does not grant", c), Hint(line))
		}
	}
	if spec.Grants.KV && spec.KV == nil {
		return fail(errors.New("grant kv: there is no store to keep pairs in"), "")
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
	for _, c := range sdk.Capabilities {
		if granted, bit := granted(&s.spec.Grants, c); granted {
			bits |= bit
		}
	}
	return bits
}

// granted reports whether a capability is granted, and its bit.
func granted(g *host.Grants, c sdk.Capability) (bool, wire.Grants) {
	switch c {
	case sdk.CapabilityLog:
		return g.Log, wire.GrantLog
	case sdk.CapabilityFile:
		return g.File != "", wire.GrantFile
	case sdk.CapabilityHTTP:
		return len(g.HTTP) > 0, wire.GrantHTTP
	case sdk.CapabilityClock:
		return g.Clock, wire.GrantClock
	case sdk.CapabilityKV:
		return g.KV, wire.GrantKV
	case sdk.CapabilityRandom:
		return g.Random, wire.GrantRandom
	}
	return false, 0
}

// Has reports whether a capability is granted.
func Has(g *host.Grants, c sdk.Capability) bool {
	is, _ := granted(g, c)
	return is
}

// Of returns the capability that a function of the host belongs to, by the name under which a module imports it, or ""
// for one that every module may import.
func Of(name string) sdk.Capability {
	switch name {
	case "file_stat", "file_read":
		return sdk.CapabilityFile
	case "http":
		return sdk.CapabilityHTTP
	case "kv_get", "kv_put":
		return sdk.CapabilityKV
	}
	return ""
}

// Unasked is a module that imports a function of a capability that its manifest does not ask for.
type Unasked struct {
	Import     string
	Capability sdk.Capability
}

func (e *Unasked) Error() string {
	return fmt.Sprintf("the module imports closedloop.%s, and its manifest does not ask for %q", e.Import, e.Capability)
}

// Hint says how the plugin is mended.
func (e *Unasked) Hint() string {
	return fmt.Sprintf("add %s to capabilities in the plugin's plugin.yaml and build it again", e.Capability)
}

// CheckAsked returns an *Unasked unless the manifest asks for what the import needs.
func CheckAsked(m *sdk.Manifest, name string) error {
	if c := Of(name); c != "" && !m.Wants(c) {
		return &Unasked{name, c}
	}
	return nil
}

// Line returns the line that grants a capability in the grants of a program, and whether a plugin that asks for it cannot
// do without.
func Line(c sdk.Capability) (line string, needed bool) {
	switch c {
	case sdk.CapabilityFile:
		return "file: PATH", true
	case sdk.CapabilityHTTP:
		return "http: [HOST]", true
	case sdk.CapabilityKV, sdk.CapabilityRandom:
		return string(c) + ": true", true
	}
	return string(c) + ": true", false
}

// Hint says where a line is to be added that grants something.
func Hint(line string) string { return "add " + line + " to the plugin's grants in program.yaml" }

// Clock returns the engine's time.
func (s *Set) Clock() feedback.Time {
	if s.spec.Now != nil {
		return s.spec.Now()
	}
	return systemTime()
}

// Settings returns the settings with the secrets that settings of type credential name. An error is an *sdk.Failure. It
// is for a plugin without a sandbox.
func (s *Set) Settings() ([]byte, error) {
	names := s.spec.Manifest.Settings.Credentials()
	if len(names) == 0 {
		return s.spec.Settings, nil
	}
	var settings map[string]json.RawMessage
	if err := json.Unmarshal(s.spec.Settings, &settings); err != nil {
		return nil, refuse("bad_settings", "the settings: %v", err)
	}
	for _, name := range names {
		var secret string
		if value, given := settings[name]; !given {
			continue
		} else if err := json.Unmarshal(value, &secret); err != nil {
			return nil, refuse("bad_settings", "the setting %s: %v", name, err)
		}
		value, err := s.secret(secret)
		if err != nil {
			return nil, err
		}
		if settings[name], err = json.Marshal(value); err != nil {
			return nil, refuse("bad_secret", "the secret %q is no text", secret)
		}
	}
	return json.Marshal(settings)
}

// Session serves one instance of a plugin. Between two calls of Begin it may be used by many goroutines at once.
type Session struct {
	*Set
	at      atomic.Int64 // the time of the call
	pending pending
}

var _ sdk.Host = (*Session)(nil)

// Session returns a session for a new instance.
func (s *Set) Session() *Session { return &Session{Set: s} }

// Begin begins a call at the given time.
func (n *Session) Begin(at feedback.Time) {
	n.at.Store(int64(at))
	n.pending.begin()
}

// End ends a call that succeeded: what it has put is kept. An error is an *sdk.Failure that asks to be called again. A
// call that is not ended so leaves nothing behind.
func (n *Session) End(ctx context.Context) error { return n.keep(ctx) }

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
