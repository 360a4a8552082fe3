package event

import (
	"io"
	"strings"
	"unsafe"
)

const (
	minChunk = 4 << 10
	maxChunk = 128 << 10
)

// A window is the part of an input that is in memory, as a string, so that
// everything read out of it can be a substring. It moves over the input in
// large steps. Each of them makes one new string or, with reuse, overwrites the
// memory of an earlier one, but for that of the last record.
type window struct {
	r      io.Reader
	text   string // the part in memory
	pos    int    // what lies before it has been read
	gone   int64  // how much of the input is no longer in memory
	base   int64  // the offset of the input's first byte
	fixed  bool   // the input is inside a wrapper, so all of it has the offset base
	bufs   buffers
	reuse  bool // the memory of strings; see [ReadOptions.Reuse]
	lent   bool // the last record is a part of the text
	chunk  int
	err    error   // why the input ends: io.EOF, or a failure
	stream *stream // with events that are parts of the text; or nil

	rescanned int64 // bytes given up once and read again
	cutShort  bool  // that the input ends inside a value has been reported
	unsure    bool  // after a fault: which brackets are still open is not known
}

// buffers are a window's memory: that to read into next and, with reuse, that
// of its text, and of the last record if the window has left it behind.
type buffers struct{ next, text, record []byte }

// trim drops what large records needed.
func (b *buffers) trim() {
	for _, buf := range [...]*[]byte{&b.text, &b.next, &b.record} {
		if cap(*buf) > 2*maxChunk {
			*buf = nil
		}
	}
}

func newWindow(r io.Reader, base int64, fixed bool) *window {
	return &window{r: r, base: base, fixed: fixed, chunk: minChunk}
}

// textWindow returns a window over text that is in memory already.
func textWindow(text string, base int64, fixed bool) *window {
	return &window{text: text, base: base, fixed: fixed, err: io.EOF}
}

// at returns how much of the input lies before text[pos].
func (w *window) at(pos int) int64 { return w.gone + int64(pos) }

// offset returns the offset to report for text[pos].
func (w *window) offset(pos int) int64 {
	if w.fixed {
		return w.base
	}
	return w.base + w.at(pos)
}

// rest returns the text from the position on, but not more than limit bytes.
func (w *window) rest(limit int) string {
	return w.text[w.pos:min(len(w.text), w.pos+limit)]
}

// more reads on and reports whether there was more. It drops the text before
// the position, and grows what is kept by an eighth at least: that keeps the
// cost of reading a long value again and again linear, however small the
// pieces are in which it arrives.
func (w *window) more() bool {
	if w.err != nil {
		return false
	}
	if w.stream != nil {
		if w.stream.flush(); w.stream.done {
			return false // what nobody wants may not come for long
		}
	}
	kept := w.text[w.pos:]
	size := len(kept) + max(w.chunk, len(kept))
	buf := w.bufs.next
	if cap(buf) < size {
		buf = make([]byte, size+size/8)
	}
	buf = buf[:size]
	n := copy(buf, kept)
	for enough := n + max(1, n/8); n < enough && w.err == nil; {
		var m int
		m, w.err = w.r.Read(buf[n:])
		n += m
	}
	if n == size { // there is much to read
		w.chunk = min(2*w.chunk, maxChunk)
	}
	grown := n > len(kept)
	w.gone += int64(w.pos)
	w.text, w.pos = w.stringOf(buf[:n]), 0
	return grown
}

// stringOf returns the bytes that were read as a string: a new one or, with
// reuse, the memory itself. examples/benchmarks shows what that gives.
func (w *window) stringOf(buf []byte) string {
	if !w.reuse {
		w.bufs.next = buf
		return string(buf)
	}
	if w.lent {
		w.bufs.next, w.bufs.record = w.bufs.record, w.bufs.text
	} else {
		w.bufs.next = w.bufs.text
	}
	w.bufs.text, w.lent = buf, false
	return unsafe.String(unsafe.SliceData(buf), len(buf))
}

// peek returns the next byte that is not white space, and moves to it; false
// at the end of the input. A byte order mark counts as white space.
func (w *window) peek() (byte, bool) {
	for {
		for w.pos < len(w.text) {
			switch c := w.text[w.pos]; c {
			case ' ', '\n', '\r', '\t':
				w.pos++
			case bom[0]:
				if !w.ahead(bom) {
					return c, true
				}
				w.pos += len(bom)
			default:
				return c, true
			}
		}
		if !w.more() {
			return 0, false
		}
	}
}

const bom = "\uFEFF"

// ahead reports whether s is the next in the input.
func (w *window) ahead(s string) bool {
	for len(w.text)-w.pos < len(s) && w.more() {
	}
	return strings.HasPrefix(w.text[w.pos:], s)
}

// failed reports whether the input ended by a failure, not by its end.
func (w *window) failed() bool { return w.err != nil && w.err != io.EOF }
