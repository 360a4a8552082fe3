package event

import (
	"strings"
	"unsafe"
)

// Clone returns a copy of the event that shares no memory with the text it was
// decoded from, nor with the event that [Read] reuses. It keeps one copy of
// the record's text, and what the fields need beside it.
func (e *Event) Clone() *Event {
	c := *e
	c.memo = nil
	c.Text = strings.Clone(e.Text)
	o := owner{from: e.Text, to: c.Text, decoded: e.decoded}
	o.own(
		&c.ID, &c.SharedID, &c.RequestID, (*string)(&c.Category), &c.Type, &c.Version,
		&c.Source, &c.Name, &c.Operation, &c.ErrorCode, &c.ErrorMessage,
		&c.Region, &c.AccountID, &c.SourceAddress, &c.VPCEndpointID, &c.VPCEndpointAccountID, &c.UserAgent, (*string)(&c.Tool),
		&c.Principal.Key, &c.Principal.Name, &c.Principal.AccountID, &c.Principal.Session,
		(*string)(&c.Request), (*string)(&c.Response), (*string)(&c.Additional),
		(*string)(&c.ServiceDetails), (*string)(&c.ResourceList),
	)
	identity := c.Identity.strings()
	o.own(identity[:]...)
	if e.Access != nil {
		a := *e.Access
		o.own(
			&a.BucketOwner, &a.Bucket, &a.RemoteIP, &a.Requester, &a.RequestID, &a.Operation, &a.Key, &a.RequestURI, &a.ErrorCode,
			&a.Referer, &a.UserAgent, &a.VersionID, &a.HostID, &a.SignatureVersion, &a.CipherSuite, &a.AuthType,
			&a.HostHeader, &a.TLSVersion, &a.AccessPointARN, &a.SourceRegion, &a.Extra,
		)
		c.Access = &a
	}
	return &c
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
