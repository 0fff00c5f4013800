// Command codebook is the plugin codebook, as a sandboxed module or as a process.
package main

import (
	"github.com/closedloop/closedloop/plugins/codebook"
	"github.com/closedloop/closedloop/sdk/serve"
)

func init() { serve.Register(codebook.Plugin) }

func main() { serve.Main() }
