// Package host is what the engine knows of a loaded plugin, whatever transport it runs on.
//
// Three packages load plugins: wasmhost (a sandboxed WASM module), processhost (a process of its own) and nativehost
// (an sdk.Plugin of the embedding program, run in place). Each gives a Plugin, which holds to this:
//
//   - It may be used by many goroutines at once; each call is served by one instance of the plugin.
//   - A call ends by Limits.Deadline, whatever the plugin does. Only nativehost has to trust its code in this.
//   - An error is an *Error. Any but a refusal of the plugin itself costs the instance: the next call gets a fresh one.
//
// Categorizing 64 items, of which one makes the plugin crash:
//
//	err := host.CategorizeEach(ctx, plugin, items, func(i int, r *sdk.Result, err error) {
//		if err != nil {
//			dead = append(dead, items[i]) // the crash, told of this item alone
//			return
//		}
//		label(&items[i], r) // r is valid until this function returns
//	})
//	// err is not nil when the plugin is down: the items that were not told of are to be tried later.
package host

import (
	"context"
	"runtime"
	"time"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Plugin is one loaded and configured plugin.
type Plugin interface {
	// Manifest returns what the plugin says of itself. It must not be changed.
	Manifest() *sdk.Manifest
	// Version returns the manifest's version, a plus sign and twelve hexadecimal digits of the SHA-256 of the
	// plugin's code and settings. It stands on the labels that the plugin gives.
	Version() string
	// Categorize labels items; Batch.Results has one result per item. Release the batch when done.
	Categorize(ctx context.Context, items []feedback.Item) (*Batch, error)
	// Poll, Receive and Deliver call the ability of the same name. What they return belongs to the caller.
	Poll(ctx context.Context, req sdk.PollRequest) (sdk.PollResult, error)
	Receive(ctx context.Context, req sdk.ReceiveRequest) (sdk.ReceiveResult, error)
	Deliver(ctx context.Context, m sdk.Message) error
	// Stats returns what has happened since the plugin was loaded.
	Stats() Stats
	// Close waits for the running calls until ctx ends, then cuts them off, and frees everything. Calls that come
	// after it fail with CodeUnavailable. Calling it again has no effect.
	Close(ctx context.Context) error
}

// Spec says what to load a plugin with.
type Spec struct {
	// ID is the plugin's id in the program, such as "themes".
	ID string
	// Manifest is what the plugin says of itself. A WASM module is loaded with the manifest that it holds.
	Manifest sdk.Manifest
	// Settings is a JSON object, completed by the manifest's spec. Empty means {}.
	Settings []byte
	Grants   Grants
	Limits   Limits
	// Log receives what the plugin logs.
	Log zerolog.Logger
	// Secrets returns the secret of that name, as far as this plugin may use it. The plugin never sees it: the host
	// adds it to a request. Defaults to no secrets.
	Secrets func(name string) ([]byte, error)
	// KV keeps what the plugin puts, when that is granted. Defaults to none: the grant then cannot be given.
	KV KV
	// Now is the engine's clock, read once for a call whose input does not carry its own time. Defaults to the
	// system's clock.
	Now func() feedback.Time
}

// Grants is what the program lets a plugin do. The zero value lets it compute.
type Grants struct {
	// Log lets it write to the engine's log.
	Log bool
	// File is the absolute path of one file or folder that it may read. Nothing outside is reachable from a folder,
	// not by ".." and not through a symbolic link. Defaults to none.
	File string
	// HTTP lists the hosts that it may send requests to: "hooks.example.com" on the usual ports of http and https,
	// "hooks.example.com:8443" on that port alone, "*.example.com" for every name below example.com. A name reaches
	// public addresses only. A loopback, private or link-local address must stand in the list itself, as "127.0.0.1",
	// "10.0.0.0/8" or "localhost", with or without the name that leads to it.
	HTTP []string
	// Clock gives it the running time. Without it the time stands still during a call.
	Clock bool
	// KV lets it keep pairs of keys and values in the engine's store.
	KV bool
	// Random gives a sandboxed plugin random bytes that nobody can foresee. Without it every instance finds the same.
	Random bool
}

// Limits bounds what a plugin may use. Zero means the default.
type Limits struct {
	// Memory is the largest memory of one instance in bytes. It bounds the sandbox only. Defaults to 64 MiB.
	Memory int64
	// Deadline is the longest time a call may take, its HTTP requests included. Defaults to 10 s.
	Deadline time.Duration
	// Start is the longest time an instance may take to be made and configured. Defaults to 30 s.
	Start time.Duration
	// Fuel is how many instructions a call may run, counted in the way of package meter; what the host does for it is
	// counted too. Unlike Deadline it stops a call at the same point on every machine. It binds the sandbox only.
	// Defaults to no bound.
	Fuel int64
	// Instances is how many calls run at the same time. Defaults to GOMAXPROCS.
	Instances int
	// Output is the largest answer to a call in bytes. Defaults to 16 MiB.
	Output int
	// Module is the largest WASM module in bytes. Defaults to 64 MiB.
	Module int64
	// KVKeys and KVBytes bound what the plugin keeps by Spec.KV: keys, and bytes of keys and values. They default to
	// 10,000 keys and 16 MiB.
	KVKeys, KVBytes int64
	// Response is the largest body that an HTTP request may bring back, in bytes. Defaults to 4 MiB.
	Response int64
}

// WithDefaults returns the limits with every zero replaced by its default.
func (l Limits) WithDefaults() Limits {
	set(&l.Memory, 64<<20)
	set(&l.Deadline, 10*time.Second)
	set(&l.Start, 30*time.Second)
	set(&l.Instances, runtime.GOMAXPROCS(0))
	set(&l.Output, 16<<20)
	set(&l.Module, 64<<20)
	set(&l.Response, 4<<20)
	set(&l.KVKeys, 10_000)
	set(&l.KVBytes, 16<<20)
	return l
}

func set[T int | int64 | time.Duration](p *T, value T) {
	if *p <= 0 {
		*p = value
	}
}

// TimeOf returns the time of a call to categorize the items: the latest receive time among them, so that the same
// items are always categorized at the same time.
func TimeOf(items []feedback.Item) feedback.Time {
	var at feedback.Time
	for i := range items {
		at = max(at, items[i].ReceivedAt)
	}
	return at
}
