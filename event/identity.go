package event

import (
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/event/internal/jsonscan"
)

// who is what a userIdentity says.
type who struct {
	identity  Identity
	principal Principal // if the identity settles it
}

// strings returns the identity's fields that are strings.
func (id *Identity) strings() [18]*string {
	return [...]*string{
		&id.Type, &id.PrincipalID, &id.ARN, &id.AccountID, &id.AccessKeyID, &id.UserName, &id.InvokedBy,
		&id.IdentityProvider, &id.IssuerType, &id.IssuerARN, &id.IssuerPrincipalID, &id.IssuerAccountID,
		&id.IssuerUserName, &id.SourceIdentity, &id.EC2RoleDelivery, &id.FederatedProvider,
		&id.OnBehalfOfUserID, &id.IdentityStoreARN,
	}
}

// identity reads the userIdentity member whose value is at text[i].
func (d *decoder) identity(text string, i, depth int) (int, jsonscan.Fault) {
	if d.who = d.identities.find(text[i:]); d.who != nil {
		d.event.Identity = d.who.value.identity
		return i + len(d.who.text), 0
	}
	end, f := d.event.Identity.read(text, i, depth)
	if f == 0 && text[i] == '{' && d.identities.again(text[i:end]) {
		copied := strings.Clone(text[i:end])
		var id Identity
		id.read(copied, 0, depth)
		d.who = d.identities.add(copied, who{identity: id})
		d.event.Identity = id
	}
	return end, f
}

// The members of a userIdentity and of the objects in it that are read. Those
// that are objects come last.
var (
	identityNames = jsonscan.NewNames("type", "principalId", "arn", "accountId", "accessKeyId", "userName", "invokedBy",
		"identityProvider", "sessionContext", "onBehalfOf")
	onBehalfOfNames = jsonscan.NewNames("userId", "identityStoreArn")
	sessionNames    = jsonscan.NewNames("sourceIdentity", "ec2RoleDelivery", "sessionIssuer", "attributes", "webIdFederationData")
	issuerNames     = jsonscan.NewNames("type", "arn", "principalId", "accountId", "userName")
	attributeNames  = jsonscan.NewNames("mfaAuthenticated", "creationDate")
	federationNames = jsonscan.NewNames("federatedProvider")
)

// read reads a userIdentity element, the value at text[i].
func (id *Identity) read(text string, i, depth int) (int, jsonscan.Fault) {
	*id = Identity{}
	fields := [...]*string{&id.Type, &id.PrincipalID, &id.ARN, &id.AccountID, &id.AccessKeyID, &id.UserName, &id.InvokedBy,
		&id.IdentityProvider}
	return contents(identityNames, fields[:], text, i, depth, func(object, i, depth int) (int, jsonscan.Fault) {
		if object == 0 {
			return id.session(text, i, depth)
		}
		fields := [...]*string{&id.OnBehalfOfUserID, &id.IdentityStoreARN}
		return contents(onBehalfOfNames, fields[:], text, i, depth, nil)
	})
}

// session reads a userIdentity's sessionContext.
func (id *Identity) session(text string, i, depth int) (int, jsonscan.Fault) {
	fields := [...]*string{&id.SourceIdentity, &id.EC2RoleDelivery}
	return contents(sessionNames, fields[:], text, i, depth, func(object, i, depth int) (int, jsonscan.Fault) {
		switch object {
		case 0:
			fields := [...]*string{&id.IssuerType, &id.IssuerARN, &id.IssuerPrincipalID, &id.IssuerAccountID, &id.IssuerUserName}
			return contents(issuerNames, fields[:], text, i, depth, nil)
		case 1:
			var mfa, created string
			fields := [...]*string{&mfa, &created}
			end, f := contents(attributeNames, fields[:], text, i, depth, nil)
			id.MFAAuthenticated, _ = boolean(mfa)
			if created != "" {
				id.SessionCreated, _ = time.Parse(time.RFC3339, created)
				id.SessionCreated = id.SessionCreated.UTC()
			}
			return end, f
		}
		fields := [...]*string{&id.FederatedProvider}
		return contents(federationNames, fields[:], text, i, depth, nil)
	})
}

// contents reads the object at text[i]. The members of the first names have
// their content put into the fields; those of the other names are for objects,
// which counts them from 0.
func contents(names *jsonscan.Names, fields []*string, text string, i, depth int,
	objects func(object, i, depth int) (int, jsonscan.Fault)) (int, jsonscan.Fault) {
	return names.Members(text, i, depth, func(member, i, depth int) (_ int, f jsonscan.Fault) {
		switch field := member - 1; {
		case field < 0:
			_, i, f = jsonscan.Value(text, i, depth)
			return i, f
		case field < len(fields):
			*fields[field], i, f = jsonscan.Content(text, i, depth)
			return i, f
		default:
			return objects(field-len(fields), i, depth)
		}
	})
}

// settles reports whether the identity alone says who the principal is: with
// others the rest of the record has a say.
func (id *Identity) settles() bool {
	switch id.Type {
	case "", "Unknown":
		return false
	case "AWSService":
		return id.InvokedBy != "" && id.InvokedBy != "AWS Internal"
	}
	return ownAccount(id) != ""
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
