// Command plugin is a source that has nothing.
package main

import (
	"context"
	_ "embed"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/serve"
)

//go:embed plugin.yaml
var manifest []byte

type nothing struct{}

// Poll implements sdk.Poller.
func (nothing) Poll(context.Context, sdk.PollRequest) (sdk.PollResult, error) {
	return sdk.PollResult{Next: []byte("end")}, nil
}

func init() {
	serve.Register(sdk.Plugin{Manifest: manifest, New: func(context.Context, sdk.Host, []byte) (any, error) { return nothing{}, nil }})
}

func main() { serve.Main() }
