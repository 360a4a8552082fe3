package baseline

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/cloudtell/cloudtell/baseline/internal/wire"
	"github.com/cloudtell/cloudtell/event"
)

// Outcome says what became of an event that was given to a [Profile].
type Outcome uint8

// The outcomes of [Profile.Fold].
const (
	Evaluated Outcome = iota // folded into memory
	Duplicate                // an event with this ID was folded before; nothing changed
	Late                     // older than the layout's lateness allows; nothing changed
)

// A Profile is what is remembered about one key: a cell for each feature of
// its layout, and the key's own clock. One goroutine at a time may use it.
type Profile struct {
	layout  *Layout
	clock   int64 // latest event time, Unix milliseconds
	first   int64 // earliest event time
	events  int64
	days    trace // days with events
	recent  []recentID
	filter  *idFilter // of recent, or nil
	cells   cells
	joined  []joining // ascending by slot; few, if any
	scratch *Scratch
}

// A joining is the age of a feature that came into use after the profile's
// first event: the time of the first event since, noTime until then, and the
// number of events that came before it.
type joining struct {
	slot   int
	first  int64
	before int64
}

// cells holds the cells of the features that an event has concerned: few of
// many.
type cells struct {
	slots slotSet
	list  []Cell // of those slots, ascending
}

// A slotSet is a bit for each slot of a layout.
type slotSet []uint64

func (s slotSet) has(slot int) bool { return s[slot/64]>>(slot%64)&1 != 0 }

// add adds a slot; false if it is there already.
func (s slotSet) add(slot int) bool {
	if s.has(slot) {
		return false
	}
	s[slot/64] |= 1 << (slot % 64)
	return true
}

// rank returns the place of a slot's cell, and whether there is one.
func (c *cells) rank(slot int) (i int, ok bool) {
	word, bit := uint(slot)/64, uint64(1)<<(uint(slot)%64)
	for _, w := range c.slots[:word] {
		i += bits.OnesCount64(w)
	}
	return i + bits.OnesCount64(c.slots[word]&(bit-1)), c.slots[word]&bit != 0
}

// get returns a slot's cell, or nil.
func (c *cells) get(slot int) Cell {
	if i, ok := c.rank(slot); ok {
		return c.list[i]
	}
	return nil
}

// put adds the cell of a slot that has none.
func (c *cells) put(slot int, cell Cell) {
	if len(c.list) == cap(c.list) { // by a few: most keys soon have all that they ever will
		c.list = append(make([]Cell, 0, len(c.list)+4), c.list...)
	}
	i, _ := c.rank(slot)
	c.list = slices.Insert(c.list, i, cell)
	c.slots.add(slot)
}

const noTime = math.MaxInt64

// maxRecent is the most event ids that a profile remembers to know duplicates
// by. An eighth of them makes room at once.
const maxRecent = 512

type recentID struct {
	hash   uint64
	millis int64
}

func (r recentID) before(other recentID) bool {
	return r.millis < other.millis || r.millis == other.millis && r.hash < other.hash
}

// NewProfile returns an empty profile.
func (l *Layout) NewProfile() *Profile {
	return &Profile{layout: l, cells: cells{slots: make(slotSet, (len(l.features)+63)/64)}}
}

// Clock returns the latest event time folded, or the zero time if there was
// none.
func (p *Profile) Clock() time.Time {
	if p.events == 0 {
		return time.Time{}
	}
	return time.UnixMilli(p.clock).UTC()
}

// First returns the earliest event time folded, or the zero time if there was
// none.
func (p *Profile) First() time.Time {
	if p.events == 0 {
		return time.Time{}
	}
	return time.UnixMilli(p.first).UTC()
}

// Fold takes an event into memory, unless it is a duplicate or late. The
// profile keeps no reference to the event beyond the next call of Fold.
//
// Duplicates are known by the last 448 event ids at least, and 512 at most,
// within the allowed lateness.
func (p *Profile) Fold(e *event.Event) Outcome {
	if p.scratch == nil {
		p.scratch = new(Scratch)
	}
	e = p.scratch.own(e)
	p.scratch.Clear() // the event may be another one in the same place
	outcome := p.FoldIn(p.scratch, e)
	if failed := p.scratch.Panicked(); failed != nil {
		panic(failed)
	}
	return outcome
}

// FoldIn is Fold with a scratch that other profiles use, too: a view is valid
// until Fold or View of any of them. An event may be folded into one profile
// after the other; it must not change before [Scratch.Clear].
//
// If a function of a feature panics, its cell may have taken the event in or
// not; the others have. Fold then panics with a [*PanicError], and after FoldIn
// [Scratch.Panicked] returns it.
func (p *Profile) FoldIn(scratch *Scratch, e *event.Event) Outcome {
	p.scratch = scratch
	scratch.folded, scratch.failed = nil, nil
	scratch.identify(e)
	millis := e.Time.UnixMilli()
	id := recentID{scratch.idHash, millis}
	if p.isRecent(id.hash) {
		return Duplicate
	}
	if p.events > 0 && millis < p.clock-p.layout.lateness.Milliseconds() {
		return Late
	}
	if p.events == 0 {
		p.clock, p.first = millis, millis
	}
	p.clock, p.first = max(p.clock, millis), min(p.first, millis)
	p.days.add(int64(dayOf(e.Time)))
	p.remember(id)
	for i := range p.joined {
		p.joined[i].first = min(p.joined[i].first, millis)
	}
	p.events++

	scratch.begin(len(p.layout.features))
	scratch.profile, scratch.folded = p, e
	slots := p.layout.index.Lookup(e)
	if len(slots) == 0 {
		return Evaluated
	}
	e = scratch.memo.Hold(e)
	for i := 0; i < len(slots); {
		i = p.foldFrom(i, slots, scratch, e)
	}
	return Evaluated
}

// foldFrom lets features fold an event, from one of them on up to one that
// panics, and returns which is to follow.
func (p *Profile) foldFrom(at int, slots []int, scratch *Scratch, e *event.Event) (next int) {
	defer func() {
		if v := recover(); v != nil {
			next = at + 1
			if scratch.failed == nil {
				scratch.failed = &PanicError{Feature: p.layout.features[slots[at]].ID(), Value: v, Stack: debug.Stack()}
			}
		}
	}()
	now := time.UnixMilli(p.clock).UTC()
	for ; at < len(slots); at++ {
		i := slots[at]
		n := &scratch.notes[i]
		*n = note{serial: scratch.serial}
		if note := p.layout.noters[i]; note != nil && !note(e, n, scratch) {
			continue
		}
		switch c := p.open(i).(type) {
		case *firstSeenCell: // as any taker, but faster told
			c.take(n, scratch, e)
		case *distinctCell:
			c.take(n, scratch, e)
		case taker:
			c.take(n, scratch, e)
		case ValueFolder:
			values := scratch.noted(n)
			if len(values) == 0 { // a feature without WhereValue
				c.Fold(e, now)
				continue
			}
			for _, v := range values {
				c.FoldValue(v.text, v.hash, e, now)
			}
		default:
			c.Fold(e, now)
		}
	}
	return at
}

// A PanicError says that a function of a feature panicked on an event.
type PanicError struct {
	Feature string // its ID
	Value   any    // what it panicked with
	Stack   []byte // the goroutine's stack at that point
}

// Error implements error.
func (e *PanicError) Error() string {
	return fmt.Sprintf("baseline: feature %q panicked: %v", e.Feature, e.Value)
}

// remember keeps the latest ids, by time.
func (p *Profile) remember(r recentID) {
	if len(p.recent) == cap(p.recent) || len(p.recent) == maxRecent {
		p.forget() // rather than grow
	}
	if len(p.recent) == maxRecent {
		p.recent = slices.Delete(p.recent, 0, maxRecent/8)
		p.filterRecent()
	}
	p.recent = append(p.recent, r)
	for i := len(p.recent) - 1; i > 0 && r.before(p.recent[i-1]); i-- {
		p.recent[i-1], p.recent[i] = r, p.recent[i-1]
	}
	switch {
	case p.filter != nil:
		p.filter.add(r.hash)
	case len(p.recent) > fewRecent:
		p.filterRecent()
	}
}

func (p *Profile) isRecent(hash uint64) bool {
	if p.filter != nil && !p.filter.mayHave(hash) {
		return false
	}
	for i := range p.recent {
		if p.recent[i].hash == hash {
			return true
		}
	}
	return false
}

// filterRecent makes the filter anew, if there are so many ids that it pays.
func (p *Profile) filterRecent() {
	if len(p.recent) <= fewRecent {
		p.filter = nil
		return
	}
	if p.filter == nil {
		p.filter = new(idFilter)
	}
	*p.filter = idFilter{}
	for i := range p.recent {
		p.filter.add(p.recent[i].hash)
	}
}

// fewRecent ids are looked through as fast as a filter tells of one that it is
// not among them.
const fewRecent = 32

// An idFilter tells of most ids that they are not among those added: each adds
// two of its 4,096 bits, which another one of a full profile has by chance one
// time in twenty.
type idFilter [8 * maxRecent / 64]uint64

func (f *idFilter) add(hash uint64) {
	f.addBit(hash)
	f.addBit(hash >> 12)
}

func (f *idFilter) mayHave(hash uint64) bool { return f.has(hash) && f.has(hash>>12) }

func (f *idFilter) addBit(x uint64)   { f[x/64%uint64(len(f))] |= 1 << (x % 64) }
func (f *idFilter) has(x uint64) bool { return f[x/64%uint64(len(f))]>>(x%64)&1 != 0 }

// oldest is the earliest time of an event that would not be late.
func (p *Profile) oldest() time.Time { return time.UnixMilli(p.clock).Add(-p.layout.lateness) }

// forget drops the ids of events so old that a duplicate would be late.
func (p *Profile) forget() {
	oldest := p.clock - p.layout.lateness.Milliseconds()
	i := 0
	for i < len(p.recent) && p.recent[i].millis < oldest {
		i++
	}
	if i > 0 {
		p.recent = slices.Delete(p.recent, 0, i)
		p.filterRecent()
	}
}

// Remembers reports whether the profile knows by their ids all events of a time
// that it has folded. If so, one that it evaluates is none that it has seen
// before; if not, that is less certain.
func (p *Profile) Remembers(t time.Time) bool {
	millis := t.UnixMilli()
	if millis < p.clock-p.layout.lateness.Milliseconds() {
		return false
	}
	// Ids of events that are not late are forgotten only for want of room, and
	// then so many later ones are kept.
	const kept = maxRecent - maxRecent/8
	n := len(p.recent)
	return n < kept || p.recent[n-kept].millis < millis
}

// View returns the profile's view of an event that it has just folded, valid
// until the next call of Fold, View or AppendBinary. The view's event is a copy:
// see [event.Memo].
func (p *Profile) View(e *event.Event) *View {
	if p.scratch == nil {
		p.scratch = new(Scratch)
	}
	s := p.scratch
	if s.profile != p || s.folded != e {
		e = s.own(e)
		s.begin(len(p.layout.features))
		s.profile, s.folded = nil, nil
		s.memo.Drop()
	}
	s.view = View{Event: s.memo.Hold(e), profile: p, scratch: s}
	return &s.view
}

// Cell returns a feature's cell, for engines that keep state of their own in
// the record. It panics if the feature is not in the layout.
func (p *Profile) Cell(f Feature) Cell { return p.open(p.layout.slot(f)) }

// open returns a slot's cell, a new one if it has none.
func (p *Profile) open(slot int) Cell {
	c := p.cells.get(slot)
	if c == nil {
		c = p.layout.features[slot].NewCell()
		p.cells.put(slot, c)
	}
	return c
}

// cell returns a slot's cell to answer from.
func (p *Profile) cell(slot int) Cell {
	if c := p.cells.get(slot); c != nil {
		return c
	}
	return p.layout.empty[slot]
}

// since is when a feature began to learn. It begins at the time of the event in
// view if it has seen none yet, not even that one.
func (p *Profile) since(slot int, at time.Time) time.Time {
	first := p.first
	if j := p.joining(slot); j != nil {
		first = j.first
	}
	if first == noTime {
		return at
	}
	return time.UnixMilli(first).UTC()
}

func (p *Profile) age(slot int, at time.Time) Age {
	since := p.since(slot, at)
	settled := int64(settledDay(at))
	days := p.days.within(max(settled-30, int64(dayOf(since))), settled-1)
	age := Age{
		Since:  since,
		For:    max(0, at.Sub(since)),
		Days:   bits.OnesCount64(days),
		Events: p.events,
	}
	if j := p.joining(slot); j != nil {
		age.Events -= j.before
	}
	return age
}

// joining returns the age of a slot's feature if that is not the profile's, or nil.
func (p *Profile) joining(slot int) *joining {
	if len(p.joined) == 0 {
		return nil
	}
	i, found := slices.BinarySearchFunc(p.joined, slot, func(j joining, slot int) int { return cmp.Compare(j.slot, slot) })
	if !found {
		return nil
	}
	return &p.joined[i]
}

// The record format, version 2: magic, version and the form of the body, plain
// or deflated; the body; and a checksum of all that. The body has the profile's
// own fields, the recent ids; the ids of the features that have no bytes, known
// as long as the profile itself; and of the others, their ids, ages and cells.
// Numbers are varints unless said otherwise.
const (
	magic0, magic1 = 'c', 't'
	version        = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A writer is the room that records are put together in. It is used again, so
// that writing a record allocates nothing but the record.
type writer struct{ body, empty, full, cell []byte }

var writers = sync.Pool{New: func() any { return new(writer) }}

// AppendBinary appends the profile's record to b: at most the layout's
// MaxBytes. It fails only if a cell breaks its contract.
func (p *Profile) AppendBinary(b []byte) ([]byte, error) {
	w := writers.Get().(*writer)
	defer writers.Put(w)
	if err := p.write(w); err != nil {
		return b, err
	}
	start := len(b)
	b = slices.Grow(b, 3+1+len(w.body)+4)
	record, err := appendBody(append(b, magic0, magic1, version), w.body)
	if err != nil {
		return b, err
	}
	return binary.BigEndian.AppendUint32(record, crc32.Checksum(record[start:], castagnoli)), nil
}

// write makes w.body the body of the profile's record.
func (p *Profile) write(w *writer) error {
	p.forget()
	b := binary.AppendVarint(w.body[:0], p.clock)
	b = binary.AppendUvarint(b, uint64(p.clock-p.first))
	b = binary.AppendUvarint(b, uint64(p.events))
	b = binary.AppendUvarint(b, p.days.bits)
	b = binary.AppendUvarint(b, uint64(len(p.recent)))
	before := p.clock - p.layout.lateness.Milliseconds()
	for _, r := range p.recent {
		b = append(b, byte(r.hash>>32), byte(r.hash>>24), byte(r.hash>>16), byte(r.hash>>8), byte(r.hash))
		b = binary.AppendVarint(b, r.millis-before)
		before = r.millis
	}
	empties, fulls, err := p.writeCells(w)
	if err != nil {
		return err
	}
	b = append(binary.AppendUvarint(b, empties), w.empty...)
	w.body = append(binary.AppendUvarint(b, fulls), w.full...)
	return nil
}

// writeCells makes w.empty the ids of the features that have no bytes, and
// w.full the others with their ages and cells. It returns how many they are.
func (p *Profile) writeCells(w *writer) (empties, fulls uint64, err error) {
	w.empty, w.full = w.empty[:0], w.full[:0]
	oldest := p.oldest()
	cells := p.cells.list
	for slot, id := range p.layout.ids {
		w.cell = w.cell[:0]
		if p.cells.slots.has(slot) {
			if err := w.write(cells[0], p.layout.features[slot], oldest); err != nil {
				return 0, 0, err
			}
			cells = cells[1:]
		}
		j := p.joining(slot)
		if len(w.cell) == 0 && j == nil {
			w.empty = id.appendTo(w.empty)
			empties++
			continue
		}
		fulls++
		w.full = id.appendTo(w.full)
		switch {
		case j == nil:
			w.full = append(w.full, 0)
		case j.first == noTime:
			w.full = append(w.full, 1)
		default:
			w.full = binary.AppendUvarint(w.full, 2+uint64(j.first-p.first))
			w.full = binary.AppendUvarint(w.full, uint64(j.before))
		}
		w.full = binary.AppendUvarint(w.full, uint64(len(w.cell)))
		w.full = append(w.full, w.cell...)
	}
	return empties, fulls, nil
}

// write makes w.cell the bytes of a feature's cell, once that has let go of
// what no event can ask for any more.
func (w *writer) write(c Cell, f Feature, oldest time.Time) (err error) {
	if c, ok := c.(interface{ forget(before time.Time) }); ok {
		c.forget(oldest)
	}
	if w.cell, err = c.AppendBinary(w.cell); err != nil {
		return fmt.Errorf("baseline: feature %q: %w", f.ID(), err)
	}
	if limit := f.MaxBytes(); len(w.cell) > limit {
		return fmt.Errorf("%w: %q encoded to %d bytes, over its MaxBytes of %d", ErrFeature, f.ID(), len(w.cell), limit)
	}
	return nil
}

// Decode restores a profile from its record; no bytes at all are an empty
// profile. Features of the layout that the record does not have start cold,
// and what the record has of other features is dropped. Bytes that are not a
// record are refused with [ErrCorrupt] or [ErrVersion]. The profile keeps no
// reference to the bytes.
func (l *Layout) Decode(record []byte) (*Profile, error) {
	p := l.NewProfile()
	if len(record) == 0 {
		return p, nil
	}
	if len(record) < 3+4 || record[0] != magic0 || record[1] != magic1 {
		return nil, fmt.Errorf("%w: not a profile record", ErrCorrupt)
	}
	if record[2] != version {
		return nil, fmt.Errorf("%w: %d; this code reads version %d", ErrVersion, record[2], version)
	}
	body, sum := record[:len(record)-4], binary.BigEndian.Uint32(record[len(record)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("%w: checksum differs", ErrCorrupt)
	}
	body, err := openBody(body[3:], max(l.maxBytes, maxBody))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err := p.decode(wire.NewReader(body)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return p, nil
}

const maxMillis = maxDay * 24 * 60 * 60 * 1000

func (p *Profile) decode(r *wire.Reader) error {
	p.clock = r.Varint()
	if p.clock < 0 || p.clock > maxMillis {
		return wire.ErrMalformed
	}
	p.first = p.clock - int64(r.Uvarint(uint64(p.clock)))
	p.events = int64(r.Uvarint(math.MaxInt64 / 2)) // there are more to come
	p.days = trace{last: int64(dayOf(time.UnixMilli(p.clock))), bits: r.Uvarint(math.MaxUint64)}
	p.recent = make([]recentID, r.Count(maxRecent, recentBytes+1))
	before := p.clock - p.layout.lateness.Milliseconds()
	for i := range p.recent {
		h := r.Fixed(recentBytes)
		if h == nil {
			return wire.ErrMalformed
		}
		ahead := r.Varint()
		millis := before + ahead
		if ahead < 0 && i > 0 || ahead > maxMillis || millis > p.clock {
			return wire.ErrMalformed
		}
		hash := uint64(h[0])<<32 | uint64(binary.BigEndian.Uint32(h[1:]))
		p.recent[i] = recentID{hash, millis}
		before = millis
	}
	p.filterRecent()
	return p.decodeCells(r)
}

// decodeCells reads the lists of features. What neither names has joined since.
func (p *Profile) decodeCells(r *wire.Reader) error {
	room := readers.Get().(*reader)
	defer readers.Put(room)
	var few [4]uint64 // enough for most layouts
	known := slotSet(append(few[:0], p.cells.slots...))
	slot := -1
	for range r.Count(math.MaxUint16, idBytes) {
		i := p.layout.find(readID(r), slot+1)
		if r.Err() != nil {
			return r.Err()
		}
		if i < 0 {
			continue
		}
		if slot = i; !known.add(slot) {
			return wire.ErrMalformed
		}
	}
	slot = -1
	n := r.Count(math.MaxUint16, idBytes+2)
	p.cells.list = make([]Cell, 0, min(n, len(p.layout.features))+1) // events soon need another
	for range n {
		id, age := readID(r), r.Uvarint(2+maxMillis)
		j := joining{first: noTime, before: p.events}
		if age > 1 {
			j.first, j.before = p.first+int64(age-2), int64(r.Uvarint(uint64(p.events)))
		}
		data := r.Bytes(math.MaxInt32)
		if r.Err() != nil {
			return r.Err()
		}
		i := p.layout.find(id, slot+1)
		if i < 0 {
			continue
		}
		if slot = i; !known.add(slot) {
			return wire.ErrMalformed
		}
		if len(data) > 0 {
			f := p.layout.features[slot]
			c, err := room.read(f, data)
			if err != nil {
				return fmt.Errorf("feature %q: %w", f.ID(), err)
			}
			p.cells.put(slot, c)
		}
		if age > 0 {
			j.slot = slot
			p.joined = append(p.joined, j)
		}
	}
	if p.events == 0 && p.joined != nil {
		return wire.ErrMalformed
	}
	for slot := range p.layout.features {
		if p.events > 0 && !known.has(slot) {
			p.joined = append(p.joined, joining{slot: slot, first: noTime, before: p.events})
		}
	}
	slices.SortFunc(p.joined, func(a, b joining) int { return cmp.Compare(a.slot, b.slot) })
	return r.Close()
}
