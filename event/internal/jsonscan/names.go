package jsonscan

import "slices"

// Names is a set of names that the members of an object may have. It tells
// which one a member has without comparing it with each.
type Names struct {
	texts []string            // by number: the name in quotes, with a colon
	slots [2 * maxNames]uint8 // numbers, by hash
}

const (
	maxNames   = 64 // a power of two
	nameFactor = 0x9E3779B97F4A7C15
	nameShift  = 64 - 7
)

// What [Names.Next] returns as the number of a member, besides that of a name.
const (
	Other = 0  // a name that is not in the set
	Start = -1 // before the first member
	End   = -2 // behind the last
)

// NewNames makes a set. Names are numbered from 1, in the order given. JSON
// escapes nothing in them.
func NewNames(names ...string) *Names {
	n := &Names{texts: make([]string, 1, len(names)+1)}
	for i, name := range names {
		at := slotOf(startOf(name+`"       `, 0))
		for n.slots[at] != 0 {
			at = (at + 1) % len(n.slots)
		}
		n.slots[at] = uint8(i + 1)
		n.texts = append(n.texts, `"`+name+`":`)
	}
	if len(n.texts) > maxNames {
		panic("jsonscan: too many names")
	}
	return n
}

// startOf returns the eight bytes of s at i, without those behind a quote.
func startOf(s string, i int) uint64 {
	w := load(s, i)
	quote := w ^ '"'*ones
	if m := (quote - ones) &^ quote & high; m != 0 {
		w &= m ^ (m - 1)
	}
	return w
}

func slotOf(start uint64) int { return int(start * nameFactor >> nameShift) }

// An Order remembers which member followed which. Where members come in the
// same order again and again, the next one need not be looked up. The zero
// Order knows none.
type Order struct {
	next [maxNames]uint8 // number by number
}

// Next scans what is between the values of an object: a comma, unless i is
// where the first member may start, the next member's name and the colon. last
// is the number of the member before. It returns the number of the name and the
// index of the value; at the end, the index after the closing brace. The order
// may be nil.
func (n *Names) Next(s string, i, last int, order *Order) (number, value int, f Fault) {
	if order != nil && last >= 0 {
		if next := order.next[last]; next > 0 {
			text := n.texts[next]
			if end := i + 1 + len(text); end < len(s) && s[i] == ',' && s[i+1:end] == text && s[end] > ' ' {
				return int(next), end, none
			}
		}
	}
	number, i, f = n.find(s, i, last)
	if order != nil && last >= 0 && number > 0 {
		order.next[last] = uint8(number)
	}
	return number, i, f
}

func (n *Names) find(s string, i, last int) (number, value int, f Fault) {
	i = space(s, i)
	switch {
	case i >= len(s):
		return 0, len(s), truncated
	case s[i] == '}':
		return End, i + 1, none
	case last == Start:
	case s[i] != ',':
		return 0, i, syntax
	default:
		i = space(s, i+1)
	}
	return n.name(s, i)
}

// name scans a name and the colon, and returns the name's number and the index
// of the value.
func (n *Names) name(s string, i int) (number, value int, f Fault) {
	if i+9 <= len(s) && s[i] == '"' {
		for at := slotOf(startOf(s, i+1)); n.slots[at] != 0; at = (at + 1) % len(n.slots) {
			want := n.texts[n.slots[at]]
			want = want[:len(want)-1] // without the colon
			if end := i + len(want); end <= len(s) && s[i:end] == want {
				value, f = colon(s, end)
				return int(n.slots[at]), value, f
			}
		}
	}
	end, value, plain, f := name(s, i)
	if f != none || plain && i+9 <= len(s) {
		return Other, value, f
	}
	text := `"` + content(s[i:end], plain) + `":`
	return max(slices.Index(n.texts, text), Other), value, none
}

// Members scans the value that starts at s[i]. If it is an object, it calls
// visit at each member's value, which visit scans: it returns the index after
// it. The number is that of the member's name, and maxDepth is for the value.
func (n *Names) Members(s string, i, maxDepth int, visit func(number, i, maxDepth int) (end int, f Fault)) (end int, f Fault) {
	if i < len(s) && s[i] != '{' {
		end, _, f = value(s, i, maxDepth)
		return end, f
	}
	i, f = Enter(s, i, maxDepth)
	number := Start
	for f == none {
		if number, i, f = n.Next(s, i, number, nil); f != none || number == End {
			break
		}
		i, f = visit(number, i, maxDepth-1)
	}
	return i, f
}

// Space returns the index of the first byte from i on that is not white space.
func Space(s string, i int) int { return space(s, i) }

// Enter scans the brace that opens an object at s[i].
func Enter(s string, i, maxDepth int) (int, Fault) {
	switch {
	case i >= len(s):
		return len(s), truncated
	case s[i] != '{':
		return i, syntax
	case maxDepth <= 0:
		return i, deep
	default:
		return i + 1, none
	}
}

// Value scans the value that starts at s[i] and returns its text.
func Value(s string, i, maxDepth int) (text string, end int, f Fault) {
	end, _, f = value(s, i, maxDepth)
	if f != none {
		return "", end, f
	}
	return s[i:end], end, none
}

// Content scans the value that starts at s[i] and returns its content as
// [Text] does.
func Content(s string, i, maxDepth int) (content string, end int, f Fault) {
	if i < len(s) && s[i] == '"' {
		end, plain, f := quoted(s, i)
		switch {
		case f != none:
			return "", end, f
		case plain:
			return s[i+1 : end-1], end, none
		}
		return unquote(s[i+1 : end-1]), end, none
	}
	end, _, f = value(s, i, maxDepth)
	if f != none || s[i] == '{' || s[i] == '[' || s[i] == 'n' {
		return "", end, f
	}
	return s[i:end], end, none
}
