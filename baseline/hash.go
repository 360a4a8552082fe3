package baseline

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

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

// hashID is Hash for event ids. A UUID is random already, and AWS chooses it.
func hashID(id string) uint64 {
	if u, ok := parseUUID(id); ok {
		return binary.BigEndian.Uint64(u[:8]) ^ binary.BigEndian.Uint64(u[8:])
	}
	return Hash(id)
}

// An eventID keeps an event's id in a record: 16 bytes for a UUID.
type eventID struct {
	uuid  [16]byte
	other string // an id that is no UUID, if it has at most maxOtherID bytes
}

const maxOtherID = 15

// maxEventIDBytes bounds what appendTo appends.
const maxEventIDBytes = 17

func newEventID(id string) eventID {
	if u, ok := parseUUID(id); ok {
		return eventID{uuid: u}
	}
	if len(id) > maxOtherID {
		return eventID{}
	}
	return eventID{other: string([]byte(id))}
}

// String returns the id as the event had it, or "" if it was not kept.
func (x eventID) String() string {
	if x == (eventID{}) || x.other != "" {
		return x.other
	}
	var b [36]byte
	hex.Encode(b[0:8], x.uuid[0:4])
	hex.Encode(b[9:13], x.uuid[4:6])
	hex.Encode(b[14:18], x.uuid[6:8])
	hex.Encode(b[19:23], x.uuid[8:10])
	hex.Encode(b[24:36], x.uuid[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

func (x eventID) less(y eventID) bool {
	if c := bytes.Compare(x.uuid[:], y.uuid[:]); c != 0 {
		return c < 0
	}
	return x.other < y.other
}

func (x eventID) appendTo(b []byte) []byte {
	if x.uuid != [16]byte{} {
		return append(append(b, 16), x.uuid[:]...)
	}
	return append(append(b, byte(len(x.other))), x.other...)
}

// parseUUID accepts exactly the lower-case form that eventID.String writes.
func parseUUID(s string) (u [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, false
	}
	n := 0
	for i := 0; i < len(s); i += 2 {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			i++
		}
		hi, lo := hexDigit(s[i]), hexDigit(s[i+1])
		if hi > 15 || lo > 15 {
			return u, false
		}
		u[n] = hi<<4 | lo
		n++
	}
	return u, u != [16]byte{}
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

func readEventID(r *wire.Reader) (x eventID) {
	b := r.Bytes(len(x.uuid))
	if len(b) == len(x.uuid) {
		copy(x.uuid[:], b)
		return x
	}
	x.other = string(b)
	return x
}
