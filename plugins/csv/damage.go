package csv

import (
	"fmt"
	"hash/maphash"
	"regexp"
	"strings"

	"github.com/closedloop/closedloop/sdk"
)

// scientific is what a spreadsheet makes of a long number: 5.70306E+17.
var scientific = regexp.MustCompile(`^[0-9](\.[0-9]+)?[eE]\+?[0-9]{1,3}$`)

// damage is what is wrong with the ids of a file.
type damage struct {
	shared  map[string]bool // ids that rows of different content share
	rows    int             // rows with a damaged id
	all     int             // rows with an id
	example string
	capped  bool // there were too many ids to compare
}

// maxIDs is how many different ids of a file are compared. Beyond it only the form of an id tells damage.
const maxIDs = 400_000

// fewest is how many rows of different content make a shared id a damaged one: a row and its correction are two.
const fewest = 3

// seen is what is remembered of an id while a file is surveyed.
type seen struct {
	contents [fewest]uint32
	n        uint8 // different contents
	rows     uint32
}

// has reports whether the id is damaged.
func (d *damage) has(id string) bool {
	return id != "" && (d.shared[id] || scientific.MatchString(id))
}

// survey reads the file's ids from here to its end, and comes back.
func (t *table) survey() (*damage, error) {
	column := -1
	for _, b := range t.binds {
		if b.name == t.source.settings.Columns["external_id"] {
			column = b.column
		}
	}
	d := &damage{shared: map[string]bool{}}
	if column < 0 {
		return d, nil
	}
	start, line := t.rows.text.at, t.rows.line
	ids := map[string]seen{}
	seed := maphash.MakeSeed()
	for {
		r, err := t.rows.next()
		if err != nil {
			return nil, err
		}
		if r == nil {
			break
		}
		if r.bad == "" && column < len(r.cells) {
			t.note(d, ids, seed, r, column)
		}
	}
	if !t.version {
		for id, s := range ids {
			if s.n >= fewest && !scientific.MatchString(id) {
				d.shared[id] = true
				d.rows += int(s.rows)
				d.example = min(nonEmpty(d.example, id), id)
			}
		}
	}
	t.rows.text.seek(start)
	t.rows.line = line
	return d, nil
}

func nonEmpty(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// note remembers the id of one row.
func (t *table) note(d *damage, ids map[string]seen, seed maphash.Seed, r *row, column int) {
	id := strings.TrimSpace(string(r.cells[column]))
	if id == "" {
		return
	}
	d.all++
	if scientific.MatchString(id) {
		d.rows++
		d.example = nonEmpty(d.example, id)
		return
	}
	s, known := ids[id]
	if !known && len(ids) >= maxIDs {
		d.capped = true
		return
	}
	var h maphash.Hash
	h.SetSeed(seed)
	for i := range t.binds {
		if b := &t.binds[i]; b.column < len(r.cells) && b.column != column {
			_, _ = h.Write(r.cells[b.column])
			_ = h.WriteByte(0)
		}
	}
	s.add(uint32(h.Sum64()))
	ids[id] = s
}

func (s *seen) add(content uint32) {
	s.rows++
	for _, c := range s.contents[:s.n] {
		if c == content {
			return
		}
	}
	if s.n < fewest {
		s.contents[s.n] = content
		s.n++
	}
}

// notices tells of damaged ids.
func (t *table) notices() []sdk.Notice {
	d := t.damage
	var out []sdk.Notice
	tell := func(code, format string, args ...any) {
		out = append(out, sdk.Notice{Position: t.file.Name, Code: code, Message: t.file.Name + ": " + fmt.Sprintf(format, args...)})
	}
	if d != nil && d.rows > 0 {
		tell("damaged_ids", "%d of %d rows have a damaged id, such as %s; they are kept under ids made of their content, but cannot be revised", d.rows, d.all, d.example)
	}
	if d != nil && d.capped {
		tell("unchecked_ids", "more than %d different ids; whether rows share the later ones was not checked", maxIDs)
	}
	return out
}
