package baseline

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/cloudtell/cloudtell/baseline/internal/wire"
)

// maxLabel is the most bytes of a value that a record keeps, for a finding to
// show.
const maxLabel = 32

// maxValueBytes bounds what appendFirst appends: a mark and the hash of a value
// that is cut, a length and the label.
const maxValueBytes = 1 + 8 + 1 + maxLabel

// A labelText is what is kept of a value's text.
type labelText struct {
	length uint8
	cut    bool // of a longer value
	bytes  [maxLabel]byte
}

// label keeps the end of a long value, which tells more of an ARN or a path
// than its beginning.
func label(value string) (l labelText) {
	const cut = "…"
	if len(value) > maxLabel {
		value = value[len(value)-maxLabel+len(cut):]
		for len(value) > 0 && value[0]&0xC0 == 0x80 { // not inside a character
			value = value[1:]
		}
		l.length, l.cut = uint8(copy(l.bytes[:], cut)), true
	}
	l.length += uint8(copy(l.bytes[l.length:], value))
	return l
}

// String returns the text.
func (l *labelText) String() string { return string(l.bytes[:l.length]) }

// labels are the labels of a cell's values in one piece of memory, which no
// event asks for: for each its length, with labelCut added if it is cut, and its
// text. As a labelText each would take 34 bytes.
type labels []byte

const labelCut = 0x80

// next returns the first label's text and what is behind it.
func (l labels) next() (text []byte, cut bool, rest labels) {
	end := 1 + int(l[0]&^labelCut)
	return l[1:end], l[0]&labelCut != 0, l[end:]
}

// offset is where label i begins.
func (l labels) offset(i int) int {
	at := 0
	for range i {
		at += 1 + int(l[at]&^labelCut)
	}
	return at
}

// at returns label i.
func (l labels) at(i int) string { return string(l.text(uint16(l.offset(i)))) }

// text returns the label that begins at an offset. It aliases l.
func (l labels) text(at uint16) []byte {
	text, _, _ := l[at:].next()
	return text
}

// offsets appends where each label begins. A cell has at most 1,024.
func (l labels) offsets(list []uint16) []uint16 {
	for at := 0; at < len(l); at += 1 + int(l[at]&^labelCut) {
		list = append(list, uint16(at))
	}
	return list
}

// insert makes t label i.
func (l labels) insert(i int, t *labelText) labels {
	var buf [1 + maxLabel]byte
	return slices.Insert(l, l.offset(i), labels(buf[:0]).add(t.bytes[:t.length], t.cut)...)
}

// remove takes label i out.
func (l labels) remove(i int) labels {
	at := l.offset(i)
	return slices.Delete(l, at, at+1+int(l[at]&^labelCut))
}

// add appends a label.
func (l labels) add(text []byte, cut bool) labels {
	length := byte(len(text))
	if cut {
		length |= labelCut
	}
	return append(append(l, length), text...)
}

// appendFirst appends the first label to a record and, if that is cut, the
// value's hash. It returns the labels behind it.
func (l labels) appendFirst(b []byte, hash uint64) ([]byte, labels) {
	text, cut, rest := l.next()
	if cut {
		b = binary.BigEndian.AppendUint64(append(b, maxLabel+1), hash)
	}
	return append(append(b, byte(len(text))), text...), rest
}

// A reader is the room that cells are read in.
type reader struct {
	hashes hashCache
	labels labels // of the cell
}

// readers serve one record after the other: records repeat each other's values,
// and to know a hash costs a seventh of making it.
var readers = sync.Pool{New: func() any {
	return &reader{hashes: hashCache{maphash.MakeSeed(), make([]hashed, hashCacheSize)}}
}}

// read returns a feature's cell as it was written.
func (room *reader) read(f Feature, data []byte) (Cell, error) {
	c := f.NewCell()
	if v, ok := c.(interface{ read([]byte, *reader) error }); ok {
		return c, v.read(data, room)
	}
	return c, c.UnmarshalBinary(data)
}

// value reads what appendFirst appends: it adds the label to the reader's and
// returns the value's hash.
func (room *reader) value(r *wire.Reader) (hash uint64) {
	n := r.Uvarint(maxLabel + 1)
	cut := n == maxLabel+1
	if cut {
		hash = r.Uint64()
		n = r.Uvarint(maxLabel)
	}
	text := r.Fixed(int(n))
	room.labels = room.labels.add(text, cut)
	if !cut {
		hash = room.hashes.hash(string(text))
	}
	return hash
}
