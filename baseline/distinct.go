package baseline

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/baseline/internal/wire"
	"github.com/cloudtell/cloudtell/event"
)

// Distinct counts the different values that value takes on a key's events
// ("" is none) within a sliding window, from one minute to 30 days. The window
// slides in steps of a sixteenth of its length, or a little more when it is
// shorter than ten minutes, and never spans more than its length.
//
// cap, from 2 to 1024, is the number of values remembered, the most recent
// ones; the count never exceeds it. Make it twice the threshold that matters,
// so that a burst stays exact while events come out of order.
func Distinct(name string, value func(*event.Event) string, cap int, window time.Duration) *Of[Window] {
	return newDistinct(name, values{one: value}, cap, window)
}

// DistinctEach is [Distinct] for events that carry several values at once.
func DistinctEach(name string, each func(*event.Event) iter.Seq[string], cap int, window time.Duration) *Of[Window] {
	return newDistinct(name, values{each: each}, cap, window)
}

func newDistinct(name string, vs values, cap int, window time.Duration) *Of[Window] {
	cap = clamp(cap, 2, 1024)
	window = clamp(window, time.Minute, 30*Day)
	g := newGrid(window)
	return &Of[Window]{
		serial:   nextSerial(),
		id:       fmt.Sprintf("distinct/1 %s cap=%d window=%v", name, cap, window),
		maxBytes: 2 + cap*maxItemBytes,
		newCell:  func() Cell { return &distinctCell{grid: g, cap: cap, values: vs} },
		answer:   func(c Cell, v *View) Window { return c.(*distinctCell).answer(v) },
	}
}

// A Window is what stood together in the best window around an event: the one
// with the most different values among all windows that contain the event.
type Window struct {
	// Count is the number of different values.
	Count int

	cell      *distinctCell
	low, high int64 // granules
	except    []Known
}

// Known is an answer that knows values: a [Novelty], those that are
// established; a [Window], those that are in it.
type Known interface {
	knows(hash uint64) bool
}

// Except returns the window without the values that any of the given answers
// knows. It compares whole values, so their features must remember the same
// ones.
func (w Window) Except(known ...Known) Window {
	w.except = append(slices.Clip(w.except), known...)
	w.Count = 0
	if w.cell != nil {
		for i := range w.cell.items {
			if w.has(&w.cell.items[i]) {
				w.Count++
			}
		}
	}
	return w
}

// Contains reports whether a value is in the window.
func (w Window) Contains(value string) bool { return w.knows(Hash(value)) }

func (w Window) knows(hash uint64) bool {
	if w.cell == nil {
		return false
	}
	i, found := w.cell.find(hash)
	return found && w.has(&w.cell.items[i])
}

func (w Window) has(it *item) bool {
	return it.trace.within(w.low, w.high) != 0 &&
		!slices.ContainsFunc(w.except, func(k Known) bool { return k.knows(it.hash) })
}

// Values returns the window's values, oldest first. Long ones are cut to their
// last 32 bytes.
func (w Window) Values() []string {
	var list []string
	for _, it := range w.items() {
		list = append(list, it.label)
	}
	return list
}

// EventIDs returns the id of the latest event of each of the window's values,
// oldest first.
func (w Window) EventIDs() []string {
	var ids []string
	for _, it := range w.items() {
		if id := it.id.String(); id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w Window) items() []item {
	if w.cell == nil {
		return nil
	}
	items := slices.Clone(w.cell.items)
	items = slices.DeleteFunc(items, func(it item) bool { return !w.has(&it) })
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.millis, b.millis), cmp.Compare(a.label, b.label), cmp.Compare(a.hash, b.hash))
	})
	return items
}

// An item is one value of a distinctCell.
type item struct {
	hash   uint64
	millis int64 // time last seen, of the event named by id
	trace  trace
	id     eventID
	label  string
}

const maxItemBytes = 8 + binary.MaxVarintLen64 + binary.MaxVarintLen64 + maxEventIDBytes + 1 + maxLabel

type distinctCell struct {
	grid   grid
	cap    int
	values values
	items  []item // sorted by hash

	last       Window // the answer to the last view, see firstSeenCell
	lastSerial uint64
	shared     bool // by many profiles that have no cell yet, so nothing is kept
}

func (c *distinctCell) Fold(e *event.Event, now time.Time) {
	if c.values.each == nil { // the common case, without a closure
		if s := c.values.one(e); s != "" {
			c.fold(s, e)
		}
		return
	}
	c.values.visit(e, func(s string) { c.fold(s, e) })
}

func (c *distinctCell) fold(value string, e *event.Event) {
	h, millis := Hash(value), e.Time.UnixMilli()
	i, found := c.find(h)
	if !found {
		if len(c.items) >= c.cap {
			oldest := 0
			for j := range c.items {
				if older(&c.items[j], &c.items[oldest]) {
					oldest = j
				}
			}
			if o := &c.items[oldest]; millis < o.millis || millis == o.millis && h < o.hash {
				return
			}
			c.items = slices.Delete(c.items, oldest, oldest+1)
			i, _ = c.find(h)
		}
		c.items = slices.Insert(c.items, i, item{hash: h, label: label(value)})
	}
	it := &c.items[i]
	fresh := it.trace.bits == 0
	it.trace.add(c.grid.of(e.Time))
	// The later event names the value; of two at one instant the greater id,
	// so that their order leaves no trace.
	if id := newEventID(e.ID); fresh || millis > it.millis || millis == it.millis && it.id.less(id) {
		it.millis, it.id = millis, id
	}
}

func older(a, b *item) bool {
	return a.millis < b.millis || a.millis == b.millis && a.hash < b.hash
}

func (c *distinctCell) forget(before time.Time) {
	low := c.grid.of(before) - c.grid.window
	c.items = slices.DeleteFunc(c.items, func(it item) bool { return it.trace.last < low })
}

func (c *distinctCell) find(h uint64) (int, bool) {
	return slices.BinarySearchFunc(c.items, h, func(it item, h uint64) int { return cmp.Compare(it.hash, h) })
}

func (c *distinctCell) answer(v *View) Window {
	if c.shared {
		return c.answerAnew(v)
	}
	if v.serial != c.lastSerial {
		c.last, c.lastSerial = c.answerAnew(v), v.serial
	}
	return c.last
}

func (c *distinctCell) share() { c.shared = true }

func (c *distinctCell) answerAnew(v *View) Window {
	at := c.grid.of(v.Event.Time)
	newest := at
	for i := range c.items {
		newest = max(newest, c.items[i].trace.last)
	}
	best := Window{cell: c}
	// The windows that contain the event; those that reach beyond the newest
	// value only add empty granules.
	for high := at; high < at+c.grid.window && high <= newest; high++ {
		low, n := high-c.grid.window+1, 0
		for i := range c.items {
			if c.items[i].trace.within(low, high) != 0 {
				n++
			}
		}
		if n > best.Count {
			best.Count, best.low, best.high = n, low, high
		}
	}
	return best
}

func (c *distinctCell) AppendBinary(b []byte) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(len(c.items)))
	for i := range c.items {
		it := &c.items[i]
		b = binary.BigEndian.AppendUint64(b, it.hash)
		b = binary.AppendVarint(b, it.millis)
		b = binary.AppendUvarint(b, it.trace.bits)
		b = it.id.appendTo(b)
		b = wire.AppendString(b, it.label)
	}
	return b, nil
}

func (c *distinctCell) UnmarshalBinary(data []byte) error {
	r := wire.NewReader(data)
	n := r.Count(c.cap, 8+4)
	items := make([]item, n)
	for i := range items {
		it := &items[i]
		it.hash = r.Uint64()
		it.millis = r.Varint()
		it.trace = trace{last: c.grid.of(time.UnixMilli(it.millis)), bits: r.Uvarint(1<<64 - 1)}
		it.id = readEventID(r)
		it.label = r.String(maxLabel)
		if i > 0 && it.hash <= items[i-1].hash || it.trace.bits&1 == 0 {
			return wire.ErrMalformed
		}
	}
	if err := r.Close(); err != nil {
		return err
	}
	c.items = items
	return nil
}
