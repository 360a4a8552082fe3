package event

import (
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/event/internal/jsonscan"
)

// identity reads a userIdentity element.
func identity(text Raw) (id Identity) {
	c := jsonscan.Open(string(text), jsonscan.MaxDepth)
	for c.Next() {
		switch v := Raw(c.Value); c.Key {
		case "type":
			id.Type = v.Text()
		case "principalId":
			id.PrincipalID = v.Text()
		case "arn":
			id.ARN = v.Text()
		case "accountId":
			id.AccountID = v.Text()
		case "accessKeyId":
			id.AccessKeyID = v.Text()
		case "userName":
			id.UserName = v.Text()
		case "invokedBy":
			id.InvokedBy = v.Text()
		case "identityProvider":
			id.IdentityProvider = v.Text()
		case "sessionContext":
			id.session(v)
		case "onBehalfOf":
			id.OnBehalfOfUserID = v.At("userId").Text()
			id.IdentityStoreARN = v.At("identityStoreArn").Text()
		}
	}
	return id
}

// session reads a userIdentity's sessionContext.
func (id *Identity) session(text Raw) {
	c := jsonscan.Open(string(text), jsonscan.MaxDepth)
	for c.Next() {
		switch v := Raw(c.Value); c.Key {
		case "sessionIssuer":
			id.issuer(v)
		case "attributes":
			id.MFAAuthenticated = v.At("mfaAuthenticated").IsTrue()
			if t := v.At("creationDate").Text(); t != "" {
				id.SessionCreated, _ = time.Parse(time.RFC3339, t)
				id.SessionCreated = id.SessionCreated.UTC()
			}
		case "sourceIdentity":
			id.SourceIdentity = v.Text()
		case "ec2RoleDelivery":
			id.EC2RoleDelivery = v.Text()
		case "webIdFederationData":
			id.FederatedProvider = v.At("federatedProvider").Text()
		}
	}
}

func (id *Identity) issuer(text Raw) {
	c := jsonscan.Open(string(text), jsonscan.MaxDepth)
	for c.Next() {
		switch v := Raw(c.Value); c.Key {
		case "type":
			id.IssuerType = v.Text()
		case "arn":
			id.IssuerARN = v.Text()
		case "principalId":
			id.IssuerPrincipalID = v.Text()
		case "accountId":
			id.IssuerAccountID = v.Text()
		case "userName":
			id.IssuerUserName = v.Text()
		}
	}
}

// An arn is an Amazon Resource Name in its parts.
type arn struct {
	partition, service, account, resource string
}

// parseARN splits a name of the form arn:partition:service:region:account:resource.
func parseARN(s string) (a arn, ok bool) {
	s, ok = strings.CutPrefix(s, "arn:")
	if !ok {
		return arn{}, false
	}
	if a.partition, s, ok = strings.Cut(s, ":"); !ok {
		return arn{}, false
	}
	if a.service, s, ok = strings.Cut(s, ":"); !ok {
		return arn{}, false
	}
	if _, s, ok = strings.Cut(s, ":"); !ok { // the region
		return arn{}, false
	}
	if a.account, a.resource, ok = strings.Cut(s, ":"); !ok {
		return arn{}, false
	}
	return a, true
}

// ownAccount returns the account that an identity says it belongs to, or "".
func ownAccount(id *Identity) string {
	if id.AccountID != "" {
		if anonymousAccount(id.AccountID) {
			return ""
		}
		return id.AccountID
	}
	if a, ok := parseARN(id.ARN); ok {
		return a.account
	}
	return ""
}

func anonymousAccount(account string) bool {
	return account == "ANONYMOUS_PRINCIPAL" || account == "anonymous"
}
