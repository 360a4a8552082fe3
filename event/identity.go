package event

import (
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/event/internal/jsonscan"
)

// who is what a userIdentity says.
type who struct {
	strings          [identityStrings]part
	n                int // of strings that are not empty
	mfaAuthenticated bool
	sessionCreated   time.Time

	// The principal, if the identity settles it. What identities share is
	// interned.
	settled          bool
	kind             Kind
	key, name        string
	account, session span
}

// A part is a field of an identity that is not empty.
type part struct {
	span
	field uint8 // its place in [Identity.strings]
}

// whoIs returns what an identity says that was read out of a text; false if it
// cannot be told with parts of the text.
func whoIs(id *Identity, text string) (w who, ok bool) {
	w.mfaAuthenticated, w.sessionCreated = id.MFAAuthenticated, id.SessionCreated
	for n, field := range id.strings() {
		if *field == "" {
			continue
		}
		if w.strings[w.n].span, ok = spanOf(text, *field); !ok {
			return who{}, false
		}
		w.strings[w.n].field = uint8(n)
		w.n++
	}
	return w, true
}

// tell is the reverse of whoIs, for an identity that is empty.
func (w *who) tell(id *Identity, text string) {
	fields := id.strings()
	for _, p := range w.strings[:w.n] {
		*fields[p.field] = p.of(text)
	}
	id.MFAAuthenticated, id.SessionCreated = w.mfaAuthenticated, w.sessionCreated
}

// settle remembers the principal of the identity with the text.
func (w *who) settle(p *Principal, text string, n *interner) {
	account, ok := spanOf(text, p.AccountID)
	session, ok2 := spanOf(text, p.Session)
	if ok && ok2 {
		w.settled, w.kind, w.account, w.session = true, p.Kind, account, session
		w.key, w.name = n.intern([]byte(p.Key)), n.intern([]byte(p.Name))
	}
}

// as returns the principal.
func (w *who) as(text string) Principal {
	return Principal{Kind: w.kind, Key: w.key, Name: w.name, AccountID: w.account.of(text), Session: w.session.of(text)}
}

const identityStrings = 18

// strings returns the identity's fields that are strings.
func (id *Identity) strings() [identityStrings]*string {
	return [...]*string{
		&id.Type, &id.PrincipalID, &id.ARN, &id.AccountID, &id.AccessKeyID, &id.UserName, &id.InvokedBy,
		&id.IdentityProvider, &id.IssuerType, &id.IssuerARN, &id.IssuerPrincipalID, &id.IssuerAccountID,
		&id.IssuerUserName, &id.SourceIdentity, &id.EC2RoleDelivery, &id.FederatedProvider,
		&id.OnBehalfOfUserID, &id.IdentityStoreARN,
	}
}

// userIdentity reads the userIdentity member whose value is at text[i].
func (d *decoder) userIdentity(text string, i, depth int) (int, jsonscan.Fault) {
	id := &d.event.Identity
	if d.who = d.identities.find(text[i:]); d.who != nil {
		end := i + len(d.who.text)
		if d.identity != "" {
			*id = Identity{} // that of another member, before
		}
		d.identity = text[i:end]
		d.who.value.tell(id, d.identity)
		return end, 0
	}
	end, f := id.read(text, i, depth)
	d.identity = text[i:end]
	if f == 0 && text[i] == '{' && d.identities.again(text[i:end]) {
		if w, ok := whoIs(id, d.identity); ok {
			d.who = d.identities.add(d.identity, w)
		}
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
