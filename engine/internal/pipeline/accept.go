package pipeline

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/closedloop/closedloop/engine/internal/quickjson"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// refusal is why a row is no item.
type refusal struct{ code, reason string }

// accepted is an item on its way to the commit.
type accepted struct {
	item      feedback.Item
	hash      records.Hash
	row       int // its number in the chunk, from 1
	repaired  bool
	redacted  int  // what was replaced in its text
	versioned bool // the source gave the version
	refused   *refusal
	poison    bool // refused because a plugin could not survive it: kept whole, for replay
	known     bool // exact duplicate already when it was accepted
	// labels and waiting are what the categorizers said, and which of them could not be asked.
	labels   []feedback.Change
	waiting  []string
	labelled bool
}

// accept checks and completes an item. It reads no state.
func (p *Pipeline) accept(c *Chunk, in *feedback.Item, h *hasher) accepted {
	a := accepted{item: *in}
	it := &a.item
	it.ID, it.Source, it.Batch, it.ReceivedAt = "", c.Source.ID, c.Batch, c.ReceivedAt
	if in.Batch != "" {
		it.Batch = in.Batch
	}
	complete(it, &c.Source.Defaults)
	a.repaired = repair(it)
	a.redacted = conceal(it, c.Source.Redact)
	if it.ExternalID != in.ExternalID { // two ids that were not text must not become one
		it.ExternalID, it.Synthetic = "", feedback.SyntheticDamaged
	}
	it.OccurredAssumed = it.OccurredAt == 0
	a.versioned = it.Version != 0
	if a.refused = p.check(it); a.refused != nil {
		return a
	}
	if a.hash, a.refused = h.hash(it); a.refused != nil {
		return a
	}
	if it.ExternalID == "" && it.Synthetic == "" {
		it.Synthetic = feedback.SyntheticMissing
	} else if it.ExternalID != "" {
		it.Synthetic = ""
	}
	if it.OccurredAssumed {
		it.OccurredAt = it.ReceivedAt
	}
	if it.Version == 0 {
		it.Version = int64(it.ReceivedAt)
	}
	return a
}

// complete sets what the item lacks.
func complete(it, d *feedback.Item) {
	fill(&it.Channel, d.Channel)
	fill(&it.Survey, d.Survey)
	fill(&it.SurveyID, d.SurveyID)
	fill(&it.Touchpoint, d.Touchpoint)
	fill(&it.Stage, d.Stage)
	fill(&it.Product, d.Product)
	fill(&it.Location, d.Location)
	fill(&it.Language, d.Language)
	fill(&it.Customer.Segment, d.Customer.Segment)
	fill(&it.Customer.Tier, d.Customer.Tier)
	fill(&it.Customer.Region, d.Customer.Region)
	fill(&it.Customer.Country, d.Customer.Country)
	fill(&it.Customer.KeyKind, d.Customer.KeyKind)
	if it.Contactable == nil {
		it.Contactable = d.Contactable
	}
	if it.ScaleMin == nil && it.ScaleMax == nil {
		it.ScaleMin, it.ScaleMax = d.ScaleMin, d.ScaleMax
	}
	it.Attributes = withDefaults(it.Attributes, d.Attributes)
	it.Customer.Attributes = withDefaults(it.Customer.Attributes, d.Customer.Attributes)
}

func fill[T ~string](dst *T, v T) {
	if *dst == "" {
		*dst = v
	}
}

func withDefaults(a, d feedback.Attributes) feedback.Attributes {
	if len(d) == 0 {
		return a
	}
	out := maps.Clone(d)
	maps.Copy(out, a)
	return out
}

// repair replaces bytes that are not UTF-8 by U+FFFD and reports whether there were any.
func repair(it *feedback.Item) (changed bool) {
	fix := func(s *string) {
		if !utf8.ValidString(*s) {
			*s, changed = strings.ToValidUTF8(*s, "\uFFFD"), true
		}
	}
	c := &it.Customer
	for _, s := range [...]*string{
		&it.Text, &it.Title, &it.ExternalID, &it.Batch, &it.Position, (*string)(&it.Survey), &it.SurveyID, &it.Channel,
		&it.Touchpoint, &it.Stage, &it.Product, &it.Location, &it.Language, &it.URL, &c.ID, (*string)(&c.KeyKind), &c.Name,
		&c.Email, &c.Account, &c.Segment, &c.Tier, &c.Region, &c.Country, &c.Language, &c.Owner,
	} {
		fix(s)
	}
	for _, attrs := range [...]*feedback.Attributes{&it.Attributes, &c.Attributes} {
		changed = repairAttributes(attrs) || changed
	}
	return changed
}

func repairAttributes(attrs *feedback.Attributes) (changed bool) {
	for k, v := range *attrs {
		s, isString := v.Str()
		if utf8.ValidString(k) && (!isString || utf8.ValidString(s)) {
			continue
		}
		if !changed {
			*attrs, changed = maps.Clone(*attrs), true
		}
		delete(*attrs, k)
		if isString {
			v = feedback.StringValue(strings.ToValidUTF8(s, "\uFFFD"))
		}
		(*attrs)[strings.ToValidUTF8(k, "\uFFFD")] = v
	}
	return changed
}

// The bounds of what becomes part of a key, and of an item as it is stored.
const (
	maxKeyPart = 1 << 10
	maxEncoded = feedback.MaxItemBytes + feedback.MaxItemBytes/2
)

// check returns why the item cannot be accepted, or nil.
func (p *Pipeline) check(it *feedback.Item) *refusal {
	for _, part := range [...]struct{ name, value string }{
		{"external_id", it.ExternalID}, {"batch", it.Batch}, {"position", it.Position}, {"survey", string(it.Survey)}, {"channel", it.Channel},
		{"touchpoint", it.Touchpoint}, {"customer.id", it.Customer.ID}, {"customer.segment", it.Customer.Segment},
	} {
		if len(part.value) > maxKeyPart {
			return &refusal{"too_long", fmt.Sprintf("%s: found %d bytes, expected at most %d", part.name, len(part.value), maxKeyPart)}
		}
	}
	if s := it.Synthetic; s != "" && s != feedback.SyntheticMissing && s != feedback.SyntheticDamaged {
		return &refusal{"bad_synthetic", fmt.Sprintf("synthetic: found %.40q, expected missing or damaged", string(s))}
	}
	if r := checkNumbers(it); r != nil {
		return r
	}
	if n := it.Size(); n > feedback.MaxItemBytes {
		return &refusal{"too_large", fmt.Sprintf("found %d bytes, expected at most %d", n, feedback.MaxItemBytes)}
	}
	if it.Score == nil && it.Text == "" && it.Title == "" {
		return &refusal{"empty", "found neither a score nor a text, expected at least one of them"}
	}
	if r := checkScore(it); r != nil {
		return r
	}
	if r := checkAttributes("attributes", it.Attributes, p.cfg.ItemAttributes); r != nil {
		return r
	}
	return checkAttributes("customer.attributes", it.Customer.Attributes, p.cfg.CustomerAttributes)
}

// checkNumbers refuses what cannot be stored: numbers that are none, and instants outside of the years 1 to 9999.
func checkNumbers(it *feedback.Item) *refusal {
	for _, n := range [...]struct {
		name  string
		value *float64
	}{
		{"customer.arr", it.Customer.ARR}, {"customer.tenure_days", it.Customer.TenureDays},
		{"scale_min", it.ScaleMin}, {"scale_max", it.ScaleMax},
	} {
		if n.value != nil && (math.IsNaN(*n.value) || math.IsInf(*n.value, 0)) {
			return &refusal{"bad_number", fmt.Sprintf("%s: found %v, expected a number", n.name, *n.value)}
		}
	}
	instants := []feedback.Time{it.OccurredAt, it.ReceivedAt}
	for _, attrs := range [...]feedback.Attributes{it.Attributes, it.Customer.Attributes} {
		for _, v := range attrs {
			if t, ok := v.Time(); ok {
				instants = append(instants, t)
			}
		}
	}
	for _, t := range instants {
		if y := t.Std().Year(); y < 1 || y > 9999 {
			return &refusal{"bad_time", fmt.Sprintf("found an instant in the year %d, expected 1 to 9999", y)}
		}
	}
	return nil
}

func checkScore(it *feedback.Item) *refusal {
	if it.Score == nil {
		return nil
	}
	s := *it.Score
	if math.IsNaN(s) || math.IsInf(s, 0) {
		return &refusal{"bad_score", fmt.Sprintf("found the score %v, expected a number", s)}
	}
	if it.Survey == "" {
		return &refusal{"bad_score", fmt.Sprintf("found the score %v without a survey, expected survey to say what it answers, such as nps", s)}
	}
	if it.Survey == records.Volume || it.Survey == records.Share {
		return &refusal{"bad_score", fmt.Sprintf("found the survey %q, expected another name: it is that of a metric", it.Survey)}
	}
	lo, hi, ok := it.Scale()
	if !ok {
		reason := fmt.Sprintf("found a score for the survey %q, which has no usual scale, expected scale_min and scale_max as well", it.Survey)
		if hint := suggest.DidYouMean(string(it.Survey), []string{string(feedback.NPS), string(feedback.CSAT), string(feedback.CES), string(feedback.Stars)}); hint != "" {
			reason += "; " + hint
		}
		return &refusal{"bad_score", reason}
	}
	if s < lo || s > hi {
		return &refusal{"bad_score", fmt.Sprintf("found the score %v, expected %v to %v on the scale of %s", s, lo, hi, it.Survey)}
	}
	return nil
}

func checkAttributes(path string, attrs feedback.Attributes, declared map[string]feedback.Kind) *refusal {
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		want, ok := declared[name]
		if !ok {
			reason := fmt.Sprintf("%s.%s is not declared by the program", path, name)
			if hint := suggest.DidYouMean(name, slices.Sorted(maps.Keys(declared))); hint != "" {
				reason += "; " + hint
			}
			return &refusal{"undeclared_attribute", reason}
		}
		if v := attrs[name]; v.Kind() != feedback.Absent && v.Kind() != want {
			return &refusal{"bad_attribute", fmt.Sprintf("%s.%s: found the %s %q, expected a %s", path, name, v.Kind(), v, want)}
		}
	}
	return nil
}

// hasher hashes the content of items, in memory that it uses again.
type hasher struct {
	content feedback.Item
	json    []byte
}

var contents = quickjson.For[feedback.Item](true)

// hash covers what the source says, and neither when, where nor under which id it said it.
func (h *hasher) hash(it *feedback.Item) (_ records.Hash, _ *refusal) {
	content := &h.content
	*content = *it
	content.ID, content.Source, content.ExternalID, content.Synthetic = "", "", "", ""
	content.Version, content.ReceivedAt, content.Batch, content.Position = 0, 0, "", ""
	content.OccurredAssumed = false
	var err error
	if h.json, err = contents.Append(h.json[:0], content); err != nil {
		return records.Hash{}, &refusal{"bad_item", err.Error()}
	}
	if n := len(h.json); n > maxEncoded {
		return records.Hash{}, &refusal{"too_large", fmt.Sprintf("found %d bytes as they are stored, expected at most %d", n, maxEncoded)}
	}
	sum := sha256.Sum256(h.json)
	return records.Hash(sum[:]), nil
}
