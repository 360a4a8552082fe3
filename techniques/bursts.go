package techniques

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// bursts remembers on which days a key had a burst: about atLeast different
// values ("" is none) within one slice of clock time. It tells a principal for
// whom bursts are normal, such as a deployment or a scanner, from one that
// never had any. A window that slides holds at least half its values in one
// slice of its length, so atLeast is half of what a rule reports.
func bursts(name string, value func(*event.Event) string, atLeast int, slice time.Duration) *baseline.Of[burstHabit] {
	// atLeast values set about this many of a slice's marks, some sharing one.
	marks := int(burstMarks * (1 - math.Pow(1-1.0/burstMarks, float64(atLeast))))
	slices := int(baseline.Lateness/slice) + 2
	return baseline.Custom(
		fmt.Sprintf("bursts/1 %s at least %d within %v", name, atLeast, slice),
		8+4+8+slices*burstMarks/8,
		func() *burstCell {
			return &burstCell{value: value, marks: marks, slice: int64(slice / time.Second), recent: make([]burstSlice, slices)}
		},
		func(c *burstCell, v *baseline.View) burstHabit { return c.habit(v.Event.Time) },
	)
}

// A burstHabit says how usual bursts are for a key before an event.
type burstHabit struct {
	// Days is the number of days with a burst among the 30 before the event.
	Days int
	// Normal reports that there were at least three, the first of them a week
	// ago or more: the probation of [baseline.FirstSeen].
	Normal bool
}

const burstMarks = 256

type burstSlice [burstMarks / 64]uint64

// A burstCell counts the different values of a slice by the marks that their
// hashes set, which needs little room and no order of arrival.
type burstCell struct {
	value func(*event.Event) string
	marks int   // that make a burst
	slice int64 // seconds

	newest int64        // the number of the slice recent[0]
	recent []burstSlice // recent[i] is slice newest-i
	last   int32        // the last day with a burst
	days   uint64       // bit i: a burst on day last-i
}

func (c *burstCell) Fold(e *event.Event, _ time.Time) {
	v := c.value(e)
	if v == "" {
		return
	}
	n := e.Time.Unix() / c.slice
	if shift := n - c.newest; shift > 0 {
		keep := max(0, int64(len(c.recent))-shift)
		copy(c.recent[int64(len(c.recent))-keep:], c.recent[:keep])
		clear(c.recent[:int64(len(c.recent))-keep])
		c.newest = n
	}
	i := c.newest - n
	if i >= int64(len(c.recent)) {
		return // later than baseline.Lateness: its slice is closed
	}
	s, h := &c.recent[i], baseline.Hash(v)%burstMarks
	s[h/64] |= 1 << (h % 64)
	count := 0
	for _, w := range s {
		count += bits.OnesCount64(w)
	}
	if count >= c.marks {
		c.mark(dayOf(e.Time))
	}
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

func (c *burstCell) habit(at time.Time) burstHabit {
	settled := dayOf(at.Add(-baseline.Lateness))
	var h burstHabit
	first := settled
	for day := settled - 1; day >= settled-30; day-- {
		if i := c.last - day; i >= 0 && i < 64 && c.days>>i&1 != 0 {
			h.Days++
			first = day
		}
	}
	h.Normal = h.Days >= 3 && settled-first >= 7
	return h
}

func dayOf(t time.Time) int32 { return int32(t.Unix() / int64(day/time.Second)) }

func (c *burstCell) AppendBinary(b []byte) ([]byte, error) {
	if c.newest == 0 {
		return b, nil
	}
	b = binary.BigEndian.AppendUint64(b, uint64(c.newest))
	b = binary.BigEndian.AppendUint32(b, uint32(c.last))
	b = binary.BigEndian.AppendUint64(b, c.days)
	for i := range c.recent {
		for _, w := range c.recent[i] {
			b = binary.BigEndian.AppendUint64(b, w)
		}
	}
	return b, nil
}

var errBursts = errors.New("techniques: malformed bursts")

func (c *burstCell) UnmarshalBinary(data []byte) error {
	fresh := burstCell{value: c.value, marks: c.marks, slice: c.slice, recent: make([]burstSlice, len(c.recent))}
	if len(data) > 0 {
		if len(data) != 8+4+8+len(c.recent)*burstMarks/8 {
			return errBursts
		}
		newest, last := binary.BigEndian.Uint64(data), binary.BigEndian.Uint32(data[8:])
		if newest == 0 || newest > math.MaxInt32*60 || last > math.MaxInt32 {
			return errBursts
		}
		fresh.newest, fresh.last, fresh.days = int64(newest), int32(last), binary.BigEndian.Uint64(data[12:])
		for i := range fresh.recent {
			for j := range fresh.recent[i] {
				fresh.recent[i][j] = binary.BigEndian.Uint64(data[20+i*burstMarks/8+j*8:])
			}
		}
	}
	*c = fresh
	return nil
}
