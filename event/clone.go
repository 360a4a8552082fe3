package event

import (
	"strings"
	"unsafe"
)

// Clone returns a copy of the event that shares no memory with the text it was
// decoded from, nor with the event that [Read] reuses. It keeps one copy of
// the record's text, and what the fields need beside it.
func (e *Event) Clone() *Event {
	c := new(Event)
	e.CloneTo(c)
	return c
}

// CloneTo makes c a copy of the event, as [Event.Clone] does. It is for code
// that has the memory for its events already, such as a batch of them.
func (e *Event) CloneTo(c *Event) {
	*c = *e
	c.Text = strings.Clone(e.Text)
	o := owner{from: e.Text, to: c.Text, decoded: e.decoded}
	for _, s := range [...]*string{
		&c.ID, &c.SharedID, &c.RequestID, (*string)(&c.Category), &c.Type, &c.Version,
		&c.Source, &c.Name, &c.Operation, &c.ErrorCode, &c.ErrorMessage,
		&c.Region, &c.AccountID, &c.SourceAddress, &c.VPCEndpointID, &c.VPCEndpointAccountID, &c.UserAgent, (*string)(&c.Tool),
		&c.Principal.Key, &c.Principal.Name, &c.Principal.AccountID, &c.Principal.Session,
		(*string)(&c.Request), (*string)(&c.Response), (*string)(&c.Additional),
		(*string)(&c.ServiceDetails), (*string)(&c.ResourceList),
	} {
		o.own(s)
	}
	for _, s := range c.Identity.strings() {
		o.own(s)
	}
	if e.Access != nil {
		a := *e.Access
		a.own(o)
		c.Access = &a
	}
}

func (a *AccessLogLine) own(o owner) {
	for _, s := range [...]*string{
		&a.BucketOwner, &a.Bucket, &a.RemoteIP, &a.Requester, &a.RequestID, &a.Operation, &a.Key, &a.RequestURI, &a.ErrorCode,
		&a.Referer, &a.UserAgent, &a.VersionID, &a.HostID, &a.SignatureVersion, &a.CipherSuite, &a.AuthType,
		&a.HostHeader, &a.TLSVersion, &a.AccessPointARN, &a.SourceRegion, &a.Extra,
	} {
		o.own(s)
	}
}

// An owner moves the strings of an event that is copied from one copy of its
// text to another.
type owner struct {
	from, to string
	decoded  bool // what is not in the text is in no larger one either
}

// own makes a string independent of the text that it is a part of.
func (o owner) own(s *string) {
	if at, ok := partOf(o.from, *s); ok {
		*s = o.to[at : at+len(*s)]
	} else if !o.decoded {
		*s = strings.Clone(*s)
	}
}

// partOf returns where in a text a string lies whose bytes are those of the
// text itself, not equal ones elsewhere. It only compares addresses; searching
// the text for the string takes many times as long (BenchmarkClone).
func partOf(text, s string) (int, bool) {
	at := uintptr(unsafe.Pointer(unsafe.StringData(s))) - uintptr(unsafe.Pointer(unsafe.StringData(text)))
	return int(at), at < uintptr(len(text)) && len(s) <= len(text)-int(at)
}
