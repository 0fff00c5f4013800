// Command cmd is the categorizer urgency as a plugin.
package main

import (
	urgency "github.com/closedloop/closedloop/examples/plugins/go"
	"github.com/closedloop/closedloop/sdk/serve"
)

func init() { serve.Register(urgency.Plugin) }

func main() { serve.Main() }
