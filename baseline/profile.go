package baseline

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"
	"slices"
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
	layout *Layout
	clock  int64 // latest event time, Unix milliseconds
	first  int64 // earliest event time
	events int64
	days   trace // days with events
	recent []recentID
	slots  []slot
	seen   View
	views  uint64
}

// A slot holds one feature's cell, nil until an event concerns it.
type slot struct {
	cell Cell
	// A feature that came into use after the profile's first event has an age
	// of its own: the time of its first event, and the number of events that
	// came before it. first is noTime until then.
	joined bool
	first  int64
	before int64
}

const noTime = math.MaxInt64

// maxRecent is the number of event ids that a profile remembers to know
// duplicates by.
const maxRecent = 512

type recentID struct {
	hash   uint64
	millis int64
}

// NewProfile returns an empty profile.
func (l *Layout) NewProfile() *Profile {
	return &Profile{layout: l, slots: make([]slot, len(l.features))}
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
// Duplicates are known by the last 512 event ids within the allowed lateness.
func (p *Profile) Fold(e *event.Event) Outcome {
	id, millis := hashID(e.ID), e.Time.UnixMilli()
	for i := range p.recent {
		if p.recent[i].hash == id {
			return Duplicate
		}
	}
	if p.events > 0 && millis < p.clock-p.layout.lateness.Milliseconds() {
		return Late
	}
	if p.events == 0 {
		p.clock, p.first = millis, millis
	}
	p.clock, p.first = max(p.clock, millis), min(p.first, millis)
	p.days.add(int64(dayOf(e.Time)))
	p.remember(recentID{id, millis})
	for i := range p.slots {
		if s := &p.slots[i]; s.joined && millis < s.first {
			if s.first == noTime {
				s.before = p.events
			}
			s.first = millis
		}
	}
	p.events++

	now := time.UnixMilli(p.clock).UTC()
	for _, i := range p.layout.index.Lookup(e) {
		s := &p.slots[i]
		if s.cell == nil {
			s.cell = p.layout.features[i].NewCell()
		}
		s.cell.Fold(e, now)
	}
	return Evaluated
}

// remember keeps the latest ids, by time.
func (p *Profile) remember(r recentID) {
	if len(p.recent) == maxRecent {
		p.forget()
	}
	if len(p.recent) == maxRecent {
		p.recent = slices.Delete(p.recent, 0, maxRecent/8)
	}
	i := len(p.recent)
	for i > 0 && (p.recent[i-1].millis > r.millis || p.recent[i-1].millis == r.millis && p.recent[i-1].hash > r.hash) {
		i--
	}
	p.recent = slices.Insert(p.recent, i, r)
}

// forget drops the ids of events so old that a duplicate would be late.
func (p *Profile) forget() {
	oldest := p.clock - p.layout.lateness.Milliseconds()
	i := 0
	for i < len(p.recent) && p.recent[i].millis < oldest {
		i++
	}
	p.recent = slices.Delete(p.recent, 0, i)
}

// View returns the profile's view of an event that it has just folded, valid
// until the next call of Fold or View.
func (p *Profile) View(e *event.Event) *View {
	p.views++
	p.seen = View{Event: e, profile: p, serial: p.views}
	return &p.seen
}

// Cell returns a feature's cell, for engines that keep state of their own in
// the record. It panics if the feature is not in the layout.
func (p *Profile) Cell(f Feature) Cell {
	s := &p.slots[p.layout.slot(f)]
	if s.cell == nil {
		s.cell = f.NewCell()
	}
	return s.cell
}

func (p *Profile) cell(slot int) Cell {
	if c := p.slots[slot].cell; c != nil {
		return c
	}
	return p.layout.empty[slot]
}

func (p *Profile) since(slot int) time.Time {
	if s := &p.slots[slot]; s.joined {
		return time.UnixMilli(s.first).UTC()
	}
	return time.UnixMilli(p.first).UTC()
}

func (p *Profile) age(slot int, at time.Time) Age {
	since := p.since(slot)
	settled := int64(settledDay(at))
	days := p.days.within(max(settled-30, int64(dayOf(since))), settled-1)
	return Age{
		Since:  since,
		For:    max(0, at.Sub(since)),
		Days:   bits.OnesCount64(days),
		Events: p.events - p.slots[slot].before,
	}
}

// The record format, version 1: magic and version, the profile's own fields,
// the recent ids, then each feature's id, age and cell, and a checksum of all
// that. Numbers are varints unless said otherwise.
const (
	magic0, magic1 = 'c', 't'
	version        = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendBinary appends the profile's record to b: at most the layout's
// MaxBytes. It fails only if a cell breaks its contract.
func (p *Profile) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	p.forget()
	b = append(b, magic0, magic1, version)
	b = binary.AppendVarint(b, p.clock)
	b = binary.AppendUvarint(b, uint64(p.clock-p.first))
	b = binary.AppendUvarint(b, uint64(p.events))
	b = binary.AppendUvarint(b, p.days.bits)
	b = binary.AppendUvarint(b, uint64(len(p.recent)))
	for _, r := range p.recent {
		b = binary.BigEndian.AppendUint64(b, r.hash)
		b = binary.AppendUvarint(b, uint64(p.clock-r.millis))
	}
	b = binary.AppendUvarint(b, uint64(len(p.slots)))
	oldest := time.UnixMilli(p.clock).Add(-p.layout.lateness)
	var cell []byte
	for i := range p.slots {
		s := &p.slots[i]
		b = binary.BigEndian.AppendUint32(b, p.layout.ids[i])
		switch {
		case !s.joined:
			b = append(b, 0)
		case s.first == noTime:
			b = append(b, 1)
		default:
			b = binary.AppendUvarint(b, 2+uint64(s.first-p.first))
			b = binary.AppendUvarint(b, uint64(s.before))
		}
		cell = cell[:0]
		if s.cell != nil {
			if f, ok := s.cell.(interface{ forget(before time.Time) }); ok {
				f.forget(oldest)
			}
			var err error
			cell, err = s.cell.AppendBinary(cell)
			if err != nil {
				return b[:start], fmt.Errorf("baseline: feature %q: %w", p.layout.features[i].ID(), err)
			}
			if limit := p.layout.features[i].MaxBytes(); len(cell) > limit {
				return b[:start], fmt.Errorf("%w: %q encoded to %d bytes, over its MaxBytes of %d",
					ErrFeature, p.layout.features[i].ID(), len(cell), limit)
			}
		}
		b = binary.AppendUvarint(b, uint64(len(cell)))
		b = append(b, cell...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli)), nil
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
	if err := p.decode(wire.NewReader(body[3:])); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return p, nil
}

func (p *Profile) decode(r *wire.Reader) error {
	const maxMillis = maxDay * 24 * 60 * 60 * 1000
	p.clock = r.Varint()
	if p.clock < 0 || p.clock > maxMillis {
		return wire.ErrMalformed
	}
	p.first = p.clock - int64(r.Uvarint(uint64(p.clock)))
	p.events = int64(r.Uvarint(math.MaxInt64))
	p.days = trace{last: int64(dayOf(time.UnixMilli(p.clock))), bits: r.Uvarint(math.MaxUint64)}
	p.recent = make([]recentID, r.Count(maxRecent, 9))
	for i := range p.recent {
		p.recent[i].hash = r.Uint64()
		p.recent[i].millis = p.clock - int64(r.Uvarint(uint64(p.clock)))
		if i > 0 && p.recent[i].millis < p.recent[i-1].millis {
			return wire.ErrMalformed
		}
	}
	for i := range p.slots {
		p.slots[i] = slot{joined: p.events > 0, first: noTime}
	}
	for range r.Count(math.MaxUint16, 6) {
		id := r.Uint32()
		var s slot
		if age := r.Uvarint(2 + maxMillis); age == 1 {
			s.joined, s.first = true, noTime
		} else if age > 1 {
			s.joined, s.first = true, p.first+int64(age-2)
			s.before = int64(r.Uvarint(uint64(p.events)))
		}
		data := r.Bytes(math.MaxInt32)
		i := slices.Index(p.layout.ids, id)
		if i < 0 {
			continue
		}
		if len(data) > 0 {
			s.cell = p.layout.features[i].NewCell()
			if err := s.cell.UnmarshalBinary(data); err != nil {
				return fmt.Errorf("feature %q: %w", p.layout.features[i].ID(), err)
			}
		}
		p.slots[i] = s
	}
	return r.Close()
}
