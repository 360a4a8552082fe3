package baseline

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/baseline/internal/wire"
	"github.com/cloudtell/cloudtell/event"
)

// A Step is one step of a [Sequence]: it reports whether an event is that step.
type Step func(*event.Event) bool

// Sequence watches for 2 to 8 steps that happen in order within a window, from
// one minute to 30 days. Steps less than a granule of the window (see
// [Distinct]) apart count as in order either way.
func Sequence(name string, window time.Duration, steps ...Step) *Of[Progress] {
	if len(steps) < 2 || len(steps) > 8 {
		panic(fmt.Sprintf("baseline: sequence %q has %d steps; 2 to 8 are possible", name, len(steps)))
	}
	window = clamp(window, time.Minute, 30*Day)
	kind := &sequenceKind{newGrid(window), steps}
	return &Of[Progress]{
		serial:   nextSerial(),
		id:       fmt.Sprintf("sequence/1 %s window=%v steps=%d", name, window, len(steps)),
		maxBytes: len(steps) * maxStepBytes,
		newCell:  func() Cell { return &sequenceCell{sequenceKind: kind} },
		note:     kind.note,
		answer:   func(c Cell, v *View) Progress { return c.(*sequenceCell).answer(v) },
	}
}

// Progress says how far a sequence has come in the best window that contains
// the event.
type Progress struct {
	// Steps is the number of steps that happened in order, from the first on.
	Steps int
	// Done reports that all of them did.
	Done bool

	cell *sequenceCell
}

// EventIDs returns the ids of the latest event of each step that happened.
func (p Progress) EventIDs() []string {
	var ids []string
	for i := range p.Steps {
		if id := p.cell.traces[i].id.String(); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

type stepTrace struct {
	trace  trace
	millis int64 // of the latest event, named by id
	id     eventID
}

const maxStepBytes = 2*binary.MaxVarintLen64 + maxEventIDBytes

// sequenceKind is what the cells of a feature have in common.
type sequenceKind struct {
	grid  grid
	steps []Step
}

// note reports whether an event is any step.
func (k *sequenceKind) note(e *event.Event, _ *note, _ *Scratch) bool {
	return slices.ContainsFunc(k.steps, func(is Step) bool { return is(e) })
}

type sequenceCell struct {
	*sequenceKind
	traces []stepTrace // of all steps; nil until one has happened
}

func (c *sequenceCell) Fold(e *event.Event, now time.Time) { fold(c, c.note, e) }

func (c *sequenceCell) take(_ *note, s *Scratch, e *event.Event) {
	for i, is := range c.steps {
		if !is(e) {
			continue
		}
		if c.traces == nil {
			c.traces = make([]stepTrace, len(c.steps))
		}
		t, millis := &c.traces[i], e.Time.UnixMilli()
		fresh := t.trace.bits == 0
		t.trace.add(c.grid.of(e.Time))
		if fresh || millis > t.millis || millis == t.millis && t.id.less(s.id) {
			t.millis, t.id = millis, s.id
		}
	}
}

func (c *sequenceCell) answer(v *View) Progress {
	at := c.grid.of(v.Event.Time)
	newest := at
	for i := range c.traces {
		if t := &c.traces[i].trace; t.bits != 0 {
			newest = max(newest, t.last)
		}
	}
	p := Progress{cell: c}
	for high := at; high < at+c.grid.window && high <= newest; high++ {
		pos, n := high-c.grid.window+1, 0
		for i := range c.traces {
			next, ok := c.traces[i].trace.next(pos, high)
			if !ok {
				break
			}
			pos = next
			n++
		}
		p.Steps = max(p.Steps, n)
	}
	p.Done = p.Steps == len(c.steps)
	return p
}

func (c *sequenceCell) AppendBinary(b []byte) ([]byte, error) {
	if c.traces == nil {
		return append(b, make([]byte, len(c.steps))...), nil
	}
	for i := range c.traces {
		t := &c.traces[i]
		b = binary.AppendUvarint(b, t.trace.bits)
		if t.trace.bits != 0 {
			b = binary.AppendVarint(b, t.millis)
			b = t.id.appendTo(b)
		}
	}
	return b, nil
}

func (c *sequenceCell) UnmarshalBinary(data []byte) error {
	traces := make([]stepTrace, len(c.steps))
	r := wire.NewReader(data)
	for i := range traces {
		t := &traces[i]
		t.trace.bits = r.Uvarint(1<<64 - 1)
		if t.trace.bits == 0 {
			continue
		}
		t.millis = r.Varint()
		t.id = readEventID(r)
		t.trace.last = c.grid.of(time.UnixMilli(t.millis))
		if t.trace.bits&1 == 0 {
			return wire.ErrMalformed
		}
	}
	if err := r.Close(); err != nil {
		return err
	}
	c.traces = traces
	return nil
}
