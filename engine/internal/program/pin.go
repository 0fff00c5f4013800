package program

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/closedloop/closedloop/rules/source"
)

// What a program says of pins. Optional, the default, warns of a file without one; required refuses it.
const (
	pinsOptional = "optional"
	pinsRequired = "required"
)

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// checkPin compares the file of a plugin with the SHA-256 that the program pins it to. A folder is not pinned: its
// source, which stands with the program, is what it is.
func (l *loader) checkPin(p *Plugin, n *source.Node) {
	file := p.Kind == KindWASM || p.Kind == KindProcess
	at := n.Get("sha256")
	if at == nil {
		if file && p.SHA256 != "" {
			l.unpinned(p, n.Get("plugin"))
		}
		return
	}
	pin := strings.TrimPrefix(strings.ToLower(at.String()), "sha256:")
	switch {
	case pin == "" && at.Any() != "":
	case !digestPattern.MatchString(pin):
		at.ProblemHint("pin", l.pinHint(p), "found %s, expected the 64 hexadecimal digits of a SHA-256", at.Found())
	case p.Kind == KindFolder, p.Kind == KindNative:
		at.ProblemHint("pin", "pin the .wasm file that is built from it, or leave sha256 out", "only a file can be pinned")
	case p.SHA256 != "" && p.SHA256 != pin:
		at.ProblemHint("pin", "another file stands there than the one that was accepted; "+l.pinHint(p),
			"the file %s of plugin %s has the SHA-256 %s, expected %s", n.Get("plugin").String(), p.ID, p.SHA256, pin)
	}
}

// unpinned notes a file that anybody who can write it may replace.
func (l *loader) unpinned(p *Plugin, at *source.Node) {
	if l.strict {
		at.ProblemHint("pin", l.pinHint(p), "the program requires pins, and plugin %s has none", p.ID)
		return
	}
	l.warn(at, "pin", l.pinHint(p), "plugin %s is not pinned: whatever stands in the file is run", p.ID)
}

// pinHint names the command that shows what the file is and pins it.
func (l *loader) pinHint(p *Plugin) string {
	file := p.Path
	if rel, err := filepath.Rel(l.p.Dir, file); err == nil && filepath.IsLocal(rel) {
		file = filepath.Join(l.given, rel)
	}
	if p.Kind != KindWASM && p.Kind != KindProcess || file == "" {
		return ""
	}
	command := "closedloop plugin add " + filepath.ToSlash(file) + " -C " + filepath.ToSlash(l.given) + " --id " + p.ID
	if p.Kind == KindProcess {
		command += " --process"
	}
	return "look at it and pin it with " + command
}
