package jsonscan

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Text returns the content of a string, or the text of a number or boolean as
// it stands; "" for null, objects, arrays and text that is not JSON. It
// allocates only for strings with escapes or invalid UTF-8, which becomes
// U+FFFD as in encoding/json.
func Text(v string) string {
	i := space(v, 0)
	if i >= len(v) || v[i] == '{' || v[i] == '[' || v[i] == 'n' {
		return ""
	}
	end, plain, f := value(v, i, 0)
	if f != none || space(v, end) != len(v) {
		return ""
	}
	return content(v[i:end], plain)
}

// content returns the content of a scanned string, number or boolean.
func content(v string, plain bool) string {
	switch {
	case v[0] != '"':
		return v
	case plain:
		return v[1 : len(v)-1]
	}
	return unquote(v[1 : len(v)-1])
}

// unquote returns the content of a string that may have escapes.
func unquote(s string) string {
	if strings.IndexByte(s, '\\') < 0 && utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, len(s)+2*utf8.UTFMax)
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\\' && s[i+1] == 'u':
			var r rune
			r, i = escapedRune(s, i)
			b = utf8.AppendRune(b, r)
		case c == '\\':
			b = append(b, unescape(s[i+1]))
			i += 2
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
		}
	}
	return string(b)
}

// unescape returns the character that a one-letter escape stands for.
func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// escapedRune reads the \uXXXX escape at s[i], with the one after it if the
// two are a surrogate pair, and returns the index after what it read. Half a
// pair is U+FFFD.
func escapedRune(s string, i int) (rune, int) {
	r := hex4(s[i+2 : i+6])
	i += 6
	if !utf16.IsSurrogate(r) {
		return r, i
	}
	if len(s) >= i+6 && s[i] == '\\' && s[i+1] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(s[i+2:i+6])); pair != utf8.RuneError {
			return pair, i + 6
		}
	}
	return utf8.RuneError, i
}

func hex4(s string) rune {
	var r rune
	for i := range 4 {
		d, _ := hexDigit(s[i])
		r = r<<4 | d
	}
	return r
}

// AppendQuoted appends s to b as a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendQuoted(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ':
			b = append(b, '\\', 'u', '0', '0', digits[r>>4], digits[r&0xf])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
