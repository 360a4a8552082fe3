package baseline

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/baseline/internal/wire"
	"github.com/cloudtell/cloudtell/event"
)

// LastSeen remembers the days on which a key last had an event for which is
// reports true, and answers how long ago that was before the event's own day.
func LastSeen(name string, is func(*event.Event) bool) *Of[Absence] {
	return &Of[Absence]{
		serial:   nextSerial(),
		id:       fmt.Sprintf("last-seen/1 %s", name),
		maxBytes: 1 + lastDays*binary.MaxVarintLen32,
		newCell:  func() Cell { return &lastSeenCell{is: is} },
		note:     func(e *event.Event, _ *note, _ *Scratch) bool { return is(e) },
		answer:   func(c Cell, v *View) Absence { return c.(*lastSeenCell).answer(v) },
	}
}

// Absence says when a key was last active before an event.
type Absence struct {
	// Last is midnight UTC of the last active day before the event's day; the
	// zero time if there is none.
	Last time.Time
	// Days is the number of days from Last to the event's day, or 0 if Last is
	// zero. A key active yesterday has 1.
	Days int
}

// lastDays active days are kept: more than Lateness can reach back over.
const lastDays = 4

type lastSeenCell struct {
	is   func(*event.Event) bool
	days []int32 // the latest active days, ascending
}

func (c *lastSeenCell) Fold(e *event.Event, now time.Time) {
	if !c.is(e) {
		return
	}
	day := dayOf(e.Time)
	i, found := slices.BinarySearch(c.days, day)
	if found {
		return
	}
	c.days = slices.Insert(c.days, i, day)
	if len(c.days) > lastDays {
		c.days = slices.Delete(c.days, 0, 1)
	}
}

func (c *lastSeenCell) answer(v *View) Absence {
	today := v.today()
	i, _ := slices.BinarySearch(c.days, today)
	if i == 0 {
		return Absence{}
	}
	last := c.days[i-1]
	return Absence{
		Last: time.Unix(int64(last)*int64(Day/time.Second), 0).UTC(),
		Days: int(today - last),
	}
}

func (c *lastSeenCell) AppendBinary(b []byte) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(len(c.days)))
	for _, d := range c.days {
		b = binary.AppendUvarint(b, uint64(d))
	}
	return b, nil
}

func (c *lastSeenCell) UnmarshalBinary(data []byte) error {
	r := wire.NewReader(data)
	days := make([]int32, r.Count(lastDays, 1))
	for i := range days {
		days[i] = int32(r.Uvarint(maxDay))
		if i > 0 && days[i] <= days[i-1] {
			return wire.ErrMalformed
		}
	}
	if err := r.Close(); err != nil {
		return err
	}
	c.days = days
	return nil
}
