// Command smtp is the plugin smtp, as a process.
package main

import (
	"github.com/closedloop/closedloop/plugins/smtp"
	"github.com/closedloop/closedloop/sdk/serve"
)

func init() { serve.Register(smtp.Plugin) }

func main() { serve.Main() }
