package sigma

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pattern is a Sigma string: runes, and the wildcards among them.
type pattern []rune

const (
	anyText rune = -1 // *
	anyRune rune = -2 // ?
	anyDash rune = -3 // what modifier windash puts in place of a dash
)

// parsePattern reads a Sigma string. A backslash before a wildcard or another
// backslash makes that a plain character, any other stands for itself.
func parsePattern(s string) pattern {
	var p pattern
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\\' && i+1 < len(runes) && strings.ContainsRune(`*?\`, runes[i+1]):
			i++
			p = append(p, runes[i])
		case r == '*':
			p = append(p, anyText)
		case r == '?':
			p = append(p, anyRune)
		default:
			p = append(p, r)
		}
	}
	return p
}

// plainPattern returns a text without wildcards as a pattern.
func plainPattern(s string) pattern { return pattern([]rune(s)) }

// literal returns the text of a pattern without wildcards.
func (p pattern) literal() (string, bool) {
	for _, r := range p {
		if r < 0 {
			return "", false
		}
	}
	return string(p), true
}

const dashes = "-/\u2013\u2014\u2015" // that windash takes for each other

// windash replaces each dash that begins a word.
func (p pattern) windash() pattern {
	word := func(i int) bool {
		return i >= 0 && i < len(p) && (unicode.IsLetter(p[i]) || unicode.IsDigit(p[i]) || p[i] == '_')
	}
	q := make(pattern, len(p))
	copy(q, p)
	for i, r := range p {
		if r > 0 && strings.ContainsRune(dashes, r) && !word(i-1) && word(i+1) {
			q[i] = anyDash
		}
	}
	return q
}

// A glob is a pattern made ready for matching.
type glob struct {
	parts      []part // between the wildcards *
	start, end bool   // the first part is at the start, the last at the end
	exact      string // the text, if there is no wildcard
	isExact    bool
	cased      bool
}

// A part is runes of which none is anyText, folded unless case matters.
type part []rune

func newGlob(p pattern, cased bool) *glob {
	g := &glob{start: true, end: true, cased: cased}
	g.exact, g.isExact = p.literal()
	var now part
	for i, r := range p {
		if r != anyText {
			if !cased {
				r = fold(r)
			}
			now = append(now, r)
			continue
		}
		if i == 0 {
			g.start = false
		}
		if i == len(p)-1 {
			g.end = false
		}
		if len(now) > 0 {
			g.parts, now = append(g.parts, now), nil
		}
	}
	if len(now) > 0 {
		g.parts = append(g.parts, now)
	}
	return g
}

// match reports whether the whole of s is what the pattern says. It allocates
// nothing, and takes time in proportion to the product of both lengths at worst.
func (g *glob) match(s string) bool {
	switch {
	case g.isExact && g.cased:
		return s == g.exact
	case g.isExact:
		return strings.EqualFold(s, g.exact)
	case len(g.parts) == 0:
		return true // nothing but *
	}
	parts := g.parts
	at := 0
	if g.start {
		end, ok := g.at(s, 0, parts[0])
		if !ok {
			return false
		}
		if at, parts = end, parts[1:]; len(parts) == 0 {
			return !g.end || at == len(s)
		}
	}
	var last part
	if g.end {
		last, parts = parts[len(parts)-1], parts[:len(parts)-1]
	}
	for _, p := range parts {
		end, ok := g.find(s, at, p)
		if !ok {
			return false
		}
		at = end
	}
	if last == nil {
		return true
	}
	tail := len(s)
	for range last {
		if tail <= at {
			return false
		}
		_, n := utf8.DecodeLastRuneInString(s[at:tail])
		tail -= n
	}
	end, ok := g.at(s, tail, last)
	return ok && end == len(s)
}

// find returns the end of the first place from at on where s has the part.
func (g *glob) find(s string, at int, p part) (end int, ok bool) {
	first := p[0]
	for ; ; at++ {
		if 0 <= first && first < utf8.RuneSelf { // nearly always: go by bytes to where it may begin
			for at < len(s) && s[at] < utf8.RuneSelf && rune(s[at]) != first && (g.cased || upper(s[at]) != byte(first)) {
				at++
			}
		}
		if end, ok := g.at(s, at, p); ok {
			return end, true
		}
		if at >= len(s) {
			return 0, false
		}
		for at+1 < len(s) && !utf8.RuneStart(s[at+1]) { // to the end of the rune
			at++
		}
	}
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// at returns the end of the part if s has it at i.
func (g *glob) at(s string, i int, p part) (end int, ok bool) {
	for _, want := range p {
		if i >= len(s) {
			return 0, false
		}
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		switch {
		case want >= 0:
			if !g.cased {
				r = fold(r)
			}
			if r != want {
				return 0, false
			}
		case want == anyDash && !strings.ContainsRune(dashes, r):
			return 0, false
		}
		i += n
	}
	return i, true
}

// fold returns the least of the runes that differ only in case, so that two are
// folded to one exactly if [strings.EqualFold] takes them for equal.
func fold(r rune) rune {
	if r < 0 { // a wildcard
		return r
	}
	if r < utf8.RuneSelf {
		return rune(upper(byte(r)))
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}
