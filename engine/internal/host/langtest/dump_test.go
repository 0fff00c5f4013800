package langtest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

// dump is what an echo says of what it has read: lines of a name and a value. Numbers are their eight bytes in
// hexadecimal digits, what is absent is left out.
type dump struct{ strings.Builder }

func (d *dump) number(name string, v uint64) {
	if v != 0 {
		fmt.Fprintf(d, "%s=%016x\n", name, v)
	}
}

func (d *dump) some(name string, v *float64) {
	if v != nil {
		fmt.Fprintf(d, "%s=%016x\n", name, math.Float64bits(*v))
	}
}

func (d *dump) text(name, v string) {
	if v != "" {
		fmt.Fprintf(d, "%s=%s\n", name, v)
	}
}

func (d *dump) attributes(of string, all feedback.Attributes) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		v := all[name]
		switch v.Kind() {
		case feedback.String:
			s, _ := v.Str()
			fmt.Fprintf(d, "%s.%s=1:%s\n", of, name, s)
		case feedback.Number:
			f, _ := v.Num()
			fmt.Fprintf(d, "%s.%s=2:%016x\n", of, name, math.Float64bits(f))
		case feedback.Bool:
			truth, _ := v.Truth()
			fmt.Fprintf(d, "%s.%s=3:%016x\n", of, name, map[bool]int{true: 1}[truth])
		case feedback.Instant:
			at, _ := v.Time()
			fmt.Fprintf(d, "%s.%s=4:%016x\n", of, name, uint64(at))
		}
	}
}

// dumpItem says what the Go reader has read.
func dumpItem(it *feedback.Item) string {
	d, c := &dump{}, &it.Customer
	d.WriteString("item\n")
	d.number("version", uint64(it.Version))
	d.number("occurred_at", uint64(it.OccurredAt))
	d.number("received_at", uint64(it.ReceivedAt))
	d.some("score", it.Score)
	d.some("scale_min", it.ScaleMin)
	d.some("scale_max", it.ScaleMax)
	d.some("customer.arr", c.ARR)
	d.some("customer.tenure_days", c.TenureDays)
	if it.Contactable != nil {
		d.some("contactable", new(map[bool]float64{true: 1}[*it.Contactable]))
	}
	if it.OccurredAssumed {
		d.number("occurred_assumed", 1)
	}
	for _, s := range [][2]string{
		{"id", string(it.ID)}, {"source", it.Source}, {"external_id", it.ExternalID}, {"synthetic", string(it.Synthetic)},
		{"batch", it.Batch}, {"position", it.Position}, {"survey", string(it.Survey)}, {"survey_id", it.SurveyID},
		{"channel", it.Channel}, {"touchpoint", it.Touchpoint}, {"stage", it.Stage}, {"product", it.Product},
		{"location", it.Location}, {"language", it.Language}, {"title", it.Title}, {"text", it.Text}, {"url", it.URL},
		{"customer.id", c.ID}, {"customer.key_kind", string(c.KeyKind)}, {"customer.name", c.Name}, {"customer.email", c.Email},
		{"customer.account", c.Account}, {"customer.segment", c.Segment}, {"customer.tier", c.Tier},
		{"customer.region", c.Region}, {"customer.country", c.Country}, {"customer.language", c.Language},
		{"customer.owner", c.Owner},
	} {
		d.text(s[0], s[1])
	}
	d.attributes("attributes", it.Attributes)
	d.attributes("customer.attributes", c.Attributes)
	return d.String()
}

func dumpConfigure(c *wire.Configure) string {
	d := &dump{}
	d.number("now", uint64(c.Now))
	d.text("settings", string(c.Settings))
	d.text("instance", c.Instance)
	d.number("contract", uint64(c.Major)<<16|uint64(c.Minor))
	d.number("grants", uint64(c.Grants))
	for i := range c.Files {
		f := &c.Files[i]
		d.text("file", f.Name)
		d.number("size", uint64(f.Size))
		d.number("modified", uint64(f.Modified))
		d.number("identity", f.Identity)
		d.number("id", uint64(f.ID))
	}
	return d.String()
}

// script tells an echo to build a result.
func script(r *sdk.Result) string {
	d := &strings.Builder{}
	bits := math.Float64bits
	if s := r.Labels.Sentiment; s != nil {
		fmt.Fprintf(d, "sentiment %016x\n", bits(*s))
	}
	if r.Drop != "" {
		fmt.Fprintf(d, "drop %s\n", r.Drop)
	}
	for i := range r.Labels.Themes {
		t := &r.Labels.Themes[i]
		fmt.Fprintf(d, "theme %016x %s\n", bits(t.Confidence), t.Path)
		if t.Sentiment != nil {
			fmt.Fprintf(d, "towards %016x\n", bits(*t.Sentiment))
		}
		for _, s := range t.Evidence {
			fmt.Fprintf(d, "span %x %x\n", s.Start, s.End)
		}
	}
	if f := (*sdk.Failure)(nil); errors.As(r.Err, &f) {
		verb := "retry"
		if f.Fatal {
			verb = "fatal"
		}
		fmt.Fprintf(d, "%s %x %s %s\n", verb, f.After.Milliseconds(), f.Code, f.Message)
	}
	return d.String()
}
