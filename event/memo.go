package event

import (
	"hash/maphash"
	"strings"
)

// A memo remembers what JSON values of recent records meant, because logs
// repeat themselves: the same identity makes many calls with the same user
// agent. It knows a value by its text, byte for byte, so finding one is as good
// as reading it. A value is remembered when it comes the second time, so an
// input that repeats nothing costs no memory; and in one of a few places, so
// no input makes a memo grow without end. The zero memo remembers nothing.
type memo[T any] struct {
	slots []memoSlot[T]
	mark  byte // which byte ends the part of a text that chooses its place
	seed  maphash.Seed
	hash  uint64 // of the text last looked for; 0 if it cannot be remembered
}

type memoSlot[T any] struct {
	seen  uint64 // hash of the last text that was looked for and not remembered
	known *known[T]
}

// known is a value that a memo remembers, and its text.
type known[T any] struct {
	text  string
	value T
}

const (
	memoSlots   = 1024 // a power of two
	maxMemoText = 2048 // bytes
)

func newMemo[T any](mark byte) memo[T] {
	return memo[T]{slots: make([]memoSlot[T], memoSlots), mark: mark, seed: maphash.MakeSeed()}
}

// find returns the value whose text s starts with, or nil.
func (m *memo[T]) find(s string) *known[T] {
	m.hash = 0
	if m.slots == nil || s == "" {
		return nil
	}
	end := strings.IndexByte(s[1:min(len(s), maxMemoText)], m.mark)
	if end < 0 {
		return nil
	}
	m.hash = maphash.String(m.seed, s[:end+1]) | 1<<63
	at := m.hash % memoSlots
	// Texts that differ only behind the mark may take turns, so there are two
	// places for each.
	for _, at := range [2]uint64{at, at ^ 1} {
		if k := m.slots[at].known; k != nil && strings.HasPrefix(s, k.text) {
			return k
		}
	}
	return nil
}

// again reports whether the text that was just not found should be remembered.
func (m *memo[T]) again(text string) bool {
	if m.hash == 0 || len(text) > maxMemoText {
		return false
	}
	slot := &m.slots[m.hash%memoSlots]
	seen := slot.seen == m.hash
	slot.seen = m.hash
	return seen
}

// add remembers the text that was just not found, which must be a copy.
func (m *memo[T]) add(text string, value T) *known[T] {
	at := m.hash % memoSlots
	m.slots[at^1].known = m.slots[at].known
	m.slots[at].known = &known[T]{text, value}
	return m.slots[at].known
}
