package event

import "strings"

// Kind is the kind of identity that a [Principal] is.
type Kind uint8

// The kinds of principals.
const (
	Unknown      Kind = iota
	Root              // the account's root user
	User              // an IAM user
	Role              // a role's session, whoever assumed it
	SSO               // a person's session through IAM Identity Center
	InstanceRole      // a role's session held by an EC2 instance
	ServiceRole       // a service-linked role: its path is /aws-service-role/
	Federated         // a federated user (GetFederationToken), by the identity that issued it
	WebIdentity       // an OpenID Connect identity, before it has a role
	SAML              // a SAML identity, before it has a role
	Account           // a caller from another account, known only by account and unique id
	Service           // an AWS service on its own behalf
	Anonymous         // an unauthenticated request
)

// A Principal is who made a call, normalised so that one identity has one key
// whatever the shape of the record: the random session name and the rotating
// temporary access key are not part of it.
type Principal struct {
	// Kind is the kind of identity.
	Kind Kind
	// Key identifies the principal across records, regions and input formats. An
	// identity that belongs to an account has the account in its key. Paths of
	// roles and users are left out, because their names are unique in an account
	// and not every log shows the path. A session token has its user's key, a
	// federated user that of the identity that issued it, an IAM Identity Center
	// session the permission set's role and the person. A key says "unknown"
	// when AWS does not tell, as for a sign-in under a name that does not exist.
	//
	//	arn:aws:iam::111122223333:root
	//	arn:aws:iam::111122223333:user/alice
	//	arn:aws:iam::111122223333:role/deploy
	//	arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0f1e2d3c4b5a6978/bob@example.com
	//	identity-center:d-0123456789/906789ab-cdef
	//	aws-account:444455556666/AROAEXAMPLE
	//	web-identity:token.actions.githubusercontent.com/repo:octo/app:ref:refs/heads/main
	//	saml:namequalifier=/bob
	//	canonical-user:0123abcd (access logs only)
	//	service:lambda.amazonaws.com
	//	unknown:111122223333
	//	anonymous
	Key string
	// Name is the short name a person knows the principal by: "alice",
	// "deploy", "Admin/bob@example.com", "root".
	Name string
	// AccountID is the account that the principal belongs to, or "".
	AccountID string
	// Session is the session name: evidence of who or what used a role, chosen
	// by the caller, never part of the key. Instances use their instance id.
	Session string
}

// Person reports whether the principal is a human's own identity: an IAM
// Identity Center user, an IAM user, or root.
func (p Principal) Person() bool {
	return p.Kind == SSO || p.Kind == User || p.Kind == Root
}

var kindNames = [...]string{
	Unknown: "unknown", Root: "root", User: "user", Role: "role", SSO: "sso", InstanceRole: "instance-role",
	ServiceRole: "service-role", Federated: "federated", WebIdentity: "web-identity", SAML: "saml",
	Account: "account", Service: "service", Anonymous: "anonymous",
}

// String returns the kind's name in lower case: "instance-role".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// principal sets the event's principal from its identity.
func (d *decoder) principal() {
	e := d.event
	id := &e.Identity
	p := &e.Principal
	account := ownAccount(id)
	if account == "" {
		account = e.AccountID
	}
	switch identityType(e) {
	case "Root":
		d.root(account)
	case "IAMUser":
		d.user(account)
	case "AssumedRole", "Role":
		d.role(account)
	case "FederatedUser":
		d.federated(account)
	case "WebIdentityUser":
		_, provider, _ := strings.Cut(id.IdentityProvider, "oidc-provider/")
		if provider == "" {
			provider = id.IdentityProvider
		}
		*p = Principal{Kind: WebIdentity, Name: id.UserName, AccountID: account,
			Key: d.join("web-identity:", provider, "/", id.UserName)}
	case "SAMLUser":
		*p = Principal{Kind: SAML, Name: id.UserName, AccountID: account,
			Key: d.join("saml:", id.IdentityProvider, "/", id.UserName)}
	case "IdentityCenterUser":
		d.identityCenter(account)
	case "AWSAccount":
		d.foreign()
	case "CanonicalUser": // access logs only
		*p = Principal{Kind: Account, Key: d.join("canonical-user:", id.PrincipalID), Name: id.PrincipalID}
	case "AWSService":
		host := id.InvokedBy
		if host == "" || host == "AWS Internal" {
			host = e.Source
		}
		*p = Principal{Kind: Service, Key: d.join("service:", host), Name: host}
	case "Anonymous":
		*p = Principal{Kind: Anonymous, Key: "anonymous", Name: "anonymous"}
	default:
		d.unknown(account)
	}
}

// identityType returns the identity's type, inferred when the record has none
// or calls it unknown.
func identityType(e *Event) string {
	id := &e.Identity
	switch id.Type {
	case "AWSAccount":
		if anonymousAccount(id.AccountID) || id.AccountID == "" && id.PrincipalID == "" && id.ARN == "" {
			return "Anonymous"
		}
		return id.Type
	case "", "Unknown":
	default:
		return id.Type
	}
	if a, ok := parseARN(id.ARN); ok {
		if t := a.identityType(); t != "" {
			return t
		}
	}
	switch {
	case id.OnBehalfOfUserID != "":
		return "IdentityCenterUser"
	case anonymousAccount(id.AccountID):
		return "Anonymous"
	case id.ARN != "" || id.PrincipalID != "" || id.UserName != "":
		return "Unknown"
	case e.Type == "AwsServiceEvent" || id.InvokedBy != "":
		return "AWSService"
	case e.Source == "s3.amazonaws.com" && id.AccessKeyID == "":
		return "Anonymous"
	}
	return "Unknown"
}

// identityType returns the type of the identity that an ARN names, or "".
func (a arn) identityType() string {
	kind, _, _ := strings.Cut(a.resource, "/")
	switch kind {
	case "root":
		return "Root"
	case "user":
		return "IAMUser"
	case "assumed-role", "role":
		return "AssumedRole"
	case "federated-user":
		return "FederatedUser"
	}
	return ""
}

func (d *decoder) root(account string) {
	d.event.Principal = Principal{Kind: Root, Name: "root", AccountID: account,
		Key: d.join("arn:", partition(d.event.Identity.ARN), ":iam::", account, ":root")}
}

func (d *decoder) user(account string) {
	id := &d.event.Identity
	name := id.UserName
	if a, ok := parseARN(id.ARN); ok && strings.HasPrefix(a.resource, "user/") {
		name, account = lastSegment(a.resource), a.account
	}
	if name == "" || name == "HIDDEN_DUE_TO_SECURITY_REASONS" {
		d.unknown(account) // a sign-in under a name that does not exist
		return
	}
	d.event.Principal = Principal{Kind: User, Name: name, AccountID: account,
		Key: d.join("arn:", partition(id.ARN), ":iam::", account, ":user/", name)}
}

func (d *decoder) role(account string) {
	id := &d.event.Identity
	var name, session, path, part string
	if a, ok := parseARN(id.ARN); ok {
		part, account = a.partition, a.account
		if rest, ok := strings.CutPrefix(a.resource, "assumed-role/"); ok {
			name, session, _ = strings.Cut(rest, "/")
		} else {
			name, path = lastSegment(a.resource), a.resource
		}
	}
	if a, ok := parseARN(id.IssuerARN); ok && strings.HasPrefix(a.resource, "role/") {
		part, account, name, path = a.partition, a.account, lastSegment(a.resource), a.resource
	}
	if session == "" {
		_, session, _ = strings.Cut(id.PrincipalID, ":")
	}
	if name == "" {
		d.unknown(account)
		return
	}
	p := &d.event.Principal
	*p = Principal{Kind: Role, Name: name, AccountID: account, Session: session}
	if part == "" {
		part = "aws"
	}
	switch {
	case strings.HasPrefix(name, "AWSReservedSSO_"):
		p.Kind = SSO
		p.Key = d.join("arn:", part, ":iam::", account, ":role/", name, "/", session)
		p.Name = d.join(permissionSet(name), "/", session)
		return
	case strings.HasPrefix(path, "role/aws-service-role/"):
		p.Kind = ServiceRole
	case id.EC2RoleDelivery != "" || isInstanceID(session):
		p.Kind = InstanceRole
	}
	p.Key = d.join("arn:", part, ":iam::", account, ":role/", name)
}

// permissionSet returns the permission set that a role named
// AWSReservedSSO_<set>_<16 hexadecimal digits> stands for.
func permissionSet(role string) string {
	set := strings.TrimPrefix(role, "AWSReservedSSO_")
	if i := strings.LastIndexByte(set, '_'); i > 0 && len(set)-i == 17 {
		set = set[:i]
	}
	return set
}

// isInstanceID reports whether a session name is that of an EC2 instance:
// "i-" and 8 to 17 hexadecimal digits.
func isInstanceID(session string) bool {
	hex, ok := strings.CutPrefix(session, "i-")
	if !ok || len(hex) < 8 || len(hex) > 17 {
		return false
	}
	for i := range len(hex) {
		if c := hex[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (d *decoder) federated(account string) {
	id := &d.event.Identity
	p := &d.event.Principal
	part := partition(id.ARN)
	*p = Principal{Kind: Federated, AccountID: account}
	if a, ok := parseARN(id.ARN); ok {
		p.Session = lastSegment(a.resource)
		p.AccountID = a.account
	}
	a, ok := parseARN(id.IssuerARN)
	switch {
	case ok && a.resource == "root":
		p.AccountID, p.Name = a.account, "root"
		p.Key = d.join("arn:", a.partition, ":iam::", a.account, ":root")
	case ok && strings.HasPrefix(a.resource, "user/"):
		p.AccountID, p.Name = a.account, lastSegment(a.resource)
		p.Key = d.join("arn:", a.partition, ":iam::", a.account, ":user/", p.Name)
	default:
		p.Name = p.Session
		p.Key = d.join("arn:", part, ":sts::", p.AccountID, ":federated-user/", p.Session)
	}
}

func (d *decoder) identityCenter(account string) {
	id := &d.event.Identity
	user, store := id.OnBehalfOfUserID, lastSegment(id.IdentityStoreARN)
	if user == "" {
		user = id.PrincipalID
	}
	name := id.UserName
	if name == "" {
		name = user
	}
	if store == "" {
		store = account
	}
	d.event.Principal = Principal{Kind: SSO, Name: name, AccountID: account,
		Key: d.join("identity-center:", store, "/", user)}
}

// foreign normalises a caller from another account: its unique id is all that
// AWS tells about it.
func (d *decoder) foreign() {
	id := &d.event.Identity
	unique, session, _ := strings.Cut(id.PrincipalID, ":")
	p := Principal{Kind: Account, AccountID: id.AccountID, Session: session}
	if unique == "" || unique == id.AccountID {
		p.Key, p.Name = d.join("aws-account:", id.AccountID), id.AccountID
	} else {
		p.Key = d.join("aws-account:", id.AccountID, "/", unique)
		p.Name = unique
	}
	d.event.Principal = p
}

func (d *decoder) unknown(account string) {
	id := &d.event.Identity
	p := Principal{Kind: Unknown, AccountID: account, Name: "unknown"}
	unique, _, _ := strings.Cut(id.PrincipalID, ":")
	if unique == "" || unique == account {
		p.Key = d.join("unknown:", account)
	} else {
		p.Key = d.join("unknown:", account, "/", unique)
	}
	d.event.Principal = p
}

func (d *decoder) join(parts ...string) string {
	d.scratch = d.scratch[:0]
	for _, s := range parts {
		d.scratch = append(d.scratch, s...)
	}
	return d.intern.intern(d.scratch)
}

// partition returns the partition of an ARN, or "aws".
func partition(s string) string {
	if a, ok := parseARN(s); ok && a.partition != "" {
		return a.partition
	}
	return "aws"
}

// lastSegment returns what follows the last slash, dropping any path.
func lastSegment(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }
