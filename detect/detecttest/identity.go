package detecttest

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"
	"time"
)

// A principal is who makes calls in a scenario.
type principal struct {
	name    string
	account string // whose log the calls are in, unless a call says otherwise
	source  string
	agent   string
	set     string
	// identity returns the userIdentity element of a call.
	identity func(at time.Time) fields
	service  bool // AWS itself calls: its records have no TLS details
}

const defaultAccount = "111122223333"

// readPrincipal reads what follows the equals sign.
func readPrincipal(s *statement) *principal {
	p := &principal{}
	// The account is known only at the end of the line, so the identity is made
	// by a function of the finished principal.
	var identity func(account string, at time.Time) fields
	var key, path string
	kind := s.word("the principal's kind")
	switch kind {
	case "user":
		user := s.word("the user's name")
		identity = func(account string, _ time.Time) fields { return userIdentity(account, user, key) }
	case "root":
		identity = func(account string, at time.Time) fields { return rootIdentity(account, key, at) }
	case "role":
		role := s.word("the role's name")
		if s.accept("path") {
			path = s.word("the role's path")
			if s.err == nil && (!strings.HasPrefix(path, "/") || !strings.HasSuffix(path, "/")) {
				s.fail("path %q does not begin and end with a slash", path)
			}
		}
		s.need("session")
		session := s.text("the session's name")
		identity = func(account string, at time.Time) fields { return roleIdentity(account, path, role, session, at) }
	case "sso":
		set, person := s.word("the permission set"), s.word("the person")
		identity = func(account string, at time.Time) fields {
			role := "AWSReservedSSO_" + set + "_" + hexID(16, "sso", account, set)
			return roleIdentity(account, "/aws-reserved/sso.amazonaws.com/", role, person, at)
		}
	case "instance":
		role, id := s.word("the instance's role"), s.word("the instance's id")
		if s.err == nil && !strings.HasPrefix(id, "i-") {
			s.fail("%q is no instance id: it begins with i-", id)
		}
		identity = func(account string, at time.Time) fields {
			u := roleIdentity(account, "", role, id, at)
			u["sessionContext"].(fields)["ec2RoleDelivery"] = "2.0"
			return u
		}
	case "service-role":
		role := s.word("the service-linked role's name")
		service, ok := strings.CutPrefix(role, "AWSServiceRoleFor")
		if s.err == nil && (!ok || service == "") {
			s.fail("%q is no service-linked role: its name begins with AWSServiceRoleFor", role)
		}
		host := strings.ToLower(service) + ".amazonaws.com"
		p.source, p.agent, p.service = host, host, true
		identity = func(account string, at time.Time) fields {
			u := roleIdentity(account, "/aws-service-role/"+host+"/", role, service, at)
			u["invokedBy"] = host
			return u
		}
	case "service":
		host := s.word("the service's host")
		p.source, p.agent, p.service = host, host, true
		identity = func(string, time.Time) fields { return fields{"type": "AWSService", "invokedBy": host} }
	case "anonymous":
		identity = func(string, time.Time) fields {
			return fields{"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
		}
	case "account":
		foreign := readAccount(s)
		s.need("id")
		id := s.word("the unique id")
		identity = func(string, time.Time) fields {
			return fields{"type": "AWSAccount", "principalId": id, "accountId": foreign}
		}
	case "web":
		provider, subject := s.word("the identity provider"), s.word("the subject")
		identity = func(account string, _ time.Time) fields { return webIdentity(account, provider, subject) }
	case "federated":
		name := s.word("the federated user's name")
		s.need("by")
		user := s.word("the user who issued the session")
		identity = func(account string, at time.Time) fields { return federatedIdentity(account, name, user, at) }
	default:
		s.fail("%q is no kind of principal: user, role, sso, instance, root, service, anonymous, account, web, federated, service-role", kind)
	}
	p.account = defaultAccount
	for s.more() {
		switch option := s.word("an option"); option {
		case "key":
			if kind != "user" && kind != "root" {
				s.fail("only users and root have a key of their own")
			}
			key = s.word("the access key")
		case "account":
			p.account = readAccount(s)
		case "from":
			p.source = s.text("the source")
		case "agent":
			p.agent = s.text("the agent")
		case "set":
			p.set = s.object("set")
		default:
			s.fail("%q is no option of a principal", option)
		}
	}
	p.identity = func(at time.Time) fields { return identity(p.account, at) }
	return p
}

func userIdentity(account, user, key string) fields {
	if key == "" {
		key = uniqueID("AKIA", 20, account, user)
	}
	return fields{
		"type":        "IAMUser",
		"principalId": uniqueID("AIDA", 21, account, user),
		"arn":         "arn:aws:iam::" + account + ":user/" + user,
		"accountId":   account,
		"accessKeyId": key,
		"userName":    user,
	}
}

// rootIdentity is a console session unless root has an access key.
func rootIdentity(account, key string, at time.Time) fields {
	u := fields{
		"type":        "Root",
		"principalId": account,
		"arn":         "arn:aws:iam::" + account + ":root",
		"accountId":   account,
		"accessKeyId": key,
	}
	if key == "" {
		u["accessKeyId"] = sessionKey(at, account, "root")
		u["sessionContext"] = fields{"attributes": attributes(at, true)}
	}
	return u
}

func roleIdentity(account, path, role, session string, at time.Time) fields {
	if path == "" {
		path = "/"
	}
	id := uniqueID("AROA", 21, account, role)
	return fields{
		"type":        "AssumedRole",
		"principalId": id + ":" + session,
		"arn":         "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + session,
		"accountId":   account,
		"accessKeyId": sessionKey(at, account, role, session),
		"sessionContext": fields{
			"sessionIssuer": fields{
				"type":        "Role",
				"principalId": id,
				"arn":         "arn:aws:iam::" + account + ":role" + path + role,
				"accountId":   account,
				"userName":    role,
			},
			"attributes": attributes(at, false),
		},
	}
}

func webIdentity(account, provider, subject string) fields {
	arn := "arn:aws:iam::" + account + ":oidc-provider/" + provider
	return fields{
		"type":             "WebIdentityUser",
		"principalId":      arn + ":sts.amazonaws.com:" + subject,
		"userName":         subject,
		"identityProvider": arn,
	}
}

func federatedIdentity(account, name, user string, at time.Time) fields {
	return fields{
		"type":        "FederatedUser",
		"principalId": account + ":" + name,
		"arn":         "arn:aws:sts::" + account + ":federated-user/" + name,
		"accountId":   account,
		"accessKeyId": sessionKey(at, account, user, name),
		"sessionContext": fields{
			"sessionIssuer": fields{
				"type":        "IAMUser",
				"principalId": uniqueID("AIDA", 21, account, user),
				"arn":         "arn:aws:iam::" + account + ":user/" + user,
				"accountId":   account,
				"userName":    user,
			},
			"attributes": attributes(at, false),
		},
	}
}

// Sessions last an hour, so that temporary keys rotate as they really do.
const sessionLength = time.Hour

func attributes(at time.Time, mfa bool) fields {
	authenticated := "false"
	if mfa {
		authenticated = "true"
	}
	return fields{
		"creationDate":     at.Truncate(sessionLength).Format(time.RFC3339),
		"mfaAuthenticated": authenticated,
	}
}

func sessionKey(at time.Time, parts ...string) string {
	return uniqueID("ASIA", 20, append(parts, at.Truncate(sessionLength).Format(time.RFC3339))...)
}

// uniqueID makes an id in the form of IAM's, the same for the same parts.
func uniqueID(prefix string, length int, parts ...string) string {
	sum := sha256.Sum256([]byte(prefix + "\x00" + strings.Join(parts, "\x00")))
	return (prefix + base32.StdEncoding.EncodeToString(sum[:]))[:length]
}

func hexID(length int, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])[:length]
}

// uuid makes an id in the form of CloudTrail's event ids.
func uuid(parts ...string) string {
	x := hexID(32, parts...)
	return x[:8] + "-" + x[8:12] + "-4" + x[13:16] + "-a" + x[17:20] + "-" + x[20:]
}
