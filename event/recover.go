package event

import (
	"fmt"
	"strings"
)

// recordStart is how a CloudTrail record begins. Inside a JSON string its
// quotes would be escaped, so where this stands a record starts.
const recordStart = `"eventVersion"`

// recover moves the window from the start of a broken value to where the next
// one may start: to a record inside the broken text, to the start of a line
// that begins with an object, or behind the bracket that closes the value.
// Only in the last case it returns true. fault is where the value broke; an
// object may start right there if the value lacked its closing bracket.
func (s *stream) recover(w *window, fault int64, atFault bool) bool {
	start := w.at(w.pos)
	depth, quoted := 0, false
	for {
		if w.pos == len(w.text) && !w.more() {
			return true
		}
		at := w.at(w.pos)
		c := w.text[w.pos]
		switch {
		case c == '{' && at > start && w.startsRecord() && w.affords(fault-at):
			return false
		case c == '{' && at == fault && atFault && at > start:
			s.recovering = true
			return false
		case c == '\n':
			quoted = false // a string cannot hold one: this one lacks its end
			w.pos++
			if w.ahead("{") && w.affords(fault-at) {
				return false
			}
			continue
		case quoted && c == '\\':
			w.pos++
			if w.pos == len(w.text) && !w.more() {
				return true
			}
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
			if depth <= 0 && at >= fault {
				w.pos++
				return true
			}
		}
		w.pos++
	}
}

// startsRecord reports whether a record starts at the window's position, at
// an opening brace.
func (w *window) startsRecord() bool {
	const near = len(recordStart) + 64 // with some white space
	for len(w.text)-w.pos < near && w.more() {
	}
	return strings.HasPrefix(strings.TrimLeft(w.rest(near)[1:], " \t\r\n"), recordStart)
}

// affords reports whether n bytes may be read once more. What it allows in
// all stays in proportion to the input, so a hostile one cannot make reading
// it take quadratic time.
func (w *window) affords(n int64) bool {
	if n <= 0 {
		return true
	}
	if w.rescanned+n > 4*(w.at(w.pos)+n)+minChunk {
		return false
	}
	w.rescanned += n
	return true
}

// swallowed decodes the records inside the last one: where one lacks its
// closing brackets, those after it look like a part of it.
func (s *stream) swallowed(w *window, level int) {
	if !s.decoded {
		return
	}
	s.decoded = false
	text := s.decoder.event.Text
	for i := 1; i < len(text); i++ {
		j := strings.IndexByte(text[i:], '{')
		if j < 0 {
			return
		}
		i += j
		inner := textWindow(text, s.decodedAt, w.fixed)
		inner.pos = i
		if inner.startsRecord() {
			s.fail(inner.offset(i), fmt.Errorf("%w: invalid JSON: records inside a record", ErrSyntax))
			s.elements(inner, level, false)
			return
		}
	}
}

// stray reports text where a value or a comma should be, and moves to the next
// bracket from which there may be a way on. It returns false.
func (s *stream) stray(w *window) bool {
	if w.pos == len(w.text) {
		s.endsEarly(w)
		return false
	}
	s.fail(w.offset(w.pos), errNotJSON)
	s.recovering = true
	if w.text[w.pos] == '{' {
		return false
	}
	for w.pos++; ; {
		if i := strings.IndexAny(w.text[w.pos:], "{]"); i >= 0 {
			w.pos += i
			return false
		}
		w.pos = len(w.text)
		if !w.more() {
			return false
		}
	}
}

// endsEarly reports, once, that the input ends inside a value.
func (s *stream) endsEarly(w *window) {
	if !w.failed() && !w.cutShort {
		w.cutShort = true
		s.fail(w.offset(len(w.text)), errCutShort)
	}
}

// tooDeep reports a container inside too many others, and moves behind it.
func (s *stream) tooDeep(w *window) bool {
	s.fail(w.offset(w.pos), fmt.Errorf("%w: wrappers", ErrTooDeep))
	return s.recover(w, w.at(w.pos), false)
}
