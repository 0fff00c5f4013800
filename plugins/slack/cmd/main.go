// Command slack is the plugin slack, as a sandboxed module or as a process.
package main

import (
	"github.com/closedloop/closedloop/plugins/slack"
	"github.com/closedloop/closedloop/sdk/serve"
)

func init() { serve.Register(slack.Plugin) }

func main() { serve.Main() }
