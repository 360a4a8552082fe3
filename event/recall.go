package event

import (
	"hash/maphash"
	"strings"
)

// A recall remembers what JSON values of recent records meant, because logs
// repeat themselves: the same identity makes many calls with the same user
// agent. It knows a value by its text, byte for byte, so finding one is as good
// as reading it. A value is remembered when it comes the second time, in one of
// two places that its hash chooses, so no input makes a recall grow without end.
// It holds strings as spans of the text, because events must not keep its
// memory, which is used again.
type recall[T any] struct {
	slots [recallSlots]recallSlot[T]
	mark  byte // which byte ends the part of a text that chooses its place
	seed  maphash.Seed
	hash  uint64 // of the text last looked for; 0 if it cannot be remembered
	slab  []byte // room for texts
}

type recallSlot[T any] struct {
	seen uint64 // hash of the last text that was looked for and not found
	known[T]
}

// known is a value that a recall remembers, and its text.
type known[T any] struct {
	text  []byte
	value T
}

// A span is a part of a text.
type span struct{ from, to uint16 }

func (s span) of(text string) string { return text[s.from:s.to] }

// spanOf returns where a string lies that was read out of a text; false if it
// is not a part of it, because it has escapes there.
func spanOf(text, s string) (span, bool) {
	if s == "" {
		return span{}, true
	}
	at, ok := partOf(text, s)
	return span{uint16(at), uint16(at + len(s))}, ok
}

const (
	recallSlots   = 512 // an even number
	minRecallText = 256 // bytes that a text has room for
	maxRecallText = 2048
	recallSlab    = 32 << 10
)

// find returns the value whose text s starts with, or nil.
func (m *recall[T]) find(s string) *known[T] {
	m.hash = 0
	if s == "" {
		return nil
	}
	end := strings.IndexByte(s[1:min(len(s), maxRecallText)], m.mark)
	if end < 0 {
		return nil
	}
	m.hash = maphash.String(m.seed, s[:end+1]) | 1<<63
	at := m.hash % recallSlots
	// Texts that differ only behind the mark may take turns, so there are two
	// places for each.
	for _, at := range [2]uint64{at, at ^ 1} {
		k := &m.slots[at].known
		if n := len(k.text); n > 0 && n <= len(s) && s[:n] == string(k.text) {
			return k
		}
	}
	return nil
}

// again reports whether the text that was just not found should be remembered.
func (m *recall[T]) again(text string) bool {
	if m.hash == 0 || len(text) > maxRecallText {
		return false
	}
	slot := &m.slots[m.hash%recallSlots]
	seen := slot.seen == m.hash
	slot.seen = m.hash
	return seen
}

// add remembers the text that was just not found.
func (m *recall[T]) add(text string, value T) *known[T] {
	at := m.hash % recallSlots
	k, other := &m.slots[at].known, &m.slots[at^1].known
	*k, *other = *other, *k
	if cap(k.text) < len(text) {
		k.text = m.room(len(text))
	}
	k.text, k.value = append(k.text[:0], text...), value
	return k
}

// room returns room for a text, many of which lie together.
func (m *recall[T]) room(n int) []byte {
	size := minRecallText
	for size < n {
		size *= 2
	}
	if len(m.slab) < size {
		m.slab = make([]byte, recallSlab)
	}
	b := m.slab[:0:size]
	m.slab = m.slab[size:]
	return b
}
