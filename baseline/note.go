package baseline

import (
	"hash/maphash"

	"github.com/cloudtell/cloudtell/event"
)

// A note is what a feature takes from an event. It is made once for the cell
// that folds it and for all rules that ask about it. It points to nothing: what
// it is about is in the scratch.
type note struct {
	serial     uint64 // of the scratch when it was made
	first, end int    // the scratch's values that are its own, of features that remember values
	amount     int64  // of those that add up

	// The answer about the event, by its place in the scratch: rules ask the same
	// again.
	answered uint64
	answer   int
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
	hashes    hashCache
	memo      event.Memo
	serial    uint64 // of what is noted; older notes are void
	view      View
	profile   *Profile     // that has folded an event last
	folded    *event.Event // by it
	notes     []note       // by slot
	values    []value      // that are noted
	novelties []Novelty    // answers
	windows   []Window
	texts     []string
	named     *event.Event // that id and idHash are of
	id        eventID
	idHash    uint64
	failed    *PanicError // when the last event was folded
}

// NewScratch returns a scratch.
func NewScratch() *Scratch {
	return &Scratch{hashes: hashCache{maphash.MakeSeed(), make([]hashed, hashCacheSize)}}
}

// Clear lets go of the event and of what was answered about it.
func (s *Scratch) Clear() {
	s.view, s.profile, s.folded, s.named, s.failed = View{}, nil, nil, nil, nil
	s.void()
	clear(s.texts[:cap(s.texts)])
	s.memo.Drop()
}

// void makes what is noted and answered so far void, and lets go of it.
func (s *Scratch) void() {
	s.serial++
	clear(s.values)
	clear(s.novelties)
	clear(s.windows)
	s.values, s.novelties, s.windows = s.values[:0], s.novelties[:0], s.windows[:0]
}

// Panicked returns what panicked first when an event was folded last, or nil.
func (s *Scratch) Panicked() *PanicError { return s.failed }

// Hash is [Hash], and costs a tenth of it for a text of 55 bytes at most that came
// lately.
func (s *Scratch) Hash(text string) uint64 { return s.hashes.hash(text) }

// own returns an event that the scratch does not clear, if it is that of the last
// view.
func (s *Scratch) own(e *event.Event) *event.Event {
	if e == s.view.Event && e != nil {
		return new(*e)
	}
	return e
}

// begin makes everything noted so far void, and has room for an event's notes.
func (s *Scratch) begin(slots int) {
	s.void()
	if len(s.notes) < slots {
		s.notes = append(s.notes, make([]note, slots-len(s.notes))...)
	}
}

// identify works out an event's id, once for all profiles that fold it.
func (s *Scratch) identify(e *event.Event) {
	if s.named != e {
		s.named, s.id = e, newEventID(e.ID)
		s.idHash = s.id.hashOf(e.ID)
	}
}

// add notes a value. Features that are next to each other often take the same.
func (s *Scratch) add(text string) {
	if last := len(s.values) - 1; last >= 0 && s.values[last].text == text {
		s.values = append(s.values, s.values[last])
		return
	}
	s.values = append(s.values, value{text, s.Hash(text)})
}

// noted returns the values of a note.
func (s *Scratch) noted(n *note) []value { return s.values[n.first:n.end] }

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
	if h.hash == 0 || string(h.text[:h.length]) != text {
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
	s.identify(e)
	if notes(e, &n, &s) {
		c.take(&n, &s, e)
	}
}

// noteOne notes the value of an event.
func noteOne(value func(*event.Event) string) noter {
	return func(e *event.Event, n *note, s *Scratch) bool {
		text := value(e)
		if text == "" {
			return false
		}
		n.first, n.end = len(s.values), len(s.values)+1
		s.add(text)
		return true
	}
}

// noteEach notes the values of an event.
func noteEach(each func([]string, *event.Event) []string) noter {
	return func(e *event.Event, n *note, s *Scratch) bool {
		s.texts = each(s.texts[:0], e)
		n.first = len(s.values)
		for _, text := range s.texts {
			if text != "" {
				s.add(text)
			}
		}
		n.end = len(s.values)
		return n.end > n.first
	}
}
