package index

import (
	"math/bits"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// Scratch holds what an index found out about one event. It is used again and again, by one goroutine at a time.
type Scratch struct {
	frame    *lang.Frame
	serial   uint64
	labelled uint64

	done  []bool  // by domain: whether class, keys and lacks are those of the event
	class []int32 // by domain
	keys  []hits  // by domain
	lacks []bool  // by domain
	scans []hits  // by domain: the texts that were found
	raw   []byte

	sweep sweep
	rows  []int32
	found []int32
	run   []int32
	open  uint64 // what is missing from the event
	lost  bool   // a value is missing by which conditions are found
}

// NewScratch returns a scratch for the index.
func (x *Index) NewScratch() *Scratch {
	n := len(x.doms)
	return &Scratch{done: make([]bool, n), class: make([]int32, n), keys: make([]hits, n), lacks: make([]bool, n), scans: make([]hits, n)}
}

// Release drops the reference to the frame.
func (s *Scratch) Release() { s.frame = nil }

// turn turns to the frame's event. What is known of it stays known for all stages while its labels stay.
func (s *Scratch) turn(x *Index, f *lang.Frame) {
	switch {
	case s.frame != f || s.serial != f.Serial():
		s.frame, s.serial, s.labelled = f, f.Serial(), f.LabelSerial()
		clear(s.done)
	case s.labelled != f.LabelSerial():
		s.labelled = f.LabelSerial()
		for i := range x.doms {
			if x.doms[i].Labels {
				s.done[i] = false
			}
		}
	}
}

// ensure finds the class or the keys of the event in a domain, once.
func (s *Scratch) ensure(x *Index, f *lang.Frame, dom int32) {
	if !s.done[dom] {
		s.done[dom] = true
		s.look(&x.doms[dom], dom, f)
	}
}

func (s *Scratch) look(d *domain, i int32, f *lang.Frame) {
	switch d.Kind {
	case lang.FoldedSource:
		s.search(d, i, f)
	case lang.ThemeSource:
		s.lacks[i] = !d.Given(f)
		h := &s.keys[i]
		h.clear(int(d.keys))
		themes := f.Labels().Themes
		for j := range themes[:min(len(themes), lang.MaxThemes)] {
			d.texts.ancestors(string(themes[j].Path), d.longest, h)
		}
	default:
		s.class[i] = d.class(f)
		s.lacks[i] = s.class[i] == missing
	}
}

// search finds the literals of a domain in the event's text.
func (s *Scratch) search(d *domain, i int32, f *lang.Frame) {
	h := &s.keys[i]
	h.clear(int(d.keys))
	text, ok := d.Folded(f)
	if s.lacks[i] = !ok; !ok || d.words == nil {
		return
	}
	found := &s.scans[i]
	found.clear(int(d.nwords))
	d.words.scan(text.Text, found)
	for _, w := range found.words {
		d.want(h, w)
		if text.Plain {
			d.want(h, w+d.nwords)
		}
	}
	if !text.Plain {
		s.raw = lang.AppendFolded(s.raw[:0], text.Raw)
		found.clear(int(d.nwords))
		d.words.scan(s.raw, found)
		for _, w := range found.words {
			d.want(h, w+d.nwords)
		}
		if cap(s.raw) > maxKept {
			s.raw = nil
		}
	}
}

// maxKept bounds the memory that is kept for the next event, in bytes.
const maxKept = 64 << 10

func (d *domain) want(h *hits, key int32) {
	if d.wanted[key] {
		h.add(key)
	}
}

// isMissing reports whether something is missing from the event's value of a domain.
func (s *Scratch) isMissing(x *Index, f *lang.Frame, dom int32) bool {
	if d := &x.doms[dom]; d.used {
		s.ensure(x, f, dom)
	} else if !s.done[dom] {
		s.done[dom] = true
		s.lacks[dom] = !d.given(f)
	}
	return s.lacks[dom]
}

// fewGaps is the number of open gaps up to which the rows that they concern are selected by masks.
const fewGaps = 4

// aim sets the masks that select rows of the leaf: those that may hold, or with wide those that may be unknown.
func (s *Scratch) aim(x *Index, f *lang.Frame, l *leaf, wide bool) {
	w := &s.sweep
	w.reset()
	for i := range l.keyed {
		g := &l.keyed[i]
		s.ensure(x, f, g.dom)
		if wide && s.lacks[g.dom] {
			continue
		}
		w.any(l, g.free)
		for _, k := range s.keys[g.dom].words {
			if m := g.masks[k]; m >= 0 {
				w.any(l, m)
			}
		}
		w.end()
	}
	if wide && bits.OnesCount64(s.open) <= fewGaps {
		for _, g := range l.gaps {
			if s.open>>g.id&1 != 0 {
				w.any(l, g.mask)
			}
		}
		w.end()
	}
	for i := range l.groups {
		g := &l.groups[i]
		s.ensure(x, f, g.dom)
		mask := g.none
		if c := s.class[g.dom]; c > missing {
			mask = g.masks[(c-1)>>g.shift]
		} else if wide {
			mask = g.wide
		}
		w.all(l, mask)
	}
	if len(w.and)+len(w.or) == 0 {
		w.all(l, l.every)
	}
}

// merge merges two runs of ascending numbers, from a to b and from b to the end, leaving out repetitions.
func (s *Scratch) merge(out []int32, a, b int) []int32 {
	if a == b || b == len(out) {
		return out
	}
	s.run = append(s.run[:0], out[a:b]...)
	first, second := s.run, out[b:]
	n := a
	for len(first) > 0 && len(second) > 0 {
		v := min(first[0], second[0])
		if first[0] == v {
			first = first[1:]
		}
		if second[0] == v {
			second = second[1:]
		}
		out[n] = v
		n++
	}
	n += copy(out[n:], first)
	n += copy(out[n:], second)
	return out[:n]
}
