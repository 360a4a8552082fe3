package baseline

import (
	"encoding"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cloudtell/cloudtell/event"
)

// Lateness is how far behind a key's latest event an event may arrive and
// still be placed exactly. CloudTrail delivers within 10 minutes of the call
// (594 s at most over a real trail of 36,857 events), in files that are in no
// order.
const Lateness = 15 * time.Minute

// Day is 24 hours; days begin at midnight UTC.
const Day = 24 * time.Hour

// A Cell is one feature's memory of one key. Its contract:
//
//  1. Only one goroutine uses a cell at a time.
//  2. Fold takes events in any order within [Lateness]; the order leaves no
//     trace in later answers. The event must not be kept or modified.
//  3. AppendBinary appends at most the feature's MaxBytes, whatever was folded.
//  4. Equal histories encode to equal bytes.
//  5. UnmarshalBinary of those bytes restores a cell that answers and evolves
//     as the original would have.
//  6. UnmarshalBinary of any other bytes returns an error and leaves the cell
//     as it was, or restores a cell that keeps this contract; it never panics
//     and never allocates more than MaxBytes would need.
//
// baselinetest.TestFeature checks every line, and that of [ValueFolder].
type Cell interface {
	// Fold takes the event into memory. now is the latest event time folded
	// for the key, this event included.
	Fold(e *event.Event, now time.Time)
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// A ValueFolder is a cell of a feature with [Of.WhereValue], which is then given
// the event's value and its [Hash] in place of the event alone. Most values come
// again and again, and their hashes are known.
//
//  7. FoldValue does what Fold does for an event with that value.
type ValueFolder interface {
	Cell
	FoldValue(value string, hash uint64, e *event.Event, now time.Time)
}

// A Feature is a declared memory about one key: it makes cells, and its ID
// says which stored cells are its own. Features never change once made and may
// be used by any number of goroutines. The constructors of this package
// return [Of], a Feature that also answers questions.
type Feature interface {
	// ID names the feature and its whole configuration. Every cell is stored
	// with three bytes of its hash: bytes of another ID are not read as this
	// feature's, but for one in 16 million.
	ID() string
	// NewCell returns an empty cell.
	NewCell() Cell
	// MaxBytes is an upper bound of a cell's encoded size, in bytes.
	MaxBytes() int
}

// Of is a [Feature] that answers with an A about an event.
type Of[A any] struct {
	serial   uint32 // tells features of one process apart, faster than their ids
	id       string
	maxBytes int
	events   []string
	newCell  func() Cell
	note     noter // nil: the cells see for themselves
	answer   func(Cell, *View) A
}

var serials atomic.Uint32

func nextSerial() uint32 { return serials.Add(1) }

// Custom makes a feature from a cell type of the caller's own. The id names it
// and its configuration; change it whenever the meaning of the stored bytes
// changes. answer must not modify the cell. newCell and answer are called from
// many goroutines.
func Custom[C Cell, A any](id string, maxBytes int, newCell func() C, answer func(C, *View) A) *Of[A] {
	return &Of[A]{
		serial: nextSerial(),
		id:     "custom " + id, maxBytes: maxBytes,
		newCell: func() Cell { return newCell() },
		answer:  func(c Cell, v *View) A { return answer(c.(C), v) },
	}
}

// On returns the feature restricted to events of the given patterns (see
// [event.NewIndex]): others are not even shown to its cells. The patterns are
// part of the ID.
func (f *Of[A]) On(patterns ...string) *Of[A] {
	g := *f
	g.serial = nextSerial()
	g.events = patterns
	g.id = fmt.Sprintf("%s on %v", f.id, patterns)
	return &g
}

// Where returns the feature restricted to events for which concerns reports
// true: others are not shown to its cells. A feature of [Custom] whose cells
// would make nothing of them is spared the cells of keys that have no such
// events. It is not part of the ID.
func (f *Of[A]) Where(concerns func(*event.Event) bool) *Of[A] {
	g := *f
	g.serial = nextSerial()
	g.note = func(e *event.Event, n *note, s *Scratch) bool {
		if !concerns(e) {
			n.serial = 0 // nothing noted: whoever asks about the event all the same makes the note
			return false
		}
		return f.note == nil || f.note(e, n, s)
	}
	return &g
}

// WhereValue is Where for cells that take one value of an event: it restricts
// the feature to events that have one, "" being none. The cells are those of a
// [Custom] feature, and [ValueFolder] if they want the value.
func (f *Of[A]) WhereValue(value func(*event.Event) string) *Of[A] {
	g := *f
	g.serial = nextSerial()
	g.note = noteOne(value)
	if take := g.note; f.note != nil {
		g.note = func(e *event.Event, n *note, s *Scratch) bool { return f.note(e, n, s) && take(e, n, s) }
	}
	return &g
}

func (f *Of[A]) number() uint32 { return f.serial }
func (f *Of[A]) noter() noter   { return f.note }

// ID implements [Feature].
func (f *Of[A]) ID() string { return f.id }

// NewCell implements [Feature].
func (f *Of[A]) NewCell() Cell { return f.newCell() }

// MaxBytes implements [Feature].
func (f *Of[A]) MaxBytes() int { return f.maxBytes }

// Events returns the patterns of the events that the feature's cells fold;
// none means every event.
func (f *Of[A]) Events() []string { return f.events }

// In returns the feature's answer for the event in view, which its cell has
// already folded. It panics if the feature is not part of the view's layout,
// that is, if a detector did not declare it.
func (f *Of[A]) In(v Viewer) A {
	w := v.view()
	slot := w.profile.layout.slotOf(f.serial, f)
	w.slot = slot
	return f.answer(w.profile.cell(slot), w)
}

// Age returns how long the feature has been learning about the key in view.
// It panics like In.
func (f *Of[A]) Age(v Viewer) Age {
	w := v.view()
	return w.profile.age(w.profile.layout.slotOf(f.serial, f), w.Event.Time)
}

// Age says how much a feature has learnt about a key when an event happens.
type Age struct {
	// Since is the time of the first event folded since the feature was in use
	// for the key.
	Since time.Time
	// For is the time from Since to the event.
	For time.Duration
	// Days is the number of days with any event of the key among the 30 days
	// that had ended before the event.
	Days int
	// Events is the number of the key's events folded since Since.
	Events int64
}

// A View shows one event against the profile of its key, after the event was
// folded. It and its answers are valid until the profile folds another event or
// is saved by [Profile.AppendBinary], which lets go of what is too old.
type View struct {
	// Event is the event in view. It must not be modified.
	Event   *event.Event
	profile *Profile
	scratch *Scratch
	slot    int // of the feature that is answering
}

// answering returns the note of the feature that is answering, which has the
// answer, and what was taken from the event if its cell has folded that.
func (v *View) answering() *note { return &v.scratch.notes[v.slot] }

// noted is answering with what there is to take from the event.
func (v *View) noted(make noter) *note {
	n, s := v.answering(), v.scratch
	if n.serial != s.serial {
		*n = note{serial: s.serial}
		make(v.Event, n, s)
	}
	return n
}

// since is when the feature that is answering began to learn.
func (v *View) since() time.Time { return v.profile.since(v.slot, v.Event.Time) }

// A Viewer has a [View]: the View itself, or what embeds one, such as a
// detector's pass.
type Viewer interface{ view() *View }

func (v *View) view() *View { return v }

// today is the number of the event's day; settled is the number of the first
// day that had not yet ended Lateness before the event. Only days before
// settled are complete, whatever the order of arrival.
func (v *View) today() int32   { return dayOf(v.Event.Time) }
func (v *View) settled() int32 { return settledDay(v.Event.Time) }

func dayOf(t time.Time) int32      { return dayOfUnix(t.Unix()) }
func settledDay(t time.Time) int32 { return dayOfUnix(t.Unix() - int64(Lateness/time.Second)) }

func dayOfUnix(seconds int64) int32 { return int32(floorDiv(seconds, int64(Day/time.Second))) }

// maxDay is the last day that a record may name: 2200-01-01, as in [event.Parse].
const maxDay = 84006

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
