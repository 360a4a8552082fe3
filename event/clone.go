package event

import (
	"strings"
	"unsafe"
)

// Clone returns a copy of the event that shares no memory with the text it was
// decoded from, nor with the event that [Read] reuses. It keeps one copy of
// the record's text, and what the fields need beside it. Records up to 3 KB
// cost one allocation. For many copies that are all of use for a while only,
// a [Batch] costs none.
func (e *Event) Clone() *Event {
	c, text := newEvent(e.Text)
	var access *AccessLogLine
	if e.Access != nil {
		access = new(AccessLogLine)
	}
	e.copyTo(c, text, access)
	return c
}

// newEvent returns an event and a copy of a text. They share an allocation, of
// one of the sizes in which the runtime allocates, unless the text is too large.
func newEvent(text string) (*Event, string) {
	const used = int(unsafe.Sizeof(Event{})) + 8 // the runtime says in 8 bytes where pointers are
	switch n := len(text); {
	case n <= 1408-used:
		b := new(struct {
			Event
			text [1408 - used]byte
		})
		return &b.Event, stringIn(b.text[:], text)
	case n <= 1792-used:
		b := new(struct {
			Event
			text [1792 - used]byte
		})
		return &b.Event, stringIn(b.text[:], text)
	case n <= 2304-used:
		b := new(struct {
			Event
			text [2304 - used]byte
		})
		return &b.Event, stringIn(b.text[:], text)
	case n <= 3072-used:
		b := new(struct {
			Event
			text [3072 - used]byte
		})
		return &b.Event, stringIn(b.text[:], text)
	case n <= 4096-used:
		b := new(struct {
			Event
			text [4096 - used]byte
		})
		return &b.Event, stringIn(b.text[:], text)
	}
	return new(Event), strings.Clone(text)
}

// stringIn copies a string into memory, and returns the copy. The memory must
// not change as long as the copy is in use.
func stringIn(memory []byte, s string) string {
	copy(memory, s)
	return unsafe.String(unsafe.SliceData(memory), len(s))
}

// copyTo makes c a copy of the event with a text of its own. Its access log
// line, if it has one, becomes access.
func (e *Event) copyTo(c *Event, text string, access *AccessLogLine) {
	d := *e // not in c at once: the garbage collector watches what is written there
	d.Text = text
	o := owner{from: e.Text, to: text, decoded: e.decoded}
	o.own(
		&d.ID, &d.SharedID, &d.RequestID, (*string)(&d.Category), &d.Type, &d.Version,
		&d.Source, &d.Name, &d.Operation, &d.ErrorCode, &d.ErrorMessage,
		&d.Region, &d.AccountID, &d.SourceAddress, &d.VPCEndpointID, &d.VPCEndpointAccountID, &d.UserAgent, (*string)(&d.Tool),
		&d.Principal.Key, &d.Principal.Name, &d.Principal.AccountID, &d.Principal.Session,
		(*string)(&d.Request), (*string)(&d.Response), (*string)(&d.Additional),
		(*string)(&d.ServiceDetails), (*string)(&d.ResourceList),
	)
	identity := d.Identity.strings()
	o.own(identity[:]...)
	if e.Access != nil {
		a := *e.Access
		o.own(
			&a.BucketOwner, &a.Bucket, &a.RemoteIP, &a.Requester, &a.RequestID, &a.Operation, &a.Key, &a.RequestURI, &a.ErrorCode,
			&a.Referer, &a.UserAgent, &a.VersionID, &a.HostID, &a.SignatureVersion, &a.CipherSuite, &a.AuthType,
			&a.HostHeader, &a.TLSVersion, &a.AccessPointARN, &a.SourceRegion, &a.Extra,
		)
		*access = a
		d.Access = access
	}
	*c = d
}

// An owner moves the strings of an event that is copied from one copy of its
// text to another.
type owner struct {
	from, to string
	decoded  bool // what is not in the text is in no larger one either
}

// own makes strings independent of the text that they are parts of.
func (o *owner) own(fields ...*string) {
	for _, s := range fields {
		if at, ok := partOf(o.from, *s); ok {
			*s = o.to[at:][:len(*s)]
		} else if !o.decoded {
			*s = strings.Clone(*s)
		}
	}
}

// partOf returns where in a text a string lies whose bytes are those of the
// text itself, not equal ones elsewhere. It only compares addresses; searching
// the text for the string takes many times as long (BenchmarkClone).
func partOf(text, s string) (int, bool) {
	at := uintptr(unsafe.Pointer(unsafe.StringData(s))) - uintptr(unsafe.Pointer(unsafe.StringData(text)))
	return int(at), at < uintptr(len(text)) && len(s) <= len(text)-int(at)
}
