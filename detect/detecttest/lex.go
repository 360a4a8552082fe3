package detecttest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// A SyntaxError says where a scenario file is not well-formed.
type SyntaxError struct {
	File string
	Line int // from 1
	Msg  string
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

type tokenKind uint8

const (
	word tokenKind = iota
	quoted
	object // a JSON object, in which placeholders may stand
)

type token struct {
	kind tokenKind
	text string // a quoted token's without its quotes
}

// lex cuts text into tokens. open reports that it ends inside a JSON object.
func lex(text string) (tokens []token, open bool, err error) {
	for {
		text = strings.TrimLeft(text, " \t\n")
		if text == "" || text[0] == '#' {
			return tokens, false, nil
		}
		n := 0
		switch text[0] {
		case '"':
			if n = stringEnd(text); n < 0 {
				return nil, false, fmt.Errorf("the quotes are not closed: %s", text)
			}
			var s string
			if err := json.Unmarshal([]byte(text[:n]), &s); err != nil {
				return nil, false, fmt.Errorf("bad quoted text %s: %w", text[:n], err)
			}
			tokens = append(tokens, token{quoted, s})
		case '{':
			if n = objectEnd(text); n < 0 {
				return nil, true, nil
			}
			tokens = append(tokens, token{object, text[:n]})
		default:
			if n = strings.IndexAny(text, " \t\n"); n < 0 {
				n = len(text)
			}
			tokens = append(tokens, token{word, text[:n]})
		}
		text = text[n:]
	}
}

// stringEnd returns the length of the quoted string that s begins with, or -1.
func stringEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// objectEnd returns the length of the object that s begins with, or -1.
func objectEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			n := stringEnd(s[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// A statement is one line of a scenario, with the lines that continue its JSON.
// Its methods take tokens off its front. After the first fault they return
// zero values, so a reader checks err once, at its end.
type statement struct {
	line   int
	tokens []token
	err    error
}

func (s *statement) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
		s.tokens = nil
	}
}

func (s *statement) more() bool { return s.err == nil && len(s.tokens) > 0 }

// next reports whether the next token is of the kind.
func (s *statement) next(k tokenKind) bool { return len(s.tokens) > 0 && s.tokens[0].kind == k }

func (s *statement) pop() string {
	text := s.tokens[0].text
	s.tokens = s.tokens[1:]
	return text
}

// accept takes the word if it is next.
func (s *statement) accept(w string) bool {
	if !s.next(word) || s.tokens[0].text != w {
		return false
	}
	s.pop()
	return true
}

func (s *statement) need(w string) {
	if !s.accept(w) {
		s.fail("%q is missing%s", w, s.found())
	}
}

// word takes a word; what names it in the complaint if there is none.
func (s *statement) word(what string) string {
	if !s.next(word) {
		s.fail("%s is missing%s", what, s.found())
		return ""
	}
	return s.pop()
}

// text takes a word or a quoted text.
func (s *statement) text(what string) string {
	if s.next(quoted) {
		return s.pop()
	}
	return s.word(what)
}

// object takes a JSON object and checks that it is one.
func (s *statement) object(what string) string {
	if !s.next(object) {
		s.fail("%s is missing: a JSON object%s", what, s.found())
		return ""
	}
	text := s.pop()
	if _, err := decodeObject(expand(text, 1, 1)); err != nil {
		s.fail("%s is not a JSON object: %v", what, err)
	}
	return text
}

func (s *statement) number(what string, low, high int) int {
	text := s.word(what)
	n, err := strconv.Atoi(text)
	if s.err == nil && (err != nil || n < low || n > high) {
		s.fail("%s is %q, not a number from %d to %d", what, text, low, high)
		return low
	}
	return n
}

func (s *statement) found() string {
	if len(s.tokens) == 0 {
		return " at the end of the line"
	}
	return fmt.Sprintf(" before %q", s.tokens[0].text)
}

// end fails if anything is left.
func (s *statement) end() {
	if s.more() {
		s.fail("%q is not understood here", s.tokens[0].text)
	}
}
