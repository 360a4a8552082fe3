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
	periods := int(Lateness/period) + 2 // at most maxOpenPeriods
	note := func(e *event.Event, n *note, _ *Scratch) bool {
		n.amount = amount(e)
		return n.amount > 0
	}
	kind := &rateKind{note, period, periods}
	return &Of[Rates]{
		serial:   nextSerial(),
		id:       fmt.Sprintf("rate/1 %s period=%v", name, period),
		maxBytes: binary.MaxVarintLen64*(1+periods) + 2 + rateDays*maxRateDayBytes,
		newCell:  func() Cell { return &rateCell{rateKind: kind} },
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
	for d := range r.cell.days {
		if d.day >= r.settled || d.day < r.settled-30 {
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

// rateDays is 30 settled days, today, and yesterday while it settles.
const rateDays = 32

const (
	maxPeriods     = 24 * 60 // of a day
	maxOpenPeriods = int(Lateness/time.Minute) + 2
)

const maxRateDayBytes = 2*binary.MaxVarintLen64 + 2*binary.MaxVarintLen32

type rateDay struct {
	day     int32
	periods int32 // with any amount
	total   int64
	peak    int64 // of one period
}

func (d rateDay) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(d.day))
	b = binary.AppendUvarint(b, uint64(d.periods))
	b = binary.AppendUvarint(b, uint64(d.total))
	return binary.AppendUvarint(b, uint64(d.peak))
}

func readRateDay(r *wire.Reader) (d rateDay) {
	d.day = int32(r.Uvarint(maxDay))
	d.periods = int32(r.Uvarint(maxPeriods))
	d.total = int64(r.Uvarint(math.MaxInt64))
	d.peak = int64(r.Uvarint(math.MaxInt64))
	return d
}

// rateKind is what the cells of a feature have in common.
type rateKind struct {
	note    noter
	period  time.Duration
	periods int // that are open: the newest one, and those that late events may fall into
}

type rateCell struct {
	*rateKind
	newest int64   // the last period in recent
	recent []int64 // totals; recent[i] is period newest-i; 0 beyond it

	// Open periods belong to the latest day or to the one before it. Earlier days
	// only wait to be judged by, which is seldom: they are kept as in a record, in a
	// third of the room.
	today, yesterday rateDay // those without periods are none
	earlier          []byte  // ascending
	count            int     // of earlier days, at most rateDays-2
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
	if p > c.newest {
		c.advance(p)
	}
	i := c.newest - p
	if i >= int64(c.periods) {
		return // later than Lateness: its period is closed
	}
	for int64(len(c.recent)) <= i {
		c.recent = append(c.recent, 0)
	}
	// A period over midnight belongs to its last day, whichever of its events
	// comes first: that day is not judged by before it has settled.
	d := c.day(dayOf(time.Unix((p+1)*int64(c.period/time.Second)-1, 0)))
	if d == nil {
		return
	}
	if c.recent[i] == 0 || d.periods == 0 {
		d.periods = min(d.periods+1, maxPeriods)
	}
	c.recent[i] = saturate(c.recent[i], n)
	d.total = saturate(d.total, n)
	d.peak = max(d.peak, c.recent[i])
}

// advance makes p the newest period.
func (c *rateCell) advance(p int64) {
	shift := min(p-c.newest, int64(c.periods))
	keep := min(len(c.recent), c.periods-int(shift))
	c.newest, c.recent = p, c.recent[:keep]
	if keep == 0 {
		return
	}
	for range shift {
		c.recent = append(c.recent, 0)
	}
	copy(c.recent[shift:], c.recent[:keep])
	clear(c.recent[:shift])
}

func saturate(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// day returns the summary of the latest day or the one before it, nil for
// another.
func (c *rateCell) day(day int32) *rateDay {
	if day > c.today.day {
		c.shut(c.yesterday)
		c.yesterday = rateDay{}
		if day == c.today.day+1 {
			c.yesterday = c.today
		} else {
			c.shut(c.today)
		}
		c.today = rateDay{day: day}
	}
	switch day {
	case c.today.day:
		return &c.today
	case c.today.day - 1:
		c.yesterday.day = day
		return &c.yesterday
	}
	return nil
}

// shut keeps a day that will not change any more, and gives up the oldest one if
// there are too many.
func (c *rateCell) shut(d rateDay) {
	if d.periods == 0 {
		return
	}
	c.earlier, c.count = d.appendTo(c.earlier), c.count+1
	if c.count > rateDays-2 {
		r := wire.NewReader(c.earlier)
		readRateDay(r)
		c.earlier, c.count = slices.Delete(c.earlier, 0, len(c.earlier)-r.Len()), c.count-1
	}
}

// days yields the days with any amount, in their order.
func (c *rateCell) days(yield func(rateDay) bool) {
	for r := wire.NewReader(c.earlier); r.Len() > 0; {
		if !yield(readRateDay(r)) {
			return
		}
	}
	for _, d := range [...]rateDay{c.yesterday, c.today} {
		if d.periods > 0 && !yield(d) {
			return
		}
	}
}

func (c *rateCell) AppendBinary(b []byte) ([]byte, error) {
	if c.today.periods == 0 {
		return b, nil
	}
	b = binary.AppendVarint(b, c.newest)
	for i := range c.periods {
		if i < len(c.recent) {
			b = binary.AppendUvarint(b, uint64(c.recent[i]))
		} else {
			b = append(b, 0)
		}
	}
	n := c.count + 1
	if c.yesterday.periods > 0 {
		n++
	}
	b = binary.AppendUvarint(b, uint64(n))
	b = append(b, c.earlier...)
	if c.yesterday.periods > 0 {
		b = c.yesterday.appendTo(b)
	}
	return c.today.appendTo(b), nil
}

func (c *rateCell) UnmarshalBinary(data []byte) error {
	fresh := rateCell{rateKind: c.rateKind}
	if len(data) == 0 {
		*c = fresh
		return nil
	}
	r := wire.NewReader(data)
	fresh.newest = r.Varint()
	var recent [maxOpenPeriods]int64
	open := 0
	for i := range c.periods {
		if recent[i] = int64(r.Uvarint(math.MaxInt64)); recent[i] > 0 {
			open = i + 1
		}
	}
	fresh.recent = slices.Clone(recent[:open])
	n := r.Count(rateDays, 4)
	fresh.earlier = make([]byte, 0, min(r.Len(), rateDays*maxRateDayBytes))
	for i := range n {
		d := readRateDay(r)
		if i > 0 && d.day <= fresh.today.day || d.periods == 0 {
			return wire.ErrMalformed
		}
		*fresh.day(d.day) = d
	}
	if err := r.Close(); err != nil {
		return err
	}
	if n == 0 || fresh.newest < 0 || fresh.newest > maxDay*24*60 {
		return wire.ErrMalformed
	}
	*c = fresh
	return nil
}
