package backtest

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// periods divides the time of a report.
type periods struct {
	days    int
	starts  []feedback.Time
	at      int // the period that was asked for last
	carried int // the period up to which the open cases were carried over
}

// maxPeriods bounds the periods of a report: beyond it they last longer than a day.
const maxPeriods = 400

// newPeriods divides the time into days of the zone, or weeks, or four weeks and so on.
func newPeriods(since, until feedback.Time, zone *time.Location) periods {
	p := periods{days: 1}
	all := int((until-since)/feedback.Time(24*time.Hour/time.Millisecond)) + 1 // a time.Duration ends at 292 years
	if all > maxPeriods {
		for p.days = 7; all/p.days > maxPeriods; {
			p.days *= 4
		}
	}
	y, m, d := since.Std().In(zone).Date()
	p.starts = []feedback.Time{since}
	for n := p.days; ; n += p.days {
		next := feedback.TimeOf(time.Date(y, m, d+n, 0, 0, 0, 0, zone))
		if next >= until {
			return p
		}
		if next > since {
			p.starts = append(p.starts, next)
		}
	}
}

// of returns the number of the period that an instant belongs to. What lies outside belongs to the first or last.
func (p *periods) of(at feedback.Time) int {
	for p.at+1 < len(p.starts) && p.starts[p.at+1] <= at {
		p.at++
	}
	if p.starts[p.at] <= at {
		return p.at
	}
	i, found := slices.BinarySearch(p.starts, at)
	if !found {
		i = max(i-1, 0)
	}
	p.at = i
	return i
}

const (
	samples     = 3
	sampleRunes = 100
)

// sampler keeps some of the items that it is given, whatever their order: ids end in what is as good as random, and the
// least of these endings are kept.
type sampler struct{ kept []Sample }

func (s *sampler) add(it *feedback.Item) {
	at, found := slices.BinarySearchFunc(s.kept, tail(it.ID), func(k Sample, t string) int { return cmp.Compare(tail(k.Item), t) })
	if found || at == samples {
		return
	}
	if len(s.kept) == samples {
		s.kept = s.kept[:samples-1]
	}
	s.kept = slices.Insert(s.kept, at, Sample{Item: it.ID, At: it.OccurredAt, Text: firstWords(it)})
}

// list returns what was kept, in the order of time.
func (s *sampler) list() []Sample {
	out := append([]Sample{}, s.kept...)
	slices.SortStableFunc(out, func(a, b Sample) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Item, b.Item)) })
	return out
}

// tail returns the part of an id that says nothing of the time.
func tail(id feedback.ItemID) string {
	const tailSize = 16
	return string(id[max(0, len(id)-tailSize):])
}

// firstWords returns the beginning of an item's text, or its title, on one line.
func firstWords(it *feedback.Item) string {
	s := strings.Join(strings.Fields(cut(cmp.Or(it.Text, it.Title), 8*sampleRunes)), " ")
	if utf8.RuneCountInString(s) <= sampleRunes {
		return s
	}
	n := 0
	for i := range s {
		if n++; n > sampleRunes {
			s = s[:i]
			break
		}
	}
	if blank := strings.LastIndexByte(s, ' '); blank > len(s)/2 {
		s = s[:blank]
	}
	return s + "…"
}

// cut returns at most n bytes of a text, in whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
