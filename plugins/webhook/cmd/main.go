// Command webhook is the plugin webhook, as a sandboxed module or as a process.
package main

import (
	"github.com/closedloop/closedloop/plugins/webhook"
	"github.com/closedloop/closedloop/sdk/serve"
)

func init() { serve.Register(webhook.Plugin) }

func main() { serve.Main() }
