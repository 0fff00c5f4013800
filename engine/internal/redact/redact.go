// Package redact replaces e-mail addresses, telephone numbers and numbers of payment cards in a text by markers.
//
// What holds:
//
//   - It is a function of the text and the kinds alone: no clock, no state, no table that grows.
//   - What it has written it leaves alone: redacting again changes nothing.
//   - Valid UTF-8 stays valid. The time is linear in the text, whatever the text is.
//   - A text in which nothing is found is returned as it is, without an allocation.
//
// It would rather leave a telephone number than take away an order number: a row of digits that nothing around it marks
// as a telephone number stays. Numbers of cards have a known issuer, its length and a right check digit.
//
//	text, found := redact.All.Text("call me on +44 20 7946 0958")
//	// "call me on [phone]", found.Phones == 1
package redact

import (
	"fmt"
	"strings"
)

// Kinds is a set of what is replaced. The zero value replaces nothing.
type Kinds uint8

// The kinds.
const (
	Email Kinds = 1 << iota // addresses of e-mail
	Phone                   // telephone numbers
	Card                    // numbers of payment cards

	All = Email | Phone | Card
)

// Names returns the names of all kinds, as Parse takes them.
func Names() []string { return []string{"email", "phone", "card"} }

// Parse returns the kind of that name.
func Parse(name string) (Kinds, error) {
	for i, n := range Names() {
		if n == name {
			return 1 << i, nil
		}
	}
	return 0, fmt.Errorf("redact: found %q, expected one of %s", name, strings.Join(Names(), ", "))
}

// The markers.
const (
	emailMark = "[email]"
	phoneMark = "[phone]"
	cardMark  = "[card]"
)

// Found counts what was replaced.
type Found struct {
	Emails int
	Phones int
	Cards  int
}

// Total is the number of replacements.
func (f Found) Total() int { return f.Emails + f.Phones + f.Cards }

// Add adds the other counts.
func (f *Found) Add(o Found) {
	f.Emails += o.Emails
	f.Phones += o.Phones
	f.Cards += o.Cards
}

// Text returns the text with markers in the place of what the kinds name, and how many there are.
func (k Kinds) Text(s string) (string, Found) {
	var found Found
	if k&Email != 0 {
		s, found.Emails = emails(s)
	}
	if k&(Phone|Card) != 0 && mayHoldNumber(s) {
		s, found.Phones, found.Cards = numbers(s, k)
	}
	return s, found
}

// output is a text that is written anew from its first replacement on.
type output struct {
	in   string
	b    []byte
	done int // bytes of in that b stands for
}

// replace puts a marker in the place of in[from:to].
func (o *output) replace(from, to int, mark string) {
	if o.b == nil {
		o.b = make([]byte, 0, len(o.in)+16)
	}
	o.b = append(append(o.b, o.in[o.done:from]...), mark...)
	o.done = to
}

// String returns the text.
func (o *output) String() string {
	if o.b == nil {
		return o.in
	}
	return string(append(o.b, o.in[o.done:]...))
}
