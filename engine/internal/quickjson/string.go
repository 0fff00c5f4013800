package quickjson

import "unicode/utf8"

// alphabet says which bytes stand for themselves in a string.
type alphabet [256]bool

func newAlphabet(escapeHTML bool) *alphabet {
	a := &alphabet{}
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		a[c] = c != '"' && c != '\\' && (!escapeHTML || c != '<' && c != '>' && c != '&')
	}
	return a
}

const hex = "0123456789abcdef"

// append writes a string with its quotes. What is not UTF-8 becomes U+FFFD.
func (a *alphabet) append(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0 // what is behind it is yet to be copied
	for i := 0; i < len(s); {
		if a[s[i]] {
			i++
			continue
		}
		if c := s[i]; c < utf8.RuneSelf {
			b = appendEscaped(append(b, s[from:i]...), c)
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[from:i]...), `\ufffd`...)
			from = i + size
		case r == '\u2028' || r == '\u2029': // which end a line of JavaScript
			b = append(append(b, s[from:i]...), `\u202`...)
			b = append(b, hex[r&0xF])
			from = i + size
		}
		i += size
	}
	return append(append(b, s[from:]...), '"')
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xF])
}
