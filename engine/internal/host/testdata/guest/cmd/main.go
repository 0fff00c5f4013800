// Command cmd is the guest as a module and as a process.
package main

import (
	"github.com/closedloop/closedloop/engine/internal/host/testdata/guest"
	"github.com/closedloop/closedloop/sdk/serve"
)

func init() { serve.Register(guest.Plugin) }

func main() { serve.Main() }
