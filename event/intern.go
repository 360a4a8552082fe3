package event

// An interner keeps one copy of each of the strings that a decoder composes,
// so that composing the same one again costs no allocation. It forgets
// everything when it is full, which bounds its memory whatever the input. The
// zero interner keeps nothing.
type interner struct {
	strings map[string]string
}

const (
	maxInterned       = 4096 // strings
	maxInternedLength = 1024 // bytes
)

func newInterner() interner { return interner{make(map[string]string)} }

func (n *interner) intern(b []byte) string {
	if s, ok := n.strings[string(b)]; ok {
		return s
	}
	s := string(b)
	if n.strings == nil || len(s) > maxInternedLength {
		return s
	}
	if len(n.strings) >= maxInterned {
		clear(n.strings)
	}
	n.strings[s] = s
	return s
}
