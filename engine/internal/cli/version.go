package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/sdk"
)

// build is what is known of this binary.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // there were changes on top of the revision
	Time     string `json:"time,omitempty"`     // of the revision
	Contract string `json:"contract"`           // of plugins
	Go       string `json:"go"`
	System   string `json:"system"`
}

func thisBuild() build {
	b := build{Version: "(devel)", Contract: sdk.ContractVersion(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		case "vcs.time":
			b.Time = s.Value
		}
	}
	return b
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which version this is",
		Example: "  closedloop version\n  closedloop version --json",
		Args:    exact(0, ""),
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if a.json {
				return a.printJSON(b)
			}
			fmt.Fprintf(a.std.Out, "closedloop %s\n", b.Version)
			var f facts
			if b.Revision != "" {
				at := b.Revision[:min(12, len(b.Revision))] + " of " + b.Time
				if b.Modified {
					at += ", with changes"
				}
				f.add("revision", at)
			}
			f.add("contract", b.Contract+" of plugins")
			f.add("go", b.Go+" "+b.System)
			f.write(a.std.Out, 0)
			return nil
		},
	}
}
