package csv

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// table is a file that is being read: its header is known, and its columns are bound to fields.
type table struct {
	source  *source
	file    sdk.FileInfo
	only    bool // the file is the whole grant: it need not be named
	rows    rows
	width   int
	binds   []bind
	damage  *damage
	version bool // a column orders revisions
}

// bind is one column and what it fills.
type bind struct {
	column int
	name   string // of the column
	set    parser
	values map[string]string // what stands for a cell
}

// openTable reads the header of a file and binds its columns.
func (s *source) openTable(file sdk.FileInfo, only bool) (*table, error) {
	text, err := openText(s.host, file.Name, s.settings.Encoding)
	if err != nil {
		return nil, err
	}
	t := &table{source: s, file: file, only: only}
	t.rows = rows{text: text, line: 1, delim: delimiters[s.settings.Delimiter]}
	if t.rows.delim == 0 {
		if t.rows.delim, err = sniffDelimiter(text); err != nil {
			return nil, err
		}
	}
	header, err := t.header()
	if err != nil {
		return nil, err
	}
	if err := t.bind(header); err != nil {
		return nil, err
	}
	_, t.version = s.settings.Columns["version"]
	if _, ok := s.settings.Columns["external_id"]; ok {
		if t.damage, err = t.survey(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// header reads the header rows: cells by row.
func (t *table) header() ([][]string, error) {
	var header [][]string
	for range t.source.settings.HeaderRows {
		r, err := t.rows.next()
		if err != nil {
			return nil, err
		}
		if r == nil {
			break
		}
		if r.bad != "" {
			return nil, sdk.Fatal("%s %s: %s; expected the header", t.file.Name, t.where(r.line), r.bad)
		}
		cells := make([]string, len(r.cells))
		for i, c := range r.cells {
			cells[i] = strings.TrimSpace(string(c))
		}
		header = append(header, cells)
	}
	return header, nil
}

// bind finds the columns that the settings name. A file without a header is at fault when it is all that is granted;
// in a folder it binds nothing, and the others are read.
func (t *table) bind(header [][]string) error {
	s := &t.source.settings
	if s.HeaderRows > 0 && len(header) == 0 {
		if t.only {
			return sdk.Fatal("%s: found an empty file, expected a header that names the columns; export it again, or give header_rows: 0", t.file.Name)
		}
		return nil
	}
	if len(header) > 0 {
		t.width = len(header[0])
	}
	add := func(ref, setting string, set parser, values map[string]string) error {
		i, err := t.find(ref, header)
		if err != nil {
			return sdk.Fatal("settings: %s: %s", setting, err)
		}
		t.binds = append(t.binds, bind{i, ref, set, values})
		return nil
	}
	for _, field := range slices.Sorted(maps.Keys(s.Columns)) {
		if err := add(s.Columns[field], "columns."+field, fields[field], s.Values[field]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
		a := s.Attributes[name]
		if err := add(a.Column, "attributes."+name, setAttribute(name, a.Type, false), s.Values["attributes."+name]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.CustomerAttributes)) {
		a := s.CustomerAttributes[name]
		if err := add(a.Column, "customer_attributes."+name, setAttribute(name, a.Type, true), s.Values["customer.attributes."+name]); err != nil {
			return err
		}
	}
	return nil
}

// find returns the index of the column that a setting names.
func (t *table) find(ref string, header [][]string) (int, error) {
	if n, ok := strings.CutPrefix(ref, "#"); ok {
		i, err := strconv.Atoi(n)
		if err != nil || i < 1 || t.width > 0 && i > t.width {
			return 0, fmt.Errorf("found the column %q, expected #1 to #%d", ref, t.width)
		}
		return i - 1, nil
	}
	if id, ok := strings.CutPrefix(ref, "ImportId:"); ok {
		return findImportID(id, header)
	}
	if len(header) == 0 {
		return 0, fmt.Errorf("found the column name %q, expected a number such as #1, because header_rows is 0", ref)
	}
	if i := slices.Index(header[0], ref); i >= 0 {
		if slices.Contains(header[0][i+1:], ref) {
			return 0, fmt.Errorf("%s has several columns %q; say which by its number, such as #%d", t.file.Name, ref, i+1)
		}
		return i, nil
	}
	msg := fmt.Sprintf("%s has no column %q", t.file.Name, ref)
	if hint := suggest.DidYouMean(ref, header[0]); hint != "" {
		return 0, fmt.Errorf("%s; %s", msg, hint)
	}
	return 0, fmt.Errorf("%s; it has %q", msg, header[0][:min(len(header[0]), 30)])
}

// findImportID finds a column by the JSON in Qualtrics' third header row.
func findImportID(id string, header [][]string) (int, error) {
	for _, cells := range header {
		for i, cell := range cells {
			var tag struct {
				ImportID string `json:"ImportId"`
			}
			if strings.HasPrefix(cell, "{") && json.Unmarshal([]byte(cell), &tag) == nil && tag.ImportID == id {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("no header row has the ImportId %q", id)
}

func setAttribute(name, kind string, customer bool) parser {
	return func(it *feedback.Item, cell string, d *dates) *problem {
		v, p := typed(kind, cell, d)
		if p != nil {
			return p
		}
		attrs := &it.Attributes
		if customer {
			attrs = &it.Customer.Attributes
		}
		if *attrs == nil {
			*attrs = feedback.Attributes{}
		}
		(*attrs)[name] = v
		return nil
	}
}

// item makes an item of a row, or a reject.
func (t *table) item(r *row) (it feedback.Item, reject *sdk.Reject) {
	refuse := func(code, format string, args ...any) (feedback.Item, *sdk.Reject) {
		return feedback.Item{}, &sdk.Reject{
			Position: t.where(r.line), Code: code, Message: fmt.Sprintf(format, args...), Raw: strings.ToValidUTF8(string(r.raw), "\uFFFD"),
		}
	}
	if r.bad != "" {
		return refuse(r.code, "%s", r.bad)
	}
	if n := len(r.cells); n < t.width || n > t.width && !empty(r.cells[t.width:]) {
		if t.width > 0 {
			return refuse("ragged", "found %d cells, expected %d", n, t.width)
		}
	}
	for i := range t.binds {
		b := &t.binds[i]
		if b.column >= len(r.cells) {
			return refuse("ragged", "found %d cells, expected at least %d", len(r.cells), b.column+1)
		}
		cell := strings.TrimSpace(string(r.cells[b.column]))
		if v, ok := b.values[cell]; ok {
			cell = v
		}
		if cell == "" {
			continue
		}
		if p := b.set(&it, cell, &t.source.dates); p != nil {
			return refuse(p.code, "column %q: %s", b.name, p.message)
		}
	}
	it.Position = t.where(r.line)
	if t.damage != nil && t.damage.has(it.ExternalID) {
		it.ExternalID, it.Synthetic = "", feedback.SyntheticDamaged
	}
	return it, nil
}

func empty(cells [][]byte) bool {
	return !slices.ContainsFunc(cells, func(c []byte) bool { return len(c) > 0 })
}
