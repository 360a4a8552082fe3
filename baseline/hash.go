package baseline

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/cloudtell/cloudtell/baseline/internal/wire"
)

// Hash returns the form in which records keep a value: the first eight bytes
// of its SHA-256, the same in every process, and costly to collide on purpose.
func Hash(value string) uint64 {
	var buf [256]byte
	if len(value) <= len(buf) {
		sum := sha256.Sum256(append(buf[:0], value...))
		return binary.BigEndian.Uint64(sum[:8])
	}
	h := sha256.New()
	for len(value) > 0 {
		n := copy(buf[:], value)
		h.Write(buf[:n])
		value = value[n:]
	}
	return binary.BigEndian.Uint64(h.Sum(nil)[:8])
}

// hashOf is what a profile remembers an event by: 40 bits are enough to tell it
// from some hundreds. A UUID is random already, and AWS chooses it; the factor
// is for those of other sources.
func (x *eventID) hashOf(id string) uint64 {
	const factor = 0x9e3779b97f4a7c15 // 2^64 by the golden ratio
	var h uint64
	if x.length == uuidBytes {
		h = (binary.BigEndian.Uint64(x.bytes[:8]) ^ binary.BigEndian.Uint64(x.bytes[8:])) * factor
	} else {
		h = Hash(id)
	}
	return h >> (64 - 8*recentBytes)
}

const recentBytes = 5

// An eventID keeps an event's id in a record: 16 bytes for a UUID.
type eventID struct {
	length uint8    // 16 for a UUID; 0 for none
	bytes  [16]byte // of an id that is no UUID, its text, if it has at most maxOtherID bytes
}

const (
	uuidBytes  = 16
	maxOtherID = 15
)

// maxEventIDBytes bounds what appendTo appends.
const maxEventIDBytes = 17

func newEventID(id string) eventID {
	if u, ok := parseUUID(id); ok {
		return eventID{uuidBytes, u}
	}
	var x eventID
	if len(id) <= maxOtherID {
		x.length = uint8(copy(x.bytes[:], id))
	}
	return x
}

// String returns the id as the event had it, or "" if it was not kept.
func (x eventID) String() string {
	if x.length != uuidBytes {
		return string(x.bytes[:x.length])
	}
	var b [36]byte
	hex.Encode(b[0:8], x.bytes[0:4])
	hex.Encode(b[9:13], x.bytes[4:6])
	hex.Encode(b[14:18], x.bytes[6:8])
	hex.Encode(b[19:23], x.bytes[8:10])
	hex.Encode(b[24:36], x.bytes[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

func (x eventID) less(y eventID) bool {
	if (x.length == uuidBytes) != (y.length == uuidBytes) {
		return y.length == uuidBytes
	}
	return bytes.Compare(x.bytes[:x.length], y.bytes[:y.length]) < 0
}

func (x eventID) appendTo(b []byte) []byte {
	return append(append(b, x.length), x.bytes[:x.length]...)
}

// parseUUID accepts exactly the lower-case form that eventID.String writes.
func parseUUID(s string) (u [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, false
	}
	bad := byte(0)
	for i, at := range uuidDigits {
		high, low := hexDigits[s[at]], hexDigits[s[at+1]]
		bad |= high | low
		u[i] = high<<4 | low
	}
	return u, bad < 16 && u != [16]byte{}
}

// uuidDigits is where a UUID's bytes are in its text.
var uuidDigits = [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// hexDigits has the values of lower-case hexadecimal digits, and 255 for other
// bytes.
var hexDigits = func() (digits [256]byte) {
	for c := range digits {
		digits[c] = 255
		if i := strings.IndexByte("0123456789abcdef", byte(c)); i >= 0 {
			digits[c] = byte(i)
		}
	}
	return digits
}()

func readEventID(r *wire.Reader) (x eventID) {
	x.length = uint8(copy(x.bytes[:], r.Bytes(len(x.bytes))))
	return x
}
