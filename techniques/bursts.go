package techniques

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// bursts counts the different values ("" is none) of a key's events within a
// sliding window of at least three minutes, and remembers on which days there were about atLeast of them
// in one: a burst. It tells a principal for whom bursts are normal, such as a
// deployment or a scanner, from one that never had any. What is half of what a
// rule reports is a good measure of a burst.
//
// It counts by marks instead of values: thousands of them in the room that a
// [baseline.Distinct] has for a dozen, but not which ones, and some percent
// amiss. Up to eight times atLeast can be told apart.
func bursts(name string, value func(*event.Event) string, atLeast int, window time.Duration) *baseline.Of[burstHabit] {
	size := 256
	for size < 4*atLeast {
		size *= 2
	}
	slice := int64(window / time.Second / burstSlices)
	// An event may be Lateness late, and the earliest window with it begins
	// three slices before its own.
	kept := int(int64(baseline.Lateness/time.Second)/slice) + burstSlices + 1
	kind := &burstKind{
		value: value, slice: slice, kept: kept, words: size / 64,
		// atLeast values set about this many marks, some sharing one.
		burst: int(float64(size) * (1 - math.Pow(1-1/float64(size), float64(atLeast)))),
	}
	return baseline.Custom(
		fmt.Sprintf("bursts/3 %s at least %d within %v", name, atLeast, window),
		burstHeader+kept*(binary.MaxVarintLen64+size/8),
		func() *burstCell { return &burstCell{burstKind: kind} },
		func(c *burstCell, v *baseline.View) burstHabit { return c.answer(v.Event.Time) },
	).WhereValue(value)
}

// A burstHabit says how many values came together with an event, and how usual
// bursts were for the key before it.
type burstHabit struct {
	// Now is about the number of different values in the best window around
	// the event.
	Now int
	// Days is the number of days with a burst among the 30 before the event.
	Days int
	// Normal reports that there were at least three, the first of them a week
	// ago or more: the probation of [baseline.FirstSeen].
	Normal bool
}

// burstSlices is how many slices of clock time make a window.
const burstSlices = 4

// A burstKind is what the cells of a feature have in common.
type burstKind struct {
	value func(*event.Event) string
	slice int64 // seconds
	kept  int   // slices, at most 32
	words int   // of 64 marks, in a slice
	burst int   // marks that make a burst
}

// A burstCell counts the different values of a slice by the marks that their
// hashes set, which needs little room and no order of arrival. The marks of a
// window are those of its slices together.
type burstCell struct {
	*burstKind
	newest int64    // the number of the latest slice with a value
	recent []uint64 // the marks of the slices in used, the latest first
	used   uint32   // bit i: slice newest-i has marks
	last   int32    // the last day with a burst
	days   uint64   // bit i: a burst on day last-i
}

func (c *burstCell) Fold(e *event.Event, now time.Time) {
	if v := c.value(e); v != "" {
		c.FoldValue(v, baseline.Hash(v), e, now)
	}
}

func (c *burstCell) FoldValue(_ string, h uint64, e *event.Event, _ time.Time) {
	n := e.Time.Unix() / c.slice
	if n > c.newest {
		c.advance(n)
	}
	if c.newest-n >= int64(c.kept) {
		return // later than baseline.Lateness: its slice is closed
	}
	s := c.open(n)
	h %= uint64(64 * c.words)
	if s[h/64]>>(h%64)&1 != 0 {
		return
	}
	s[h/64] |= 1 << (h % 64)
	// Only windows that end with a value count, so that it does not matter
	// whether something later has already come.
	for end := n; end < n+burstSlices && end <= c.newest; end++ {
		if c.marks(end) != nil && c.count(end) >= c.burst {
			c.mark(dayOf(time.Unix((end+1)*c.slice-1, 0)))
		}
	}
}

// advance makes a slice the newest. Those that are too old now are the last in
// recent.
func (c *burstCell) advance(slice int64) {
	c.used = c.used << min(slice-c.newest, 32) & (1<<c.kept - 1)
	c.recent = c.recent[:bits.OnesCount32(c.used)*c.words]
	c.newest = slice
}

// marks returns the marks of a slice, nil if it has none.
func (c *burstCell) marks(slice int64) []uint64 {
	i := c.newest - slice
	if i < 0 || i >= int64(c.kept) || c.used>>i&1 == 0 {
		return nil
	}
	return c.recent[c.before(i)*c.words:][:c.words]
}

// before returns how many slices with marks are later than newest-i.
func (c *burstCell) before(i int64) int { return bits.OnesCount32(c.used & (1<<i - 1)) }

// noMarks is as many as a slice may have: appendMarks counts its words by a bit
// each.
var noMarks [64]uint64

// open returns the marks of a slice to set one of, which is kept.
func (c *burstCell) open(slice int64) []uint64 {
	if i := c.newest - slice; c.used>>i&1 == 0 {
		c.recent = slices.Insert(c.recent, c.before(i)*c.words, noMarks[:c.words]...)
		c.used |= 1 << i
	}
	return c.marks(slice)
}

// count returns the number of marks set in the slices of a window, whose last
// slice is given.
func (c *burstCell) count(last int64) (n int) {
	var window [burstSlices][]uint64
	some := window[:0]
	for s := last - burstSlices + 1; s <= last; s++ {
		if m := c.marks(s); m != nil {
			some = append(some, m)
		}
	}
	if len(some) == 0 {
		return 0
	}
	for w := range c.words {
		var set uint64
		for _, m := range some {
			set |= m[w]
		}
		n += bits.OnesCount64(set)
	}
	return n
}

func (c *burstCell) mark(day int32) {
	switch {
	case day > c.last:
		c.days = c.days<<(day-c.last) | 1
		c.last = day
	default:
		c.days |= 1 << (c.last - day)
	}
}

func (c *burstCell) answer(at time.Time) burstHabit {
	h := c.habit(at)
	h.Now = c.now(at)
	return h
}

// now estimates the different values around a time.
func (c *burstCell) now(at time.Time) int {
	n, most := at.Unix()/c.slice, 0
	for end := n; end < n+burstSlices && end <= max(n, c.newest); end++ {
		most = max(most, c.count(end))
	}
	size := float64(64 * c.words)
	// With all marks set there may be any number of values: take a small one.
	free := max(1, size-float64(most))
	return int(math.Round(math.Log(free/size) / math.Log(1-1/size)))
}

func (c *burstCell) habit(at time.Time) burstHabit {
	settled := dayOf(at.Add(-baseline.Lateness))
	var h burstHabit
	first := settled
	for day := settled - 1; day >= settled-30; day-- {
		if i := c.last - day; i >= 0 && c.days>>i&1 != 0 {
			h.Days++
			first = day
		}
	}
	h.Normal = h.Days >= 3 && settled-first >= 7
	return h
}

func dayOf(t time.Time) int32 { return int32(t.Unix() / int64(day/time.Second)) }

// burstHeader is the length of what is stored before the marks: the latest
// slice, the last day, the days, and which slices follow, as a bit each.
const burstHeader = 8 + 4 + 8 + 4

func (c *burstCell) AppendBinary(b []byte) ([]byte, error) {
	if c.newest == 0 {
		return b, nil
	}
	b = binary.BigEndian.AppendUint64(b, uint64(c.newest))
	b = binary.BigEndian.AppendUint32(b, uint32(c.last))
	b = binary.BigEndian.AppendUint64(b, c.days)
	b = binary.BigEndian.AppendUint32(b, c.used)
	for marks := c.recent; len(marks) > 0; marks = marks[c.words:] {
		b = appendMarks(b, marks[:c.words])
	}
	return b, nil
}

// appendMarks appends the words that have marks, of at most 64, behind a bit for
// each.
func appendMarks(b []byte, marks []uint64) []byte {
	var some uint64
	for i, w := range marks {
		if w != 0 {
			some |= 1 << i
		}
	}
	b = binary.AppendUvarint(b, some)
	for _, w := range marks {
		if w != 0 {
			b = binary.BigEndian.AppendUint64(b, w)
		}
	}
	return b
}

// readMarks reads what appendMarks appends, and returns what follows it; false if
// there is something else.
func readMarks(b []byte, marks []uint64) (rest []byte, ok bool) {
	some, n := binary.Uvarint(b)
	if n <= 0 || some == 0 || bits.Len64(some) > len(marks) {
		return nil, false
	}
	b = b[n:]
	for i := range marks {
		if some>>i&1 == 0 {
			continue
		}
		if len(b) < 8 {
			return nil, false
		}
		if marks[i] = binary.BigEndian.Uint64(b); marks[i] == 0 {
			return nil, false
		}
		b = b[8:]
	}
	return b, true
}

var errBursts = errors.New("techniques: malformed bursts")

func (c *burstCell) UnmarshalBinary(data []byte) error {
	fresh := burstCell{burstKind: c.burstKind}
	if len(data) > 0 {
		if len(data) < burstHeader {
			return errBursts
		}
		newest, last := binary.BigEndian.Uint64(data), binary.BigEndian.Uint32(data[8:])
		fresh.used = binary.BigEndian.Uint32(data[20:])
		if newest == 0 || newest > math.MaxInt32*60 || last > math.MaxInt32 || fresh.used>>c.kept != 0 {
			return errBursts
		}
		fresh.newest, fresh.last, fresh.days = int64(newest), int32(last), binary.BigEndian.Uint64(data[12:])
		rest := data[burstHeader:]
		n := bits.OnesCount32(fresh.used)
		if len(rest) < n*(1+8) { // a slice has at least one word
			return errBursts
		}
		fresh.recent = make([]uint64, n*c.words)
		for marks := fresh.recent; len(marks) > 0; marks = marks[c.words:] {
			var ok bool
			if rest, ok = readMarks(rest, marks[:c.words]); !ok {
				return errBursts
			}
		}
		if len(rest) > 0 {
			return errBursts
		}
	}
	*c = fresh
	return nil
}
