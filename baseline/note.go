package baseline

import (
	"hash/maphash"
	"math/bits"

	"github.com/cloudtell/cloudtell/event"
)

// A note is what a feature takes from an event. It is made once for the cell
// that folds it and for all rules that ask about it.
type note struct {
	serial uint64  // of the event's view, see [Scratch]
	values []value // of features that remember values
	amount int64   // of those that add up

	// The answer about the event: rules ask the same again.
	answered uint64
	novelty  Novelty
	window   Window
}

// A value is a value of an event with its hash.
type value struct {
	text string
	hash uint64
}

// A Scratch is where profiles work out what their features make of an event.
// Many profiles may share one, if one goroutine has them all; see
// [Profile.FoldIn]. It holds no state: only what follows from the event in view,
// and the view's answers.
type Scratch struct {
	hashes  hashCache
	memo    event.Memo
	serial  uint64 // of the last view
	view    View
	profile *Profile     // that has folded an event last
	folded  *event.Event // by it
	notes   []note       // by slot
	held    []uint64     // bit i: note i may hold on to an event, or a cell
	texts   []string
	id      eventID     // of the event folded
	failed  *PanicError // when the last event was folded
}

// NewScratch returns a scratch.
func NewScratch() *Scratch {
	return &Scratch{hashes: hashCache{maphash.MakeSeed(), make([]hashed, hashCacheSize)}}
}

// Clear lets go of the event and of what was answered about it.
func (s *Scratch) Clear() {
	s.view, s.profile, s.folded, s.failed = View{}, nil, nil, nil
	for i, word := range s.held {
		for ; word != 0; word &= word - 1 {
			n := &s.notes[64*i+bits.TrailingZeros64(word)]
			clear(n.values[:cap(n.values)])
			n.novelty, n.window = Novelty{}, Window{}
		}
		s.held[i] = 0
	}
	clear(s.texts[:cap(s.texts)])
	s.memo.Drop()
}

// Panicked returns what panicked first when an event was folded last, or nil.
func (s *Scratch) Panicked() *PanicError { return s.failed }

// own returns an event that the scratch does not clear, if it is that of the last
// view.
func (s *Scratch) own(e *event.Event) *event.Event {
	if e == s.view.Event && e != nil {
		return new(*e)
	}
	return e
}

// begin makes everything noted so far void.
func (s *Scratch) begin(slots int) {
	s.serial++
	if len(s.notes) < slots {
		s.notes = append(s.notes, make([]note, slots-len(s.notes))...)
		s.held = append(s.held, make([]uint64, (slots+63)/64-len(s.held))...)
	}
}

// hold says that a slot's note may hold on to an event, or a cell.
func (s *Scratch) hold(slot int) { s.held[slot/64] |= 1 << (slot % 64) }

// A hashCache knows the hashes of the short values that came last: most events
// carry what was there a moment ago. The zero value knows none.
type hashCache struct {
	seed    maphash.Seed
	entries []hashed
}

// A hashed is a text with its hash, 64 bytes in all; no text is longer than
// the array.
type hashed struct {
	hash   uint64
	length uint8
	text   [55]byte
}

const hashCacheSize = 4096

// hash is [Hash].
func (c *hashCache) hash(text string) uint64 {
	if c.entries == nil || len(text) > len(hashed{}.text) {
		return Hash(text)
	}
	h := &c.entries[maphash.String(c.seed, text)%hashCacheSize]
	if string(h.text[:h.length]) != text || text == "" {
		h.hash, h.length = Hash(text), uint8(copy(h.text[:], text))
	}
	return h.hash
}

// A noter makes the note of an event, and returns whether there is anything for
// a cell to take. Features of [Custom] have none.
type noter func(*event.Event, *note, *Scratch) bool

// A taker is a cell that folds notes.
type taker interface {
	take(n *note, s *Scratch, e *event.Event)
}

// fold is Fold of a taker.
func fold(c taker, notes noter, e *event.Event) {
	var n note
	var s Scratch
	s.id = newEventID(e.ID)
	if notes(e, &n, &s) {
		c.take(&n, &s, e)
	}
}

// values extracts what a feature remembers: one of its fields is set.
type values struct {
	one  func(*event.Event) string
	each func([]string, *event.Event) []string
}

func (vs values) note(e *event.Event, n *note, s *Scratch) bool {
	n.values = n.values[:0]
	if vs.each == nil {
		if text := vs.one(e); text != "" {
			n.values = append(n.values, value{text, s.hashes.hash(text)})
		}
	} else {
		s.texts = vs.each(s.texts[:0], e)
		for _, text := range s.texts {
			if text != "" {
				n.values = append(n.values, value{text, s.hashes.hash(text)})
			}
		}
	}
	return len(n.values) > 0
}
