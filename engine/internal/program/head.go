package program

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // so that a time zone is valid on every machine alike

	"github.com/closedloop/closedloop/engine/internal/redact"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// formatVersion is the version of program.yaml that is read here.
const formatVersion = 1

const defaultState = ".closedloop"

func (l *loader) readHead() {
	version := l.root.Need("version")
	if v := version.Int(); v != 0 && v != formatVersion {
		hint := ""
		if v > formatVersion {
			hint = "this engine is older than the program"
		}
		version.ProblemHint("version", hint, "found version %d, expected %d", v, formatVersion)
	}
	if name := l.root.Need("name"); name != nil {
		if l.p.Name = name.String(); l.p.Name != "" {
			checkID(name, l.p.Name)
		}
	}
	l.p.Timezone = time.UTC
	if zone := l.root.Get("timezone"); zone != nil {
		l.p.Timezone = readTimezone(zone)
	}
	l.p.StateDir = l.path(defaultState)
	if state := l.root.Get("state"); state != nil {
		if name := state.String(); name == "" {
			state.Problem("missing_value", "found an empty name, expected that of a folder")
		} else {
			l.p.StateDir = l.path(name)
		}
	}
	l.p.Redact = readRedact(l.root.Get("redact"), 0)
	l.strict = l.root.Get("pins").OneOf(pinsOptional, pinsRequired) == pinsRequired
}

// readRedact reads what is replaced in texts: a list of kinds, which may be empty.
func readRedact(n *source.Node, otherwise redact.Kinds) redact.Kinds {
	if n == nil {
		return otherwise
	}
	if n.IsString() {
		return kindOf(n)
	}
	var all redact.Kinds
	for _, e := range n.List() {
		all |= kindOf(e)
	}
	return all
}

func kindOf(n *source.Node) redact.Kinds {
	name := n.OneOf(redact.Names()...)
	if name == "" {
		return 0
	}
	k, _ := redact.Parse(name) // OneOf takes none but those
	return k
}

func readTimezone(n *source.Node) *time.Location {
	name := n.String()
	if name == "" {
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		n.ProblemHint("timezone", "the names are those of the IANA time zone database", "found %q, expected a time zone such as Europe/Berlin or UTC", name)
		return time.UTC
	}
	return zone
}

// An id names something in rules, on the command line and in stored records.
var idPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// checkID notes an id that is not well formed.
func checkID(at *source.Node, id string) bool {
	if idPattern.MatchString(id) {
		return true
	}
	at.ProblemHint("id", meantID(id), "found the name %q, expected a lower-case letter, then up to 62 lower-case letters, digits and hyphens", id)
	return false
}

var notOfID = regexp.MustCompile(`[^a-z0-9]+`)

func meantID(id string) string {
	meant := strings.Trim(notOfID.ReplaceAllString(strings.ToLower(id), "-"), "-")
	if !idPattern.MatchString(meant) {
		return ""
	}
	return "write " + meant
}

// attributeKinds are the kinds that an attribute can have, by name.
func attributeKinds() map[string]feedback.Kind {
	kinds := map[string]feedback.Kind{}
	for _, k := range []feedback.Kind{feedback.String, feedback.Number, feedback.Bool, feedback.Instant} {
		kinds[k.String()] = k
	}
	return kinds
}

// An attribute is a name in expressions: attributes.NAME.
var attributePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,62}$`)

func (l *loader) readAttributes() {
	l.p.ItemAttributes, l.p.CustomerAttributes = map[string]feedback.Kind{}, map[string]feedback.Kind{}
	attributes := l.root.Get("attributes")
	if attributes.IsNull() || !attributes.Object("item", "customer") {
		return
	}
	readKinds(attributes.Get("item"), l.p.ItemAttributes)
	readKinds(attributes.Get("customer"), l.p.CustomerAttributes)
}

func readKinds(n *source.Node, into map[string]feedback.Kind) {
	kinds := attributeKinds()
	for _, e := range entries(n) {
		if !attributePattern.MatchString(e.Name) {
			e.Key.ProblemHint("attribute", "rules call it attributes.NAME", "found the name %q, expected a letter, then letters, digits and _", e.Name)
		}
		name := e.Value.OneOf(slices.Sorted(maps.Keys(kinds))...)
		if name != "" {
			into[e.Name] = kinds[name]
		}
	}
}

// entries returns the entries of a map that may be left empty.
func entries(n *source.Node) []source.Entry {
	if n.IsNull() {
		return nil
	}
	return n.Entries()
}

func (l *loader) readQueues() {
	for _, e := range entries(l.root.Get("queues")) {
		checkID(e.Key, e.Name)
		q := Queue{ID: e.Name}
		if !e.Value.IsNull() && e.Value.Object("owners", "description") {
			q.Owners = e.Value.Get("owners").Strings()
			q.Description = e.Value.Get("description").String()
		}
		l.p.Queues = append(l.p.Queues, q)
	}
}

// didYouMean returns a hint with the name that was probably meant, or the names there are.
func didYouMean(name string, names []string, none string) string {
	if hint := suggest.DidYouMean(name, names); hint != "" {
		return hint
	}
	switch len(names) {
	case 0:
		return none
	case 1:
		return "there is only " + names[0]
	}
	return "there are " + strings.Join(names, ", ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
