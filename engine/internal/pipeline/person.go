package pipeline

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// person is whom an erasure is about: what records are recognised by.
type person struct {
	records.Person
	names [][]byte // the customer's id and e-mail addresses, as they are and as JSON has them

	ids   map[string]bool // of items and cases
	rules map[string]bool // that have raised an alert because of an item
	words map[string]bool // how the person's texts begin, as JSON has them
}

// leastName is how long an id must be to be looked for within texts. A shorter one is found where it stands alone.
const leastName = 5

func newPerson(who records.Person) *person {
	p := &person{Person: who, ids: map[string]bool{}, rules: map[string]bool{}, words: map[string]bool{}}
	for _, name := range append([]string{who.Customer}, who.Emails...) {
		forms := []string{name}
		if lower := strings.ToLower(name); strings.Contains(name, "@") && lower != name {
			forms = append(forms, lower)
		}
		for _, form := range forms {
			for _, name := range append(inJSON(form), form) {
				if !slices.ContainsFunc(p.names, func(n []byte) bool { return string(n) == name }) && name != "" {
					p.names = append(p.names, []byte(name))
				}
			}
		}
	}
	return p
}

// inJSON returns the forms of a text in JSON, without the quotes: records have the one, what is in them may have the other.
func inJSON(s string) []string {
	var forms []string
	for _, html := range [...]bool{false, true} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(html)
		if err := enc.Encode(s); err == nil && b.Len() > len("\"\"\n") {
			forms = append(forms, b.String()[1:b.Len()-2])
		}
	}
	return slices.Compact(forms)
}

// The kinds of marks: what an erasure remembers of what it takes out, to find what else tells of it.
const (
	markID    = "i"
	markRule  = "r"
	markWords = "w"
)

// learn takes note of a mark.
func (p *person) learn(mark string) {
	for kind, set := range map[string]map[string]bool{markID: p.ids, markRule: p.rules, markWords: p.words} {
		if v, ok := strings.CutPrefix(mark, kind); ok {
			set[v] = true
		}
	}
}

// marksOf returns what an item is remembered by.
func marksOf(rec *records.Item, done *records.Effects) (marks []string) {
	it := &rec.Feedback
	marks = append(marks, markID+string(it.ID))
	for _, id := range casesOf(rec, done) {
		marks = append(marks, markID+string(id))
	}
	for i := range done.Done {
		if e := &done.Done[i]; e.Kind == string(rules.Alert) {
			marks = append(marks, markRule+e.Rule)
		}
	}
	for _, text := range [...]string{it.Text, it.Title, it.Customer.Name} {
		for _, form := range inJSON(text) {
			marks = append(marks, markWords+form[:min(len(form), wordsBytes)])
		}
	}
	return marks
}

// wordsBytes is how much of a text is remembered.
const wordsBytes = 48

// isToldIn reports whether what a rule's alerts say has words of the person, to whom the rule must have listened.
func (p *person) isToldIn(rule string, record []byte) bool {
	if !p.rules[rule] {
		return false
	}
	for words := range p.words {
		if len(words) == wordsBytes && bytes.Contains(record, []byte(words)) || mentions(record, []byte(words), false) {
			return true
		}
	}
	return false
}

// wrote reports whether an item is the person's: by the customer's id, or, of an item without one, by the e-mail address.
func (p *person) wrote(it *feedback.Item) bool {
	if it.Customer.ID != "" {
		return it.Customer.ID == p.Customer
	}
	for _, e := range append([]string{p.Customer}, p.Emails...) {
		if it.Customer.Email != "" && strings.EqualFold(it.Customer.Email, e) {
			return true
		}
	}
	return false
}

// isIn reports whether a record mentions the person: by the id of an item or a case, or by name as a word of its own.
func (p *person) isIn(record []byte) bool {
	if p.hasID(record) {
		return true
	}
	for _, name := range p.names {
		if mentions(record, name, len(name) < leastName) {
			return true
		}
	}
	return false
}

// isNamed is isIn for a value that stands by itself, such as those of keys. A short id is the whole of it, or of one of
// the values that it is made of.
func (p *person) isNamed(value string) bool {
	if p.hasID([]byte(value)) {
		return true
	}
	for _, name := range p.names {
		if len(name) >= leastName {
			if mentions([]byte(value), name, false) {
				return true
			}
			continue
		}
		for part := range strings.SplitSeq(value, "\x1f") {
			if part == string(name) {
				return true
			}
		}
	}
	return false
}

// isNamedIn is isNamed for what the key of a record may name a person by.
func (p *person) isNamedIn(key []byte) bool { return p.hasID(key) || p.isNamed(valueIn(key)) }

// valueIn returns what of a key is of customers: neither its numbers and instants, nor what the program names.
func valueIn(key []byte) string {
	r := store.ReadKey(key)
	switch key[0] {
	case store.KeyAlert, store.KeyThrottle, store.KeyPlugin:
		_ = r.Str()
		return r.Str()
	case store.KeyIndex:
		if records.IsOfCustomers(r.Str()) {
			return r.Str()
		}
	case store.KeyWindow:
		value, _ := records.RingOf(key) // "" of a key that is none
		return value
	case store.KeySilence:
		switch r.Str() {
		case records.BoardGroups:
			_ = r.Str()
			return r.Str()
		case records.BoardWakes:
			_, _ = r.Str(), r.Str()
			return r.Str()
		}
	case store.KeyTimer:
		_ = r.Time()
		if kind := r.Str(); kind == TimerWake {
			_, _, value, _ := parseWakeRef(r.Str())
			return value
		}
	}
	return ""
}

// isNamedBy reports whether what somebody writes names the person. The names are those that feedback was signed with.
func (p *person) isNamedBy(sentence string, names []string) bool {
	lower := []byte(strings.ToLower(sentence))
	for _, name := range p.names {
		if mentions([]byte(sentence), name, false) || bytes.Contains(name, []byte("@")) && mentions(lower, bytes.ToLower(name), false) {
			return true
		}
	}
	return slices.ContainsFunc(names, func(n string) bool { return mentions([]byte(sentence), []byte(n), false) })
}

// mayHaveWritten reports whether a stored item may be the person's.
func (p *person) mayHaveWritten(record []byte) bool {
	return !bytes.Contains(record, []byte(`"customer":{"id":`)) || p.isIn(record)
}

// idBytes is the length of the id of an item or a case: two bytes for its kind, then 26.
const idBytes = 28

func (p *person) hasID(b []byte) bool {
	for i := 1; len(p.ids) > 0; i++ {
		at := bytes.IndexByte(b[min(i, len(b)):], '_')
		if at < 0 {
			return false
		}
		if i += at; i-1+idBytes <= len(b) && p.ids[string(b[i-1:i-1+idBytes])] {
			return true
		}
	}
	return false
}

// mentions reports whether a name stands in b as a word of its own, or, alone, as a whole string of JSON.
func mentions(b, name []byte, alone bool) bool {
	for from := 0; ; {
		i := bytes.Index(b[from:], name)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(name)
		if alone && i > 0 && end < len(b) && b[i-1] == '"' && b[end] == '"' {
			return true
		}
		if !alone && !endsInWord(b[:i]) && !beginsWithWord(b[end:]) {
			return true
		}
		from = i + 1
	}
}

func endsInWord(b []byte) bool {
	r, _ := utf8.DecodeLastRune(b)
	if bytes.HasSuffix(b, []byte(`\u001f`)) || bytes.HasSuffix(b, []byte(`\x1f`)) { // between the values of a key, quoted
		return false
	}
	if len(b) > 1 && (r == 'n' || r == 't' || r == 'r') && b[len(b)-2] == '\\' { // the end of a line in JSON
		return false
	}
	return len(b) > 0 && joinsName(r)
}

func beginsWithWord(b []byte) bool {
	r, size := utf8.DecodeRune(b)
	if r == '.' || r == '-' { // the end of a sentence is no part of a name
		next, _ := utf8.DecodeRune(b[size:])
		return len(b) > size && (unicode.IsLetter(next) || unicode.IsDigit(next))
	}
	return len(b) > 0 && joinsName(r)
}

func joinsName(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) || r == '_' || r == '-' || r == '.'
}
