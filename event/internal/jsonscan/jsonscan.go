// Package jsonscan reads JSON text in place. It accepts exactly the texts that
// [encoding/json.Valid] accepts, and hands out substrings instead of building
// values, so reading a member costs no allocation.
//
// Every function is total: on text that is not JSON it answers as for an
// absent value. Nothing here recurses deeper than its limit.
package jsonscan

import (
	"errors"
	"math/bits"
	"strings"
)

// MaxDepth is how deep arrays and objects may nest in the functions that take
// no limit. It is the limit of encoding/json.
const MaxDepth = 10000

// The reasons that an [Error] wraps.
var (
	ErrSyntax    = errors.New("invalid JSON")
	ErrTruncated = errors.New("JSON ends early")
	ErrDepth     = errors.New("JSON is nested too deeply")
)

// An Error says where a text stops being JSON.
type Error struct {
	Offset int   // of the first byte that cannot belong to the value
	Err    error // ErrSyntax, ErrTruncated or ErrDepth
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Valid reports, as an [*Error], why s is not one JSON value with nothing but
// white space around it, or nil if it is. Arrays and objects may nest maxDepth
// deep.
func Valid(s string, maxDepth int) error {
	i, _, f := value(s, space(s, 0), maxDepth)
	if f == none {
		if i = space(s, i); i == len(s) {
			return nil
		}
		f = syntax
	}
	return f.At(i)
}

// Scan returns the offset just after the value that s starts with, after
// optional white space. What follows it is not read. With an error, always an
// [*Error], the offset is that of the fault.
func Scan(s string, maxDepth int) (int, error) {
	i, _, f := value(s, space(s, 0), maxDepth)
	return i, f.At(i)
}

// A Fault is what stopped a scan; the zero Fault is none. It stands in for an
// error where one is not sure to be wanted, because making one allocates.
type Fault uint8

const (
	none      Fault = iota
	syntax          // a byte that cannot stand here
	truncated       // the text ended before the value did
	deep            // nesting beyond the limit
)

// At returns the fault as an error, an [*Error], or nil for none.
func (f Fault) At(offset int) error {
	switch f {
	case none:
		return nil
	case truncated:
		return &Error{offset, ErrTruncated}
	case deep:
		return &Error{offset, ErrDepth}
	}
	return &Error{offset, ErrSyntax}
}

// space returns the index of the first byte from i on that is not white space.
func space(s string, i int) int {
	if i < len(s) && s[i] > ' ' { // nearly always, and this much is inlined
		return i
	}
	return skipSpace(s, i)
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\r' || s[i] == '\t') {
		i++
	}
	return i
}

// value scans the value that starts at s[i], without leading space, and
// returns the index after it and whether it is plain: its text is its content,
// but for the quotes of a string. On a fault, it returns the index of the
// fault. depth is how many arrays and objects may be entered.
func value(s string, i, depth int) (end int, plain bool, f Fault) {
	if i >= len(s) {
		return len(s), false, truncated
	}
	switch s[i] {
	case '"':
		return quoted(s, i)
	case '{', '[':
		end, f = container(s, i, depth)
		return end, false, f
	}
	end, f = scalar(s, i)
	return end, true, f
}

// container scans the array or object that s[i] opens. It goes over what is
// inside in a loop, so that short values cost little.
func container(s string, i, depth int) (int, Fault) {
	const levels = 64   // that fit in objects
	var objects uint64  // which of the open ones are objects, the innermost in bit 0
	for level := 0; ; { // s[i] is where a value starts
		inside := false // of a container that has just been opened and is not empty
		var f Fault
		switch {
		case i >= len(s):
			return len(s), truncated
		case s[i] == '"':
			i, _, f = quoted(s, i)
		case s[i] != '{' && s[i] != '[':
			i, f = scalar(s, i)
		case level == depth:
			return i, deep
		case level == levels:
			i, f = container(s, i, depth-levels)
		default:
			level++
			objects <<= 1
			if s[i] == '{' {
				objects |= 1
			}
			i = space(s, i+1)
			inside = i >= len(s) || s[i] != closing(objects)
		}
		if f != none {
			return i, f
		}
		for !inside { // s[i] is where a value has ended
			i = space(s, i)
			switch {
			case i >= len(s):
				return len(s), truncated
			case s[i] == ',':
				i = space(s, i+1)
				inside = true
			case s[i] != closing(objects):
				return i, syntax
			default:
				i++
				objects >>= 1
				if level--; level == 0 {
					return i, none
				}
			}
		}
		if objects&1 != 0 {
			if _, i, _, f = name(s, i); f != none {
				return i, f
			}
		}
	}
}

// closing returns the bracket that closes the innermost container.
func closing(objects uint64) byte { return ']' + byte(objects&1)<<5 }

// name scans a member's name that starts at s[i], and the colon behind it. It
// returns the index after the name and that of the value; on a fault, its index
// twice.
func name(s string, i int) (end, value int, plain bool, f Fault) {
	if i >= len(s) || s[i] != '"' {
		i = min(i, len(s))
		return i, i, false, missing(s, i)
	}
	end, plain, f = quoted(s, i)
	if f != none {
		return end, end, false, f
	}
	if end+1 < len(s) && s[end] == ':' && s[end+1] > ' ' { // nearly always
		return end, end + 1, plain, none
	}
	if value, f = colon(s, end); f != none {
		return value, value, false, f
	}
	return end, value, plain, none
}

// missing is the fault where s[i] is not what must stand there.
func missing(s string, i int) Fault {
	if i >= len(s) {
		return truncated
	}
	return syntax
}

// colon scans the colon behind a name, with the space around.
func colon(s string, i int) (int, Fault) {
	i = space(s, i)
	if i >= len(s) || s[i] != ':' {
		return min(i, len(s)), missing(s, i)
	}
	return space(s, i+1), none
}

// quoted scans the string whose opening quote is s[i], eight bytes at a time,
// two times in a row. A plain one has no escapes and nothing but ASCII.
func quoted(s string, i int) (end int, plain bool, f Fault) {
	var all uint64 // the bytes of the string, one over the other
	i++
	for i+16 <= len(s) {
		two := s[i : i+16]
		w := load(two, 0)
		m := special(w)
		if m == 0 {
			all |= w
			i += 8
			w = load(two, 8)
			if m = special(w); m == 0 {
				all |= w
				i += 8
				continue
			}
		}
		all |= w & (m ^ (m - 1)) // with the special one, which is ASCII
		at := bits.TrailingZeros64(m) &^ 7
		i += at / 8
		if byte(w>>at) == '"' {
			return i + 1, all&high == 0, none
		}
		break
	}
	return rest(s, i, all&high == 0)
}

// rest scans what is left of a string at s[i]. Of what came before, plain says
// what it does of the whole.
func rest(s string, i int, plain bool) (int, bool, Fault) {
	for {
		for i+8 <= len(s) {
			w := load(s, i)
			if m := special(w); m != 0 {
				plain = plain && w&(m^(m-1))&high == 0
				i += bits.TrailingZeros64(m) / 8
				break
			}
			plain = plain && w&high == 0
			i += 8
		}
		for i < len(s) && s[i] != '"' && s[i] != '\\' && s[i] >= ' ' { // less than eight
			plain = plain && s[i] < 0x80
			i++
		}
		switch {
		case i >= len(s):
			return len(s), false, truncated
		case s[i] == '"':
			return i + 1, plain, none
		case s[i] != '\\':
			return i, false, syntax
		}
		plain = false
		var f Fault
		if i, f = escape(s, i+1); f != none {
			return i, false, f
		}
	}
}

const (
	ones = 0x0101010101010101
	high = 0x80 * ones
)

// load returns eight bytes of s, the first in the lowest bits.
func load(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// special marks with its high bit the lowest of eight bytes that a string
// cannot hold as it is: a quote, a backslash or a control character. Bytes
// above that may be marked in error.
func special(w uint64) uint64 {
	// This swaps the quote for the space, which comes after the control characters.
	low, backslash := w^('"'^' ')*ones, w^'\\'*ones
	return ((low - (' '+1)*ones) | (backslash - ones)) &^ w & high
}

// escape scans what follows a backslash.
func escape(s string, i int) (int, Fault) {
	if i >= len(s) {
		return len(s), truncated
	}
	switch s[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
	case 'u':
		for range 4 {
			if i++; i >= len(s) {
				return len(s), truncated
			}
			if _, ok := hexDigit(s[i]); !ok {
				return i, syntax
			}
		}
	default:
		return i, syntax
	}
	return i + 1, none
}

// scalar scans a number, true, false or null.
func scalar(s string, i int) (int, Fault) {
	switch s[i] {
	case 't':
		return literal(s, i, "true")
	case 'f':
		return literal(s, i, "false")
	case 'n':
		return literal(s, i, "null")
	}
	return number(s, i)
}

func literal(s string, i int, word string) (int, Fault) {
	if strings.HasPrefix(s[i:], word) {
		return i + len(word), none
	}
	for j := range len(word) {
		if i+j >= len(s) {
			return len(s), truncated
		}
		if s[i+j] != word[j] {
			return i + j, syntax
		}
	}
	return i + len(word), none
}

func number(s string, i int) (int, Fault) {
	if s[i] == '-' {
		i++
	}
	var f Fault
	if i < len(s) && s[i] == '0' {
		i++
	} else if i, f = digits(s, i); f != none {
		return i, f
	}
	if i < len(s) && s[i] == '.' {
		if i, f = digits(s, i+1); f != none {
			return i, f
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if i, f = digits(s, i); f != none {
			return i, f
		}
	}
	return i, none
}

// digits scans one digit or more.
func digits(s string, i int) (int, Fault) {
	if i >= len(s) {
		return len(s), truncated
	}
	if s[i] < '0' || s[i] > '9' {
		return i, syntax
	}
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return i, none
}

func hexDigit(c byte) (rune, bool) {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0'), true
	case 'a' <= c && c <= 'f':
		return rune(c - 'a' + 10), true
	case 'A' <= c && c <= 'F':
		return rune(c - 'A' + 10), true
	}
	return 0, false
}
