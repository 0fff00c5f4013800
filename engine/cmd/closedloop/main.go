// Command closedloop runs customer-feedback programs. Try closedloop help.
package main

import (
	"os"

	"github.com/closedloop/closedloop/engine/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], cli.Stdio())) }
