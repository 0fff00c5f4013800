package csv

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// problem is why a cell is not what its field needs.
type problem struct{ code, message string }

// parser reads cells. The cell is trimmed and not empty.
type parser func(it *feedback.Item, cell string, d *dates) *problem

func text1(get func(*feedback.Item) *string) parser {
	return func(it *feedback.Item, cell string, _ *dates) *problem {
		*get(it) = cell
		return nil
	}
}

func number(code string, set func(*feedback.Item, float64)) parser {
	return func(it *feedback.Item, cell string, _ *dates) *problem {
		f, ok := parseNumber(cell)
		if !ok {
			return &problem{code, fmt.Sprintf("found %q, expected a number", clip(cell))}
		}
		set(it, f)
		return nil
	}
}

// fields are the fields of an item that a column can hold.
var fields = map[string]parser{
	"external_id": text1(func(it *feedback.Item) *string { return &it.ExternalID }),
	"version":     parseVersion,
	"occurred_at": func(it *feedback.Item, cell string, d *dates) *problem {
		t, p := d.parse(cell)
		it.OccurredAt = t
		return p
	},
	"survey":     text1(func(it *feedback.Item) *string { return (*string)(&it.Survey) }),
	"survey_id":  text1(func(it *feedback.Item) *string { return &it.SurveyID }),
	"score":      number("bad_score", func(it *feedback.Item, f float64) { it.Score = &f }),
	"channel":    text1(func(it *feedback.Item) *string { return &it.Channel }),
	"touchpoint": text1(func(it *feedback.Item) *string { return &it.Touchpoint }),
	"stage":      text1(func(it *feedback.Item) *string { return &it.Stage }),
	"product":    text1(func(it *feedback.Item) *string { return &it.Product }),
	"location":   text1(func(it *feedback.Item) *string { return &it.Location }),
	"language":   text1(func(it *feedback.Item) *string { return &it.Language }),
	"title":      text1(func(it *feedback.Item) *string { return &it.Title }),
	"text":       text1(func(it *feedback.Item) *string { return &it.Text }),
	"url":        text1(func(it *feedback.Item) *string { return &it.URL }),
	"contactable": func(it *feedback.Item, cell string, _ *dates) *problem {
		b, ok := parseBool(cell)
		if !ok {
			return &problem{"bad_bool", fmt.Sprintf("found %q, expected yes or no", clip(cell))}
		}
		it.Contactable = &b
		return nil
	},
	"customer.id":          text1(func(it *feedback.Item) *string { return &it.Customer.ID }),
	"customer.key_kind":    text1(func(it *feedback.Item) *string { return (*string)(&it.Customer.KeyKind) }),
	"customer.name":        text1(func(it *feedback.Item) *string { return &it.Customer.Name }),
	"customer.email":       text1(func(it *feedback.Item) *string { return &it.Customer.Email }),
	"customer.account":     text1(func(it *feedback.Item) *string { return &it.Customer.Account }),
	"customer.segment":     text1(func(it *feedback.Item) *string { return &it.Customer.Segment }),
	"customer.tier":        text1(func(it *feedback.Item) *string { return &it.Customer.Tier }),
	"customer.arr":         number("bad_number", func(it *feedback.Item, f float64) { it.Customer.ARR = &f }),
	"customer.tenure_days": number("bad_number", func(it *feedback.Item, f float64) { it.Customer.TenureDays = &f }),
	"customer.region":      text1(func(it *feedback.Item) *string { return &it.Customer.Region }),
	"customer.country":     text1(func(it *feedback.Item) *string { return &it.Customer.Country }),
	"customer.language":    text1(func(it *feedback.Item) *string { return &it.Customer.Language }),
	"customer.owner":       text1(func(it *feedback.Item) *string { return &it.Customer.Owner }),
}

// parseVersion reads a sequence number or the instant of a change.
func parseVersion(it *feedback.Item, cell string, d *dates) *problem {
	if n, err := strconv.ParseInt(cell, 10, 64); err == nil && n > 0 {
		it.Version = n
		return nil
	}
	t, p := d.parse(cell)
	if p != nil {
		return &problem{"bad_version", p.message + ", or a number"}
	}
	it.Version = int64(t)
	return nil
}

// typed reads the cell of an attribute.
func typed(kind, cell string, d *dates) (feedback.Value, *problem) {
	switch kind {
	case "number":
		f, ok := parseNumber(cell)
		if !ok {
			return feedback.Value{}, &problem{"bad_number", fmt.Sprintf("found %q, expected a number", clip(cell))}
		}
		return feedback.NumberValue(f), nil
	case "bool":
		b, ok := parseBool(cell)
		if !ok {
			return feedback.Value{}, &problem{"bad_bool", fmt.Sprintf("found %q, expected yes or no", clip(cell))}
		}
		return feedback.BoolValue(b), nil
	case "time":
		t, p := d.parse(cell)
		return feedback.TimeValue(t), p
	}
	return feedback.StringValue(cell), nil
}

// parseNumber reads a decimal number with a point or a comma.
func parseNumber(s string) (float64, bool) {
	if strings.Count(s, ",") == 1 && !strings.Contains(s, ".") {
		s = strings.Replace(s, ",", ".", 1)
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && f-f == 0
}

// truths are the words of yes and no of a few languages.
var truths = map[string]bool{
	"true": true, "yes": true, "y": true, "1": true, "x": true, "ja": true, "oui": true, "si": true, "sí": true, "on": true,
	"false": false, "no": false, "n": false, "0": false, "nein": false, "non": false, "off": false,
}

func parseBool(s string) (value, ok bool) {
	value, ok = truths[strings.ToLower(s)]
	return value, ok
}

// dates reads instants.
type dates struct {
	formats []string
	zone    *time.Location
}

// unambiguous are the layouts that are tried when none is given: day and month cannot be taken for each other.
var unambiguous = []string{
	"rfc3339", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02",
	"2006/1/2 15:04:05", "2006/1/2", "2 Jan 2006 15:04:05", "2 Jan 2006", "Jan 2, 2006", "January 2, 2006", "20060102",
}

// parse reads an instant.
func (d *dates) parse(cell string) (feedback.Time, *problem) {
	formats := d.formats
	if len(formats) == 0 {
		formats = unambiguous
	}
	for _, f := range formats {
		if t, ok := d.as(f, cell); ok {
			return t, nil
		}
	}
	expected := "a date such as 2026-03-02T10:00:00Z; for other dates, and where day and month could be taken for each other, say dates.formats"
	if len(d.formats) > 0 {
		expected = fmt.Sprintf("a date in one of the formats %q", d.formats)
	}
	return 0, &problem{"bad_date", fmt.Sprintf("found %q, expected %s", clip(cell), expected)}
}

func (d *dates) as(format, cell string) (feedback.Time, bool) {
	switch format {
	case "unix", "unix_ms":
		n, err := strconv.ParseFloat(cell, 64)
		if err != nil || n <= 0 || n > 1e14 {
			return 0, false
		}
		if format == "unix" {
			n *= 1000
		}
		return feedback.Time(n), true
	case "rfc3339":
		format = time.RFC3339
	}
	t, err := time.ParseInLocation(format, cell, d.zone)
	if err != nil || t.Year() < 1 || t.Year() > 9999 {
		return 0, false
	}
	return feedback.TimeOf(t), true
}

// clip shortens a cell for a message.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
