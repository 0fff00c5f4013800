// Package serve is the entry point of a plugin's binary. One source builds to a sandboxed module and to a process:
//
//	package main
//
//	import (
//		"example.com/shouting"
//
//		"github.com/closedloop/closedloop/sdk/serve"
//	)
//
//	func init() { serve.Register(shouting.Plugin) }
//
//	func main() { serve.Main() }
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o shouting.wasm .
//	go build -o shouting .
//
// Register belongs in init because a module of this kind runs its init functions and never its main. The module
// exports the functions of sdk/ABI.md and imports those host functions that the plugin's code can reach. The process
// speaks package rpc, answers --manifest with the manifest, and says what it is when it is started by hand.
//
// A plugin that panics ends its instance: the sandbox traps, the process dies, and the host shows what was written to
// standard error.
package serve

import (
	"context"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

// registered holds the binary's plugin: exported functions and main cannot be handed it.
var registered []sdk.Plugin

// Register makes p the plugin of this binary. It is called once, in init.
func Register(p sdk.Plugin) { registered = append(registered, p) }

// session is one instance of the plugin and what its calls use again.
type session struct {
	instance any
	now      feedback.Time // of the call that is being served
	grants   wire.Grants

	items   wire.ItemReader
	results []sdk.Result
}

// call answers the frame in with a frame appended to out.
func (s *session) call(ctx context.Context, host sdk.Host, in, out []byte) []byte {
	kind, err := wire.Kind(in)
	if err == nil {
		s.now, err = wire.Now(in)
	}
	if err != nil {
		return wire.AppendFailure(out, err)
	}
	switch kind {
	case wire.KindConfigure:
		return s.configure(ctx, host, in, out)
	case wire.KindItems:
		return s.categorize(ctx, in, out)
	case wire.KindPoll:
		return s.poll(ctx, in, out)
	case wire.KindReceive:
		return s.receive(ctx, in, out)
	default:
		return s.deliver(ctx, in, out)
	}
}

func (s *session) configure(ctx context.Context, host sdk.Host, in, out []byte) []byte {
	c, err := wire.ReadConfigure(in)
	if err != nil {
		return wire.AppendFailure(out, err)
	}
	if len(registered) != 1 {
		return wire.AppendFailure(out, sdk.Fatal("the plugin's main must call serve.Register once, in init"))
	}
	s.grants = c.Grants
	s.instance, err = registered[0].New(ctx, host, c.Settings)
	if err != nil {
		return wire.AppendFailure(out, err)
	}
	return wire.AppendOK(out)
}

func (s *session) categorize(ctx context.Context, in, out []byte) []byte {
	p, ok := s.instance.(sdk.Categorizer)
	if !ok {
		return s.unable(out, sdk.AbilityCategorize)
	}
	items, err := s.items.Read(in)
	if err != nil {
		return wire.AppendFailure(out, err)
	}
	for len(s.results) < len(items) {
		s.results = append(s.results, sdk.Result{})
	}
	results := s.results[:len(items)]
	for i := range results {
		results[i].Reset()
	}
	if err := p.Categorize(ctx, items, results); err != nil {
		return wire.AppendFailure(out, err)
	}
	return wire.AppendResults(out, results)
}

func (s *session) poll(ctx context.Context, in, out []byte) []byte {
	p, ok := s.instance.(sdk.Poller)
	if !ok {
		return s.unable(out, sdk.AbilityPoll)
	}
	req, err := wire.ReadPoll(in)
	if err != nil {
		return wire.AppendFailure(out, err)
	}
	res, err := p.Poll(ctx, req)
	if err != nil {
		return wire.AppendFailure(out, err)
	}
	return wire.AppendPollResult(out, &res)
}

func (s *session) receive(ctx context.Context, in, out []byte) []byte {
	p, ok := s.instance.(sdk.Receiver)
	if !ok {
		return s.unable(out, sdk.AbilityReceive)
	}
	req, err := wire.ReadReceive(in)
	if err != nil {
		return wire.AppendFailure(out, err)
	}
	res, err := p.Receive(ctx, req)
	if err != nil {
		return wire.AppendFailure(out, err)
	}
	return wire.AppendReceiveResult(out, &res)
}

func (s *session) deliver(ctx context.Context, in, out []byte) []byte {
	p, ok := s.instance.(sdk.Deliverer)
	if !ok {
		return s.unable(out, sdk.AbilityDeliver)
	}
	m, err := wire.ReadDeliver(in)
	if err != nil {
		return wire.AppendFailure(out, err)
	}
	if err := p.Deliver(ctx, m); err != nil {
		return wire.AppendFailure(out, err)
	}
	return wire.AppendOK(out)
}

// unable answers a call that the instance does not implement.
func (s *session) unable(out []byte, a sdk.Ability) []byte {
	return wire.AppendFailure(out, &sdk.Failure{
		Fatal: true, Code: "unsupported", Message: "the plugin does not implement the ability " + string(a),
	})
}
