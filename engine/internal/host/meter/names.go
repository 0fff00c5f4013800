package meter

import "github.com/closedloop/closedloop/engine/internal/host/wasmfile"

// names moves the function names of a name section. A section that is malformed is left out.
func (w *rewriter) names(s *wasmfile.Section) []byte {
	r := s.Reader()
	var out []byte
	for r.More() {
		id, size := r.Byte(), r.U32()
		sub := r.Sub(size)
		var body []byte
		switch id {
		case 0: // the module's
			body = wasmfile.AppendName(nil, sub.Name())
		case 1: // the functions'
			body = w.functionNames(sub)
		default: // locals, labels and what is not standard
			continue
		}
		if sub.End() != nil || r.Err() != nil {
			return nil
		}
		out = wasmfile.AppendU32(append(out, id), uint32(len(body)))
		out = append(out, body...)
	}
	if r.Err() != nil {
		return nil
	}
	return out
}

// functionNames moves the names of functions, and names the copies.
func (w *rewriter) functionNames(r *wasmfile.Reader) []byte {
	n := r.Count(2)
	named := make(map[uint32]string, len(w.copies))
	for _, i := range w.copies {
		named[w.moved(w.imported+i)] = ""
	}
	var out []byte
	for i := 0; i < n && r.Err() == nil; i++ {
		function, name := w.function(r), r.Name()
		if _, ok := named[function]; ok {
			named[function] = name
		}
		out = wasmfile.AppendName(wasmfile.AppendU32(out, function), name)
	}
	for i, original := range w.copies {
		if name := named[w.moved(w.imported+original)]; name != "" {
			out = wasmfile.AppendName(wasmfile.AppendU32(out, w.copied(i)), name+CopySuffix)
			n++
		}
	}
	return append(wasmfile.AppendU32(nil, uint32(n)), out...)
}
