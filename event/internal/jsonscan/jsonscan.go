// Package jsonscan reads JSON text in place. It accepts exactly the texts that
// [encoding/json.Valid] accepts, and hands out substrings instead of building
// values, so reading a member costs no allocation.
//
// Every function is total: on text that is not JSON it answers as for an
// absent value. Nothing here recurses deeper than its limit.
package jsonscan

import "errors"

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
	i, f := value(s, space(s, 0), maxDepth)
	if f == none {
		if i = space(s, i); i == len(s) {
			return nil
		}
		f = syntax
	}
	return f.at(i)
}

// Scan returns the offset just after the value that s starts with, after
// optional white space. What follows it is not read. With an error, always an
// [*Error], the offset is that of the fault.
func Scan(s string, maxDepth int) (int, error) {
	i, f := value(s, space(s, 0), maxDepth)
	return i, f.at(i)
}

// fault is what stopped a scan. It stands in for an error inside the package,
// because making one allocates.
type fault uint8

const (
	none      fault = iota
	syntax          // a byte that cannot stand here
	truncated       // the text ended before the value did
	deep            // nesting beyond the limit
)

func (f fault) at(offset int) error {
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
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\r' || s[i] == '\t') {
		i++
	}
	return i
}

// value scans the value that starts at s[i], without leading space, and
// returns the index after it. On a fault, it returns the index of the fault.
// depth is how many more arrays and objects may be entered.
func value(s string, i, depth int) (int, fault) {
	if i >= len(s) {
		return len(s), truncated
	}
	switch s[i] {
	case '"':
		return quoted(s, i)
	case '{', '[':
		c := open(s, i, depth)
		for c.close != 0 {
			c.next()
		}
		return c.pos, c.fault
	case 't':
		return literal(s, i, "true")
	case 'f':
		return literal(s, i, "false")
	case 'n':
		return literal(s, i, "null")
	}
	return number(s, i)
}

// quoted scans the string whose opening quote is s[i].
func quoted(s string, i int) (int, fault) {
	for i++; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1, none
		case c < ' ':
			return i, syntax
		case c == '\\':
			i++
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
		}
	}
	return len(s), truncated
}

func literal(s string, i int, word string) (int, fault) {
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

func number(s string, i int) (int, fault) {
	if s[i] == '-' {
		i++
	}
	var f fault
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
func digits(s string, i int) (int, fault) {
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
