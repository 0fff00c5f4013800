package csv

import (
	"context"
	"encoding/json"
	"errors"
	"hash/crc64"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// state is a checkpoint: where each file stands.
type state struct {
	Files []progress `json:"files"`
}

// progress is where one file stands.
type progress struct {
	Name     string        `json:"name"`
	Batch    string        `json:"batch"`
	Size     int64         `json:"size"` // when it was looked at last
	Modified feedback.Time `json:"modified"`
	Identity uint64        `json:"identity,omitempty"`
	Offset   int64         `json:"offset"` // of the next row; 0 is before the header
	Line     int           `json:"line,omitempty"`
	// Sum is the checksum of the file up to Offset, once it was read to its end.
	Sum  uint64 `json:"sum,omitempty"`
	Done bool   `json:"done,omitempty"`
}

// maxFiles bounds a checkpoint.
const maxFiles = 300

// Poll reads on from the checkpoint.
func (s *source) Poll(_ context.Context, req sdk.PollRequest) (sdk.PollResult, error) {
	var st state
	if len(req.Checkpoint) > 0 {
		if err := json.Unmarshal(req.Checkpoint, &st); err != nil {
			return sdk.PollResult{}, sdk.Fatal("checkpoint: %w", err)
		}
	}
	files, err := s.files()
	if err != nil {
		return sdk.PollResult{}, err
	}
	st.Files = slices.DeleteFunc(st.Files, func(p progress) bool {
		return !slices.ContainsFunc(files, func(f sdk.FileInfo) bool { return f.Name == p.Name })
	})
	for _, f := range files {
		p, err := s.resume(&st, f)
		if err != nil {
			return sdk.PollResult{}, err
		}
		if !p.Done {
			return s.read(&st, p, f, len(files) == 1, req.Limit)
		}
	}
	return s.result(&st, sdk.PollResult{})
}

func (s *source) result(st *state, r sdk.PollResult) (sdk.PollResult, error) {
	var err error
	r.Next, err = json.Marshal(st)
	return r, err
}

// files lists the files that are read, by name.
func (s *source) files() ([]sdk.FileInfo, error) {
	all, err := s.host.Files()
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(f sdk.FileInfo) bool {
		ok, _ := path.Match(s.settings.Pattern, path.Base(f.Name))
		return !ok
	})
	if len(all) > maxFiles {
		return nil, sdk.Fatal("found %d files, expected at most %d; move away those that were read, or give a pattern", len(all), maxFiles)
	}
	slices.SortFunc(all, func(a, b sdk.FileInfo) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// resume finds where a file stands. One that has grown at its end is read on; one that was changed otherwise is read
// from its beginning as a new import.
func (s *source) resume(st *state, f sdk.FileInfo) (*progress, error) {
	i := slices.IndexFunc(st.Files, func(p progress) bool { return p.Name == f.Name })
	if i < 0 {
		st.Files = append(st.Files, begin(f))
		return &st.Files[len(st.Files)-1], nil
	}
	p := &st.Files[i]
	if p.Size == f.Size && p.Modified == f.Modified && p.Identity == f.Identity {
		return p, nil
	}
	s.open = nil
	same := false
	if p.Done && f.Size >= p.Offset {
		sum, ended, err := s.checksum(f.Name, p.Offset)
		if err != nil {
			return nil, err
		}
		same = sum == p.Sum && (ended || f.Size == p.Offset)
	}
	if !same {
		*p = begin(f)
		return p, nil
	}
	p.Done = f.Size == p.Offset
	p.Size, p.Modified, p.Identity = f.Size, f.Modified, f.Identity
	return p, nil
}

func begin(f sdk.FileInfo) progress {
	return progress{
		Name: f.Name, Batch: f.Name + " of " + f.Modified.String(), Size: f.Size, Modified: f.Modified, Identity: f.Identity,
	}
}

// checksum returns that of the file's first n bytes, and whether they end with a line.
func (s *source) checksum(name string, n int64) (sum uint64, ended bool, err error) {
	h := crc64.New(crc64.MakeTable(crc64.ECMA))
	b := make([]byte, piece)
	for at := int64(0); at < n; {
		got, err := s.host.ReadFile(name, b[:min(int64(len(b)), n-at)], at)
		if got == 0 {
			return 0, false, err
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, false, err
		}
		_, _ = h.Write(b[:got])
		at += int64(got)
		last := b[max(0, got-2):got]
		ended = slices.Contains(last, '\n')
	}
	return h.Sum64(), ended, nil
}

// read takes up to limit rows of a file.
func (s *source) read(st *state, p *progress, f sdk.FileInfo, only bool, limit int) (sdk.PollResult, error) {
	res := sdk.PollResult{Batch: p.Batch, More: true}
	t := s.open
	if t == nil || t.file != f || t.rows.text.at != p.Offset {
		var err error
		if t, err = s.openTable(f, only); err != nil {
			return res, err
		}
		s.open = t
		if p.Offset > t.rows.text.at {
			t.rows.text.seek(p.Offset)
			t.rows.line = p.Line
		}
	}
	if p.Offset == 0 {
		res.Notices = t.notices()
	}
	read := 0
	for ; read < limit; read++ {
		r, err := t.rows.next()
		if err != nil {
			return res, err
		}
		if r == nil {
			break
		}
		it, reject := t.item(r)
		if reject != nil {
			res.Rejects = append(res.Rejects, *reject)
		} else {
			res.Items = append(res.Items, it)
		}
	}
	if p.Offset == 0 && read == 0 {
		res.Notices = append(res.Notices, sdk.Notice{Position: f.Name, Code: "no_rows", Message: f.Name + ": found no rows below the header"})
	}
	p.Offset, p.Line = t.rows.text.at, t.rows.line
	if read < limit {
		if err := s.finish(st, p, f, &res); err != nil {
			return res, err
		}
	}
	return s.result(st, res)
}

// finish notes that a file was read to its end.
func (s *source) finish(st *state, p *progress, f sdk.FileInfo, res *sdk.PollResult) (err error) {
	s.open = nil
	p.Done = true
	if p.Sum, _, err = s.checksum(f.Name, p.Offset); err != nil {
		return err
	}
	files, err := s.files()
	res.More = slices.ContainsFunc(files, func(f sdk.FileInfo) bool {
		return !slices.ContainsFunc(st.Files, func(p progress) bool { return p.Name == f.Name && p.Done })
	})
	return err
}
