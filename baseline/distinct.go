package baseline

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
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
// cap, from 2 to 512, is the number of values remembered, the most recent
// ones; the count never exceeds it. Make it twice the threshold that matters,
// so that a burst stays exact while events come out of order.
func Distinct(name string, value func(*event.Event) string, cap int, window time.Duration) *Of[Window] {
	return newDistinct(name, noteOne(value), cap, window)
}

// DistinctEach is [Distinct] for events that carry several values at once, which
// each appends to a list.
func DistinctEach(name string, each func([]string, *event.Event) []string, cap int, window time.Duration) *Of[Window] {
	return newDistinct(name, noteEach(each), cap, window)
}

func newDistinct(name string, note noter, cap int, window time.Duration) *Of[Window] {
	cap = clamp(cap, 2, maxItems)
	window = clamp(window, time.Minute, 30*Day)
	kind := &distinctKind{newGrid(window), cap, note}
	return &Of[Window]{
		serial:   nextSerial(),
		id:       fmt.Sprintf("distinct/2 %s cap=%d window=%v", name, cap, window),
		maxBytes: binary.MaxVarintLen64 + 2 + cap*maxItemBytes,
		newCell:  func() Cell { return &distinctCell{distinctKind: kind} },
		note:     note,
		answer:   func(c Cell, v *View) Window { return c.(*distinctCell).answer(v) },
	}
}

// A Window is what stood together in the best window around an event: the one
// with the most different values among all windows that contain the event.
type Window struct {
	// Count is the number of different values.
	Count int

	cell *distinctCell
	in   [maxItems / 64]uint64 // bit i: item i
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
	for i, word := range w.in {
		for ; word != 0; word &= word - 1 {
			bit := bits.TrailingZeros64(word)
			if knownTo(known, w.cell.items[64*i+bit].hash) {
				w.in[i] &^= 1 << bit
				w.Count--
			}
		}
	}
	return w
}

// knownTo calls no method of the interface: so that it costs no allocation to
// make one.
func knownTo(known []Known, hash uint64) bool {
	for _, k := range known {
		switch k := k.(type) {
		case Novelty:
			if k.knows(hash) {
				return true
			}
		case Window:
			if k.knows(hash) {
				return true
			}
		}
	}
	return false
}

// Contains reports whether a value is in the window.
func (w Window) Contains(value string) bool { return w.knows(Hash(value)) }

func (w Window) knows(hash uint64) bool {
	if w.cell == nil {
		return false
	}
	i, found := w.cell.find(hash)
	return found && w.in[i/64]>>(i%64)&1 != 0
}

// Values returns the window's values, oldest first. Long ones are cut to their
// last 32 bytes.
func (w Window) Values() []string {
	var list []string
	order := w.order()
	if len(order) == 0 {
		return nil
	}
	var room [64]uint16
	offsets := w.cell.labels.offsets(room[:0])
	for _, i := range order {
		list = append(list, string(w.cell.labels.text(offsets[i])))
	}
	return list
}

// EventIDs returns the id of the latest event of each of the window's values,
// oldest first.
func (w Window) EventIDs() []string {
	var ids []string
	order := w.order()
	for n, i := range order {
		x := &w.cell.items[i]
		known := x.id.length == 0
		for k := n - 1; k >= 0 && !known && w.cell.items[order[k]].millis == x.millis; k-- {
			known = w.cell.items[order[k]].id == x.id // an event has one time
		}
		if !known {
			ids = append(ids, x.id.String())
		}
	}
	return ids
}

// order returns the places of the window's items, oldest first.
func (w Window) order() []int {
	if w.cell == nil {
		return nil
	}
	order := make([]int, 0, w.Count)
	for i, word := range w.in {
		for ; word != 0; word &= word - 1 {
			order = append(order, 64*i+bits.TrailingZeros64(word))
		}
	}
	var room [64]uint16
	offsets := room[:0] // if any two came at one time
	slices.SortFunc(order, func(i, j int) int {
		a, b := &w.cell.items[i], &w.cell.items[j]
		if a.millis != b.millis {
			return cmp.Compare(a.millis, b.millis)
		}
		if len(offsets) == 0 {
			offsets = w.cell.labels.offsets(offsets)
		}
		text := func(i int) []byte { return w.cell.labels.text(offsets[i]) }
		return cmp.Or(bytes.Compare(text(i), text(j)), cmp.Compare(a.hash, b.hash))
	})
	return order
}

// maxItems is the most values that a distinctCell may have.
const maxItems = 512

// An item is a value, when it was seen, and in which event last.
type item struct {
	hash   uint64
	trace  trace
	millis int64
	id     eventID
}

const maxItemBytes = maxValueBytes + binary.MaxVarintLen64 + binary.MaxVarintLen64 + maxEventIDBytes

// distinctKind is what the cells of a feature have in common.
type distinctKind struct {
	grid grid
	cap  int
	note noter
}

type distinctCell struct {
	*distinctKind
	items  []item // ascending by hash
	labels labels // of the items; apart, because events do not ask for them
}

func (c *distinctCell) Fold(e *event.Event, now time.Time) { fold(c, c.note, e) }

func (c *distinctCell) take(n *note, s *Scratch, e *event.Event) {
	for _, v := range s.noted(n) {
		c.fold(v, s, e.Time)
	}
}

func (c *distinctCell) fold(v value, s *Scratch, t time.Time) {
	h, millis := v.hash, t.UnixMilli()
	i, found := c.find(h)
	if !found {
		if p := s.profile; p != nil && len(c.items) == cap(c.items) {
			c.forget(p.oldest()) // rather than grow
			i, _ = c.find(h)
		}
		if len(c.items) >= c.cap {
			oldest := c.oldest()
			if x := &c.items[oldest]; millis < x.millis || millis == x.millis && h < x.hash {
				return
			}
			c.remove(oldest)
			i, _ = c.find(h)
		}
		text := label(v.text)
		c.items = slices.Insert(c.items, i, item{hash: h, millis: millis, id: s.id})
		c.labels = c.labels.insert(i, &text)
	}
	x := &c.items[i]
	x.trace.add(c.grid.of(t))
	// The later event names the value; of two at one instant the greater id,
	// so that their order leaves no trace.
	if millis > x.millis || millis == x.millis && x.id.less(s.id) {
		x.millis, x.id = millis, s.id
	}
}

// find returns the place of a hash's item, or where it would be.
func (c *distinctCell) find(hash uint64) (i int, found bool) {
	low, high := 0, len(c.items)
	for low < high {
		if middle := int(uint(low+high) / 2); c.items[middle].hash < hash {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(c.items) && c.items[low].hash == hash
}

// oldest returns the item that was seen last before the others.
func (c *distinctCell) oldest() int {
	oldest := 0
	for i := range c.items {
		a, b := &c.items[i], &c.items[oldest]
		if a.millis < b.millis || a.millis == b.millis && a.hash < b.hash {
			oldest = i
		}
	}
	return oldest
}

func (c *distinctCell) remove(i int) {
	c.items = slices.Delete(c.items, i, i+1)
	c.labels = c.labels.remove(i)
}

// forget drops what is in no window around an event from then on: items, and of
// others the time before. So it leaves no trace when it was done before.
func (c *distinctCell) forget(before time.Time) {
	low := c.grid.of(before) - c.grid.window
	for i := len(c.items) - 1; i >= 0; i-- {
		if t := &c.items[i].trace; t.last < low {
			c.remove(i)
		} else {
			t.bits &= 1<<(t.last-low+1) - 1 // all of them for 64 and more
		}
	}
}

func (c *distinctCell) answer(v *View) Window {
	n, s := v.answering(), v.scratch
	if n.answered != s.serial {
		s.windows = append(s.windows, c.best(v))
		n.answered, n.answer = s.serial, len(s.windows)-1
	}
	return s.windows[n.answer]
}

// best is the best window around the event: of those that contain it, up to the
// newest value. Beyond that they only add empty granules.
func (c *distinctCell) best(v *View) Window {
	at := c.grid.of(v.Event.Time)
	best, more := c.ending(at)
	for end := at + 1; more && end < at+c.grid.window; end++ {
		var w Window
		if w, more = c.ending(end); w.Count > best.Count {
			best = w
		}
	}
	return best
}

// ending is the window that ends with a granule. more says that there are values
// seen later.
func (c *distinctCell) ending(end int64) (w Window, more bool) {
	begin := end - c.grid.window + 1
	w.cell = c
	for i := range c.items {
		t := &c.items[i].trace
		if t.last > end {
			more = true
		}
		if t.last < begin || t.last > end && t.within(begin, end) == 0 {
			continue
		}
		w.in[i/64] |= 1 << (i % 64)
		w.Count++
	}
	return w, more
}

func (c *distinctCell) AppendBinary(b []byte) ([]byte, error) {
	if len(c.items) == 0 {
		return b, nil
	}
	newest := c.items[0].millis
	for i := range c.items {
		newest = max(newest, c.items[i].millis)
	}
	b = binary.AppendVarint(b, newest)
	b = binary.AppendUvarint(b, uint64(len(c.items)))
	rest := c.labels
	for i := range c.items {
		x := &c.items[i]
		b, rest = rest.appendFirst(b, x.hash)
		b = binary.AppendUvarint(b, uint64(newest-x.millis))
		b = binary.AppendUvarint(b, x.trace.bits)
		b = x.id.appendTo(b)
	}
	return b, nil
}

func (c *distinctCell) UnmarshalBinary(data []byte) error { return c.read(data, new(reader)) }

func (c *distinctCell) read(data []byte, room *reader) error {
	if len(data) == 0 {
		c.items, c.labels = nil, nil
		return nil
	}
	r := wire.NewReader(data)
	newest := r.Varint()
	if newest < 0 {
		return wire.ErrMalformed
	}
	items := make([]item, r.Count(c.cap, 4))
	room.labels = room.labels[:0]
	for i := range items {
		x := &items[i]
		x.hash = room.value(r)
		x.millis = newest - int64(r.Uvarint(uint64(newest)))
		x.trace = trace{last: c.grid.of(time.UnixMilli(x.millis)), bits: r.Uvarint(1<<64 - 1)}
		x.id = readEventID(r)
		if i > 0 && x.hash <= items[i-1].hash || x.trace.bits&1 == 0 {
			return wire.ErrMalformed
		}
	}
	if err := r.Close(); err != nil {
		return err
	}
	c.items, c.labels = items, slices.Clone(room.labels)
	return nil
}
