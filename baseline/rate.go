package baseline

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/baseline/internal/wire"
	"github.com/cloudtell/cloudtell/event"
)

// Rate adds up the amounts of a key's events (1 to count them, or bytes; 0 is
// none) per period of clock time, from one minute to one hour, and keeps a
// summary of each of the past 30 days to judge a period by. The periods start
// on the full minute, and no history of single periods is kept beyond
// [Lateness].
//
// The judgement is robust on purpose. Today is left out, so a burst cannot
// raise the bar it is measured against; what stands for the past is a median
// and a second-highest day, so one bad day cannot either.
func Rate(name string, amount func(*event.Event) int64, period time.Duration) *Of[Rates] {
	period = clamp(period, time.Minute, time.Hour).Truncate(time.Second)
	periods := int(Lateness/period) + 2
	note := func(e *event.Event, n *note, _ *Scratch) bool {
		n.amount = amount(e)
		return n.amount > 0
	}
	return &Of[Rates]{
		serial:   nextSerial(),
		id:       fmt.Sprintf("rate/1 %s period=%v", name, period),
		maxBytes: binary.MaxVarintLen64*(1+periods) + 2 + rateDays*maxRateDayBytes,
		newCell:  func() Cell { return &rateCell{note: note, period: period, recent: make([]int64, periods)} },
		note:     note,
		answer: func(c Cell, v *View) Rates {
			r := c.(*rateCell)
			return Rates{Now: r.at(v.Event.Time), cell: r, settled: v.settled()}
		},
	}
}

// Rates compares the period an event falls into with the key's past days.
type Rates struct {
	// Now is the total of the event's period so far.
	Now int64

	cell    *rateCell
	settled int32
}

// A Past sums up the days with any amount among the 30 days before the event;
// days that had not ended [Lateness] before it are left out.
type Past struct {
	// Days is the number of such days.
	Days int
	// Typical is the median over them of the day's mean amount per active
	// period: what the key does when it does something.
	Typical float64
	// Peak is the second-highest of the days' highest periods: a level that
	// the key has reached on two different days. It is 0 if Days is below 2.
	Peak int64
	// Highest is the highest period of all.
	Highest int64
}

// Past returns the summary that the event is judged by. It is computed at
// each call, so look at Now first.
func (r Rates) Past() Past {
	var p Past
	if r.cell == nil {
		return p
	}
	var means [rateDays]float64
	for _, d := range r.cell.days {
		if d.day >= r.settled || d.day < r.settled-30 || d.periods == 0 {
			continue
		}
		means[p.Days] = float64(d.total) / float64(d.periods)
		p.Days++
		if d.peak > p.Highest {
			p.Peak, p.Highest = p.Highest, d.peak
		} else {
			p.Peak = max(p.Peak, d.peak)
		}
	}
	if p.Days > 0 {
		active := means[:p.Days]
		slices.Sort(active)
		p.Typical = (active[(p.Days-1)/2] + active[p.Days/2]) / 2
	}
	return p
}

// rateDays holds 30 settled days, today, and yesterday while it settles.
const rateDays = 32

const maxPeriods = 24 * 60 // of a day

const maxRateDayBytes = 2*binary.MaxVarintLen64 + 2*binary.MaxVarintLen32

type rateDay struct {
	day     int32
	periods int32 // with any amount
	total   int64
	peak    int64 // of one period
}

type rateCell struct {
	note   noter
	period time.Duration
	newest int64     // the last period in recent
	recent []int64   // totals; recent[i] is period newest-i
	days   []rateDay // ascending, at most rateDays
}

func (c *rateCell) of(t time.Time) int64 {
	return floorDiv(t.Unix(), int64(c.period/time.Second))
}

func (c *rateCell) at(t time.Time) int64 {
	if i := c.newest - c.of(t); i >= 0 && i < int64(len(c.recent)) {
		return c.recent[i]
	}
	return 0
}

func (c *rateCell) Fold(e *event.Event, now time.Time) { fold(c, c.note, e) }

func (c *rateCell) take(note *note, _ *Scratch, e *event.Event) {
	n := note.amount
	p := c.of(e.Time)
	if shift := p - c.newest; shift > 0 {
		keep := max(0, int64(len(c.recent))-shift)
		copy(c.recent[int64(len(c.recent))-keep:], c.recent[:keep])
		clear(c.recent[:int64(len(c.recent))-keep])
		c.newest = p
	}
	i := c.newest - p
	if i >= int64(len(c.recent)) {
		return // later than Lateness: its period is closed
	}
	// A period over midnight belongs to its last day, whichever of its events
	// comes first: that day is not judged by before it has settled.
	d := c.day(dayOf(time.Unix((p+1)*int64(c.period/time.Second)-1, 0)))
	if d == nil {
		return
	}
	if c.recent[i] == 0 {
		d.periods = min(d.periods+1, maxPeriods)
	}
	c.recent[i] = saturate(c.recent[i], n)
	d.total = saturate(d.total, n)
	d.peak = max(d.peak, c.recent[i])
}

func saturate(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// day returns the summary of a day, making room for it by dropping the oldest,
// or nil if it is older than all that are kept.
func (c *rateCell) day(day int32) *rateDay {
	i := len(c.days)
	for i > 0 && c.days[i-1].day > day {
		i--
	}
	if i > 0 && c.days[i-1].day == day {
		return &c.days[i-1]
	}
	if len(c.days) == rateDays {
		if i == 0 {
			return nil
		}
		c.days = slices.Delete(c.days, 0, 1)
		i--
	}
	c.days = slices.Insert(c.days, i, rateDay{day: day})
	return &c.days[i]
}

func (c *rateCell) AppendBinary(b []byte) ([]byte, error) {
	if len(c.days) == 0 {
		return b, nil
	}
	b = binary.AppendVarint(b, c.newest)
	for _, n := range c.recent {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = binary.AppendUvarint(b, uint64(len(c.days)))
	for _, d := range c.days {
		b = binary.AppendUvarint(b, uint64(d.day))
		b = binary.AppendUvarint(b, uint64(d.periods))
		b = binary.AppendUvarint(b, uint64(d.total))
		b = binary.AppendUvarint(b, uint64(d.peak))
	}
	return b, nil
}

func (c *rateCell) UnmarshalBinary(data []byte) error {
	fresh := rateCell{recent: make([]int64, len(c.recent))}
	if len(data) > 0 {
		r := wire.NewReader(data)
		fresh.newest = r.Varint()
		for i := range fresh.recent {
			fresh.recent[i] = int64(r.Uvarint(math.MaxInt64))
		}
		fresh.days = make([]rateDay, r.Count(rateDays, 4))
		for i := range fresh.days {
			d := &fresh.days[i]
			d.day = int32(r.Uvarint(maxDay))
			d.periods = int32(r.Uvarint(maxPeriods))
			d.total = int64(r.Uvarint(math.MaxInt64))
			d.peak = int64(r.Uvarint(math.MaxInt64))
			if i > 0 && d.day <= fresh.days[i-1].day {
				return wire.ErrMalformed
			}
		}
		if err := r.Close(); err != nil {
			return err
		}
		if len(fresh.days) == 0 || fresh.newest < 0 || fresh.newest > maxDay*24*60 {
			return wire.ErrMalformed
		}
	}
	c.newest, c.recent, c.days = fresh.newest, fresh.recent, fresh.days
	return nil
}
