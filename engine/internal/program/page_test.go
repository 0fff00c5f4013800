package program

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/rules/source"
)

// oddKey is a key that the loader knows nowhere.
const oddKey = "zz-zz-zz"

// oddProgram is a program with oddKey in every map that has keys of its own. The plugins are not there.
const oddProgram = `
sources:
  ID:
    grants: {zz-zz-zz: 1}
    limits: {zz-zz-zz: 1}
    item:
      customer: {zz-zz-zz: 1}
      zz-zz-zz: 1
    zz-zz-zz: 1
categorizers:
  ID: {zz-zz-zz: 1, grants: {zz-zz-zz: 1}, limits: {zz-zz-zz: 1}}
destinations:
  ID: {zz-zz-zz: 1, grants: {zz-zz-zz: 1}, limits: {zz-zz-zz: 1}, retry: {zz-zz-zz: 1}, breaker: {zz-zz-zz: 1}}
attributes: {zz-zz-zz: {}}
secrets:
  NAME: {zz-zz-zz: x}
queues:
  NAME: {zz-zz-zz: 1}
retention: {zz-zz-zz: 1}
zz-zz-zz: 1
`

var (
	rowOfPage = regexp.MustCompile("(?m)^\\| `([a-zA-Z0-9_.]+)` \\| [^|]+ \\| ([^|]+) \\| [^|]+ \\|$")
	knownKeys = regexp.MustCompile(`^unknown key.*, expected (?:one of )?([a-z0-9_, ]+)$`)
)

// TestPageHasEveryKey holds that engine/docs/PROGRAM.md has a row for every key that the loader knows, and no other, with
// the defaults that it fills in. The loader tells what it knows where it finds something else.
func TestPageHasEveryKey(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/PROGRAM.md")
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	for _, row := range rowOfPage.FindAllStringSubmatch(string(page), -1) {
		names := []string{row[1]}
		if rest, ok := strings.CutPrefix(row[1], "PLUGIN."); ok {
			names = []string{"sources.ID." + rest, "categorizers.ID." + rest, "destinations.ID." + rest}
		}
		for _, name := range names {
			if _, again := defaults[name]; again {
				t.Errorf("the page has %s twice", name)
			}
			defaults[name] = strings.Trim(row[2], "`")
		}
	}
	if rows := strings.Count(string(page), "\n| `"); rows != len(rowOfPage.FindAllString(string(page), -1)) {
		t.Errorf("some of the %d rows of the page are not understood", rows)
	}
	known := keysOfLoader(t)
	for _, name := range known {
		if _, ok := defaults[name]; !ok {
			t.Errorf("the page lacks %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		if !slices.Contains(known, name) {
			t.Errorf("the page has %s, which the loader does not know", name)
		}
	}
	for name, want := range defaultsOfLoader() {
		if got := defaults[name]; got != want {
			t.Errorf("%s: the page says that the default is %q, expected %q", name, got, want)
		}
	}
}

// keysOfLoader returns every key that the loader knows, with the maps around it.
func keysOfLoader(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(oddProgram), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(t.Context(), dir, Options{NoBuild: true})
	problems := source.Problems(nil)
	if !errors.As(err, &problems) {
		t.Fatalf("got %v, expected problems", err)
	}
	root, parsed := source.Parse(FileName, []byte(oddProgram))
	if root == nil {
		t.Fatal(parsed)
	}
	places := map[source.Pos]string{}
	placesOfKeys(root, "", places)
	found := map[string]bool{}
	for _, p := range problems {
		if p.Code != "unknown_key" {
			continue
		}
		in, ok := places[source.Pos{File: FileName, Line: p.Line, Column: p.Column}]
		m := knownKeys.FindStringSubmatch(p.Message)
		if !ok || m == nil {
			t.Fatalf("line %d: %q is not understood", p.Line, p.Message)
		}
		delete(places, source.Pos{File: FileName, Line: p.Line, Column: p.Column})
		for key := range strings.SplitSeq(m[1], ", ") {
			found[in+key] = true
		}
	}
	for pos, in := range places {
		t.Errorf("line %d: the loader takes any key in %s", pos.Line, in)
	}
	return slices.Sorted(maps.Keys(found))
}

// placesOfKeys notes where each oddKey stands, and in which map.
func placesOfKeys(n *source.Node, in string, into map[source.Pos]string) {
	if !n.IsMap() {
		return
	}
	for _, e := range n.Entries() {
		if e.Name == oddKey {
			into[e.Key.Pos()] = in
		}
		placesOfKeys(e.Value, in+e.Name+".", into)
	}
}

// defaultsOfLoader returns defaults as the page writes them.
func defaultsOfLoader() map[string]string {
	l := host.Limits{}.WithDefaults()
	defaults := map[string]string{
		"rules":                           defaultRules,
		"state":                           defaultState,
		"pins":                            pinsOptional,
		"sources.ID.every":                brief(defaultEvery),
		"categorizers.ID.on_failure":      string(Hold),
		"destinations.ID.retry.max_age":   brief(defaultMaxAge),
		"destinations.ID.retry.attempts":  fmt.Sprint(defaultAttempts),
		"destinations.ID.retry.base":      brief(defaultBase),
		"destinations.ID.retry.cap":       brief(defaultCap),
		"categorizers.ID.limits.memory":   inUnits(l.Memory),
		"categorizers.ID.limits.deadline": brief(l.Deadline),
		"categorizers.ID.limits.output":   inUnits(int64(l.Output)),
		"categorizers.ID.limits.module":   inUnits(l.Module),
		"categorizers.ID.limits.response": inUnits(l.Response),
		"categorizers.ID.limits.kv_keys":  fmt.Sprint(l.KVKeys),
		"categorizers.ID.limits.kv_bytes": inUnits(l.KVBytes),
		"categorizers.ID.trust":           string(TrustSandbox),
	}
	return defaults
}

// brief writes a duration without the zeros at its end.
func brief(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if short := strings.TrimSuffix(text, zero); strings.HasSuffix(short, "m") || strings.HasSuffix(short, "h") {
			text = short
		}
	}
	return text
}
