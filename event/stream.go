package event

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/event/internal/jsonscan"
)

// A stream is one call of [Read]: it walks over the values of an input, and
// over the inputs inside, and yields what they decode to.
type stream struct {
	yield   func([]*Event, error) bool
	options ReadOptions
	decoder decoder
	source  source

	slots    []Event  // that are filled in turn
	filled   int      // how many of them have been
	batch    []*Event // those that are to be yielded
	oneSlot  [1]Event // of a stream that yields one at a time
	oneEvent [1]*Event

	done         bool  // the caller wants no more
	records      int   // yielded so far, as events or errors
	decompressed int64 // bytes
	recovering   bool  // the text at hand may be pieces of a record reported already

	bridged bool // inside an EventBridge event

	decoded   string // the last value, if it was a record
	decodedAt int64  // its offset
}

// isContainer reports whether it is under this name that envelopes hold an
// array of records, or of wrappers around them.
func isContainer(key string) bool {
	switch key {
	case "Records", "records", "Events", "events", "logEvents", "Messages", "Findings":
		return true
	}
	return false
}

// isPreamble reports whether a name may come before the container: those of
// CloudWatch Logs subscription data. Other envelopes begin with the container,
// or are small enough to be read as a whole.
func isPreamble(key string) bool {
	switch key {
	case "messageType", "owner", "logGroup", "logStream", "subscriptionFilters", "policyLevel":
		return true
	}
	return false
}

// emit takes the event that the decoder has filled into the batch.
func (s *stream) emit() {
	s.decoder.event.EventBridge = s.bridged
	s.recovering = false
	s.records++
	s.batch = append(s.batch, s.decoder.event)
	s.filled = max(s.filled, len(s.batch))
	if len(s.batch) == len(s.slots) {
		s.flush()
		return
	}
	s.decoder.event = &s.slots[len(s.batch)]
}

// flush yields the batch.
func (s *stream) flush() {
	if len(s.batch) > 0 && !s.done {
		s.done = !s.yield(s.batch, nil)
	}
	s.batch, s.decoder.event = s.batch[:0], &s.slots[0]
}

func (s *stream) fail(offset int64, err error) {
	if s.done || s.recovering && (errors.Is(err, ErrSyntax) || errors.Is(err, errNoShape)) {
		return
	}
	s.report(&DecodeError{Record: s.records, Offset: offset, Err: err})
}

// report yields an error in the place of a record.
func (s *stream) report(err error) {
	s.records++
	if s.flush(); !s.done {
		s.done = !s.yield(nil, err)
	}
}

// values decodes an input: JSON values one after the other, or lines.
func (s *stream) values(w *window, level int) {
	if c, ok := w.peek(); ok && !startsJSON(c) {
		s.lines(w)
	} else {
		for !s.done {
			if _, ok := w.peek(); !ok {
				break
			}
			s.value(w, level)
		}
	}
	if w.failed() && !s.done {
		s.failInput(w.offset(len(w.text)), w.err)
	}
}

func startsJSON(c byte) bool { return c == '{' || c == '[' || c == '"' }

// value decodes the value at the window's position, which is not white space.
// It moves behind it and returns true or, if there was a fault, moves to where
// the next value may start and returns false.
func (s *stream) value(w *window, level int) bool {
	s.decoded = ""
	switch w.text[w.pos] {
	case '{':
		if strings.HasPrefix(w.text[w.pos+1:], recordStart) { // the usual case
			return s.record(w, level)
		}
		if key := s.firstKey(w); isContainer(key) || isPreamble(key) {
			return s.envelope(w, level+1)
		}
		return s.record(w, level)
	case '[':
		return s.array(w, level+1, false)
	case '"':
		offset := w.offset(w.pos)
		v, ok, after := s.scan(w)
		if ok {
			s.inner(jsonscan.Text(v), offset, level+1)
		}
		return after
	}
	if c := w.text[w.pos]; c == '-' || '0' <= c && c <= '9' || c == 't' || c == 'f' || c == 'n' {
		offset := w.offset(w.pos)
		_, ok, after := s.scan(w)
		if ok {
			s.fail(offset, errNoShape)
		}
		return after
	}
	return s.stray(w)
}

// firstKey returns the name of the first member of the object at the window's
// position, without moving, or "" if that is not simple to tell.
func (s *stream) firstKey(w *window) string {
	for {
		text := w.rest(s.options.MaxRecord)
		key := strings.TrimLeft(text[1:], " \t\r\n")
		if key != "" && key[0] != '"' {
			return ""
		}
		if key != "" {
			if i := strings.IndexByte(key[1:], '"'); i >= 0 {
				return key[1 : 1+i]
			}
		}
		if len(text) == s.options.MaxRecord || !w.more() {
			return ""
		}
	}
}

// envelope decodes the object at the window's position: its containers, and
// nothing else of it.
func (s *stream) envelope(w *window, level int) bool {
	if level > maxWrappers {
		return s.tooDeep(w)
	}
	start := w.offset(w.pos)
	w.pos++
	control, found := false, false
	for first := true; !s.done; first = false {
		c, ok := w.peek()
		switch {
		case !ok:
			s.endsInside(w)
			return false
		case c == '}':
			w.pos++
			if !found && !control {
				s.fail(start, errNoShape)
			}
			return true
		case c == ',' && !first:
			w.pos++
		case !first:
			return s.stray(w)
		}
		key, ok := s.key(w)
		if !ok {
			return false
		}
		if c, _ := w.peek(); c == '[' && isContainer(key) {
			found = true
			if !s.array(w, level, control) {
				return false
			}
			continue
		}
		at := w.offset(w.pos)
		v, _, after := s.scan(w)
		if !after {
			return false
		}
		if key == "messageType" {
			control = jsonscan.Text(v) == "CONTROL_MESSAGE"
		}
		s.rescue(v, at)
	}
	return false
}

// rescue decodes a value that an envelope has beside its records, if it is one
// itself: an envelope that breaks off takes what follows it for its own.
func (s *stream) rescue(v string, offset int64) {
	if !strings.HasPrefix(v, "{") {
		return
	}
	_, err := s.decoder.decode(v, s.options.MaxDepth)
	switch {
	case err == nil && s.tooLate():
		s.fail(offset, errTooLate)
	case err == nil:
		s.emit()
	}
}

// key reads a member's name and the colon after it.
func (s *stream) key(w *window) (string, bool) {
	if c, ok := w.peek(); !ok || c != '"' {
		s.stray(w)
		return "", false
	}
	name, ok, _ := s.scan(w)
	if !ok {
		return "", false
	}
	if c, ok := w.peek(); !ok || c != ':' {
		s.stray(w)
		return "", false
	}
	w.pos++
	if _, ok := w.peek(); !ok {
		s.endsInside(w)
		return "", false
	}
	return jsonscan.Text(name), true
}

// array decodes the elements of the array at the window's position or, if
// they are to be dropped, only moves over them.
func (s *stream) array(w *window, level int, drop bool) bool {
	if level > maxWrappers {
		return s.tooDeep(w)
	}
	w.pos++
	return s.elements(w, level, drop)
}

// elements decodes the elements of an array up to its closing bracket.
func (s *stream) elements(w *window, level int, drop bool) bool {
	for after := false; !s.done; { // after: a value has been read, and no comma since
		c, ok := w.peek()
		switch {
		case !ok:
			if after {
				s.swallowed(w, level)
			}
			s.endsInside(w)
			return false
		case c == ']':
			w.pos++
			return true
		case c == ',' && after:
			w.pos++
			after = false
		case after && !s.recovering:
			s.swallowed(w, level)
			s.stray(w)
			after = false
		case drop:
			_, _, after = s.scan(w)
		default:
			after = s.value(w, level)
		}
	}
	return false
}

// record decodes the object at the window's position as a record, or as a
// wrapper around one.
func (s *stream) record(w *window, level int) bool {
	var text string
	var end int
	var err error
	for {
		text = w.rest(s.options.MaxRecord)
		end, err = s.decoder.decode(text, s.options.MaxDepth)
		if err != errCutShort {
			break
		}
		if len(text) == s.options.MaxRecord {
			err = ErrTooLarge
			break
		}
		if !w.more() {
			break
		}
	}
	start := w.offset(w.pos)
	switch {
	case err == nil && s.tooLate():
		err = errTooLate
	case err == nil:
		w.pos += end
		s.decoded, s.decodedAt, w.lent = s.decoder.event.Text, start, true
		s.emit()
		return true
	case err == errCutShort:
		fault := w.at(w.pos + end)
		s.endsEarly(w)
		return s.recover(w, fault, false)
	case errors.Is(err, ErrTooLarge):
		s.fail(start, err)
		return s.recover(w, w.at(w.pos+end), false)
	case errors.Is(err, ErrTooDeep), errors.Is(err, ErrSyntax):
		s.fail(w.offset(w.pos+end), err)
		return s.recover(w, w.at(w.pos+end), errors.Is(err, ErrSyntax))
	case errors.Is(err, errNoShape):
		w.pos += end
		s.unwrap(text[:end], start, w.fixed, level+1)
		s.decoded = ""
		return true
	}
	w.pos += end
	s.fail(start, err)
	return true
}

// scan reads the value at the window's position and moves behind it; ok says
// whether it is one. After a fault it moves to where the next value may start;
// after says whether that is behind this one.
func (s *stream) scan(w *window) (v string, ok, after bool) {
	for {
		text := w.rest(s.options.MaxRecord)
		end, err := jsonscan.Scan(text, s.options.MaxDepth)
		// A number may go on in what has not been read yet.
		if undecided := end == len(text); undecided && len(text) < s.options.MaxRecord && w.more() {
			continue
		}
		if err == nil {
			v = text[:end]
			if v[0] == '"' {
				v = strings.Clone(v) // the window moves on before it is used
			}
			w.pos += end
			if s.runsOver(w, v) {
				return "", false, false
			}
			return v, true, true
		}
		fault := w.at(w.pos + end)
		switch err = fromScan(err); {
		case err != errCutShort:
			s.fail(w.offset(w.pos+end), err)
		case len(text) == s.options.MaxRecord:
			s.fail(w.offset(w.pos), ErrTooLarge)
		default:
			s.endsEarly(w)
		}
		return "", false, s.recover(w, fault, err == errNotJSON)
	}
}

// errTooLate refuses a record dated after [ReadOptions].NotAfter.
var errTooLate = fmt.Errorf("%w: dated later than allowed", ErrTime)

func (s *stream) tooLate() bool {
	return !s.options.NotAfter.IsZero() && s.decoder.event.Time.After(s.options.NotAfter)
}

// lines decodes the lines of an access log.
func (s *stream) lines(w *window) {
	for !s.done {
		if _, ok := w.peek(); !ok {
			return
		}
		start := w.offset(w.pos)
		line, ok := s.line(w)
		if !ok {
			continue
		}
		if err := s.decoder.accessLog(line); err != nil {
			s.fail(start, err)
			continue
		}
		if s.tooLate() {
			s.fail(start, errTooLate)
			continue
		}
		s.emit()
	}
}

// line reads up to the end of the line. It reports false for a line that is
// too long, and for one that a failure cut short.
func (s *stream) line(w *window) (string, bool) {
	start := w.offset(w.pos)
	for {
		text := w.rest(s.options.MaxRecord)
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			w.pos += i + 1
			return strings.TrimRight(text[:i], "\r"), true
		}
		if len(text) == s.options.MaxRecord {
			break
		}
		if !w.more() {
			w.pos += len(text)
			return text, !w.failed()
		}
	}
	s.fail(start, ErrTooLarge)
	for {
		if i := strings.IndexByte(w.text[w.pos:], '\n'); i >= 0 {
			w.pos += i + 1
			return "", false
		}
		w.pos = len(w.text)
		if !w.more() {
			return "", false
		}
	}
}
