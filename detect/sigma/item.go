package sigma

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/event"
)

// An item is one line of a search: a field, and what its value must be.
type item struct {
	field  field
	tests  []test
	null   bool  // null is one of the values: the field is absent or null
	exists *bool // the field must be there, or must not
	all    bool  // every test must be met, if only by different values of the field
	every  uint64
	negate bool
}

func (it *item) match(e *event.Event) bool {
	s := scan{event: e, item: it}
	s.run()
	if it.exists != nil {
		return (s.found || s.filled) == *it.exists
	}
	return (len(it.tests) > 0 && s.done() || it.null && !s.filled) != it.negate
}

// A test is what one value of a rule demands of one value of a field.
type test interface {
	met(text string, e *event.Event) bool
}

func (g *glob) met(text string, _ *event.Event) bool { return g.match(text) }

// A matches is a regular expression.
type matches struct{ *regexp.Regexp }

func (m matches) met(text string, _ *event.Event) bool { return m.MatchString(text) }

// A within is a network.
type within netip.Prefix

func (w within) met(text string, e *event.Event) bool {
	if text == e.SourceAddress { // nearly always, and parsed already
		return netip.Prefix(w).Contains(e.IP)
	}
	for i := range len(text) { // a failed parse would allocate its error
		if c := text[i]; c != '.' && c != ':' && !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f') {
			return false
		}
	}
	a, err := netip.ParseAddr(text)
	return err == nil && netip.Prefix(w).Contains(a.Unmap())
}

// A compare compares a number: the field's, or that of a part of its time.
type compare struct {
	op   string // "", "lt", "lte", "gt", "gte"
	want float64
	text string // the number as the rule has it
	part func(time.Time) int
}

func (c *compare) met(text string, _ *event.Event) bool {
	var have float64
	if c.part != nil {
		if len(text) < len("2006-01-02T15:04:05Z") || text[4] != '-' || text[10] != 'T' {
			return false
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return false
		}
		have = float64(c.part(t.UTC()))
	} else {
		if c.op == "" && text == c.text {
			return true
		}
		if !isNumber(text) {
			return false
		}
		var err error
		if have, err = strconv.ParseFloat(text, 64); err != nil {
			return false
		}
	}
	switch c.op {
	case "lt":
		return have < c.want
	case "lte":
		return have <= c.want
	case "gt":
		return have > c.want
	case "gte":
		return have >= c.want
	}
	// Beyond 2^53, different integers share a float.
	return have == c.want && (c.part != nil || max(have, -have) < 1<<53)
}

// isNumber reports whether a text is a number as JSON writes it.
func isNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && '0' <= s[n] && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	s = strings.TrimPrefix(s, "-")
	if !digits() {
		return false
	}
	if strings.HasPrefix(s, ".") {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && s[0]|0x20 == 'e' {
		if s = s[1:]; s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

// A same compares with another field.
type same struct {
	field field
	affix string // "", "startswith", "endswith", "contains"
	cased bool
}

func (t *same) met(text string, e *event.Event) bool {
	found := false
	t.field.texts(e, func(other string) bool {
		found = t.compare(text, other)
		return !found
	})
	return found
}

// compare reports whether text is other, or has it. That an empty text is part
// of every text means nothing.
func (t *same) compare(text, other string) bool {
	switch {
	case t.affix != "":
		return other != "" && newGlob(affixed(plainPattern(other), t.affix), t.cased).match(text)
	case t.cased:
		return text == other
	}
	return strings.EqualFold(text, other)
}
