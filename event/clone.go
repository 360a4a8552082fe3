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
// line, if it has one, becomes access. The copy is put together on the stack,
// because what is written into other memory while the garbage collector runs is
// reported to it, string by string.
func (e *Event) copyTo(c *Event, text string, access *AccessLogLine) {
	d := *e
	d.Text, d.memo = text, nil
	m := mover{from: e.Text, to: text, decoded: e.decoded}
	d.ID, d.SharedID, d.RequestID = m.string(d.ID), m.string(d.SharedID), m.string(d.RequestID)
	d.Type, d.Version, d.Source = m.string(d.Type), m.string(d.Version), m.string(d.Source)
	d.Name, d.Operation, d.ErrorCode = m.string(d.Name), m.string(d.Operation), m.string(d.ErrorCode)
	d.ErrorMessage, d.Region, d.AccountID = m.string(d.ErrorMessage), m.string(d.Region), m.string(d.AccountID)
	d.SourceAddress, d.VPCEndpointID, d.VPCEndpointAccountID = m.string(d.SourceAddress), m.string(d.VPCEndpointID), m.string(d.VPCEndpointAccountID)
	d.UserAgent = m.string(d.UserAgent)
	d.Category, d.Tool = Category(m.string(string(d.Category))), Tool(m.string(string(d.Tool)))
	d.Request, d.Response, d.Additional = m.raw(d.Request), m.raw(d.Response), m.raw(d.Additional)
	d.ServiceDetails, d.ResourceList = m.raw(d.ServiceDetails), m.raw(d.ResourceList)
	p := &d.Principal
	p.Key, p.Name = m.string(p.Key), m.string(p.Name)
	p.AccountID, p.Session = m.string(p.AccountID), m.string(p.Session)
	id := &d.Identity
	id.Type, id.PrincipalID, id.ARN = m.string(id.Type), m.string(id.PrincipalID), m.string(id.ARN)
	id.AccountID, id.AccessKeyID, id.UserName = m.string(id.AccountID), m.string(id.AccessKeyID), m.string(id.UserName)
	id.InvokedBy, id.IdentityProvider, id.IssuerType = m.string(id.InvokedBy), m.string(id.IdentityProvider), m.string(id.IssuerType)
	id.IssuerARN, id.IssuerPrincipalID, id.IssuerAccountID = m.string(id.IssuerARN), m.string(id.IssuerPrincipalID), m.string(id.IssuerAccountID)
	id.IssuerUserName, id.SourceIdentity, id.EC2RoleDelivery = m.string(id.IssuerUserName), m.string(id.SourceIdentity), m.string(id.EC2RoleDelivery)
	id.FederatedProvider, id.OnBehalfOfUserID, id.IdentityStoreARN = m.string(id.FederatedProvider), m.string(id.OnBehalfOfUserID), m.string(id.IdentityStoreARN)
	if e.Access != nil {
		a := *e.Access
		a.BucketOwner, a.Bucket, a.RemoteIP = m.string(a.BucketOwner), m.string(a.Bucket), m.string(a.RemoteIP)
		a.Requester, a.RequestID, a.Operation = m.string(a.Requester), m.string(a.RequestID), m.string(a.Operation)
		a.Key, a.RequestURI, a.ErrorCode = m.string(a.Key), m.string(a.RequestURI), m.string(a.ErrorCode)
		a.Referer, a.UserAgent, a.VersionID = m.string(a.Referer), m.string(a.UserAgent), m.string(a.VersionID)
		a.HostID, a.SignatureVersion, a.CipherSuite = m.string(a.HostID), m.string(a.SignatureVersion), m.string(a.CipherSuite)
		a.AuthType, a.HostHeader, a.TLSVersion = m.string(a.AuthType), m.string(a.HostHeader), m.string(a.TLSVersion)
		a.AccessPointARN, a.SourceRegion, a.Extra = m.string(a.AccessPointARN), m.string(a.SourceRegion), m.string(a.Extra)
		*access = a
		d.Access = access
	}
	*c = d
}

// A mover moves the strings of an event that is copied from one copy of its
// text to another.
type mover struct {
	from, to string
	decoded  bool // what is not in the text is in no larger one either
}

// string returns a string that is independent of the text that s is a part of.
func (m *mover) string(s string) string {
	if at, ok := partOf(m.from, s); ok {
		return m.to[at:][:len(s)]
	}
	if !m.decoded {
		return strings.Clone(s)
	}
	return s
}

func (m *mover) raw(r Raw) Raw { return Raw(m.string(string(r))) }

// partOf returns where in a text a string lies whose bytes are those of the
// text itself, not equal ones elsewhere. It only compares addresses; searching
// the text for the string takes many times as long (BenchmarkClone).
func partOf(text, s string) (int, bool) {
	at := uintptr(unsafe.Pointer(unsafe.StringData(s))) - uintptr(unsafe.Pointer(unsafe.StringData(text)))
	return int(at), at < uintptr(len(text)) && len(s) <= len(text)-int(at)
}
