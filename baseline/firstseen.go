package baseline

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
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
	return newFirstSeen(name, values{one: value}, o)
}

// FirstSeenEach is [FirstSeen] for events that carry several values at once,
// such as the names of a GetParameters call. It answers about the first of the
// event's values that is new, or about the first if none is.
func FirstSeenEach(name string, each func(*event.Event) iter.Seq[string], o *FirstSeenOptions) *Of[Novelty] {
	return newFirstSeen(name, values{each: each}, o)
}

func newFirstSeen(name string, vs values, o *FirstSeenOptions) *Of[Novelty] {
	d := o.orDefault()
	return &Of[Novelty]{
		serial:   nextSerial(),
		id:       fmt.Sprintf("first-seen/3 %s cap=%d retain=%v learn=%v days=%d span=%v", name, d.Cap, d.Retain, d.Learn, d.Days, d.Span),
		maxBytes: 2 + d.Cap*maxSeenBytes + 2*binary.MaxVarintLen32,
		newCell:  func() Cell { return &firstSeenCell{options: d, values: vs} },
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

	cell *firstSeenCell
	at   moment
}

// Established reports whether another value is normal for the key, as of the
// event.
func (n Novelty) Established(value string) bool {
	return n.knows(Hash(value))
}

func (n Novelty) knows(hash uint64) bool {
	if n.cell == nil {
		return false
	}
	i := n.cell.find(hash)
	return i >= 0 && n.cell.entries[i].established(n.at)
}

// Examples returns at most max established values, the most recently seen
// first, for a finding to name what is normal. Long values are cut.
func (n Novelty) Examples(max int) []string {
	if n.cell == nil {
		return nil
	}
	known := slices.Clone(n.cell.entries)
	known = slices.DeleteFunc(known, func(s seen) bool { return !s.established(n.at) })
	slices.SortFunc(known, func(a, b seen) int {
		return cmp.Or(cmp.Compare(b.last, a.last), cmp.Compare(a.label, b.label))
	})
	var labels []string
	for _, s := range known[:min(max, len(known))] {
		labels = append(labels, s.label)
	}
	return labels
}

// values extracts what a feature remembers: one of its fields is set.
type values struct {
	one  func(*event.Event) string
	each func(*event.Event) iter.Seq[string]
}

func (vs values) visit(e *event.Event, visit func(string)) {
	if vs.each == nil {
		if s := vs.one(e); s != "" {
			visit(s)
		}
		return
	}
	if seq := vs.each(e); seq != nil {
		for s := range seq {
			if s != "" {
				visit(s)
			}
		}
	}
}

// A seen is one remembered value.
type seen struct {
	hash  uint64
	first int32  // day first seen
	last  int32  // day last seen
	days  uint32 // bit i: seen on day last-i
	// since is the lowest settled day on which probation was seen to be over,
	// or 0. Comparing days, not a flag, keeps the answer for an event free of
	// what arrived after it.
	since   int32
	verdict Verdict
	label   string
}

// Encoded: 8 of hash, 5 each for first, last, days and since with the verdict,
// 1+maxLabel.
const (
	maxLabel     = 32
	maxSeenBytes = 8 + 4*binary.MaxVarintLen32 + 1 + maxLabel
)

// A moment is what an answer about an event depends on besides the entries.
type moment struct {
	settled    int32 // days before it are complete
	learnUntil int32 // values first seen before it are normal
}

func (s *seen) add(day int32) {
	switch {
	case day > s.last:
		s.days = s.days<<(day-s.last) | 1
		s.last = day
	case s.last-day < 32:
		s.days |= 1 << (s.last - day)
	}
	s.first = min(s.first, day)
}

// settledDays returns the bits of the days before the given one.
func (s *seen) settledDays(before int32) uint32 {
	if before > s.last {
		return s.days
	}
	return s.days >> (s.last - before + 1)
}

// daysBefore is settledDays with bit i standing for the day before-1-i.
func (s *seen) daysBefore(before int32) uint32 {
	return s.settledDays(before) << max(0, before-1-s.last)
}

func (s *seen) established(m moment) bool {
	switch {
	case s.verdict != Undecided:
		return s.verdict == Benign
	case s.first >= m.settled:
		return false
	}
	return s.first < m.learnUntil || s.since != 0 && m.settled >= s.since
}

type firstSeenCell struct {
	options FirstSeenOptions
	values  values
	entries []seen // sorted by hash
	// lost has the days of values that were seen on one day only and had to
	// make way for others, so that a key with more new values than room is
	// still known to show them. Only last and days are in use.
	lost seen

	// Many rules ask the same of one view. The answer to the last one is kept:
	// memory for speed, no state.
	last       Novelty
	lastSerial uint64
	shared     bool // by many profiles that have no cell yet, so nothing is kept
}

func (c *firstSeenCell) Fold(e *event.Event, now time.Time) {
	if c.values.each == nil { // the common case, without a closure
		if s := c.values.one(e); s != "" {
			c.fold(s, e.Time)
		}
		return
	}
	c.values.visit(e, func(s string) { c.fold(s, e.Time) })
}

func (c *firstSeenCell) fold(value string, t time.Time) {
	day, settled := dayOf(t), settledDay(t)
	h := Hash(value)
	i, found := slices.BinarySearchFunc(c.entries, h, func(s seen, h uint64) int { return cmp.Compare(s.hash, h) })
	if found && c.expired(&c.entries[i], day) {
		c.entries[i] = seen{hash: h, first: day, last: day, days: 1, verdict: c.entries[i].verdict, label: c.entries[i].label}
		return
	}
	if found {
		s := &c.entries[i]
		s.add(day)
		done := bits.OnesCount32(s.settledDays(settled)) >= c.options.Days &&
			settled-s.first >= int32(c.options.Span/Day)
		if done && (s.since == 0 || settled < s.since) {
			s.since = settled
		}
		return
	}
	c.insert(i, seen{hash: h, first: day, last: day, days: 1, label: label(value)}, day)
}

// insert puts a new entry at its place, if need be instead of one that matters
// less; if there is none, nothing changes.
func (c *firstSeenCell) insert(i int, fresh seen, day int32) {
	if len(c.entries) >= c.options.Cap {
		victim := c.victim(day)
		if fresh.verdict == Undecided && less(&fresh, &c.entries[victim]) {
			c.lose(&fresh)
			return
		}
		if !c.expired(&c.entries[victim], day) {
			c.lose(&c.entries[victim])
		}
		c.entries = slices.Delete(c.entries, victim, victim+1)
		if victim < i {
			i--
		}
	}
	c.entries = slices.Insert(c.entries, i, fresh)
}

// lose keeps the day of a value of one day that is forgotten.
func (c *firstSeenCell) lose(s *seen) {
	if bits.OnesCount32(s.days) == 1 {
		c.lost.add(s.last)
	}
}

// decide keeps a verdict about a value that was seen on a day; false if there
// are too many verdicts to keep another.
func (c *firstSeenCell) decide(hash uint64, label string, day int32, verdict Verdict) bool {
	c.lastSerial = 0
	judged := 0
	for i := range c.entries {
		if c.entries[i].verdict != Undecided {
			judged++
		}
	}
	i, found := slices.BinarySearchFunc(c.entries, hash, func(s seen, h uint64) int { return cmp.Compare(s.hash, h) })
	decided := found && c.entries[i].verdict != Undecided
	if verdict != Undecided && !decided && judged >= c.options.Cap/2 {
		return false
	}
	switch {
	case found:
		c.entries[i].verdict = verdict
	case verdict != Undecided:
		c.insert(i, seen{hash: hash, first: day, last: day, days: 1, verdict: verdict, label: label}, day)
	}
	return true
}

func (c *firstSeenCell) expired(s *seen, day int32) bool {
	return day-s.last > int32(c.options.Retain/Day)
}

// victim returns the entry to drop: an expired one; else the least recent one
// that is not regular; or, when regular ones hold more than three quarters of
// the room, the least recent of them. What a person judged stays: it holds at
// most half of the room.
func (c *firstSeenCell) victim(day int32) int {
	room, regulars := len(c.entries), 0
	for i := range c.entries {
		switch s := &c.entries[i]; {
		case s.verdict != Undecided:
			room--
		case regular(s):
			regulars++
		}
	}
	spareRegulars := regulars <= room*3/4
	victim := -1
	for i := range c.entries {
		s := &c.entries[i]
		if s.verdict != Undecided {
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
func regular(s *seen) bool { return s.since != 0 || bits.OnesCount32(s.days) >= 3 }

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

func (c *firstSeenCell) find(h uint64) int {
	i, found := slices.BinarySearchFunc(c.entries, h, func(s seen, h uint64) int { return cmp.Compare(s.hash, h) })
	if !found {
		return -1
	}
	return i
}

func (c *firstSeenCell) answer(v *View) Novelty {
	if c.shared {
		return c.answerAnew(v)
	}
	if v.serial != c.lastSerial {
		c.last, c.lastSerial = c.answerAnew(v), v.serial
	}
	return c.last
}

func (c *firstSeenCell) share() { c.shared = true }

func (c *firstSeenCell) answerAnew(v *View) Novelty {
	n := Novelty{cell: c, at: moment{
		settled:    v.settled(),
		learnUntil: dayOf(v.since) + int32(c.options.Learn/Day),
	}}
	c.survey(&n, v.today())
	if c.values.each == nil { // the common case, without a closure
		if value := c.values.one(v.Event); value != "" {
			n = c.judge(n, value)
		}
		return n
	}
	return c.judgeEach(n, v.Event)
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
		if bits.OnesCount32(d) == 1 && s.verdict != Benign {
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

func (c *firstSeenCell) judgeEach(n Novelty, e *event.Event) Novelty {
	c.values.visit(e, func(value string) { n = c.judge(n, value) })
	return n
}

// judge makes an answer about a further value of the event.
func (c *firstSeenCell) judge(n Novelty, value string) Novelty {
	if n.New || n.Value == value {
		return n
	}
	isNew, days := true, 0
	if i := c.find(Hash(value)); i >= 0 {
		isNew = !c.entries[i].established(n.at)
		days = bits.OnesCount32(c.entries[i].settledDays(n.at.settled))
	}
	if n.Value == "" || isNew {
		n.Value, n.New, n.Days = value, isNew, days
	}
	return n
}

// label keeps the end of a long value, which tells more of an ARN or a path
// than its beginning.
func label(value string) string {
	const cut = "…"
	if len(value) > maxLabel {
		value = value[len(value)-maxLabel+len(cut):]
		for len(value) > 0 && value[0]&0xC0 == 0x80 { // not inside a character
			value = value[1:]
		}
		return cut + value
	}
	return string([]byte(value)) // not the event's memory
}

func (c *firstSeenCell) AppendBinary(b []byte) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(c.lost.last))
	b = binary.AppendUvarint(b, uint64(c.lost.days))
	b = binary.AppendUvarint(b, uint64(len(c.entries)))
	for i := range c.entries {
		s := &c.entries[i]
		b = binary.BigEndian.AppendUint64(b, s.hash)
		b = binary.AppendUvarint(b, uint64(s.last))
		b = binary.AppendUvarint(b, uint64(s.last-s.first))
		b = binary.AppendUvarint(b, uint64(s.days))
		b = binary.AppendUvarint(b, uint64(s.since)<<2|uint64(s.verdict))
		b = wire.AppendString(b, s.label)
	}
	return b, nil
}

func (c *firstSeenCell) UnmarshalBinary(data []byte) error {
	r := wire.NewReader(data)
	lost := seen{last: int32(r.Uvarint(maxDay)), days: uint32(r.Uvarint(1<<32 - 1))}
	n := r.Count(c.options.Cap, 8+5)
	entries, judged := make([]seen, n), 0
	for i := range entries {
		s := &entries[i]
		s.hash = r.Uint64()
		s.last = int32(r.Uvarint(maxDay))
		s.first = s.last - int32(r.Uvarint(uint64(s.last)))
		s.days = uint32(r.Uvarint(1<<32 - 1))
		since := r.Uvarint(maxDay<<2 | 3)
		s.since, s.verdict = int32(since>>2), Verdict(since&3)
		s.label = r.String(maxLabel)
		if s.verdict != Undecided {
			judged++
		}
		if i > 0 && s.hash <= entries[i-1].hash || s.verdict > Malicious || judged > c.options.Cap/2 {
			return wire.ErrMalformed
		}
	}
	if err := r.Close(); err != nil {
		return err
	}
	c.entries, c.lost, c.lastSerial = entries, lost, 0
	return nil
}
