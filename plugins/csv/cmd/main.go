// Command csv is the plugin csv, as a sandboxed module or as a process.
package main

import (
	"github.com/closedloop/closedloop/plugins/csv"
	"github.com/closedloop/closedloop/sdk/serve"
)

func init() { serve.Register(csv.Plugin) }

func main() { serve.Main() }
