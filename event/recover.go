package event

import (
	"fmt"
	"strings"
)

// recordStart is how a CloudTrail record begins. Inside a JSON string its
// quotes would be escaped, so where this stands a record starts.
const recordStart = `"eventVersion"`

// recover moves the window from the start of a broken value to where the next
// one may start: to a record inside the broken text, to a line that begins
// with an object, or behind the end of the value. Only in the last case it
// returns true. fault is where the value broke; if atFault, an object there may
// be the next value, because this one lacks its closing brackets.
func (s *stream) recover(w *window, fault int64, atFault bool) bool {
	start := w.at(w.pos)
	open := w.text[w.pos]
	bracketed := open == '{' || open == '['
	depth, quoted := 0, false
	for {
		if w.pos == len(w.text) && !w.more() {
			return true
		}
		at := w.at(w.pos)
		c := w.text[w.pos]
		switch {
		case c == '{' && at > start && w.startsRecord() && w.affords(fault-at):
			w.unsure, s.recovering = true, false
			return false
		case c == '{' && at > start && at == fault && atFault:
			w.unsure, s.recovering = true, true
			return false
		case c == '\n':
			quoted = false // a string cannot hold one: this one lacks its end
			w.pos++
			if w.ahead("{") && w.affords(fault-at) {
				w.unsure, s.recovering = true, false
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
		case !bracketed:
			if at >= fault && (c == ',' || c == ']' || c == '}') {
				return true
			}
		// Counting one kind of bracket is enough, and a stray one of the other
		// kind does no harm.
		case c == open:
			depth++
		case c == open+2: // the closing one
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

// swallowed reports and decodes the records inside the last one: where one
// lacks its closing brackets, those after it look like a part of it.
func (s *stream) swallowed(w *window, level int) {
	if s.decoded == "" {
		return
	}
	inner := textWindow(s.decoded, s.decodedAt, w.fixed)
	inner.pos++
	if inner.seekRecord() {
		s.fail(inner.offset(inner.pos), errSwallowed)
		s.inside(inner, level)
		w.unsure, s.recovering = true, true // what is left of its brackets is no news
	}
}

var errSwallowed = fmt.Errorf("%w: invalid JSON: a record inside another", ErrSyntax)

// inside decodes the records in a text that is something else.
func (s *stream) inside(w *window, level int) {
	for w.unsure = true; !s.done && w.seekRecord(); {
		s.value(w, level)
	}
}

// seekRecord moves to the next start of a record in a text that is all in
// memory, and reports whether there is one.
func (w *window) seekRecord() bool {
	for {
		i := strings.IndexByte(w.text[w.pos:], '{')
		if i < 0 {
			return false
		}
		w.pos += i
		if w.startsRecord() {
			return true
		}
		w.pos++
	}
}

// runsOver reports whether the string that has just been read ends with the
// quote that begins a record's first name: its own end was lost. In that case
// it moves back to the record.
func (s *stream) runsOver(w *window, v string) bool {
	i := strings.LastIndexByte(v, '{')
	if v[0] != '"' || i < 0 || strings.Trim(v[i+1:len(v)-1], " \t\r\n") != "" {
		return false
	}
	back := len(v) - i
	w.pos -= back
	if !w.startsRecord() {
		w.pos += back
		return false
	}
	s.fail(w.offset(w.pos), errNotJSON)
	w.unsure = true
	return true
}

// stray reports text where a value or a comma should be, and moves to the next
// bracket from which there may be a way on. It returns false.
func (s *stream) stray(w *window) bool {
	if w.pos == len(w.text) {
		s.endsEarly(w)
		return false
	}
	if c := w.text[w.pos]; w.unsure && (c == ',' || c == ']' || c == '}') {
		w.pos++
		return false
	}
	s.fail(w.offset(w.pos), errNotJSON)
	s.recovering = true
	if w.text[w.pos] == '{' {
		return false
	}
	for w.pos++; ; {
		i := strings.IndexAny(w.text[w.pos:], "{]\n")
		if i < 0 {
			w.pos = len(w.text)
			if !w.more() {
				return false
			}
			continue
		}
		w.pos += i
		if w.text[w.pos] != '\n' {
			return false
		}
		w.pos++
		if w.ahead("{") {
			s.recovering = false // a new line is a new start
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

// endsInside reports that the input ends inside a container, unless it may be
// for the brackets of an element that was broken.
func (s *stream) endsInside(w *window) {
	if !w.unsure {
		s.endsEarly(w)
	}
}

// tooDeep reports a container inside too many others, and moves behind it.
func (s *stream) tooDeep(w *window) bool {
	s.fail(w.offset(w.pos), fmt.Errorf("%w: wrappers", ErrTooDeep))
	return s.recover(w, w.at(w.pos), false)
}
