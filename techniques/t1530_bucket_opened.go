package techniques

import (
	"cmp"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// opensBuckets are the calls that can open a bucket. CloudTrail's names of the
// blocks of public access have Bucket or Account in them, the API's do not;
// both have been seen.
var opensBuckets = []string{
	"CreateBucket", "PutBucketAcl", "PutObjectAcl", "PutBucketPolicy", "PutBucketReplication",
	"PutBucketPublicAccessBlock", "DeleteBucketPublicAccessBlock", "PutPublicAccessBlock", "DeletePublicAccessBlock",
	"PutAccountPublicAccessBlock", "DeleteAccountPublicAccessBlock",
}

// byBucketsAccount is the account, for calls that can open its buckets. The
// bucket is what the finding is about, whoever opens it, services and
// infrastructure as code included.
var byBucketsAccount = &detect.Scope{Name: "account-buckets", Key: func(e *event.Event) string {
	if e.Is("s3", opensBuckets...) {
		return e.AccountID
	}
	return ""
}}

// An opening is what a call does to a bucket.
type opening struct {
	what     string
	severity detect.Severity
	public   bool // rather than for another account
}

// opened says what a call opens; the zero opening if nothing.
func (c *Config) opened(e *event.Event) opening {
	const unprotected = "no longer protected from public access: "
	switch e.Operation {
	case "PutBucketPolicy":
		policy := cmp.Or(e.Request.At("bucketPolicy"), e.Request.At("policy"))
		if s, ok := publicStatement(policy); ok {
			return opening{"opened to everyone by a policy that allows " + actions(s), detect.Medium, true}
		}
		own := func(account string) bool { return account == e.AccountID || c.ownAccount(account) }
		if account := foreignReader(policy, own); account != "" {
			severity := detect.Medium
			if len(c.Accounts) == 0 {
				severity = detect.Low // it may well be the organisation's
			}
			return opening{"opened to account " + account + " by its policy", severity, false}
		}
	case "CreateBucket", "PutBucketAcl", "PutObjectAcl":
		switch group := publicGrant(e.Request); group {
		case "":
		case "authenticated-read", "AuthenticatedUsers":
			return opening{"opened to everyone with an AWS account by an access control list with " + group, detect.Medium, true}
		default:
			return opening{"opened to everyone by an access control list with " + group, detect.Medium, true}
		}
	case "PutBucketPublicAccessBlock", "PutPublicAccessBlock":
		if block := publicAccessUnblocked(e.Request); block != "" {
			return opening{unprotected + block + " turned off", detect.Low, true}
		}
	case "PutAccountPublicAccessBlock":
		if block := publicAccessUnblocked(e.Request); block != "" {
			return opening{unprotected + block + " turned off for all buckets", detect.Medium, true}
		}
	case "DeleteBucketPublicAccessBlock", "DeletePublicAccessBlock":
		return opening{unprotected + "its block deleted", detect.Low, true}
	case "DeleteAccountPublicAccessBlock":
		return opening{unprotected + "the block of all buckets deleted", detect.Medium, true}
	case "PutBucketReplication":
		for rule := range oneOrMore(e.Request.At("ReplicationConfiguration", "Rule")) {
			to := rule.At("Destination", "Account").Text()
			if to != "" && to != e.AccountID && !c.ownAccount(to) {
				return opening{"replicated to account " + to + ", to " + shown(rule.At("Destination", "Bucket").Text()), detect.Medium, false}
			}
		}
	}
	return opening{}
}

// actions lists what a statement allows.
func actions(statement event.Raw) string {
	var list []string
	for a := range oneOrMore(statement.At("Action")) {
		list = append(list, a.Text())
	}
	if list == nil {
		return "all but a few actions" // NotAction
	}
	return shown(some(list))
}

func bucketOpened(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "bucket-opened",
		Doc: "A bucket was opened to everyone or to a foreign account, or its objects are replicated to one. " +
			"Everyone is let in by a policy that allows any principal under no condition of who or where from, or by an access control list for all users. " +
			"A policy that names the account which may read is low until Config names yours. " +
			"A block of public access that is turned off lets nobody in yet and is low, for the whole account medium. A sensitive bucket makes each high. " +
			"It does not matter who did it, services and infrastructure as code included. " +
			"Access lists that are given with a single upload are not seen here, what was read through them is: see anonymous-read.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.Medium,
		Events:    operations("s3", opensBuckets),
		Scope:     byBucketsAccount,
		Needs:     detect.ManagementWrites | detect.S3DataEvents,
		Quiet:     novelty,
		Benign: []string{
			"The bucket serves a public website or download; declare it in Config.PublicBuckets.",
			"A template turns the blocks of public access off before it sets a policy that is narrow.",
			"A policy or a replication is for another account of the organisation; name it in Config.Accounts.",
		},
		Respond: []string{
			"Ask who made the change whether the bucket is meant to be open; if not, turn on Block Public Access and remove the policy, grant or replication.",
			"Look for reads since then: anonymous-read and cross-account-read.",
			"Turn on Block Public Access for the account, and deny s3:PutAccountPublicAccessBlock by a service control policy.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the call succeeded", e.Succeeded()) {
			return
		}
		o, bucket := c.opened(e), e.Bucket()
		if !p.Require("it opens a bucket, or lifts a block of public access", o.what != "") ||
			p.Excuse("the bucket is meant to be public", o.public && c.publicBucket(bucket)) {
			return
		}
		if c.sensitiveBucket(bucket) {
			o.severity = detect.High
		}
		subject, thing := bucket, "bucket "+bucket
		if bucket == "" {
			subject, thing = "account", "account "+e.AccountID
		}
		call := e.Operation + " by " + e.Principal.Name
		if key := e.ObjectKey(); key != "" {
			call += ", of " + shown(key)
		}
		p.ReportAt(o.severity, subject, thing+" "+o.what, detect.Evidence{
			Name:     "change of who may read",
			Observed: call,
			Expected: "no access for others: not in Config.PublicBuckets or Config.Accounts",
		})
	})
}

// operations returns the patterns of a service's operations.
func operations(service string, names []string) []string {
	patterns := make([]string, len(names))
	for i, name := range names {
		patterns[i] = service + ":" + name
	}
	return patterns
}
