package techniques

import (
	"iter"
	"net/netip"
	"strings"

	"github.com/cloudtell/cloudtell/event"
)

// What opens a bucket: the statements of its policy, public as S3 itself judges
// them ("the meaning of public" in its guide) or for foreign accounts, and the
// grants of access control lists.

// publicStatement returns the first statement of a policy that lets everyone
// in; false if there is none.
func publicStatement(policy event.Raw) (event.Raw, bool) {
	for s := range allowing(policy) {
		if (everyone(s.At("Principal")) || s.At("NotPrincipal").Exists()) && !restricts(s.At("Condition")) {
			return s, true
		}
	}
	return "", false
}

// allowing yields the statements of a policy that allow something.
func allowing(policy event.Raw) iter.Seq[event.Raw] {
	if text := policy.Text(); text != "" {
		policy = event.Raw(text) // a document within a string
	}
	return func(yield func(event.Raw) bool) {
		for s := range oneOrMore(policy.At("Statement")) {
			if s.At("Effect").Text() == "Allow" && !yield(s) {
				return
			}
		}
	}
}

// everyone reports whether a statement's principal is anyone at all.
func everyone(principal event.Raw) bool {
	if principal.Text() == "*" {
		return true
	}
	for aws := range oneOrMore(principal.At("AWS")) {
		if aws.Text() == "*" {
			return true
		}
	}
	return false
}

// foreignReader returns the first account that a policy lets read objects and
// that own does not know; "" if there is none. Accounts are named as principals
// or, where the statement is for everyone, by its conditions. Those that may
// only write, such as the load balancers' of AWS, read nothing.
func foreignReader(policy event.Raw, own func(account string) bool) string {
	for s := range allowing(policy) {
		if !allowsReading(s) {
			continue
		}
		for account := range accountsNamed(s) {
			if !own(account) {
				return account
			}
		}
	}
	return ""
}

// allowsReading reports whether a statement's actions have s3:GetObject among
// them, or one of its versions.
func allowsReading(statement event.Raw) bool {
	const read = "s3:getobject"
	for action := range oneOrMore(statement.At("Action")) {
		pattern := strings.ToLower(action.Text())
		if prefix, _, any := strings.Cut(pattern, "*"); pattern == read || pattern == read+"version" || any && strings.HasPrefix(read, prefix) {
			return true
		}
	}
	return statement.At("NotAction").Exists()
}

// accountsNamed yields the accounts that a statement is for.
func accountsNamed(statement event.Raw) iter.Seq[string] {
	return func(yield func(string) bool) {
		for principal := range oneOrMore(statement.At("Principal", "AWS")) {
			if account := namedAccount(principal.Text()); account != "" && !yield(account) {
				return
			}
		}
		for operator, keys := range statement.At("Condition").Members() {
			for key, values := range keys.Members() {
				if strings.Contains(operator, "Not") || !strings.EqualFold(key, "aws:PrincipalAccount") && !strings.EqualFold(key, "aws:PrincipalArn") {
					continue
				}
				for v := range oneOrMore(values) {
					if account := namedAccount(v.Text()); account != "" && !yield(account) {
						return
					}
				}
			}
		}
	}
}

// namedAccount returns the account that a policy names by its number or by an
// ARN in it, or "".
func namedAccount(name string) string {
	if strings.HasPrefix(name, "arn:") {
		name = accountOf(name)
	}
	if len(name) != 12 || strings.Trim(name, "0123456789") != "" {
		return ""
	}
	return name
}

// restrictingKeys are the condition keys that say who or where from, in lower
// case. What the caller chooses, such as aws:Referer or aws:UserAgent, is not
// among them.
var restrictingKeys = map[string]bool{
	"aws:sourceip": true, "aws:sourcevpc": true, "aws:sourcevpce": true, "aws:vpcsourceip": true,
	"aws:sourcearn": true, "aws:sourceaccount": true, "aws:sourceowner": true, "aws:sourceorgid": true, "aws:sourceorgpaths": true,
	"aws:principalaccount": true, "aws:principalarn": true, "aws:principalorgid": true, "aws:principalorgpaths": true, "aws:userid": true,
	"s3:dataaccesspointaccount": true, "s3:dataaccesspointarn": true,
}

// restricts reports whether a statement's condition lets only certain callers
// in. All of its parts must hold, so one that restricts is enough.
func restricts(condition event.Raw) bool {
	for operator, keys := range condition.Members() {
		switch strings.TrimPrefix(strings.ToLower(operator), "foranyvalue:") {
		case "stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress":
		default:
			continue // negations, and those that hold for who has no such key
		}
		for key, values := range keys.Members() {
			if restrictingKeys[strings.ToLower(key)] && allNarrow(values) {
				return true
			}
		}
	}
	return false
}

// allNarrow reports that none of a condition's values fits everything.
func allNarrow(values event.Raw) bool {
	some := false
	for v := range oneOrMore(values) {
		if some = true; !narrow(v.Text()) {
			return false
		}
	}
	return some
}

// narrow reports whether a condition's value fits only some callers. S3 takes
// networks larger than /8, or /32 of IPv6, for everywhere, and what has a
// wildcard for anything; here, what comes before one may be enough, as in
// AROAEXAMPLE:* or o-example/*, but not in vpce-*.
func narrow(value string) bool {
	if network, err := netip.ParsePrefix(value); err == nil {
		if network.Addr().Is4() {
			return network.Bits() >= 8
		}
		return network.Bits() >= 32
	}
	if strings.HasPrefix(value, "arn:") {
		// arn:partition:service:region:account:resource: the account must be
		// said, or a bucket, whose name nobody else can have.
		parts := strings.SplitN(value, ":", 6)
		if len(parts) < 6 {
			return false
		}
		bucket, _, _ := strings.Cut(parts[5], "/")
		return fixed(parts[4]) || parts[2] == "s3" && fixed(bucket)
	}
	known, _, _ := strings.Cut(strings.ReplaceAll(value, "?", "*"), "*")
	return fixed(value) || len(known) > 1 && strings.ContainsAny(known[len(known)-1:], ":/")
}

// fixed reports whether a part of a condition's value is the same for every
// caller. What is said of the bucket ("${aws:ResourceOrgID}") is.
func fixed(part string) bool {
	return part != "" && !strings.ContainsAny(strings.ReplaceAll(part, "${aws:Resource", ""), "*?$")
}

// publicGrant returns whom an access control list lets in that is everyone:
// AllUsers, AuthenticatedUsers (of any account of AWS), or the name of a canned
// list; "" if it is nobody.
func publicGrant(request event.Raw) string {
	for acl := range oneOrMore(request.At("x-amz-acl")) {
		switch name := acl.Text(); name {
		case "public-read", "public-read-write", "authenticated-read":
			return name
		}
	}
	for _, header := range [...]string{
		"x-amz-grant-read", "x-amz-grant-write", "x-amz-grant-read-acp", "x-amz-grant-write-acp", "x-amz-grant-full-control",
	} {
		for grantee := range oneOrMore(request.At(header)) {
			if group := publicGroup(grantee.Text()); group != "" {
				return group
			}
		}
	}
	for grant := range oneOrMore(request.At("AccessControlPolicy", "AccessControlList", "Grant")) {
		if group := publicGroup(grant.At("Grantee", "URI").Text()); group != "" {
			return group
		}
	}
	return ""
}

func publicGroup(grantee string) string {
	for _, group := range [...]string{"AllUsers", "AuthenticatedUsers"} {
		if strings.Contains(grantee, "://acs.amazonaws.com/groups/global/"+group) {
			return group
		}
	}
	return ""
}

// publicAccessUnblocked returns the first of a bucket's or account's blocks of
// public access that a request turns off, or "". A request sets all of them:
// those that it does not name are off.
func publicAccessUnblocked(request event.Raw) string {
	blocks := request.At("PublicAccessBlockConfiguration")
	for _, block := range [...]string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
		if blocks.Exists() && !blocks.At(block).IsTrue() {
			return block
		}
	}
	return ""
}

// oneOrMore yields the elements of an array, or a value that stands alone: what
// was XML or a policy is written either way.
func oneOrMore(value event.Raw) iter.Seq[event.Raw] {
	if strings.HasPrefix(string(value), "[") {
		return value.Items()
	}
	return func(yield func(event.Raw) bool) {
		if value.Exists() {
			yield(value)
		}
	}
}
