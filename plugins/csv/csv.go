// Package csv reads feedback from CSV and TSV files as people really save them: any delimiter, UTF-8 or UTF-16, several
// header rows, line breaks in cells, ragged and broken rows, and ids that a spreadsheet has ruined.
//
//	settings:
//	  columns: {external_id: ResponseId, score: Q1, text: Q2, occurred_at: RecordedDate}
//	  dates: {timezone: Europe/Berlin}
//
// What holds:
//
//   - Every row below the header becomes one item or one reject that names its line. Blank lines are no rows.
//   - A file is streamed: memory is bounded by the longest row, and a row longer than MaxRow is a reject.
//   - A checkpoint says where each file stands. Polling on from it gives what would have come. A file that has grown
//     is read on; one that was changed is read again as a new import, and the engine tells the repeats.
//   - An id is given up as damaged when it is in scientific notation (5.70306E+17), or when three or more rows of
//     different content share it and no version column orders them. The row is kept without its id.
//
// The tokenizer is this package's own: package encoding/csv cannot bound a row, go on behind a broken one, or say at
// which byte of a UTF-16 file it stands.
package csv

import (
	"cmp"
	"context"
	_ "embed" // for plugin.yaml
	"encoding/json"
	"fmt"
	"path"
	"time"
	_ "time/tzdata" // a sandbox has no timezones of its own

	"github.com/closedloop/closedloop/sdk"
)

//go:embed plugin.yaml
var manifest []byte

// Plugin is the connector.
var Plugin = sdk.Plugin{Manifest: manifest, New: open}

// MaxRow is the longest row in bytes of UTF-8: more than the largest item.
const MaxRow = 512 << 10

// settings are as the program gives them; plugin.yaml says what the members mean.
type settings struct {
	Columns            map[string]string            `json:"columns"`
	Attributes         map[string]attribute         `json:"attributes"`
	CustomerAttributes map[string]attribute         `json:"customer_attributes"`
	Values             map[string]map[string]string `json:"values"`
	Dates              struct {
		Formats  []string `json:"formats"`
		Timezone string   `json:"timezone"`
	} `json:"dates"`
	Delimiter  string `json:"delimiter"`
	Encoding   string `json:"encoding"`
	HeaderRows int    `json:"header_rows"`
	Pattern    string `json:"pattern"`
}

type attribute struct {
	Column string `json:"column"`
	Type   string `json:"type"`
}

// source is a configured connector.
type source struct {
	host     sdk.Host
	settings settings
	dates    dates
	open     *table // the file that is being read
}

var _ sdk.Poller = (*source)(nil)

func open(_ context.Context, host sdk.Host, raw []byte) (any, error) {
	s := &source{host: host}
	if err := json.Unmarshal(raw, &s.settings); err != nil {
		return nil, sdk.Fatal("settings: %w", err)
	}
	if len(s.settings.Columns) == 0 {
		return nil, sdk.Fatal("settings: columns: found none, expected at least that of text or score")
	}
	for field := range s.settings.Columns {
		if fields[field] == nil {
			return nil, sdk.Fatal("settings: columns: an item has no field %q", field)
		}
	}
	zone, err := time.LoadLocation(s.settings.Dates.Timezone)
	if err != nil {
		return nil, sdk.Fatal("settings: dates.timezone: found %q, expected a name such as Europe/Berlin", s.settings.Dates.Timezone)
	}
	s.dates = dates{formats: s.settings.Dates.Formats, zone: zone}
	s.settings.Pattern = cmp.Or(s.settings.Pattern, "*")
	if _, err := path.Match(s.settings.Pattern, "x"); err != nil {
		return nil, sdk.Fatal("settings: pattern: found %q, expected one such as *.csv", s.settings.Pattern)
	}
	return s, nil
}

// where names a line for people.
func (t *table) where(line int) string {
	if t.only {
		return fmt.Sprintf("line %d", line)
	}
	return fmt.Sprintf("%s line %d", t.file.Name, line)
}
