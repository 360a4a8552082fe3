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

// FirstSeenOptions configures [FirstSeen]. Nil, and the zero value of every
// field, mean the defaults.
type FirstSeenOptions struct {
	// Cap is the number of values remembered, from 4 to 1024. When it is
	// exceeded, values seen on fewer than three days go first, the least recent
	// of them before others; a quarter of the room is always theirs. So a flood
	// of new values cannot displace what is regular. The default is 64.
	Cap int
	// Retain is how long a value that is not seen again stays remembered, in
	// whole days up to 31. The default is 30 days.
	Retain time.Duration
	// Learn is the initial period, from the feature's first event for the key,
	// whose values count as normal afterwards. The default is 14 days.
	Learn time.Duration
	// Days and Span are the probation of a later value: it is normal once it
	// was seen on this many different days, the first of them at least Span
	// ago. The defaults are 3 days and 7 days.
	Days int
	Span time.Duration
}

func (o *FirstSeenOptions) orDefault() FirstSeenOptions {
	var d FirstSeenOptions
	if o != nil {
		d = *o
	}
	d.Cap = clamp(cmp.Or(d.Cap, 64), 4, 1024)
	d.Retain = clamp(cmp.Or(d.Retain, 30*Day), Day, 31*Day)
	d.Learn = cmp.Or(d.Learn, 14*Day)
	d.Days = clamp(cmp.Or(d.Days, 3), 1, 31)
	d.Span = cmp.Or(d.Span, 7*Day)
	return d
}

func clamp[T cmp.Ordered](v, low, high T) T { return min(max(v, low), high) }

// FirstSeen remembers the different values that value takes on a key's events
// ("" is none) and answers whether the event's value is new to the key. A
// value is new until it is established: learnt in the initial period, or seen
// on several days over a probation span. Seen once yesterday is not normal.
func FirstSeen(name string, value func(*event.Event) string, o *FirstSeenOptions) *Of[Novelty] {
	return newFirstSeen(name, noteOne(value), o)
}

// FirstSeenEach is [FirstSeen] for events that carry several values at once,
// such as the names of a GetParameters call, and which each appends to a list.
// It answers about the first of the event's values that is new, or about the
// first if none is.
func FirstSeenEach(name string, each func([]string, *event.Event) []string, o *FirstSeenOptions) *Of[Novelty] {
	return newFirstSeen(name, noteEach(each), o)
}

func newFirstSeen(name string, note noter, o *FirstSeenOptions) *Of[Novelty] {
	d := o.orDefault()
	kind := &firstSeenKind{options: d, retain: int32(d.Retain / Day), note: note}
	return &Of[Novelty]{
		serial:   nextSerial(),
		id:       fmt.Sprintf("first-seen/4 %s cap=%d retain=%v learn=%v days=%d span=%v", name, d.Cap, d.Retain, d.Learn, d.Days, d.Span),
		maxBytes: 2 + d.Cap*maxSeenBytes + 3*binary.MaxVarintLen32,
		newCell:  func() Cell { return &firstSeenCell{firstSeenKind: kind} },
		note:     note,
		answer:   func(c Cell, v *View) Novelty { return c.(*firstSeenCell).answer(v) },
	}
}

// Novelty says how new an event's value is to its key.
type Novelty struct {
	// Value is the event's value, or "" if it has none; then New is false.
	Value string
	// New reports that the value is not established for the key. During the
	// initial period every value is new: see [Age] for whether that means
	// anything yet.
	New bool
	// Days is the number of days, ended before the event, on which the value
	// was seen.
	Days int
	// Known is the number of established values.
	Known int
	// Unseen estimates, from 0 to 1, the chance that a day of the key brings a
	// value that no other day has: the share of such days among the past days
	// with any value, with four more days assumed that had none, so that little
	// evidence proves little. For a key that shows new values all the time it
	// is near 1, and one more proves nothing. It takes four days of nothing but
	// new values, each of them new, to raise it to a half.
	Unseen float64

	cell  *firstSeenCell
	at    moment
	value value // Value
	known bool  // not New
}

// Established reports whether another value is normal for the key, as of the
// event.
func (n Novelty) Established(value string) bool {
	if value == n.value.text && value != "" {
		return n.known
	}
	return n.knows(Hash(value))
}

func (n Novelty) knows(hash uint64) bool {
	if n.cell == nil {
		return false
	}
	i, found := n.cell.find(hash)
	return found && n.cell.entries[i].established(n.at)
}

// Examples returns at most max established values, the most recently seen
// first, for a finding to name what is normal. Long values are cut.
func (n Novelty) Examples(max int) []string {
	if n.cell == nil {
		return nil
	}
	var known []int
	var room [64]uint16
	offsets := n.cell.labels.offsets(room[:0])
	text := func(i int) []byte { return n.cell.labels.text(offsets[i]) }
	for i := range n.cell.entries {
		if n.cell.entries[i].established(n.at) {
			known = append(known, i)
		}
	}
	slices.SortFunc(known, func(a, b int) int {
		return cmp.Or(cmp.Compare(n.cell.entries[b].last, n.cell.entries[a].last),
			bytes.Compare(text(a), text(b)))
	})
	var labels []string
	for _, i := range known[:min(max, len(known))] {
		labels = append(labels, string(text(i)))
	}
	return labels
}

// A seen is one remembered value. Cells hold many, so it is kept small.
type seen struct {
	hash  uint64
	first int32 // day first seen
	seenDays
	// state is the verdict and, above its two bits, the lowest settled day on which
	// probation was seen to be over, or 0. Comparing days, not a flag, keeps the
	// answer for an event free of what arrived after it.
	state uint32
}

const verdictBits = 2

func (s *seen) since() int32     { return int32(s.state >> verdictBits) }
func (s *seen) verdict() Verdict { return Verdict(s.state & (1<<verdictBits - 1)) }

func (s *seen) setSince(day int32)   { s.state = uint32(day)<<verdictBits | uint32(s.verdict()) }
func (s *seen) setVerdict(v Verdict) { s.state = uint32(s.since())<<verdictBits | uint32(v) }

// seenDays are the last 32 days up to the one on which something was seen last.
type seenDays struct {
	last int32
	days uint32 // bit i: seen on day last-i
}

// Encoded: 5 each for first, last, days and state, and the value.
const maxSeenBytes = 4*binary.MaxVarintLen32 + maxValueBytes

// A moment is what an answer about an event depends on besides the entries.
type moment struct {
	settled    int32 // days before it are complete
	learnUntil int32 // values first seen before it are normal
}

func (s *seenDays) add(day int32) {
	switch {
	case day > s.last:
		s.days = s.days<<(day-s.last) | 1
		s.last = day
	case s.last-day < 32:
		s.days |= 1 << (s.last - day)
	}
}

// settledDays returns the bits of the days before the given one.
func (s *seenDays) settledDays(before int32) uint32 {
	if before > s.last {
		return s.days
	}
	return s.days >> (s.last - before + 1)
}

// daysBefore is settledDays with bit i standing for the day before-1-i.
func (s *seenDays) daysBefore(before int32) uint32 {
	return s.settledDays(before) << max(0, before-1-s.last)
}

func (s *seen) established(m moment) bool {
	switch {
	case s.verdict() != Undecided:
		return s.verdict() == Benign
	case s.first >= m.settled:
		return false
	}
	return s.first < m.learnUntil || s.since() != 0 && m.settled >= s.since()
}

// newSeen is a value seen for the first time.
func newSeen(hash uint64, day int32) seen {
	return seen{hash: hash, first: day, seenDays: seenDays{last: day, days: 1}}
}

// firstSeenKind is what the cells of a feature have in common.
type firstSeenKind struct {
	options FirstSeenOptions
	retain  int32 // in days
	note    noter
}

type firstSeenCell struct {
	*firstSeenKind
	entries []seen // ascending by hash
	labels  labels // of the entries; apart, because events do not ask for them
	// lost has the days of values that were seen on one day only and had to
	// make way for others, so that a key with more new values than room is
	// still known to show them.
	lost seenDays
}

func (c *firstSeenCell) Fold(e *event.Event, now time.Time) { fold(c, c.note, e) }

func (c *firstSeenCell) take(n *note, s *Scratch, e *event.Event) {
	day, settled := dayOf(e.Time), settledDay(e.Time)
	for _, v := range s.noted(n) {
		c.fold(v, day, settled)
	}
}

func (c *firstSeenCell) fold(v value, day, settled int32) {
	h := v.hash
	i, found := c.find(h)
	if found && c.expired(&c.entries[i], day) {
		verdict := c.entries[i].verdict()
		c.entries[i] = newSeen(h, day)
		c.entries[i].setVerdict(verdict)
		return
	}
	if found {
		s := &c.entries[i]
		s.add(day)
		s.first = min(s.first, day)
		done := bits.OnesCount32(s.settledDays(settled)) >= c.options.Days &&
			settled-s.first >= int32(c.options.Span/Day)
		if done && (s.since() == 0 || settled < s.since()) {
			s.setSince(settled)
		}
		return
	}
	c.insert(i, newSeen(h, day), label(v.text), day)
}

// insert puts a new entry at its place, if need be instead of one that matters
// less; if there is none, nothing changes.
func (c *firstSeenCell) insert(i int, fresh seen, label labelText, day int32) {
	if len(c.entries) >= c.options.Cap {
		victim := c.victim(day)
		if fresh.verdict() == Undecided && less(&fresh, &c.entries[victim]) {
			c.lose(&fresh)
			return
		}
		if !c.expired(&c.entries[victim], day) {
			c.lose(&c.entries[victim])
		}
		c.entries = slices.Delete(c.entries, victim, victim+1)
		c.labels = c.labels.remove(victim)
		if victim < i {
			i--
		}
	}
	c.entries = slices.Insert(c.entries, i, fresh)
	c.labels = c.labels.insert(i, &label)
}

// lose keeps the day of a value of one day that is forgotten.
func (c *firstSeenCell) lose(s *seen) {
	if bits.OnesCount32(s.days) == 1 {
		c.lost.add(s.last)
	}
}

// decide keeps a verdict about a value that was seen on a day; false if there
// are too many verdicts to keep another.
func (c *firstSeenCell) decide(hash uint64, label labelText, day int32, verdict Verdict) bool {
	judged := 0
	for i := range c.entries {
		if c.entries[i].verdict() != Undecided {
			judged++
		}
	}
	i, found := c.find(hash)
	decided := found && c.entries[i].verdict() != Undecided
	if verdict != Undecided && !decided && judged >= c.options.Cap/2 {
		return false
	}
	switch {
	case found:
		c.entries[i].setVerdict(verdict)
	case verdict != Undecided:
		fresh := newSeen(hash, day)
		fresh.setVerdict(verdict)
		c.insert(i, fresh, label, day)
	}
	return true
}

func (c *firstSeenCell) expired(s *seen, day int32) bool {
	return day-s.last > c.retain
}

// victim returns the entry to drop: an expired one; else the least recent one
// that is not regular; or, when regular ones hold more than three quarters of
// the room, the least recent of them. What a person judged stays: it holds at
// most half of the room.
func (c *firstSeenCell) victim(day int32) int {
	room, regulars := len(c.entries), 0
	for i := range c.entries {
		switch s := &c.entries[i]; {
		case s.verdict() != Undecided:
			room--
		case regular(s):
			regulars++
		}
	}
	spareRegulars := regulars <= room*3/4
	victim := -1
	for i := range c.entries {
		s := &c.entries[i]
		if s.verdict() != Undecided {
			continue
		}
		if c.expired(s, day) {
			return i
		}
		if spareRegulars == regular(s) {
			continue
		}
		if victim < 0 || less(s, &c.entries[victim]) {
			victim = i
		}
	}
	return victim
}

// regular reports that a value has been seen on enough days not to be part of
// a flood.
func regular(s *seen) bool { return s.since() != 0 || bits.OnesCount32(s.days) >= 3 }

// less orders entries by what is given up first.
func less(a, b *seen) bool {
	if a.last != b.last {
		return a.last < b.last
	}
	if da, db := bits.OnesCount32(a.days), bits.OnesCount32(b.days); da != db {
		return da < db
	}
	return a.hash < b.hash
}

// find returns the place of a hash's entry, or where it would be.
func (c *firstSeenCell) find(h uint64) (i int, found bool) {
	low, high := 0, len(c.entries)
	for low < high {
		if middle := int(uint(low+high) / 2); c.entries[middle].hash < h {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(c.entries) && c.entries[low].hash == h
}

func (c *firstSeenCell) has(h uint64) bool {
	_, found := c.find(h)
	return found
}

func (c *firstSeenCell) answer(v *View) Novelty {
	n, s := v.noted(c.note), v.scratch
	if n.answered != s.serial {
		s.novelties = append(s.novelties, c.judge(v, s.noted(n)))
		n.answered, n.answer = s.serial, len(s.novelties)-1
	}
	return s.novelties[n.answer]
}

// survey sets what an answer says about all values.
func (c *firstSeenCell) survey(n *Novelty, today int32) {
	var days, fresh uint32 // bit i: day settled-1-i had a value; had one of that day only
	for i := range c.entries {
		s := &c.entries[i]
		if c.expired(s, today) {
			continue
		}
		d := s.daysBefore(n.at.settled)
		days |= d
		if bits.OnesCount32(d) == 1 && s.verdict() != Benign {
			fresh |= d
		}
		if s.established(n.at) {
			n.Known++
		}
	}
	lost := c.lost.daysBefore(n.at.settled)
	days, fresh = days|lost, fresh|lost
	const assumed = 4
	n.Unseen = float64(bits.OnesCount32(fresh)) / float64(bits.OnesCount32(days)+assumed)
}

// judge answers about the values of an event.
func (c *firstSeenCell) judge(v *View, values []value) Novelty {
	n := Novelty{cell: c, at: moment{
		settled:    v.settled(),
		learnUntil: dayOf(v.since()) + int32(c.options.Learn/Day),
	}}
	c.survey(&n, v.today())
	for _, v := range values {
		isNew, days := true, 0
		if i, found := c.find(v.hash); found {
			isNew = !c.entries[i].established(n.at)
			days = bits.OnesCount32(c.entries[i].settledDays(n.at.settled))
		}
		if n.Value == "" || isNew {
			n.Value, n.New, n.Days = v.text, isNew, days
			n.value, n.known = v, !isNew
		}
		if isNew {
			break
		}
	}
	return n
}

func (c *firstSeenCell) AppendBinary(b []byte) ([]byte, error) {
	if len(c.entries) == 0 {
		return b, nil
	}
	newest := int32(0)
	for i := range c.entries {
		newest = max(newest, c.entries[i].last)
	}
	b = binary.AppendUvarint(b, uint64(newest))
	b = binary.AppendUvarint(b, uint64(c.lost.last))
	b = binary.AppendUvarint(b, uint64(c.lost.days))
	b = binary.AppendUvarint(b, uint64(len(c.entries)))
	rest := c.labels
	for i := range c.entries {
		s := &c.entries[i]
		b, rest = rest.appendFirst(b, s.hash)
		b = binary.AppendUvarint(b, uint64(newest-s.last))
		b = binary.AppendUvarint(b, uint64(s.last-s.first))
		b = binary.AppendUvarint(b, uint64(s.days))
		b = binary.AppendUvarint(b, uint64(s.state))
	}
	return b, nil
}

func (c *firstSeenCell) UnmarshalBinary(data []byte) error { return c.read(data, new(reader)) }

func (c *firstSeenCell) read(data []byte, room *reader) error {
	if len(data) == 0 {
		c.entries, c.labels, c.lost = nil, nil, seenDays{}
		return nil
	}
	r := wire.NewReader(data)
	newest := int32(r.Uvarint(maxDay))
	lost := seenDays{last: int32(r.Uvarint(maxDay)), days: uint32(r.Uvarint(1<<32 - 1))}
	n := r.Count(c.options.Cap, 5)
	entries, judged := make([]seen, n), 0
	room.labels = room.labels[:0]
	for i := range entries {
		s := &entries[i]
		s.hash = room.value(r)
		s.last = newest - int32(r.Uvarint(uint64(newest)))
		s.first = s.last - int32(r.Uvarint(uint64(s.last)))
		s.days = uint32(r.Uvarint(1<<32 - 1))
		s.state = uint32(r.Uvarint(maxDay<<verdictBits | (1<<verdictBits - 1)))
		if s.verdict() != Undecided {
			judged++
		}
		if i > 0 && s.hash <= entries[i-1].hash || s.verdict() > Malicious || judged > c.options.Cap/2 {
			return wire.ErrMalformed
		}
	}
	if err := r.Close(); err != nil {
		return err
	}
	c.entries, c.labels, c.lost = entries, slices.Clone(room.labels), lost
	return nil
}
