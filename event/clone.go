package event

import "strings"

// Clone returns a copy of the event that shares no memory with the text it was
// decoded from, nor with the event that [Read] reuses. It keeps one copy of
// the record's text, and what the fields need beside it.
func (e *Event) Clone() *Event {
	c := *e
	c.memo = nil
	c.Text = strings.Clone(e.Text)
	t := textOwner(c.Text)
	for _, s := range [...]*string{
		&c.ID, &c.SharedID, &c.RequestID, (*string)(&c.Category), &c.Type, &c.Version,
		&c.Source, &c.Name, &c.Operation, &c.ErrorCode, &c.ErrorMessage,
		&c.Region, &c.AccountID, &c.SourceAddress, &c.VPCEndpointID, &c.VPCEndpointAccountID, &c.UserAgent, (*string)(&c.Tool),
		&c.Principal.Key, &c.Principal.Name, &c.Principal.AccountID, &c.Principal.Session,
		(*string)(&c.Request), (*string)(&c.Response), (*string)(&c.Additional),
		(*string)(&c.ServiceDetails), (*string)(&c.ResourceList),
	} {
		t.own(s)
	}
	c.Identity.own(t)
	if e.Access != nil {
		a := *e.Access
		a.own(t)
		c.Access = &a
	}
	return &c
}

func (id *Identity) own(t textOwner) {
	for _, s := range [...]*string{
		&id.Type, &id.PrincipalID, &id.ARN, &id.AccountID, &id.AccessKeyID, &id.UserName, &id.InvokedBy,
		&id.IdentityProvider, &id.IssuerType, &id.IssuerARN, &id.IssuerPrincipalID, &id.IssuerAccountID,
		&id.IssuerUserName, &id.SourceIdentity, &id.EC2RoleDelivery, &id.FederatedProvider,
		&id.OnBehalfOfUserID, &id.IdentityStoreARN,
	} {
		t.own(s)
	}
}

func (a *AccessLogLine) own(t textOwner) {
	for _, s := range [...]*string{
		&a.BucketOwner, &a.Bucket, &a.RemoteIP, &a.Requester, &a.RequestID, &a.Operation, &a.Key, &a.RequestURI, &a.ErrorCode,
		&a.Referer, &a.UserAgent, &a.VersionID, &a.HostID, &a.SignatureVersion, &a.CipherSuite, &a.AuthType,
		&a.HostHeader, &a.TLSVersion, &a.AccessPointARN, &a.SourceRegion, &a.Extra,
	} {
		t.own(s)
	}
}

// A textOwner is the text that a cloned event's strings may point into.
type textOwner string

// own replaces a string by an equal one that lies in the text, or by a copy.
func (t textOwner) own(s *string) {
	if i := strings.Index(string(t), *s); i >= 0 {
		*s = string(t[i : i+len(*s)])
		return
	}
	*s = strings.Clone(*s)
}
