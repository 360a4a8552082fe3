package event

import "sync/atomic"

// A Derived is a text that follows from an event. Of an event that a [Memo]
// holds it is worked out once, however often it is asked for.
type Derived struct {
	number int
	of     func(*Event) string
}

var deriveds atomic.Int64

// Derive returns a Derived that of works out. It is meant for package
// variables: each call takes room in every Memo.
func Derive(of func(*Event) string) *Derived {
	return &Derived{number: int(deriveds.Add(1)) - 1, of: of}
}

// Of returns the text for an event.
func (d *Derived) Of(e *Event) string {
	m := e.memo
	if m == nil || e != &m.event { // or a copy of what a memo held
		return d.of(e)
	}
	if d.number >= len(m.texts) {
		m.texts = append(m.texts, make([]memoText, d.number+1-len(m.texts))...)
	}
	if m.texts[d.number].serial != m.serial {
		text := d.of(e)
		m.texts[d.number] = memoText{m.serial, text}
	}
	return m.texts[d.number].text
}

// A Memo holds one event at a time for a goroutine that asks much about it. The
// zero value holds none.
type Memo struct {
	source *Event
	event  Event
	serial uint64
	texts  []memoText
}

type memoText struct {
	serial uint64
	text   string
}

// Hold returns a copy of the event that remembers what is derived from it. It
// is valid until the next call of Hold or Drop, and of no use to other
// goroutines; its [Event.Clone] is an event like any other. The event itself
// must not change as long as it is held.
func (m *Memo) Hold(e *Event) *Event {
	if e == m.source {
		return &m.event
	}
	m.serial++
	m.source = e
	m.event = *e
	m.event.memo = m
	return &m.event
}

// Drop lets go of the event.
func (m *Memo) Drop() {
	if m.source == nil {
		return
	}
	m.source, m.event = nil, Event{}
	clear(m.texts)
}

var (
	bucket    = Derive(func(e *Event) string { return e.Request.At("bucketName").Text() })
	bytesOut  = Derive(func(e *Event) string { return string(e.Additional.At("bytesTransferredOut")) })
	objectKey = Derive(func(e *Event) string { return e.Request.At("key").Text() })
)
