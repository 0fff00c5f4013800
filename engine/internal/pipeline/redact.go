package pipeline

import (
	"maps"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/redact"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// conceal replaces what the source's program does not want to know in the free text of an item, and returns how often. It
// comes before everything that reads the text: its hash, plugins, rules and the store. What names the item or the customer
// stays: the external id, and the customer's id, e-mail address and account.
func conceal(it *feedback.Item, k redact.Kinds) int {
	if k == 0 {
		return 0
	}
	var found redact.Found
	text := func(s *string, k redact.Kinds) {
		clean, n := k.Text(*s)
		*s = clean
		found.Add(n)
	}
	text(&it.Text, k)
	text(&it.Title, k)
	text(&it.Customer.Name, k)
	text(&it.URL, k&redact.Email) // the digits of a URL are ids
	for _, attrs := range [...]*feedback.Attributes{&it.Attributes, &it.Customer.Attributes} {
		found.Add(concealAttributes(attrs, k))
	}
	return found.Total()
}

func concealAttributes(attrs *feedback.Attributes, k redact.Kinds) (found redact.Found) {
	for name, v := range *attrs {
		s, isString := v.Str()
		if !isString {
			continue
		}
		clean, n := k.Text(s)
		if n.Total() == 0 {
			continue
		}
		if found.Total() == 0 {
			*attrs = maps.Clone(*attrs)
		}
		(*attrs)[name] = feedback.StringValue(clean)
		found.Add(n)
	}
	return found
}

// concealRows does for rows that are no items, and for notices, what conceal does for items.
func concealRows(c *Chunk) {
	k := c.Source.Redact
	if k == 0 {
		return
	}
	text := func(s *string) { *s, _ = k.Text(*s) }
	c.Rejects = slices.Clone(c.Rejects)
	for i := range c.Rejects {
		text(&c.Rejects[i].Message)
		text(&c.Rejects[i].Raw)
	}
	c.Notices = append([]sdk.Notice(nil), c.Notices...)
	for i := range c.Notices {
		text(&c.Notices[i].Message)
	}
}
