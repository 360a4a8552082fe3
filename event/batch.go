package event

// A Batch holds copies of events in memory that it uses again, so that in the
// long run a copy costs no allocation. The copies and all their strings are
// valid until Reset. The zero Batch is empty and ready to use. It belongs to one
// goroutine at a time; its events may be read by any number.
//
//	for e, err := range event.Read(r, &event.ReadOptions{Reuse: true}) {
//		…
//		batch.Add(e)
//	}
//	… batch.Events() …
//	batch.Reset()
type Batch struct {
	events []*Event
	slabs  []*[eventSlab]Event
	texts  [][]byte // the texts of the events lie here
	text   int      // which of them is being filled
}

const (
	eventSlab = 32       // events
	textSlab  = 48 << 10 // bytes
)

// Add puts a copy of the event at the end of the batch, and returns it.
func (b *Batch) Add(e *Event) *Event {
	n := len(b.events)
	if n == len(b.slabs)*eventSlab {
		b.slabs = append(b.slabs, new([eventSlab]Event))
	}
	c := &b.slabs[n/eventSlab][n%eventSlab]
	access := c.Access // of the event that was here
	if e.Access != nil && access == nil {
		access = new(AccessLogLine)
	}
	e.copyTo(c, stringIn(b.room(len(e.Text)), e.Text), access)
	b.events = append(b.events, c)
	return c
}

// room returns memory for a text.
func (b *Batch) room(n int) []byte {
	for ; b.text < len(b.texts); b.text++ {
		if t := b.texts[b.text]; cap(t)-len(t) >= n {
			break
		}
	}
	if b.text == len(b.texts) {
		b.texts = append(b.texts, make([]byte, 0, max(n, textSlab)))
	}
	t := &b.texts[b.text]
	start := len(*t)
	*t = (*t)[:start+n]
	return (*t)[start:]
}

// Events returns the copies in the order in which they were added. The slice
// is the batch's own, and may be sorted.
func (b *Batch) Events() []*Event { return b.events }

// Reset empties the batch. It keeps the memory for the next events, unless
// there was a record among these that needed uncommonly much.
func (b *Batch) Reset() {
	for i := range b.texts {
		if cap(b.texts[i]) > textSlab {
			*b = Batch{}
			return
		}
		b.texts[i] = b.texts[i][:0]
	}
	b.events, b.text = b.events[:0], 0
}
