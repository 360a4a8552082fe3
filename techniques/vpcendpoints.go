package techniques

import (
	"cmp"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// What the rules about network activity share: the calls that pass a VPC
// endpoint, whoever makes them. They are logged for the endpoint's owner, who
// sees callers of other accounts there, and calls that the endpoint's policy
// refused; the caller's own log has neither.

// byVPCEndpoint is the VPC endpoint, for network activity. The same field in
// other records may name an endpoint of AWS's.
var byVPCEndpoint = &detect.Scope{Name: "vpc-endpoint", Key: func(e *event.Event) string {
	if e.Category != event.NetworkActivity {
		return ""
	}
	return e.VPCEndpointID
}}

// endpointOwner returns the account that the event's VPC endpoint belongs to.
func endpointOwner(e *event.Event) string { return cmp.Or(e.VPCEndpointAccountID, e.AccountID) }

// foreignAt returns the caller's account if it is neither the VPC endpoint's
// owner nor one that the organisation says is its own; else "". What AWS does
// for itself, and who shows no credentials, is of no account.
func (c *Config) foreignAt(e *event.Event) string {
	switch e.Principal.Kind {
	case event.Service, event.Anonymous, event.Unknown:
		return ""
	}
	if a := e.Principal.AccountID; a != endpointOwner(e) && !c.ownAccount(a) {
		return a
	}
	return ""
}
