package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// fencedBlock is a block of code: its language, the name of the file that it is, and its text.
var fencedBlock = regexp.MustCompile("(?ms)^```([a-z]+) ?([^\n]*)\n(.*?)^```$")

// shouted is an item as closedloop show items tells it, with the theme that the page's plugin gives.
var shouted = regexp.MustCompile(`(?m)^f_.* tone/shouting +care +It is BROKEN again$`)

// TestPluginReadme does what sdk/README.md says, from its first block to its last, in an empty folder: it writes the
// files that blocks name and runs the commands, and sees that the plugin of the page did its work. What brings the
// command onto the machine is taken as done: this test binary is the command.
func TestPluginReadme(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: the page's commands are for a Unix shell")
	}
	page, err := os.ReadFile("../../../sdk/README.md")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	env := append(os.Environ(), "PATH="+commandFolder(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	if err := os.Mkdir(filepath.Join(work, "closedloop"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir, commands, told := work, 0, ""
	for _, m := range fencedBlock.FindAllStringSubmatch(string(page), -1) {
		language, file, text := m[1], m[2], m[3]
		if language != "sh" {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "git clone ") || strings.HasPrefix(line, "go install ") {
				continue
			}
			commands++
			var out string
			if dir, out, err = shell(t, dir, env, line); err != nil {
				t.Fatalf("%s\n%v", line, err)
			}
			told += out
		}
	}
	if commands < 20 {
		t.Errorf("the page has %d commands only", commands)
	}
	if !shouted.MatchString(told) {
		t.Errorf("no item has the theme of the page's plugin:\n%s", told)
	}
}

// commandFolder returns a folder with the command closedloop.
func commandFolder(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", asMain, self)
	if err := os.WriteFile(filepath.Join(dir, "closedloop"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shell runs a line in a folder, and returns the folder that it leads to and what it wrote.
func shell(t *testing.T, dir string, env []string, line string) (to, out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", line+"\npwd >&3")
	r, w, err := os.Pipe()
	if err != nil {
		return dir, "", err
	}
	defer r.Close()
	cmd.Dir, cmd.Env, cmd.ExtraFiles = dir, env, []*os.File{w}
	written, err := cmd.CombinedOutput()
	w.Close()
	if err != nil {
		return dir, "", fmt.Errorf("%w\n%s", err, written)
	}
	where := make([]byte, 4096)
	n, err := r.Read(where)
	return strings.TrimSpace(string(where[:n])), string(written), err
}
