package jsonscan

// Names is a set of names that the members of an object may have. It tells
// which one a member has without comparing it with each.
type Names struct {
	slots [nameSlots]nameSlot
}

// A nameSlot holds one name, with the quote that closes it.
type nameSlot struct {
	name        string
	start, tail uint64 // its first eight bytes as startOf has them, and its last
	number      int
}

const (
	nameSlots  = 128 // a power of two, and many more than there are names
	nameFactor = 0x9E3779B97F4A7C15
)

// NewNames makes a set. Names are numbered from 1, in the order given. JSON
// escapes nothing in them.
func NewNames(names ...string) *Names {
	var n Names
	if len(names) > nameSlots/2 {
		panic("jsonscan: too many names")
	}
	for i, name := range names {
		slot := nameSlot{name: name + `"`, number: i + 1}
		slot.start = startOf(slot.name+"       ", 0)
		if len(slot.name) > 8 {
			slot.tail = load(slot.name, len(slot.name)-8)
		}
		at := slotOf(slot.start)
		for n.slots[at].name != "" {
			at = (at + 1) % nameSlots
		}
		n.slots[at] = slot
	}
	return &n
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

func slotOf(start uint64) uint64 { return start * nameFactor >> 57 }

// Next scans what is between the values of an object: a comma, unless i is
// where the first member may start, the next member's name and the colon. It
// returns the number of the name, 0 if it is not in the set, and the index of
// the value; or -1 and the index after the closing brace.
func (n *Names) Next(s string, i int, first bool) (number, value int, f Fault) {
	i = space(s, i)
	switch {
	case i >= len(s):
		return 0, len(s), truncated
	case s[i] == '}':
		return -1, i + 1, none
	case first:
	case s[i] != ',':
		return 0, i, syntax
	default:
		i = space(s, i+1)
	}
	number, i, f = n.name(s, i)
	if f != none {
		return 0, i, f
	}
	if i, f = colon(s, i); f != none {
		return 0, i, f
	}
	return number, i, none
}

// Members scans the value that starts at s[i]. If it is an object, it calls
// visit at each member's value, which visit scans: it returns the index after
// it. The number is that of the member's name, 0 if it is not in the set, and
// maxDepth is for the value.
func (n *Names) Members(s string, i, maxDepth int, visit func(number, i, maxDepth int) (end int, f Fault)) (end int, f Fault) {
	if i < len(s) && s[i] != '{' {
		end, _, f = value(s, i, maxDepth)
		return end, f
	}
	i, f = Enter(s, i, maxDepth)
	number := 0
	for first := true; f == none; first = false {
		if number, i, f = n.Next(s, i, first); f != none || number < 0 {
			break
		}
		i, f = visit(number, i, maxDepth-1)
	}
	return i, f
}

// name scans a name and returns its number.
func (n *Names) name(s string, i int) (number, end int, f Fault) {
	if i+9 <= len(s) && s[i] == '"' {
		start := startOf(s, i+1)
		for at := slotOf(start); n.slots[at].name != ""; at = (at + 1) % nameSlots {
			slot := &n.slots[at]
			end := i + 1 + len(slot.name)
			if start == slot.start && end <= len(s) && (len(slot.name) <= 8 || load(s, end-8) == slot.tail) &&
				(len(slot.name) <= 16 || s[i+1:end] == slot.name) {
				return slot.number, end, none
			}
		}
	}
	end, plain, f := key(s, i)
	if f != none || plain {
		return 0, end, f
	}
	name := unquote(s[i+1:end-1]) + `"`
	for i := range n.slots {
		if n.slots[i].name == name {
			return n.slots[i].number, end, none
		}
	}
	return 0, end, none
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
