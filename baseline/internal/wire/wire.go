// Package wire reads and writes the compact binary form of profile records.
package wire

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed is the one error of a [Reader]: the bytes end early, or a
// length or number is out of its range.
var ErrMalformed = errors.New("malformed bytes")

// AppendString appends a length and the bytes of s.
func AppendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// A Reader takes values off the front of its bytes. After the first fault
// every method returns zero values, so a decoder checks Err once at its end.
type Reader struct {
	b   []byte
	at  int // what is before it was read; to move a number costs less than to move a slice
	err error
}

// NewReader returns a Reader of b, which it does not modify.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err returns ErrMalformed if any read so far failed.
func (r *Reader) Err() error { return r.err }

// Close returns ErrMalformed if any read failed or bytes are left over.
func (r *Reader) Close() error {
	if r.Len() > 0 {
		r.fail()
	}
	return r.err
}

// Len returns the number of bytes that are left.
func (r *Reader) Len() int { return len(r.b) - r.at }

func (r *Reader) fail() { r.b, r.at, r.err = nil, 0, ErrMalformed }

// Uvarint reads an unsigned number of at most max.
func (r *Reader) Uvarint(max uint64) uint64 {
	if r.at < len(r.b) { // most are small
		if v := uint64(r.b[r.at]); v < 0x80 && v <= max {
			r.at++
			return v
		}
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 || v > max {
		r.fail()
		return 0
	}
	r.at += n
	return v
}

// Varint reads a signed number.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.b[r.at:])
	if n <= 0 {
		r.fail()
		return 0
	}
	r.at += n
	return v
}

// Count reads a number of elements that take at least size bytes each, so a
// forged count cannot make its reader allocate more than the bytes justify.
func (r *Reader) Count(max, size int) int {
	n := int(r.Uvarint(uint64(max)))
	if n > r.Len()/size {
		r.fail()
		return 0
	}
	return n
}

// Uint32 and Uint64 read fixed-width big-endian numbers.
func (r *Reader) Uint32() uint32 {
	b := r.take(4)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

// Uint64 reads a fixed-width big-endian number.
func (r *Reader) Uint64() uint64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// Fixed reads n bytes, which alias the Reader's input; nil if there are fewer.
func (r *Reader) Fixed(n int) []byte { return r.take(n) }

// Bytes reads a length of at most max and that many bytes, which alias the
// Reader's input.
func (r *Reader) Bytes(max int) []byte {
	return r.take(int(r.Uvarint(uint64(max))))
}

// String reads what AppendString wrote, of at most max bytes.
func (r *Reader) String(max int) string { return string(r.Bytes(max)) }

func (r *Reader) take(n int) []byte {
	if r.err != nil || n > r.Len() {
		r.fail()
		return nil
	}
	b := r.b[r.at:][:n:n]
	r.at += n
	return b
}
