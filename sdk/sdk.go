// Package sdk is the contract between the engine and a plugin: what an author implements, and what a plugin says of
// itself. It depends on the standard library and the vocabulary only.
//
// A plugin is a Plugin value: its manifest and a function that makes it from its settings. What New returns
// implements one or more of Categorizer, Poller, Receiver and Deliverer; the manifest declares which. One source
// builds to a sandboxed WASM module or to a native process (package sdk/serve), or is handed to an engine as it is.
//
//	//go:embed plugin.yaml
//	var manifest []byte
//
//	var Plugin = sdk.Plugin{Manifest: manifest, New: open}
//
//	func open(ctx context.Context, host sdk.Host, settings []byte) (any, error) {
//		c := &shouting{}
//		return c, json.Unmarshal(settings, c)
//	}
//
//	func (c *shouting) Categorize(ctx context.Context, items []feedback.Item, out []sdk.Result) error {
//		for i := range items {
//			if strings.ToUpper(items[i].Text) == items[i].Text {
//				out[i].AddTheme("tone/shouting", 1)
//			}
//		}
//		return nil
//	}
//
// A plugin instance is used by one goroutine at a time. The engine may make several instances of one plugin.
package sdk

import (
	"context"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Plugin is one plugin: what it says of itself and how it is made.
type Plugin struct {
	// Manifest is the text of plugin.yaml; see the type Manifest.
	Manifest []byte
	// New makes an instance. Settings are a JSON object that the host has checked against the manifest's spec and
	// completed with its defaults. The context covers the call only.
	New func(ctx context.Context, host Host, settings []byte) (any, error)
}

// Categorizer labels items.
type Categorizer interface {
	// Categorize says in out[i] what items[i] means; len(out) equals len(items), and every Result comes empty.
	// Items and their strings are valid during the call only. An error fails the whole batch: Retry when it may
	// pass later, Fatal when it will not. For one bad item set out[i].Err instead.
	Categorize(ctx context.Context, items []feedback.Item, out []Result) error
}

// Result is what a categorizer says of one item.
type Result struct {
	Labels feedback.Labels
	// Drop, when not empty, is the reason why this is no feedback at all, such as an automatic reply.
	Drop string
	// Err is why this one item could not be categorized. The item goes to the dead letters.
	Err error
}

// AddTheme adds a theme with its evidence: spans of bytes of the item's text. It keeps the spans.
func (r *Result) AddTheme(path feedback.ThemePath, confidence float64, evidence ...feedback.Span) *feedback.Theme {
	r.Labels.Themes = append(r.Labels.Themes, feedback.Theme{Path: path, Confidence: confidence, Evidence: evidence})
	return &r.Labels.Themes[len(r.Labels.Themes)-1]
}

// Reset empties the result and keeps its memory.
func (r *Result) Reset() {
	*r = Result{Labels: feedback.Labels{Themes: r.Labels.Themes[:0]}}
}

// Poller is a connector that fetches feedback when asked.
type Poller interface {
	// Poll returns what came after the checkpoint. It must not block for feedback to arrive.
	Poll(ctx context.Context, req PollRequest) (PollResult, error)
}

// PollRequest asks for more feedback.
type PollRequest struct {
	// Checkpoint is the Next of the last poll whose items are all durable, or nil at the first poll.
	Checkpoint []byte
	// Limit is the largest number of items and rejects together to return, at least 1.
	Limit int
}

// MaxCheckpoint is the largest checkpoint in bytes.
const MaxCheckpoint = 64 << 10

// PollResult is a poll's harvest.
type PollResult struct {
	Items   []feedback.Item
	Rejects []Reject // what could not become an item; the rest goes on
	Notices []Notice // what is worth telling, once each
	Next    []byte   // opaque, at most MaxCheckpoint bytes
	// Batch names the import that the items belong to, such as a file and its time; it is stable over resumption.
	Batch string
	// More says that another poll would return something at once.
	More bool
	// Wait is how long to wait before the next poll when More is false. Defaults to the program's interval.
	Wait time.Duration
}

// Reject is something a source holds that is no valid item.
type Reject struct {
	Position string // such as "line 12"
	Code     string // stable and short, such as "bad_score"
	Message  string // what was found and what was expected
	Raw      string // the beginning of the original
}

// Notice is something worth telling of a source, such as damaged ids.
type Notice struct {
	Position string
	Code     string
	Message  string
}

// Receiver is a connector that is handed what others send. The host has terminated HTTP and checked the signature.
type Receiver interface {
	Receive(ctx context.Context, req ReceiveRequest) (ReceiveResult, error)
}

// ReceiveRequest is one request that arrived. Header names are in lower case.
type ReceiveRequest struct {
	Headers map[string]string
	Body    []byte
}

// ReceiveResult is what a request holds.
type ReceiveResult struct {
	Items   []feedback.Item
	Rejects []Reject
}

// Deliverer sends messages out.
type Deliverer interface {
	// Deliver returns nil once the destination has the message, Retry to be called again with the same Key, and
	// Fatal to give up. Any other error counts as Retry.
	Deliver(ctx context.Context, m Message) error
}

// Message is one delivery.
type Message struct {
	// Key is the same at every attempt of the same delivery: the destination can drop repeats by it.
	Key     string
	Attempt int    // 1 at first
	Kind    string // what it is about, such as "notify" or "alert"
	At      feedback.Time
	Body    []byte // a JSON object
}

// Host is what the engine offers to a plugin, as far as the program grants it. A call that was not granted fails
// with a Fatal error that says which grant is missing.
type Host interface {
	// Log writes to the engine's log under the plugin's name.
	Log(level Level, message string)
	// Files lists what the grant "file" gives: the files, named relative to the granted file or folder.
	Files() ([]FileInfo, error)
	// ReadFile reads into p from the offset, and returns io.EOF at the end as io.ReaderAt does.
	ReadFile(name string, p []byte, offset int64) (int, error)
	// HTTP makes one request to an allowed host. The host adds secrets and signatures; the plugin never sees them.
	HTTP(ctx context.Context, req HTTPRequest) (HTTPResponse, error)
	// KVGet returns the value that this plugin keeps under a key, or nil when there is none. It is the plugin's to
	// change.
	KVGet(key string) ([]byte, error)
	// KVPut keeps a value under a key of 1 to MaxKVKey bytes; an empty value removes the key. What a call puts is
	// kept as a whole, and durably before the host uses the call's answer, or not at all when the call fails. Other
	// instances of the plugin see it then; of two that put the same key the last one stays. A value larger than
	// MaxKVValue is a Fatal error, and so is a store that is full: the program limits its keys and bytes.
	KVPut(key string, value []byte) error
	// Now returns the engine's time, at the millisecond. Without the grant "clock" it is the time of the call that
	// is being served: the same input gives the same output.
	Now() feedback.Time
}

// The bounds of what a plugin keeps by KVPut, in bytes.
const (
	MaxKVKey   = 512
	MaxKVValue = 64 << 10
)

// Level is the level of a log line.
type Level uint8

// The levels, lowest first.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// FileInfo is a granted file. Identity changes when another file takes its name.
type FileInfo struct {
	Name     string
	Size     int64
	Modified feedback.Time
	Identity uint64
}

// HTTPRequest is a request that the host makes for a plugin.
type HTTPRequest struct {
	Method  string
	URL     string
	Headers map[string]string
	Body    []byte
	// Auth and Sign let the host add what needs a secret. Both may be zero.
	Auth HTTPAuth
	Sign HTTPSign
}

// HTTPAuth asks the host to authorize the request with a secret of the program: by an Authorization header, or with the
// scheme "url" by the secret as the URL of the request, whose own URL is empty then. Such a URL must lead to an allowed
// host like any other.
type HTTPAuth struct {
	Scheme string // "bearer", "basic" or "url"
	Secret string // the secret's name
}

// HTTPSign asks the host to sign the request with a secret of the program.
type HTTPSign struct {
	Scheme    string        // "standard-webhooks"
	Secret    string        // the secret's name
	ID        string        // the message's id, part of what is signed
	Timestamp feedback.Time // part of what is signed, at the second. Defaults to the host's time.
}

// HTTPResponse is the answer. Header names are in lower case.
type HTTPResponse struct {
	Status  int
	Headers map[string]string
	Body    []byte
}
