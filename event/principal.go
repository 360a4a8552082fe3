package event

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
	// Key identifies the principal across records, regions and input formats.
	// It always contains the account. Paths of roles and users are left out,
	// because their names are unique in an account and not every log shows the
	// path.
	//
	//	arn:aws:iam::111122223333:root
	//	arn:aws:iam::111122223333:user/alice
	//	arn:aws:iam::111122223333:role/deploy
	//	arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0f1e2d3c4b5a6978/bob@example.com
	//	aws-account:444455556666/AROAEXAMPLE
	//	web-identity:token.actions.githubusercontent.com/repo:octo/app:ref:refs/heads/main
	//	service:lambda.amazonaws.com
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
