package cli

import (
	"github.com/closedloop/closedloop/plugins/codebook"
	"github.com/closedloop/closedloop/plugins/csv"
	"github.com/closedloop/closedloop/plugins/slack"
	"github.com/closedloop/closedloop/plugins/smtp"
	"github.com/closedloop/closedloop/plugins/webhook"
	"github.com/closedloop/closedloop/sdk"
)

// bundled are the plugins that come with this binary. A program names them native:NAME, and needs neither a toolchain nor
// a file for them.
func bundled() map[string]sdk.Plugin {
	return map[string]sdk.Plugin{
		"codebook": codebook.Plugin, "csv": csv.Plugin, "slack": slack.Plugin, "smtp": smtp.Plugin, "webhook": webhook.Plugin,
	}
}
